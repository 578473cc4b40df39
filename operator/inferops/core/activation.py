"""Whether a service is at zero replicas: by number, by minReplicas, or by what its gateways tell.

A service may be at zero only where every request for it passes the built-in gateway: nobody else holds a request
while a replica starts, or knows that nobody asks. So its Service leads to the gateways for as long as one is ready.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from inferops.api.conditions import ConditionType
from inferops.api.formats import seconds
from inferops.api.inferenceservice import InferenceServiceSpec
from inferops.api.scaling import ScalingSpec
from inferops.core.observation import Demand, Observation

SOON = 0.1  # seconds; at the least until another look
WOKEN = "woken from zero: requests wait in the gateway"
NO_GATEWAY = "no replica of the built-in gateway is ready, which holds requests and wakes a service; start one"


class Wanted(NamedTuple):
    """Zero replicas, or at least so many."""

    replicas: int
    why: str = ""  # for people; the same for as long as nothing changes
    again: float | None = None  # seconds until time alone may change it


def managed(seen: Observation, target: str) -> Wanted:
    """Of a service that is managed by its gateways (see `unmanaged`), zero or at least so many replicas; `target`: hash
    of the revision that its spec asks for, if any."""
    spec, status = seen.service.spec, seen.service.status
    return replicas(
        spec.scaling,
        status.desired_replicas,
        seen.demand,
        rested=_rested(seen, target),
        held=bool(seen.gateways),
        woken=WOKEN in status.explain,
    )


def _rested(seen: Observation, target: str) -> float | None:
    """Seconds since a revision was shown to serve, the one that is asked for or the one that its rollout went back to,
    by the record, and the gateways see who asks. None: one of these is not so."""
    status = seen.service.status
    newest = status.latest_revision == target and status.observed_generation == seen.service.metadata.generation
    if not target or not newest or seen.held_since is None:
        return None
    went_back = ConditionType.ROLLED_OUT if status.rollout.phase == "RolledBack" else None
    since = {
        each.type: each.last_transition_time
        for each in status.conditions
        if each.status == "True" or each.type == went_back
    }
    try:
        times = [datetime.fromisoformat(since[kind]) for kind in (ConditionType.AVAILABLE, ConditionType.ROLLED_OUT)]
        return (seen.now - max(*times, seen.held_since)).total_seconds()
    except (KeyError, ValueError, TypeError):  # it does not serve, or somebody edited the status
        return None


def unmanaged(spec: InferenceServiceSpec) -> str | None:
    """Why the number of replicas does not follow the gateways. None where it does; empty where nobody asked for it."""
    scaling, traffic = spec.scaling, spec.traffic
    if scaling.replicas is not None or (scaling.min_replicas > 0 and scaling.scale_to_zero_after is None):
        return ""
    if scaling.min_replicas > 0:
        return f"spec.scaling.scaleToZeroAfter has no effect beside minReplicas: {scaling.min_replicas}; set it to 0"
    if scaling.mode in ("fixed", "external"):
        return f"one replica is kept: with spec.scaling.mode {scaling.mode} only spec.scaling.replicas: 0 stops it"
    if traffic.max_queue == 0 or seconds(traffic.queue_timeout) == 0:
        none = "maxQueue: 0" if traffic.max_queue == 0 else f"queueTimeout: {traffic.queue_timeout}"
        return f"one replica is kept: with spec.traffic.{none} no request could wait for it; raise it"
    if traffic.endpoint_picker is not None:
        return "one replica is kept: with spec.traffic.endpointPicker requests do not pass the built-in gateway"
    return None


def by_number(scaling: ScalingSpec) -> int:
    """Replicas where no gateway is asked: what was set, else the minimum, and zero only by number."""
    return scaling.replicas if scaling.replicas is not None else max(scaling.min_replicas, 1)


def replicas(
    scaling: ScalingSpec,
    before: int | None,
    demand: Demand | None,
    *,
    rested: float | None = None,
    held: bool = True,
    woken: bool = False,
) -> Wanted:
    """Replicas of a service that is managed by its gateways (see `unmanaged`).

    `before`: as decided last; None: never. `rested`: seconds since its revision was shown to serve, with all replicas,
    and the gateways see who asks; None: one of these is not so. `held`: whether a gateway is ready, and so would hold
    requests. `woken`: whether it was last told that requests woke it. Nothing known changes nothing, and only what all
    gateways tell takes replicas away.
    """
    lowest = max(scaling.min_replicas, 1)
    # A new service starts with one, so that its revision is shown to load.
    kept = min(lowest if before is None else before, max(scaling.max_replicas or 0, lowest))
    if demand is not None and (demand.waiting or demand.in_flight):
        return _up(scaling, max(kept, lowest), demand, rested, held=held, woken=woken or kept == 0)
    if kept == 0:
        return Wanted(0, _at_zero(scaling, held))
    left = _left(scaling, demand, rested)
    if held and left is not None and left <= 0:
        return Wanted(0, _at_zero(scaling, held))
    return _up(scaling, kept, demand, rested, held=held, woken=woken)


def _left(scaling: ScalingSpec, demand: Demand | None, rested: float | None) -> float | None:
    """Seconds until it may go to zero, if nobody asks meanwhile. None: not by time alone."""
    if scaling.scale_to_zero_after is None or demand is None or demand.idle is None or rested is None:
        return None
    idle = 0.0 if demand.waiting or demand.in_flight else demand.idle
    return seconds(scaling.scale_to_zero_after) - min(idle, rested)


def _up(
    scaling: ScalingSpec, number: int, demand: Demand | None, rested: float | None, *, held: bool, woken: bool
) -> Wanted:
    if woken and held and rested is None:
        return Wanted(number, WOKEN)
    after = scaling.scale_to_zero_after
    if after is None:
        return Wanted(number, "never scaled to zero: spec.scaling.scaleToZeroAfter is left out")
    if not held:
        return Wanted(number, f"not scaled to zero: {NO_GATEWAY}")
    left = _left(scaling, demand, rested)
    if demand is None or demand.idle is None:
        return Wanted(number, "not scaled to zero: not every gateway tells whether requests come; see their logs")
    return Wanted(number, f"scaled to zero after {after} without a request", None if left is None else max(left, SOON))


def _at_zero(scaling: ScalingSpec, held: bool) -> str:
    if not held:
        return f"at zero replicas, and no request can bring it back: {NO_GATEWAY}, or set spec.scaling.replicas"
    after = scaling.scale_to_zero_after
    return "at zero replicas until the first request" + (f": none came for {after}" if after is not None else "")
