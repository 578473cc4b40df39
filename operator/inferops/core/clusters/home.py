"""What a service has in the hub outside its clusters: from before it was placed, or since it is placed no more.

It serves until they do. Where that takes accelerators which the other needs, replicas give way one by one, as in a
rollout without spare ones: at most one is missing at a time, and the last that answers goes only if that is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferops.api.conditions import Condition, ConditionType, Reason
from inferops.api.placement import ClusterPlacement, PlacementStatus
from inferops.core.clusters.seen import ClusterView
from inferops.core.observation import Observation, RevisionView

HOMELESS = (Reason.INSUFFICIENT_CAPACITY, Reason.UNSCHEDULABLE)
SERVING = ("Placing", "Serving", "Draining")


def answering(seen: Observation) -> int:
    """Its own replicas in the hub that answer."""
    return sum(each.ready for each in seen.revisions)


def gives(seen: Observation) -> int:
    """How many of its own replicas in the hub may give way to those that its clusters are to have there."""
    there = sum(len(_standing(each)) for each in seen.revisions)
    return max(there - _kept(seen, seen.service.status.placement), 0)


def giving(seen: Observation, record: PlacementStatus, views: Sequence[ClusterView]) -> tuple[str, int] | None:
    """The revision in the hub that gives a replica up now, and how many it keeps; None: nobody waits for one."""
    standing = [(each, len(_standing(each))) for each in seen.revisions if _standing(each)]
    if not standing or any(pod.deleting for each in seen.revisions for pod in each.pods):
        return None
    there = sum(number for _, number in standing)
    if there <= _kept(seen, record) or not any(_waits(each, record) for each in views):
        return None
    oldest, number = standing[0]
    if _recreates(seen):
        return oldest.hash, 0
    live = [each for each in record.clusters if each.state in SERVING]
    most = min(record.target, sum(each.replicas for each in live) + _kept(seen, record))
    answer = answering(seen) + sum(each.ready_replicas for each in live)
    return (oldest.hash, number - 1) if answer - 1 >= max(most - 1, 1) else None


def part_of(views: Sequence[ClusterView]) -> ClusterView | None:
    """The hub's own cluster, where the service has something there."""
    return next((each for each in views if each.spec.access.hub and each.child is not None), None)


def homeless(conditions: Sequence[Condition]) -> bool:
    """Whether replicas that it has in the hub itself find no node."""
    return any(each.type == ConditionType.SCHEDULED and each.reason in HOMELESS for each in conditions)


def lessened(seen: Observation, conditions: Sequence[Condition], part: ClusterView) -> int | None:
    """Of a service that is placed no more and finds no room in the hub: how many replicas its part there keeps, so that
    there is some; None: as many as it has."""
    child = part.child
    if child is None or not child.most or not homeless(conditions):
        return None
    if child.replicas > min(child.most, child.ready) or not child.current:
        return None  # the one that it gave up last still ends
    answer = child.ready + answering(seen)
    last = 0 if _recreates(seen) else 1
    return child.ready - 1 if child.ready and answer - 1 >= last else None


def _standing(revision: RevisionView) -> list[str]:
    return [pod.name for pod in revision.pods if pod.node and not pod.deleting]


def _kept(seen: Observation, record: PlacementStatus) -> int:
    """Replicas in the hub that stay whoever waits: the last that answers."""
    others = any(each.ready_replicas for each in record.clusters if each.state in SERVING)
    return 0 if others or _recreates(seen) or not answering(seen) else 1


def _recreates(seen: Observation) -> bool:
    return seen.service.spec.rollout.strategy == "recreate"


def _waits(view: ClusterView, record: PlacementStatus) -> bool:
    """Whether what is placed in the hub itself has taken what it was given, and finds no node for more."""
    entry: ClusterPlacement | None = next((each for each in record.clusters if each.cluster == view.name), None)
    child = view.child
    if not view.spec.access.hub or child is None or entry is None or not entry.replicas or not child.current:
        return False
    ready = child.conditions.get(ConditionType.READY)
    return ready is not None and ready.reason in HOMELESS and view.scheduled <= child.ready
