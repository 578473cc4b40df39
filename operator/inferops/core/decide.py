"""Observation -> Decision: the one place where the parts meet. Pure: the same observation, the same decision."""

from __future__ import annotations

from dataclasses import dataclass, field

from inferops.api.conditions import Condition, ConditionType, Reason
from inferops.api.inferenceservicestatus import InferenceServiceStatus, RevisionStatus
from inferops.core import activation, choices, oneshot, routing, scheduling, status, told, validity
from inferops.core.engine import Obstacle
from inferops.core.event import Event
from inferops.core.notacted import not_acted_on
from inferops.core.observation import Observation, RevisionView
from inferops.core.revision import RevisionSpec, revision_name

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
HELD = "kept until the Gateway has taken in the HTTPRoute that no longer names it, since requests may still come"


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
    gateways: tuple[str, ...] = ()  # of the built-in gateway, host:port, to which its Service leads; none: to its pods
    closed: bool = False  # its Service leads nowhere, since there is no gateway to check who asks
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
    plan = oneshot.plan(seen, hash_, wanted.replicas)
    there = {revision.hash: revision for revision in seen.revisions}
    order = 1 + max((revision.order for revision in seen.revisions), default=0)
    revisions = tuple(
        RevisionPlan(hash_, wanted.replicas, new=_unrecorded(hash_, there, target), order=order)
        for hash_ in (*plan.wanted, *plan.retiring)
    )
    route = routing.plan(seen, plan.route)
    new_status = _status(seen, plan, route, target, wanted, obstacle)
    return Decision(
        revisions=revisions,
        removed=plan.removed,
        route_to=plan.route,
        status=new_status,
        events=(*_scaled(seen, wanted), *_events(seen.service.status, new_status)),
        route=route,
        unrouted=routing.gateway(seen) is None,
        pooled=routing.pools_wanted(seen),
        unpooled=routing.pools_left(seen),
        gateways=seen.gateways if routing.through_own(seen) and plan.route else (),
        closed=bool(routing.unchecked(seen)),
        again=wanted.again,
    )


def _wanted(seen: Observation, target: str) -> activation.Wanted:
    """What scaling decides. A revision that a Gateway may send requests to does not go to zero: they would pass by the
    built-in gateway, which could neither see nor hold them."""
    wanted = activation.wanted(seen, target)
    before = seen.service.status.desired_replicas
    if wanted.managed and not wanted.replicas and before and routing.carried(seen):
        return wanted._replace(replicas=before, why=PASSED_BY)
    return wanted


def _unrecorded(hash_: str, there: dict[str, RevisionView], target: RevisionSpec | None) -> RevisionSpec | None:
    """The revision to record, where it is the one that the spec asks for and has no record yet."""
    known = hash_ in there and there[hash_].spec is not None
    return None if known or target is None or hash_ != target.hash else target


def _target(seen: Observation) -> RevisionSpec:
    chosen = scheduling.choose(seen, choices.each_choice(seen), choices.current(seen))
    return choices.revision(seen, chosen)


def _status(
    seen: Observation,
    plan: oneshot.Plan,
    route: routing.RoutePlan | None,
    target: RevisionSpec | None,
    wanted: activation.Wanted,
    obstacle: Obstacle | None,
) -> InferenceServiceStatus:
    there = {revision.hash: revision for revision in seen.revisions}
    before = seen.service.status
    meta = seen.service.metadata
    stable = there.get(plan.route)
    scene = status.Scene(seen, wanted.replicas, obstacle, stable, there.get(plan.target), route, wanted.managed)
    latest = plan.target or before.latest_revision
    found = status.findings(scene)
    return InferenceServiceStatus(
        observed_generation=meta.generation,
        conditions=status.date(found, before.conditions, meta.generation, seen.now),
        replicas=sum(not (pod.deleting or pod.worker) for revision in seen.revisions for pod in revision.pods),
        ready_replicas=stable.ready if stable is not None else 0,
        desired_replicas=wanted.replicas,
        selector=f"inferops.dev/service={meta.name},inferops.dev/role notin (worker)",
        url=f"http://{meta.name}.{meta.namespace}.svc",
        hostnames=routing.hostnames(seen, route),
        stable_revision=plan.stable,
        latest_revision=latest,
        revisions=_revisions(seen, plan, there, wanted.replicas),
        sizing=told.sizing(seen, target),
        explain=_explain(seen, target, there.get(latest), wanted),
        not_acted_on=not_acted_on(seen),
    )


