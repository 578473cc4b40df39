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
FORGETS = 0.9995  # of what was learned, a look: a day or so makes up for a change
PROBE = 1.25  # times the requests at a replica that made nobody wait
BELOW = 0.9  # times those at which others began to wait


def by_queue(history: History, load: Load, fleet: Fleet, goals: Goals) -> tuple[float, float, float]:
    """Replicas that keep what waits at `queue_depth` each; then the most requests at a replica that made nobody wait,
    and the fewest that did (0: none yet).

    An empty queue alone says nothing of how many fewer would do. So replicas go a few at a time, and never again to
    where others waited.
    """
    ready = max(fleet.ready, 1)
    running = max(load.in_flight - load.waiting, 0) or load.in_flight
    each = running / ready
    calm, crowd = history.calm * FORGETS, history.crowd / FORGETS
    if load.waiting > CALM * goals.queue_depth * ready:
        crowd = min(crowd or each, each)
        needed = ceil(load.waiting / goals.queue_depth) if load.waiting > goals.queue_depth * ready else ready
        return max(needed, ready), min(calm, crowd), crowd
    calm = max(calm, each)
    bearable = min(PROBE * calm, BELOW * crowd) if crowd else PROBE * calm
    fewer = running / bearable if bearable else 0.0
    return max(fewer, load.waiting / (CALM * goals.queue_depth)), calm, crowd


def by_spill(load: Load, fleet: Fleet) -> float:
    """Replicas that would answer what other clusters do, if one carries as much as now: neither a queue nor a latency
    here shows it. 0: nothing went there."""
    if not load.spilled:
        return 0.0
    return max(fleet.ready, 1) * min(load.demand / load.arrivals if load.arrivals else STEP, STEP)


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
