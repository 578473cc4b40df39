"""What finds a place on a cluster now: accelerators that are free, node by node, and replicas for which they suffice.

Free accelerators on many nodes are no room for a replica that needs them on one, nor those of one for a replica that
spans several. Nodes that are cordoned, lost or tainted hold nothing. An accelerator comes from a device plugin or by
dynamic resource allocation (DRA), never both, as `devices.claimed` says. Nothing is offered twice: where several
Accelerators mean the same GPUs of a node, these are the one's that fewest nodes have, of equals the first's by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.base import Toleration
from inferops.api.inferencecluster import Offer, OfferGrowth, Room
from inferops.core import devices, taints
from inferops.core.observation import NodeView
from inferops.core.quotas import counted_as
from inferops.core.scheduling import has_accelerator, is_spot

COUNTS = (1, 2, 4, 8, 16)  # accelerators of a replica for which the status tells the room
MOST = 128  # offers in a status

Used = Mapping[str, Mapping[str, int]]
What = tuple[str, str, str]  # a resource of a node, or one device
Stock = dict[What, tuple[int, int]]  # how many a node has, and how many of these are free


@dataclass(frozen=True, slots=True)
class Coming:
    """Nodes that a node autoscaler may bring."""

    nodes: tuple[int, ...]  # accelerators of each that nobody was promised, those that are reckoned with first
    trusted: int  # how many are reckoned with
    trust: float = 1.0  # how far, above 0
    since: str = ""  # when that changed last

    @property
    def reckoned(self) -> tuple[int, ...]:
        return self.nodes[: self.trusted]


@dataclass(frozen=True, slots=True)
class Free:
    """What a cluster has of one accelerator, on spot nodes or on the others, on nodes that can be scheduled to."""

    accelerator: str
    spot: bool
    nodes: int  # that have it; 0: none of those that have it can be scheduled to
    total: int  # accelerators on these
    free: tuple[int, ...]  # those that nobody has, node by node, most first
    largest: int = 0  # accelerators on the largest of these, free or not
    present: int = 0  # nodes that have it, also those that cannot be scheduled to
    counted_as: str = ""  # by which name quotas count it
    coming: Coming | None = None  # None: nobody said that nodes may come

    def without(self, count: int, replicas: int, nodes: int = 1) -> Free:
        """What is left once so many replicas of `count` accelerators over `nodes` nodes have come: on the nodes that
        one fills best, a group on those with room for the most. What finds no room there takes nodes that may come."""
        here, later = list(self.free), list(self.coming.nodes) if self.coming is not None else []
        for _ in range(replicas):
            if not _take(here, [], count // nodes, nodes) and not _take(here, later, count // nodes, nodes):
                break
        coming = replace(self.coming, nodes=tuple(later)) if self.coming is not None else None
        return replace(self, free=tuple(sorted(here, reverse=True)), coming=coming)

    def room(self, count: int, nodes: int = 1) -> int:
        """Replicas of `count` accelerators over `nodes` nodes, with equal shares, that find a place now."""
        return fitting(self.free, count // nodes, nodes)

    def grown(self, count: int, nodes: int = 1) -> int:
        """Replicas for which there is room beside that on the nodes that may come, as far as they are reckoned with."""
        return self._beside(self.coming.reckoned, count, nodes) if self.coming is not None else 0

    def hoped(self, count: int, nodes: int = 1) -> int:
        """The same, if all of them came."""
        return self._beside(self.coming.nodes, count, nodes) if self.coming is not None else 0

    def _beside(self, more: tuple[int, ...], count: int, nodes: int) -> int:
        return fitting((*self.free, *more), count // nodes, nodes) - self.room(count, nodes)


def fitting(free: Sequence[int], share: int, nodes: int) -> int:
    """Groups of `nodes` nodes, `share` accelerators on each: all nodes of a group differ, and one may be in several.

    So many groups find a place if and only if the nodes have as many places together, where a node counts at most once
    a group: handed out node by node to the groups in turn, no group gets a node twice.
    """
    places = [each // share for each in free]
    low, high = 0, sum(places) // nodes
    while low < high and nodes > 1:
        middle = (low + high + 1) // 2
        if sum(min(each, middle) for each in places) >= middle * nodes:
            low = middle
        else:
            high = middle - 1
    return high


def _take(here: list[int], later: list[int], share: int, nodes: int) -> bool:
    """Take what one replica needs, of `here` before `later`. Returns whether there was enough."""
    able = nsmallest(
        nodes,
        (index for index, free in enumerate(here) if free >= share),
        key=lambda index: (-(here[index] // share) if nodes > 1 else 0, here[index]),
    )
    more = [index for index, free in enumerate(later) if free >= share]
    if len(able) + len(more) < nodes:
        return False
    for index in able:
        here[index] -= share
    for index in more[: nodes - len(able)]:
        later[index] -= share
    return True


def offers(
    nodes: Sequence[NodeView],
    used: Used,
    taken: devices.Held,
    accelerators: Mapping[str, AcceleratorSpec],
    tolerations: Sequence[Toleration],
) -> tuple[Free, ...]:
    """What is free of each of `accelerators`, by name, on demand before spot; nothing of those that no node has.

    `used`: extended resources in use, by node. `taken`: devices that claims hold, by driver and "<pool>/<device>".
    `tolerations`: of all pods on this cluster, besides those that the accelerator brings.
    """
    nodes = sorted((node for node in nodes if node.allocatable or node.devices), key=lambda node: node.name)
    having = {name: _having(accelerator, nodes, used, taken) for name, accelerator in accelerators.items()}
    named = {
        name: counted_as(accelerators[name], claimed=devices.claimed(accelerators[name], nodes))
        for name, found in having.items()
        if found
    }
    found: dict[tuple[str, bool], list[tuple[int, int]]] = {}
    present: Counter[tuple[str, bool]] = Counter()
    given: set[What] = set()
    for name in sorted(having, key=lambda name: (len(having[name]), name)):
        tolerating = {spot: (*taints.tolerations(accelerators[name], spot), *tolerations) for spot in (False, True)}
        for node, stock in having[name]:
            spot = is_spot(node)
            rows = found.setdefault((name, spot), [])
            present[name, spot] += 1
            own = {what: amounts for what, amounts in stock.items() if what not in given}
            if own and node.ready and not node.cordoned and taints.tolerated(node.taints, tolerating[spot]):
                given |= own.keys()
                rows.append((sum(total for total, _ in own.values()), sum(free for _, free in own.values())))
    return tuple(_free(kind, rows, present[kind], named[kind[0]]) for kind, rows in sorted(found.items()))


def told(free: Sequence[Free]) -> list[Offer]:
    """The same for the status of the cluster, with the room for replicas of usual sizes up to the largest node's."""
    return [
        Offer(
            accelerator=one.accelerator,
            spot=one.spot,
            nodes=one.nodes,
            total=one.total,
            free=sum(one.free),
            room=[Room(accelerators=count, replicas=one.room(count)) for count in COUNTS if count <= one.largest],
            growth=_growth(one.coming),
        )
        for one in free[:MOST]
    ]