def _revisions(
    seen: Observation, plan: oneshot.Plan, there: dict[str, RevisionView], replicas: int
) -> list[RevisionStatus]:
    shown = []
    carried = routing.carried(seen)
    for hash_ in (*plan.wanted, *plan.retiring):
        revision = there.get(hash_)
        if revision is None:
            continue
        is_stable = hash_ == plan.route
        stuck = status.broken(revision)
        kept = HELD if hash_ in plan.retiring and hash_ in carried else ""
        shown.append(
            RevisionStatus(
                name=revision_name(seen.service.metadata.name, hash_),
                hash=hash_,
                role="Stable" if is_stable else "Retiring" if hash_ in plan.retiring else "Canary",
                accelerator=told.describe(revision.spec.accelerator) if revision.spec is not None else "",
                image=revision.image,
                replicas=replicas,
                ready_replicas=revision.ready,
                weight=100 if is_stable else 0,
                usd_per_hour=_cost(seen, revision),
                message=stuck.message[: status.MESSAGE_LIMIT] if stuck is not None else kept,
            )
        )
    return shown


def _cost(seen: Observation, revision: RevisionView) -> str:
    choice = revision.spec.accelerator if revision.spec is not None else None
    accelerator = seen.accelerators.get(choice.type) if choice is not None else None
    return told.cost(choice, accelerator.price) if choice is not None and accelerator is not None else ""


def _explain(
    seen: Observation, target: RevisionSpec | None, current: RevisionView | None, wanted: activation.Wanted
) -> list[str]:
    """Why so many replicas, why this accelerator, and why an engine image that the runtime no longer names is kept."""
    sentences = [wanted.why] if wanted.why else []
    sentences += told.why(seen, target) if target is not None else []
    image = seen.runtime.image if seen.runtime is not None else None
    if current is not None and current.spec is not None and image is not None and current.image != image:
        sentences.append(
            f"revision {current.hash} keeps the image {current.image}; the runtime has {image} by now, "
            "which the next revision takes"
        )
    return [sentence[: status.MESSAGE_LIMIT] for sentence in sentences]


def _scaled(seen: Observation, wanted: activation.Wanted) -> tuple[Event, ...]:
    """That it went to zero, or came back, where the gateways' word led to that."""
    before = seen.service.status.desired_replicas
    if not wanted.managed or before is None or bool(before) == bool(wanted.replicas):
        return ()
    if wanted.replicas == 0:
        return (Event(False, Reason.SCALED_TO_ZERO, wanted.why),)
    waiting = seen.demand.waiting if seen.demand is not None else 0
    return (Event(False, Reason.REQUESTS_WAIT, f"{waiting} requests wait in the gateway: woken from zero"),)


def _events(before: InferenceServiceStatus, after: InferenceServiceStatus) -> tuple[Event, ...]:
    """What went wrong, that it is over, and each promotion; nothing twice.

    A promotion is told when the traffic moves, and not again when a replica of it was away for a while.
    """
    earlier = {condition.type: condition for condition in before.conditions}
    events = []
    for condition in after.conditions:
        if ConditionType(condition.type) in TOLD and _is_news(condition, earlier.get(condition.type), before):
            events.append(Event(condition.status == "False", condition.reason, condition.message or condition.reason))
    if after.stable_revision not in ("", before.stable_revision):
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
