"""What a member cluster has and what is taken of it: a copy of its nodes, pods, devices and quotas.

Quotas are copied where the member lets us read them. Where it does not nobody knows of them, and nothing is bounded by
them: what they refuse is then told by the member's own operator alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.base import Toleration
from inferops.controller.claims import claim_use, pod_use, quota_view
from inferops.controller.slices import by_node, slice_view
from inferops.controller.views import node_view
from inferops.core import offers
from inferops.core.quotas import Quota
from inferops.kube.kinds import DEVICE_CLAIM, DEVICE_SLICE, NODE, POD, RESOURCE_QUOTA, Kind
from inferops.kube.owned import Object

ALWAYS = (NODE, POD)
OPTIONAL = (DEVICE_SLICE, DEVICE_CLAIM)  # which not every cluster has
UNTOLD = (RESOURCE_QUOTA,)  # which not every cluster lets us read
VIEWS: Mapping[Kind, Callable[[Object], Any]] = {
    NODE: node_view,
    POD: pod_use,
    DEVICE_SLICE: slice_view,
    DEVICE_CLAIM: claim_use,
    RESOURCE_QUOTA: quota_view,
}

Waiting = Mapping[tuple[str, str], tuple[float, ...]]  # replicas without a node: since when, by namespace and service
Quotas = Mapping[str, tuple[Quota, ...]]  # by namespace


class Capacity:
    """The copy of one cluster. `news` is set whenever something in it has changed that matters."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.copies = {kind: _Copy(view, self.news) for kind, view in VIEWS.items()}

    @property
    def nodes(self) -> tuple[int, int]:
        """How many there are, and how many of these are ready."""
        found = self.copies[NODE].objects.values()
        return len(found), sum(node.ready for node in found)

    def scheduled(self) -> Counter[tuple[str, str]]:
        """Replicas of services of inferops that have their nodes, by namespace and service."""
        pods: Counter[tuple[str, str, int]] = Counter()
        for (namespace, _), use in self.copies[POD].objects.items():
            if use.service and use.node:
                pods[namespace, use.service, use.size] += 1
        found: Counter[tuple[str, str]] = Counter()
        for (namespace, service, size), number in pods.items():
            found[namespace, service] += number // size
        return found

    def waiting(self) -> Waiting:
        """Replicas of services of inferops of which a pod has no node: since when (Unix seconds), the first first."""
        pods: defaultdict[tuple[str, str, int], list[float]] = defaultdict(list)
        for (namespace, _), use in self.copies[POD].objects.items():
            if use.service and not use.node:
                pods[namespace, use.service, use.size].append(use.since)
        found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        for (namespace, service, size), since in pods.items():
            found[namespace, service] += sorted(since)[::size]
        return {service: tuple(sorted(since)) for service, since in found.items()}

    def quotas(self) -> Quotas:
        """What ResourceQuotas say of accelerators."""
        found: defaultdict[str, tuple[Quota, ...]] = defaultdict(tuple)
        for (namespace, _), quotas in sorted(self.copies[RESOURCE_QUOTA].objects.items()):
            if quotas:
                found[namespace] += quotas
        return dict(found)

    def without(self, namespace: str, service: str, pods: int) -> Capacity:
        """As if so many pods of a service were gone."""
        there = self.copies[POD].objects
        gone = sorted(at for at, use in there.items() if use.service == service and at[0] == namespace and use.node)
        left = Capacity()
        left.copies = {**self.copies, POD: replace(self.copies[POD], objects={**there})}
        for at in gone[:pods]:
            del left.copies[POD].objects[at]
        return left

    def free(
        self, accelerators: Mapping[str, AcceleratorSpec], tolerations: Sequence[Toleration]
    ) -> tuple[offers.Free, ...]:
        """What finds a place now."""
        devices = by_node(self.copies[DEVICE_SLICE].objects.values())
        nodes = [replace(node, devices=devices.get(node.name, ())) for node in self.copies[NODE].objects.values()]
        used: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for pod in self.copies[POD].objects.values():
            for resource, number in pod.resources.items():
                used[pod.node][resource] += number
        taken = {device for claim in self.copies[DEVICE_CLAIM].objects.values() for device in claim}
        return offers.offers(nodes, used, taken, accelerators, tolerations)


@dataclass(slots=True)
class _Copy:
    """The objects of one kind, as far as they matter here."""

    view: Callable[[Object], Any]
    news: asyncio.Event
    objects: dict[tuple[str, str], Any] = field(default_factory=dict)

    def put(self, raw: Object) -> None:
        meta = raw["metadata"]
        where, found = (meta.get("namespace", ""), meta["name"]), self.view(raw)
        if self.objects.get(where) != found:
            self.objects[where] = found
            self.news.set()

    def remove(self, namespace: str, name: str, version: int) -> None:
        if self.objects.pop((namespace, name), None) is not None:
            self.news.set()

    def names(self) -> Iterable[tuple[str, str]]:
        return list(self.objects)
