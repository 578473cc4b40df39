"""Observation -> Decision: the one place where the parts meet. Pure: the same observation, the same decision."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from inferops.api.conditions import Condition, ConditionType, Reason
from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.core import (
    choices,
    exporting,
    revisions,
    rolling,
    rollout,
    routing,
    scaling,
    scheduling,
    status,
    taints,
    told,
    validity,
)
from inferops.core.engine import Obstacle
from inferops.core.event import Event
from inferops.core.notacted import not_acted_on
from inferops.core.observation import Looked, Observation, RevisionView
from inferops.core.revision import RevisionSpec

TOLD = (
    ConditionType.VALID,
    ConditionType.SCHEDULED,
    ConditionType.ROLLED_OUT,
    ConditionType.ROUTED,
    ConditionType.AVAILABLE,
)
PASSED_BY = (
    "not scaled to zero: the Gateway has not taken in yet that requests go through the built-in gateway; see the "
    "condition Routed"
)


@dataclass(frozen=True, slots=True)
class RevisionPlan:
    """A revision that must exist."""

    hash: str
    replicas: int
    new: RevisionSpec | None = None  # to be recorded; None where its record exists
    order: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What must be so. Applying it twice changes nothing the second time."""

    revisions: tuple[RevisionPlan, ...]
    removed: tuple[str, ...]  # hashes of revisions that must go
    route_to: str  # hash of the revision that the stable Service selects; empty: leave it as it is
    status: InferenceServiceStatus
    events: tuple[Event, ...] = field(default=())
    route: routing.RoutePlan | None = None  # None: leave the HTTPRoute as it is, unless it is `unrouted`
    unrouted: bool = True  # there must be no HTTPRoute
    pooled: bool = False  # every revision has an InferencePool
    unpooled: bool = True  # none has; neither: leave them as they are
    export: bool = False  # there is a ServiceExport once there is a Service; else none
    gateways: tuple[str, ...] = ()  # of the built-in gateway, host:port, to which its Service leads; none: to its pods
    closed: bool = False  # its Service leads nowhere, since there is no gateway to check who asks
    gates: tuple[rollout.GateWanted, ...] = ()  # of the rollout, to be asked
    looked: Looked | None = None  # at its load, to be remembered once all this is so; None: as before
    again: float | None = None  # seconds until time alone may change the decision


def decide(seen: Observation) -> Decision:
    """What must exist, where the traffic goes and what the status says.

    Nothing is decided from memory: what a decision builds on stands in `seen`, so the operator may end
    between any two writes and the next one decides the same.
    """
    obstacle = validity.obstacle(seen)
    target = None if obstacle is not None else _target(seen)
    hash_ = target.hash if target is not None else ""
    wanted = _wanted(seen, hash_)
    outcome = rollout.step(seen.service.status.rollout, rolling.view(seen, hash_, wanted.replicas))
    there = {revision.hash: revision for revision in seen.revisions}
    order = 1 + max((revision.order for revision in seen.revisions), default=0)
    plans = tuple(
        RevisionPlan(each, replicas, new=_unrecorded(each, there, target), order=order)
        for each, replicas in outcome.replicas.items()
    )
    route = routing.plan(seen, outcome.route, outcome.weights)
    through_own = routing.through_own(seen) or rolling.split_by_own(seen, outcome)
    scene = _scene(seen, outcome, target, wanted, obstacle, route, through_own=through_own)
    new_status = _status(scene, outcome, target, wanted)
    return Decision(
        revisions=plans,
        removed=outcome.removed,
        route_to=outcome.route,
        status=new_status,
        events=(*_scaled(seen, wanted), *outcome.events, *_events(seen.service.status, new_status, outcome.events)),
        route=route,
        unrouted=routing.gateway(seen) is None,
        pooled=routing.pools_wanted(seen),
        unpooled=routing.pools_left(seen),
        export=exporting.wanted(seen),
        gateways=seen.gateways if through_own and outcome.route else (),
        closed=bool(routing.unchecked(seen)),
        gates=outcome.gates,
        looked=wanted.looked,
        again=min((each for each in (wanted.again, outcome.again) if each is not None), default=None),
    )


def _wanted(seen: Observation, target: str) -> scaling.Wanted:
    """What scaling decides. A revision that a Gateway may send requests to does not go to zero: they would pass by the
    built-in gateway, which could neither see nor hold them."""
    wanted = scaling.wanted(seen, target)
    before = seen.service.status.desired_replicas
    if wanted.managed and not wanted.replicas and before and routing.carried(seen):
        return replace(wanted, replicas=before, needed=1, told=seen.service.status.scaling, why=(PASSED_BY,))
    return wanted


def _unrecorded(hash_: str, there: dict[str, RevisionView], target: RevisionSpec | None) -> RevisionSpec | None:
    """The revision to record, where it is the one that the spec asks for and has no record yet."""
    known = hash_ in there and there[hash_].spec is not None
    return None if known or target is None or hash_ != target.hash else target


def _target(seen: Observation) -> RevisionSpec:
    chosen = scheduling.choose(seen, choices.each_choice(seen), choices.current(seen))
    return choices.revision(seen, chosen)


