"""For how many replicas of a kind there is room in a cluster: by its nodes, by those that may come, and by quotas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferops.api.formats import seconds
from inferops.api.inferencecluster import ClusterGrowth
from inferops.core.clusters.kinds import Kind
from inferops.core.clusters.seen import ClusterView
from inferops.core.offers import Free
from inferops.core.quotas import tightest


@dataclass(frozen=True, slots=True)
class Room:
    """Replicas beside those of the service that have their nodes there."""

    now: int
    grown: int = 0  # more on nodes that may come, as far as they are reckoned with
    hoped: int = 0  # more, if all of them came
    trust: float = 1.0  # how far they are reckoned with


def offer(cluster: ClusterView, kind: Kind) -> Free | None:
    """What the cluster has for replicas of a kind, or may get."""
    wanted = kind.choice.type, kind.choice.spot
    found = next((free for free in cluster.free or () if (free.accelerator, free.spot) == wanted), None)
    return found if found is not None and (found.total or (found.coming and found.coming.nodes)) else None


def room(cluster: ClusterView, kind: Kind) -> Room:
    """As far as quotas allow it. They count replicas that wait for a node as used, which are to get that room."""
    free, choice = offer(cluster, kind), kind.choice
    if free is None:
        return Room(0)
    now, grown, hoped = (count(choice.count, choice.nodes) for count in (free.room, free.grown, free.hoped))
    quota = tightest(cluster.quotas, free.counted_as)
    if quota is not None:
        most = quota.left // choice.count + len(cluster.waiting)
        grown, hoped = (max(min(now + more, most) - min(now, most), 0) for more in (grown, hoped))
        now = min(now, most)
    return Room(now, grown, hoped, free.coming.trust if free.coming is not None else 1.0)


def overdue(cluster: ClusterView, kind: Kind | None, now: float) -> int:
    """Replicas of the service that wait for nodes for longer than these take to come. `now`: Unix seconds."""
    growth = _growth(cluster, kind) if kind is not None else None
    if growth is None:
        return 0
    return sum(since + seconds(growth.provisioning) <= now for since in cluster.waiting)


def waits(cluster: ClusterView, kind: Kind | None, now: float) -> str:
    """What is told of these; empty: there are none."""
    number, growth = overdue(cluster, kind, now), _growth(cluster, kind) if kind is not None else None
    if not number or growth is None:
        return ""
    return f"{number} replicas have waited for nodes for longer than {growth.provisioning} (spec.growth)"


def quota_told(cluster: ClusterView, kind: Kind) -> str:
    """Which quota has no room for one more replica, though the nodes may have; empty: none."""
    free, choice = offer(cluster, kind), kind.choice
    quota = tightest(cluster.quotas, free.counted_as) if free is not None else None
    if free is None or quota is None or quota.left // choice.count + len(cluster.waiting) > 0:
        return ""
    if not free.room(choice.count, choice.nodes) + free.grown(choice.count, choice.nodes):
        return ""
    used = f"{quota.used} of {quota.hard} {quota.resource} are used or promised"
    return f"ResourceQuota {quota.name} leaves no room for a replica of {kind.name}: {used}"


def no_room(cluster: ClusterView, kinds: Sequence[Kind]) -> tuple[str, str]:
    """Why there is none for a replica of any of the kinds now: one word, and a sentence."""
    told = next((found for kind in kinds if (found := quota_told(cluster, kind))), "")
    if told:
        return "Quota", told
    one = " on any one node" if all(kind.choice.nodes == 1 for kind in kinds) else ""
    why = f"no room for a replica of {' or '.join(kind.name for kind in kinds)}{one}"
    coming = [free.coming for kind in kinds if (free := offer(cluster, kind)) is not None and free.coming is not None]
    if any(each.nodes for each in coming):
        most = max(coming, key=lambda each: len(each.nodes))
        brought = f", and {most.trust:.0%} of them are reckoned with: of late they did not come" if most.since else ""
        why += f"; {len(most.nodes)} nodes may come{brought}"
    return "NoRoom", why


def _growth(cluster: ClusterView, kind: Kind) -> ClusterGrowth | None:
    wanted = kind.choice.type, kind.choice.spot
    return next((each for each in cluster.spec.growth if (each.accelerator, each.spot) == wanted), None)
