"""What a cluster has of accelerators, what of it is free, and who has the rest, as far as whoever asks may see."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from inferops.api.accelerator import AcceleratorSpec
from inferops.catalogue import accelerators as built_in
from inferops.catalogue import merged
from inferops.cli.gather import Gathering
from inferops.controller import membercapacity
from inferops.controller.slices import by_node
from inferops.core.observation import NodeView
from inferops.core.offers import Free
from inferops.core.quotas import Quota
from inferops.kube.kinds import ACCELERATOR, DEVICE_CLAIM, DEVICE_SLICE, NODE, POD, RESOURCE_QUOTA

OTHERS = "pods of others"
UNTOLD = "which nodes have accelerators, and what of them is free, is not told"


@dataclass(frozen=True, slots=True)
class Capacity:
    """Of one cluster."""

    nodes: tuple[NodeView, ...]
    free: tuple[Free, ...]
    holders: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])  # by resource

    def of(self, accelerator: str, *, spot: bool) -> Free | None:
        return next((each for each in self.free if (each.accelerator, each.spot) == (accelerator, spot)), None)


async def accelerators(reads: Gathering) -> dict[str, AcceleratorSpec]:
    """The built-in ones and the admin's. Raises KubeError."""
    found = await reads.list(ACCELERATOR, lacks="only the built-in ones are known, with their prices") or []
    return merged(built_in(), {raw["metadata"]["name"]: AcceleratorSpec.model_validate(raw["spec"]) for raw in found})


async def capacity(reads: Gathering, known: Mapping[str, AcceleratorSpec]) -> Capacity | None:
    """What the cluster has; None where nodes or pods of all namespaces may not be listed. Raises KubeError."""
    nodes = await reads.list(NODE, lacks=UNTOLD)
    pods = await reads.list(POD, lacks=UNTOLD) if nodes is not None else None
    if nodes is None or pods is None:
        return None
    copy = membercapacity.Capacity()
    for kind, found in ((NODE, nodes), (POD, pods)):
        for raw in found:
            copy.copies[kind].put(raw)
    for kind in (DEVICE_SLICE, DEVICE_CLAIM):
        for raw in await reads.list(kind, lacks="devices of DRA are left out", optional=True) or []:
            copy.copies[kind].put(raw)
    listed = by_node(copy.copies[DEVICE_SLICE].objects.values())
    views = tuple(replace(each, devices=listed.get(each.name, ())) for each in copy.copies[NODE].objects.values())
    return Capacity(tuple(sorted(views, key=lambda each: each.name)), copy.free(known, ()), holders(copy))


async def quotas(reads: Gathering, namespace: str) -> tuple[Quota, ...]:
    """What the ResourceQuotas of a namespace say of accelerators. Raises KubeError."""
    copy = membercapacity.Capacity()
    for raw in await reads.list(RESOURCE_QUOTA, namespace, lacks="quotas are not told") or []:
        copy.copies[RESOURCE_QUOTA].put(raw)
    return copy.quotas().get(namespace, ())


def holders(copy: membercapacity.Capacity) -> dict[str, Counter[str]]:
    """How many of each resource the services hold on the nodes that there are, and all other pods together."""
    there = {each.name for each in copy.copies[NODE].objects.values()}
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (namespace, _), use in copy.copies[POD].objects.items():
        if use.node not in there:
            continue
        who = f"{namespace}/{use.service}" if use.service else OTHERS
        for resource, number in use.resources.items():
            found[resource][who] += number
    return dict(found)
