"""The status of a service that is placed on members: its conditions from what the members tell of theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from inferops.api.conditions import Condition, ConditionType, Reason
from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.api.placement import ClusterPlacement, ClusterRolloutStatus, PlacementStatus
from inferops.api.rollout import ClusterWavesSpec
from inferops.api.scalingstatus import ScalingStatus
from inferops.core.clusters.place import Placement
from inferops.core.clusters.rolling import rollout
from inferops.core.clusters.seen import ChildView, ClusterView
from inferops.core.engine import Obstacle
from inferops.core.notacted import not_acted_on
from inferops.core.observation import Observation
from inferops.core.status import Finding, date, reason_of
from inferops.core.told import sizing

NAMED = 3  # clusters that a sentence names
LIVE = ("Placing", "Serving", "Draining", "Suspect")  # states in which what a cluster has counts


def placed_status(
    seen: Observation, clusters: Sequence[ClusterView], placed: Placement | None, obstacle: Obstacle | None
) -> InferenceServiceStatus:
    """The new status. `placed`: None where an obstacle holds everything as it is."""
    before, meta = seen.service.status, seen.service.metadata
    record = placed.record if placed is not None else before.placement
    views = {each.name: each for each in clusters}
    live = [each for each in record.clusters if each.state in LIVE]
    children = [(each, child) for each in live if (child := _child(views, each)) is not None]
    latest = _latest(record.rollout, [child for _, child in children]) or before.latest_revision
    stages = [_valid(obstacle), _scheduled(record.message, live, obstacle), *_stages(record.rollout, live, views)]
    found = [*_summary(obstacle, stages, live), _available(live), *stages]
    return before.model_copy(
        update={
            "observed_generation": meta.generation,
            "conditions": date(found, before.conditions, meta.generation, seen.now),
            "replicas": sum(child.replicas for _, child in children),
            "ready_replicas": sum(each.ready_replicas for each in live),
            "desired_replicas": sum(each.desired_replicas for each in live),
            "stable_revision": _most([child.stable for _, child in children]) or before.stable_revision,
            "latest_revision": latest,
            "rollout": rollout(record.rollout, [child for _, child in children], latest),
            "scaling": ScalingStatus(mode=seen.service.spec.scaling.mode, reason="ByCluster"),
            "placement": record,
            "sizing": sizing(seen, None),
            "explain": _explain(seen.service.spec.rollout.clusters, record.rollout, live, views),
            "not_acted_on": not_acted_on(seen),
        }
    )


def terminating(
    before: InferenceServiceStatus, generation: int, record: PlacementStatus, now: datetime
) -> InferenceServiceStatus:
    """The status of a service that is deleted and still in some clusters."""
    told = "; ".join(f"{each.cluster}: {each.message}" for each in record.clusters)
    message = f"waits for {len(record.clusters)} clusters: {told}"
    found = [
        Finding(ConditionType.READY, None, Reason.TERMINATING, message),
        Finding(ConditionType.RECONCILING, True, Reason.TERMINATING, message),
    ]
    dated = date(found, before.conditions, generation, now)
    return before.model_copy(update={"observed_generation": generation, "conditions": dated, "placement": record})


def _child(views: Mapping[str, ClusterView], entry: ClusterPlacement) -> ChildView | None:
    view = views.get(entry.cluster)
    return view.child if view is not None else None


def _most(hashes: Sequence[str]) -> str:
    """The one that most clusters tell, of equals the first by name."""
    counted = Counter(each for each in hashes if each)
    return min(counted, key=lambda each: (-counted[each], each), default="")


def _latest(rollout: ClusterRolloutStatus, children: Sequence[ChildView]) -> str:
    """The revision that the spec asks for, as most of those know it that were given it."""
    if rollout.phase == "Stopped" and rollout.rejected:
        return rollout.rejected[0]
    return _most([each.latest for each in children if each.version == rollout.version and each.current])


def _valid(obstacle: Obstacle | None) -> Finding:
    if obstacle is None:
        return Finding(ConditionType.VALID, True, Reason.VALID)
    return Finding(ConditionType.VALID, False, obstacle.reason, obstacle.message)


def _scheduled(missing: str, live: Sequence[ClusterPlacement], obstacle: Obstacle | None) -> Finding:
    """Whether all that is asked for has found a place."""
    kind = ConditionType.SCHEDULED
    if obstacle is not None:
        return Finding(kind, None, obstacle.reason, "nothing new is placed until the condition Valid is True")
    if missing:
        return Finding(kind, False, Reason.INSUFFICIENT_CAPACITY, f"{missing}; status.placement.notChosen tells why")
    where = ", ".join(f"{each.cluster} ({each.replicas} on {each.accelerator})" for each in live if each.replicas)
    return Finding(kind, True, Reason.SCHEDULED, where)


def _stages(
    rollout: ClusterRolloutStatus, live: Sequence[ClusterPlacement], views: Mapping[str, ClusterView]
) -> list[Finding]:
    """RolledOut and Routed: as the clusters tell, the worst of them, and which of them have the newest version."""
    found, routed = (_worst(kind, live, views) for kind in (ConditionType.ROLLED_OUT, ConditionType.ROUTED))
    return [_rolled_out(rollout, found), routed]


def _rolled_out(rollout: ClusterRolloutStatus, found: Finding) -> Finding:
    if rollout.phase == "Stopped":
        return replace(
            found, status=False, reason=reason_of(rollout.reason, Reason.ROLLED_BACK), message=rollout.message
        )
    if rollout.phase == "Complete" or found.status is False:
        return found
    reason = reason_of(rollout.reason, Reason.PROGRESSING)
    message = rollout.message if found.status else f"{rollout.message}; {found.message}"
    return replace(found, status=None, reason=reason, message=message)


def _worst(kind: ConditionType, live: Sequence[ClusterPlacement], views: Mapping[str, ClusterView]) -> Finding:
    told: dict[str, list[tuple[str, Condition | None]]] = {"False": [], "Unknown": [], "True": []}
    for each in live:
        child = _child(views, each)
        condition = child.conditions.get(kind) if child is not None and child.current else None
        told[condition.status if condition is not None else "Unknown"].append((each.cluster, condition))
    for status, value in (("False", False), ("Unknown", None)):
        for cluster, condition in told[status]:
            if condition is None:
                waits = "its operator has not told of it yet; is inferops installed there?"
                return Finding(kind, value, Reason.PROGRESSING, f"{cluster}: {waits}")
            reason = reason_of(condition.reason, Reason.PROGRESSING)
            return Finding(kind, value, reason, f"{cluster}: {condition.message}")
    if not live:
        return Finding(kind, None, Reason.CREATING, "no cluster has it yet")
    reason = Reason.PROMOTED if kind is ConditionType.ROLLED_OUT else Reason.SERVICE_ROUTED
    return Finding(kind, True, reason, f"in {', '.join(cluster for cluster, _ in told['True'])}")


def _available(live: Sequence[ClusterPlacement]) -> Finding:
    kind = ConditionType.AVAILABLE
    serving = [each for each in live if each.ready_replicas]
    if not serving:
        return Finding(kind, False, Reason.UNAVAILABLE, "no replica answers")
    number = sum(each.ready_replicas for each in serving)
    where = ", ".join(each.cluster for each in serving)
    return Finding(kind, True, Reason.AVAILABLE, f"{number} replicas answer, in {where}")


def _summary(obstacle: Obstacle | None, stages: Sequence[Finding], live: Sequence[ClusterPlacement]) -> list[Finding]:
    rolled_out = next(each for each in stages if each.type is ConditionType.ROLLED_OUT)
    if obstacle is None and rolled_out.status is False:
        obstacle = Obstacle(rolled_out.reason, rolled_out.message)
    if obstacle is not None:
        return [
            Finding(ConditionType.READY, False, obstacle.reason, obstacle.message),
            Finding(ConditionType.STALLED, True, obstacle.reason, obstacle.message),
        ]
    open_stage = next((stage for stage in stages if stage.status is not True), None)
    moving = next((each for each in live if each.state in ("Placing", "Draining")), None)
    if open_stage is None and moving is not None:
        told = f"{moving.cluster} is {moving.state}: {moving.message or 'its replicas come and go'}"
        open_stage = Finding(ConditionType.READY, None, Reason.PROGRESSING, told)
    if open_stage is None:
        return [Finding(ConditionType.READY, True, Reason.READY, stages[1].message)]
    return [
        Finding(ConditionType.READY, None, open_stage.reason, open_stage.message),
        Finding(ConditionType.RECONCILING, True, Reason.PROGRESSING, open_stage.message),
    ]


def _explain(
    waves: ClusterWavesSpec | None,
    rollout: ClusterRolloutStatus,
    live: Sequence[ClusterPlacement],
    views: Mapping[str, ClusterView],
) -> list[str]:
    told = [rollout.message] if rollout.message else []
    missing = [name for wave in waves.waves for name in wave if name not in views] if waves is not None else []
    if missing:
        names = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
        told.append(f"rollout.clusters.waves: placement.clusters means no cluster that is called {names}")
    return [*told, *(f"{each.cluster}: {each.message}"[:1024] for each in live if each.message)][:16]