def _growth(coming: Coming | None) -> OfferGrowth | None:
    if coming is None:
        return None
    nodes, number = len(coming.nodes), sum(coming.nodes)
    return OfferGrowth(nodes=nodes, accelerators=number, trust=coming.trust, since=coming.since)


def _free(kind: tuple[str, bool], rows: list[tuple[int, int]], present: int, name: str) -> Free:
    totals, free = [total for total, _ in rows], sorted((free for _, free in rows), reverse=True)
    return Free(*kind, len(rows), sum(totals), tuple(free), max(totals, default=0), present, name)


def _having(
    accelerator: AcceleratorSpec, nodes: Sequence[NodeView], used: Used, taken: devices.Held
) -> list[tuple[NodeView, Stock]]:
    """The nodes that have the accelerator, with what they have of it."""
    found: list[tuple[NodeView, Stock]] = []
    if devices.claimed(accelerator, nodes):
        for node in nodes:
            if listed := devices.stock(node, accelerator, taken):
                found.append((node, {("device", *device): (1, int(free)) for device, free in listed.items()}))
        return found
    resource = accelerator.resource_name
    for node in nodes:
        total = node.allocatable.get(resource, 0)
        if total > 0 and has_accelerator(node, accelerator):
            # More may be in use than there are: after a restart of the driver that lost some.
            free = max(0, total - used.get(node.name, {}).get(resource, 0))
            found.append((node, {("resource", node.name, resource): (total, free)}))
    return found
