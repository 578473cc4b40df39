"""What a service's rollout sees of the world: who splits its requests, and how many replicas these need."""

from __future__ import annotations

import math

from inferops.api.rollout import ACTION
from inferops.api.rolloutstatus import BRINGING_UP, STEPPING
from inferops.core import routing
from inferops.core.observation import HTTP_ROUTE, Observation
from inferops.core.rollout import Outcome, Splitter, View

HEADROOM = 1.5  # requests at once, by which a moment may be below what is usual
SPLIT = (*STEPPING, "Promoting", "RollingBack")  # phases in which two revisions may get requests


def view(seen: Observation, target: str, replicas: int) -> View:
    """What the rollout to `target` sees, where scaling wants so many replicas."""
    service, status = seen.service, seen.service.status
    split = splitter(seen)
    return View(
        now=seen.now,
        target=target,
        replicas=replicas,
        spec=service.spec.rollout,
        slo=service.spec.slo,
        revisions={revision.hash: revision for revision in seen.revisions},
        recorded=status.stable_revision,
        routed_to=seen.routed_to,
        splitter=split,
        carried=routing.carried(seen),
        in_force=split is not Splitter.GATEWAY_API or _in_force(seen),
        needed=needed(seen, replicas),
        window=seen.window,
        uncounted=seen.uncounted,
        gates=seen.gates,
        action=service.metadata.annotations.get(ACTION, ""),
        weights={told.hash: told.weight for told in status.revisions if told.weight},
    )


def splitter(seen: Observation) -> Splitter:
    """Who sends so many of 100 requests to each revision. The Gateway does where it has the service's requests."""
    if routing.gateway(seen) is not None and HTTP_ROUTE in seen.kinds and not routing.through_own(seen):
        return Splitter.GATEWAY_API
    return Splitter.OWN if seen.gateways else Splitter.NOBODY


def split_by_own(seen: Observation, outcome: Outcome) -> bool:
    """Whether the Service must lead to the built-in gateway, since requests are split among revisions, or wait for one.

    Not where it takes other requests than HTTP, which would find nobody there: these stay with the stable revision,
    and those that clients send to the gateway are split.
    """
    if seen.engine is not None and not seen.engine.http_alone:
        return False
    state = outcome.state
    # While recreate has stopped the old revision, requests wait in the gateway.
    splits = state.phase in SPLIT or (state.strategy == "recreate" and state.phase in BRINGING_UP)
    return splitter(seen) is Splitter.OWN and splits and len(outcome.replicas) > 1


def needed(seen: Observation, replicas: int) -> int | None:
    """Replicas that the requests there now need. None: nobody knows.

    By what one takes at once: what `spec.traffic.maxConcurrency` allows, else what sizing reckons with.
    """
    told, room = seen.demand, _room(seen)
    if told is None or told.idle is None or room is None:
        return None
    return min(replicas, max(1, math.ceil(HEADROOM * (told.waiting + told.in_flight) / room)))


def _room(seen: Observation) -> int | None:
    """Requests at once that one replica takes."""
    traffic, sized = seen.service.spec.traffic, seen.service.status.sizing.options
    if traffic.max_concurrency is not None:
        return traffic.max_concurrency
    return min((option.concurrency for option in sized), default=None)


def _in_force(seen: Observation) -> bool:
    """Whether the Gateway has taken in the weights on record."""
    route, status = seen.route, seen.service.status
    on_record = {told.hash: told.weight for told in status.revisions if told.weight} or {status.stable_revision: 100}
    return route is None or not route.live or (route.programmed and dict(route.weights) == on_record)
