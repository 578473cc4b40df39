"""What finds a place on a cluster now: accelerators that are free, node by node, and replicas for which they suffice.

Free accelerators on many nodes are no room for a replica that needs them on one. Nodes that are cordoned, lost or
tainted hold nothing. An accelerator comes from a device plugin or by dynamic resource allocation (DRA), never both,
as `devices.claimed` says. Nothing is offered twice: where several Accelerators mean the same GPUs of a node, these are
the one's that fewest nodes have, and of equals the first's by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.base import Toleration
from inferops.api.inferencecluster import Offer, Room
from inferops.core import devices, taints
from inferops.core.observation import NodeView
from inferops.core.scheduling import has_accelerator, is_spot

COUNTS = (1, 2, 4, 8, 16)  # accelerators of a replica for which the status tells the room
MOST = 128  # offers in a status

Used = Mapping[str, Mapping[str, int]]
What = tuple[str, str, str]  # a resource of a node, or one device
Stock = dict[What, tuple[int, int]]  # how many a node has, and how many of these are free


@dataclass(frozen=True, slots=True)
class Free:
    """What a cluster has of one accelerator, on spot nodes or on the others, on nodes that can be scheduled to."""

    accelerator: str
    spot: bool
    nodes: int  # that have it; 0: none of those that have it can be scheduled to
    total: int  # accelerators on these
    free: tuple[int, ...]  # those that nobody has, node by node, most first
    largest: int = 0  # accelerators on the largest of these, free or not

    def without(self, count: int, replicas: int) -> Free:
        """What is left once so many replicas of `count` accelerators have come, each on the node that it fills best."""
        nodes = list(self.free)
        for _ in range(replicas):
            fitting = [each for each in nodes if each >= count]
            if not fitting:
                break
            best = min(fitting)
            nodes[nodes.index(best)] = best - count
        return replace(self, free=tuple(sorted(nodes, reverse=True)))

    def room(self, count: int) -> int:
        """Replicas of `count` accelerators, each on one node, that find a place now."""
        return sum(free // count for free in self.free)


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
    found: dict[tuple[str, bool], list[tuple[int, int]]] = {}
    given: set[What] = set()
    for name in sorted(having, key=lambda name: (len(having[name]), name)):
        tolerating = {spot: (*taints.tolerations(accelerators[name], spot), *tolerations) for spot in (False, True)}
        for node, stock in having[name]:
            spot = is_spot(node)
            rows = found.setdefault((name, spot), [])
            own = {what: amounts for what, amounts in stock.items() if what not in given}
            if own and node.ready and not node.cordoned and taints.tolerated(node.taints, tolerating[spot]):
                given |= own.keys()
                rows.append((sum(total for total, _ in own.values()), sum(free for _, free in own.values())))
    return tuple(_free(name, spot, rows) for (name, spot), rows in sorted(found.items()))


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
        )
        for one in free[:MOST]
    ]


def _free(name: str, spot: bool, rows: list[tuple[int, int]]) -> Free:
    totals, free = [total for total, _ in rows], sorted((free for _, free in rows), reverse=True)
    return Free(name, spot, len(rows), sum(totals), tuple(free), max(totals, default=0))


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
