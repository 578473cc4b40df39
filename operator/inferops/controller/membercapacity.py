"""What a member cluster has and what is taken of it: a copy of its nodes, pods and devices, and what they offer."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.base import Toleration
from inferops.controller.claims import claim_use, pod_use
from inferops.controller.slices import by_node, slice_view
from inferops.controller.views import node_view
from inferops.core import offers
from inferops.kube.kinds import DEVICE_CLAIM, DEVICE_SLICE, NODE, POD, Kind
from inferops.kube.owned import Object

ALWAYS = (NODE, POD)
OPTIONAL = (DEVICE_SLICE, DEVICE_CLAIM)  # which not every cluster has
VIEWS: Mapping[Kind, Callable[[Object], Any]] = {
    NODE: node_view,
    POD: pod_use,
    DEVICE_SLICE: slice_view,
    DEVICE_CLAIM: claim_use,
}


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
        """Pods of services of inferops that have a node, by namespace and service."""
        used = ((namespace, use) for (namespace, _), use in self.copies[POD].objects.items())
        return Counter((namespace, use.service) for namespace, use in used if use.service and use.node)

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
