"""The rule: from what was counted to replicas, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from inferops.core.autoscale.history import History
from inferops.core.autoscale.terms import Goals, Numbers, Reason, Signals


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Replicas, why, and what to remember."""

    replicas: int
    reason: Reason
    why: str  # for people; the same for as long as nothing changes
    numbers: Numbers
    history: History
    again: float  # seconds until the next look


def recommend(history: History, signals: Signals, goals: Goals, now: float) -> Recommendation:
    """Replicas that carry the load, within the goals' bounds. `now`: Unix seconds, not before the last look's."""
    load, fleet = signals.load, signals.fleet
    kept = min(max(fleet.wanted, goals.lowest), goals.highest)
    if load is None or load.seconds <= 0 or signals.seed is None:
        return Recommendation(kept, "NoSignals", signals.why, Numbers(), replace(history, looked=now), 15.0)
    rate = load.arrivals / load.seconds
    seed = signals.seed
    capacity = seed.concurrency / (seed.ttft + seed.tpot * seed.output_tokens)
    needed = min(max(ceil(rate / (0.8 * capacity)), goals.lowest), goals.highest)
    numbers = Numbers(arrivals=rate, capacity=capacity)
    return Recommendation(needed, "Demand", "what is asked for", numbers, replace(history, looked=now, rate=rate), 15.0)
