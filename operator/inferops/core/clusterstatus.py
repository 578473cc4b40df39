"""The status of an InferenceCluster: whether it can be relied on, and what it can hold.

Ready follows kstatus, as of an InferenceService: Unknown with Reconciling while it is to be seen, False with Stalled
once somebody has to act. What is offered stands as it was counted last, and CapacityFresh says whether that is now.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from inferops.api.conditions import ConditionType, Reason
from inferops.api.inferencecluster import InferenceClusterStatus, Offer
from inferops.core.engine import Obstacle
from inferops.core.membership import Health, State
from inferops.core.status import Finding, date

NOT_ACTED_ON = Obstacle(
    Reason.NOT_ACTED_ON,
    "this InferenceCluster is stored and not acted on: this operator runs without member clusters",
)

WAITS = "; nothing new is placed there"
ALONE = "; so many members are silent that it is the hub that is cut off: nobody counts as lost"
DEAD = ", and its gateways do not answer either"
SILENCE = re.compile(
    r"its API server has not answered since (?P<since>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ): "
    rf"(?P<why>.*?)(?:{WAITS}|{ALONE}|{DEAD})?$",
    re.DOTALL,
)

STATES: dict[Reason, State] = {
    Reason.SUSPECT: "Suspect",
    Reason.HUB_CUT_OFF: "Suspect",
    Reason.LOST: "Lost",
    Reason.RETURNING: "Returning",
}


@dataclass(frozen=True, slots=True)
class Member:
    """What the operator knows of a cluster that it asks."""

    health: Health
    cut_off: bool = False  # so many are silent that it must be the hub
    uid: str = ""  # of its namespace kube-system; empty: not known yet
    nodes: int = 0
    ready: int = 0  # of these
    offers: tuple[Offer, ...] | None = None  # None: not counted yet
    summary: str | None = ""  # for another hub; None: not counted yet


def cluster_status(
    before: InferenceClusterStatus, generation: int, now: datetime, seen: Member | Obstacle
) -> InferenceClusterStatus:
    """Its new status. An Obstacle says why it is not asked at all."""
    if isinstance(seen, Obstacle):
        told = [
            Finding(ConditionType.READY, False, seen.reason, seen.message),
            Finding(ConditionType.STALLED, True, seen.reason, seen.message),
        ]
        return InferenceClusterStatus(
            observed_generation=generation, conditions=date(told, before.conditions, generation, now)
        )
    control, data, capacity = _control_plane(seen), _data_plane(seen), _capacity(seen, bool(before.offers))
    told = [*_ready(control, capacity), control, data, capacity]
    return InferenceClusterStatus(
        observed_generation=generation,
        conditions=date(told, before.conditions, generation, now),
        cluster_uid=seen.uid or before.cluster_uid,
        offers=before.offers if seen.offers is None else list(seen.offers),
        summary=before.summary if seen.summary is None else seen.summary,
    )


def restored(status: InferenceClusterStatus) -> Health:
    """What an operator that starts knows of a member's health: a silence goes on from where its status has it."""
    for condition in status.conditions:
        if condition.type == ConditionType.CONTROL_PLANE_HEALTHY and condition.reason in STATES:
            state, found = STATES[Reason(condition.reason)], SILENCE.match(condition.message)
            if found is None:
                return Health(state)
            return Health(state, silent=datetime.fromisoformat(found["since"]).timestamp(), why=found["why"])
    return Health()


def _control_plane(seen: Member) -> Finding:
    health = seen.health
    since = "" if health.silent is None else datetime.fromtimestamp(health.silent, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    silence = f"its API server has not answered since {since}: {health.why}"  # as SILENCE reads it
    kind = ConditionType.CONTROL_PLANE_HEALTHY
    match health.state:
        case "Healthy":
            return Finding(kind, True, Reason.ANSWERS)
        case "Probing":
            return Finding(kind, None, Reason.PROBING, health.why and silence)
        case "Suspect" if seen.cut_off:
            return Finding(kind, None, Reason.HUB_CUT_OFF, silence + ALONE)
        case "Suspect":
            return Finding(kind, None, Reason.SUSPECT, silence + WAITS)
        case "Lost":
            return Finding(kind, False, Reason.LOST, silence + DEAD)
        case "Returning":
            return Finding(kind, None, Reason.RETURNING, "it answers again, and has to for a while")
        case "Unauthorized":
            return Finding(kind, False, Reason.UNAUTHORIZED, f"{health.why}; renew the credentials or grant the rights")


def _data_plane(seen: Member) -> Finding:
    kind = ConditionType.DATA_PLANE_HEALTHY
    if seen.health.gateways is not None:
        if seen.health.gateways:
            return Finding(kind, True, Reason.GATEWAY_ANSWERS)
        return Finding(kind, False, Reason.GATEWAY_SILENT, "nobody answers at spec.gateway.url")
    if seen.health.state != "Healthy":
        return Finding(kind, None, Reason.NOT_SEEN, "whether it serves would be seen by spec.gateway.url")
    if not seen.nodes:
        return Finding(kind, None, Reason.NOT_SEEN, "it has no nodes")
    told = f"{seen.ready} of {seen.nodes} nodes are ready"
    return Finding(kind, seen.ready > 0, Reason.NODES_READY if seen.ready else Reason.NODES_NOT_READY, told)


def _capacity(seen: Member, known: bool) -> Finding:
    kind = ConditionType.CAPACITY_FRESH
    if seen.offers is None and not (known and seen.health.state != "Healthy"):
        return Finding(kind, None, Reason.PROBING, "it was not counted yet")
    if seen.health.state != "Healthy":
        return Finding(kind, False, Reason.STALE, "status.offers are as they were counted last")
    return Finding(kind, True, Reason.COUNTED)


def _ready(control: Finding, capacity: Finding) -> list[Finding]:
    """Ready, and Reconciling or Stalled where it is not."""
    if control.status is False:
        return [
            Finding(ConditionType.READY, False, control.reason, control.message),
            Finding(ConditionType.STALLED, True, control.reason, control.message),
        ]
    for each in (control, capacity):
        if each.status is not True:
            return [
                Finding(ConditionType.READY, None, each.reason, each.message),
                Finding(ConditionType.RECONCILING, True, each.reason, each.message),
            ]
    return [Finding(ConditionType.READY, True, Reason.READY)]
