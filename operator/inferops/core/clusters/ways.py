"""How a replica can run in each cluster: what it carries there, what it costs, and for how many there is room."""

from __future__ import annotations

from collections.abc import Sequence

from inferops.core.clusters.kinds import Kind
from inferops.core.clusters.price import cost
from inferops.core.clusters.seen import ClusterView
from inferops.core.placement.terms import Way


def ways(cluster: ClusterView, kinds: Sequence[Kind], *, counted: bool) -> tuple[Way, ...]:
    """Those of `kinds` that the cluster has nodes for, with the room that there is now. `counted`: whether replicas are
    counted, whatever they carry: then cost is what the work costs."""
    found = []
    for kind in kinds:
        offers = [
            free
            for free in cluster.free or ()
            if (free.accelerator, free.spot) == (kind.choice.type, kind.choice.spot) and free.total
        ]
        if not offers or kind.choice.nodes > 1:
            continue
        room = sum(free.room(kind.choice.count) for free in offers)
        price = cost(cluster, kind)
        way = Way(kind.name, kind.work, price, room)
        found.append(Way(kind.name, 1.0, price / kind.work, room) if counted else way)
    return tuple(found)
