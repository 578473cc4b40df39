"""The plain modes: replicas by a target for what waits, or for latency, and nothing else."""

from __future__ import annotations

from math import ceil

from inferops.core.autoscale.history import History
from inferops.core.autoscale.terms import Fleet, Goals
from inferops.core.load import Load

SETTLE = 300.0  # seconds for which fewer must have been enough, where the user does not say
CALM = 0.5  # share of the target up to which fewer replicas are thought of
ROOM = 0.8  # share of the SLO's latencies likewise
STEP = 2.0  # times the replicas that are ready, at the most, in one look
FORGETS = 0.999  # of the calm, a look


def by_queue(history: History, load: Load, fleet: Fleet, goals: Goals) -> tuple[float, float]:
    """Replicas that keep what waits at `queue_depth` each, and the requests at a replica that made nobody wait."""
    ready = max(fleet.ready, 1)
    each = load.in_flight / ready
    if load.waiting > goals.queue_depth * ready:
        return ceil(load.waiting / goals.queue_depth), history.calm * FORGETS
    if load.waiting > CALM * goals.queue_depth * ready:
        return ready, history.calm * FORGETS
    calm = max(history.calm * FORGETS, each)
    fewer = load.in_flight / calm if calm > 0 else 0.0
    return max(fewer, load.waiting / (CALM * goals.queue_depth)), calm


def by_latency(load: Load, fleet: Fleet, goals: Goals) -> float:
    """Replicas for which the mean latencies stay within the SLO, if they change as the load of a replica does."""
    ready = max(fleet.ready, 1)
    pairs = ((load.ttft, goals.ttft), (load.tpot, goals.tpot))
    worst = max((told / allowed for told, allowed in pairs if told is not None and allowed), default=None)
    late = load.missed / load.judged if load.judged else 0.0
    if worst is None:
        return 0.0 if not (load.arrivals or load.in_flight or load.waiting) else ready
    if late > 1 - goals.attainment or worst > 1:
        return ready * min(max(worst, 1.0 + late, 1.0 + 1.0 / ready), STEP)
    return ready if worst > ROOM else ready * max(worst / ROOM, 1 / STEP)