def _scene(
    seen: Observation,
    outcome: rollout.Outcome,
    target: RevisionSpec | None,
    wanted: scaling.Wanted,
    obstacle: Obstacle | None,
    route: routing.RoutePlan | None,
    *,
    through_own: bool,
) -> status.Scene:
    there = {revision.hash: revision for revision in seen.revisions}
    return status.Scene(
        seen,
        wanted.replicas,
        obstacle,
        there.get(outcome.route),
        there.get(target.hash) if target is not None else None,
        route,
        wanted.managed,
        outcome.state,
        outcome.replicas,
        outcome.weights,
        through_own,
        wanted.needed,
    )


def _status(
    scene: status.Scene, outcome: rollout.Outcome, target: RevisionSpec | None, wanted: scaling.Wanted
) -> InferenceServiceStatus:
    seen = scene.seen
    before, meta = seen.service.status, seen.service.metadata
    latest = target.hash if target is not None else before.latest_revision
    there = {revision.hash: revision for revision in seen.revisions}
    found = status.findings(scene)
    return InferenceServiceStatus(
        observed_generation=meta.generation,
        conditions=status.date(found, before.conditions, meta.generation, seen.now),
        replicas=sum(not (pod.deleting or pod.worker) for revision in seen.revisions for pod in revision.pods),
        ready_replicas=scene.stable.ready if scene.stable is not None else 0,
        desired_replicas=wanted.replicas,
        selector=f"inferops.dev/service={meta.name},inferops.dev/role notin (worker)",
        url=f"http://{meta.name}.{meta.namespace}.svc",
        hostnames=routing.hostnames(seen, scene.route),
        stable_revision=outcome.stable,
        latest_revision=latest,
        revisions=revisions.told(seen, outcome),
        rollout=outcome.state,
        scaling=wanted.told,
        placement=before.placement,
        sizing=told.sizing(seen, target),
        explain=_explain(seen, target, there.get(latest), wanted),
        not_acted_on=not_acted_on(seen),
    )


def _explain(
    seen: Observation, target: RevisionSpec | None, current: RevisionView | None, wanted: scaling.Wanted
) -> list[str]:
    """Why so many replicas, why this accelerator, and why an engine image that the runtime no longer names is kept."""
    sentences = list(wanted.why)
    sentences += told.why(seen, target) if target is not None else []
    image = seen.runtime.image if seen.runtime is not None else None
    if current is not None and current.spec is not None and image is not None and current.image != image:
        sentences.append(
            f"revision {current.hash} keeps the image {current.image}; the runtime has {image} by now, "
            "which the next revision takes"
        )
    if current is not None and current.spec is not None:
        missing = ", ".join(taints.untolerated(seen.service.spec.tolerations, current.tolerations))
        if missing:
            sentences.append(f"the pods of revision {current.hash} do not tolerate {missing}; the next revision's do")
    return [sentence[: status.MESSAGE_LIMIT] for sentence in sentences]


def _scaled(seen: Observation, wanted: scaling.Wanted) -> tuple[Event, ...]:
    """That its load led to other replicas, or that it went to zero or came back by the gateways' word."""
    before = seen.service.status.desired_replicas
    if not wanted.managed or before is None or bool(before) == bool(wanted.replicas):
        return wanted.events
    if wanted.replicas == 0:
        return (Event(False, Reason.SCALED_TO_ZERO, wanted.why[0]),)
    waiting = seen.demand.waiting if seen.demand is not None else 0
    return (Event(False, Reason.REQUESTS_WAIT, f"{waiting} requests wait in the gateway: woken from zero"),)


def _events(
    before: InferenceServiceStatus, after: InferenceServiceStatus, told_by_rollout: tuple[Event, ...]
) -> tuple[Event, ...]:
    """What went wrong and that it is over; nothing twice, and nothing that the rollout tells itself."""
    earlier = {condition.type: condition for condition in before.conditions}
    rollout_says = {event.reason for event in told_by_rollout}
    events = []
    for condition in after.conditions:
        known = condition.reason in rollout_says or condition.message in after.rollout.message
        news = ConditionType(condition.type) in TOLD and _is_news(condition, earlier.get(condition.type), before)
        if news and not (condition.type == ConditionType.ROLLED_OUT and known):
            events.append(Event(condition.status == "False", condition.reason, condition.message or condition.reason))
    if after.stable_revision and not before.stable_revision and Reason.PROMOTED not in rollout_says:
        does = "takes over, with no replica wanted yet" if after.desired_replicas == 0 else "serves"
        events.append(Event(False, Reason.PROMOTED, f"revision {after.stable_revision} {does}"))
    return tuple(events)


def _is_news(now: Condition, earlier: Condition | None, before: InferenceServiceStatus) -> bool:
    has_served = before.stable_revision != ""
    if now.type == ConditionType.AVAILABLE and not has_served:
        return False  # it is only being made
    if now.reason == Reason.SCALED_TO_ZERO:
        return False  # told as such
    if now.reason == Reason.REQUESTS_WAIT and earlier is not None and earlier.status == "False":
        return False  # it is only coming back
    if now.status == "False":
        return earlier is None or (earlier.status, earlier.reason) != (now.status, now.reason)
    over = earlier is not None and earlier.status == "False"
    return over and now.status == "True" and now.type != ConditionType.ROLLED_OUT
