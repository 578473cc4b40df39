"""How a replica can run in each cluster: what it carries there, what it costs, and for how many there is room."""

from __future__ import annotations

from collections.abc import Sequence

from inferops.core.clusters.kinds import Kind
from inferops.core.clusters.price import cost, cost_of_work
from inferops.core.clusters.rooms import offer, room
from inferops.core.clusters.seen import ClusterView
from inferops.core.placement.terms import Way


def ways(cluster: ClusterView, kinds: Sequence[Kind], cold_start: float, *, counted: bool) -> tuple[Way, ...]:
    """Those of `kinds` that the cluster has nodes for, or may get, with the room that there is now. `cold_start`: hours
    until a new replica serves there. `counted`: whether replicas are counted, whatever they carry: then cost is what
    the work costs."""
    found = []
    for kind in kinds:
        if offer(cluster, kind) is None:
            continue
        there = room(cluster, kind).now
        if counted:
            found.append(Way(kind.name, 1.0, cost_of_work(cluster, kind, cold_start), there))
        else:
            found.append(Way(kind.name, kind.work or kind.near, cost(cluster, kind, cold_start), there))
    return tuple(found)
