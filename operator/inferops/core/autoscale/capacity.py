"""What one replica carries within the SLO, and how much of it to plan with: both learned from what was served.

Two histograms do it. One says, for each rate of requests a replica, which share of them missed the SLO: that is the
replica's capacity, whatever the model, the engine or the GPU. The other says how far the rate that a replica got was
from what was planned for it: bursts, forecasts that erred, replicas that came late, whole numbers. The rate to plan
with is the highest for which both together predict no more misses than the objective allows; so a steady service runs
its replicas hot and a jumpy one keeps room, and nobody tunes either. Both forget, by half in days.

Rates stand in bins of an eighth of an octave, and each count goes to the two bins around it. What was never seen is
taken from sizing's word, or else from the highest rate that was served.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import exp, floor, log2

OCTAVE = 8  # bins
PRIOR = 200.0  # requests that the word of sizing counts as, in each bin
STEEP = 12.0  # of a prior's rise, in octaves
LEAST_MISSES = 0.0005  # share that a prior expects at any rate
FIRST = 0.6  # share of the supposed capacity that is planned with at first
BEYOND = 1.5  # times the highest rate that was served well: where misses are supposed, if not further up
FORGETS_MISSES = 3 * 86400.0  # seconds; half-lives
FORGETS_LOADS = 2 * 86400.0
SOLVE = 60.0  # seconds between two looks for the rate to plan with
ENOUGH = 200.0  # requests, before the first
DOWN, UP = 0.8, 1.15  # times, that it changes at most in one look for it
MARGIN = 1.05  # times what is carried, that is planned with at the most
LOWEST, HIGHEST = -24, 6  # bins of loads: an eighth of what was planned to 1.7 times it
MOST_BINS = 64
MOST_JUDGED = 50_000.0  # requests of one bin; older ones make room, so that a change is seen while it matters

Bins = Mapping[int, tuple[float, float]]  # requests judged and missed, by bin of the rate


@dataclass(frozen=True, slots=True)
class Capacity:
    """What was learned of one kind of replica. Rates are requests a second of one replica."""

    knee: float | None = None  # where misses are supposed to begin, before any were seen; None: nothing is known yet
    told: bool = False  # by sizing
    planned: float | None = None  # what is planned with
    carries: float | None = None  # beyond which more miss the SLO than are allowed to
    misses: Bins = field(default_factory=dict[int, tuple[float, float]])
    loads: Mapping[int, float] = field(default_factory=dict[int, float])  # requests, by bin of rate / planned rate
    solved: float | None = None  # when it was last looked for, in Unix seconds


def begin(before: Capacity, knee: float | None) -> Capacity:
    """With sizing's word, where it has one."""
    if knee is None or before.told:
        return before
    planned = before.planned if before.misses and before.planned is not None else FIRST * knee
    return replace(before, knee=knee, told=True, planned=planned, carries=before.carries or knee)


def is_shock(known: Capacity, rate: float) -> bool:
    """Whether a replica's rate is so far above the plan that planning with somewhat less would not have helped."""
    return known.planned is not None and rate > 0 and _load(known.planned, rate) >= HIGHEST


def learn(before: Capacity, rate: float, judged: float, missed: float, requests: float, *, clean: bool) -> Capacity:
    """Take in that replicas got `rate` each.

    `requests`: all together; 0 where there were so many replicas for another reason than the plan. Not `clean`: they
    were not all there all the time, or of one kind, so that nothing is learned of what one carries.
    """
    made = before
    if not before.told and rate > 0 and missed <= 0.01 * judged and BEYOND * rate > (before.knee or 0.0):
        knee = BEYOND * rate
        made = replace(made, knee=knee, planned=max(made.planned or 0.0, FIRST * knee), carries=knee)
    planned = made.planned
    if rate <= 0 or planned is None:
        return made
    if clean and judged:
        place = log2(rate) * OCTAVE
        made = replace(made, misses=_bounded(_split(made.misses, place, judged, missed), place))
    if not requests:
        return made
    if is_shock(made, rate):  # of which all plans would become timid
        return made
    load = max(_load(planned, rate), LOWEST)
    low = floor(load)
    loads = dict(made.loads)
    loads[low] = loads.get(low, 0.0) + (1 - load + low) * requests
    loads[low + 1] = loads.get(low + 1, 0.0) + (load - low) * requests
    return replace(made, loads=loads)


def plan(before: Capacity, now: float, attainment: float) -> Capacity:
    """Look for the rate to plan with anew, if it is time. `attainment`: share of requests that is to meet the SLO."""
    since = before.solved
    if since is None:
        return replace(before, solved=now)
    if now - since < SOLVE or before.planned is None:
        return before
    made = _aged(before, now - since, now)
    if sum(made.loads.values()) < ENOUGH:
        return made
    allowed = 1 - attainment
    knee = max(made.knee or before.planned, BEYOND * _proven(made.misses, allowed))
    curve = _Curve(made.misses, knee)
    carries = _highest(before.planned, 4, lambda place: curve.at(place) <= max(allowed, 2 * LEAST_MISSES))
    expected = _expected(made.loads, curve)
    # Beyond what is carried, much of the day being quiet would pay for misses at its busiest.
    found = min(_highest(before.planned, 1, lambda place: expected(place) <= allowed), MARGIN * carries)
    planned = before.planned * min(max(found / before.planned, DOWN), UP)
    return replace(made, knee=knee, planned=planned, carries=carries)


def _proven(misses: Bins, allowed: float) -> float:
    """The highest rate that enough requests met without more misses than are allowed, at it and below it."""
    found = 0.0
    for place in sorted(misses):
        judged, missed = misses[place]
        if judged < ENOUGH:
            continue
        if missed > allowed * judged:
            break
        found = 2 ** (place / OCTAVE)
    return found


def _load(planned: float, rate: float) -> float:
    """How far a rate is from the planned one, in bins."""
    return (log2(rate) - log2(planned)) * OCTAVE


def _highest(rate: float, octaves: int, holds: Callable[[float], bool]) -> float:
    """The highest rate, within some octaves of this one, at whose place it holds. It holds below that, too."""
    low, high = log2(rate) - octaves, log2(rate) + octaves
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle * OCTAVE) else (low, middle)
    return float(2**low)


def _expected(loads: Mapping[int, float], curve: _Curve) -> Callable[[float], float]:
    """The share of misses to expect, by the place of the rate that is planned with."""
    total = sum(loads.values())
    shares = [(place, weight / total) for place, weight in loads.items() if weight > 0]
    return lambda planned: sum(share * curve.at(planned + place) for place, share in shares)


class _Curve:
    """Share of misses by place, which is OCTAVE x log2 of the rate; it never falls."""

    __slots__ = ("_first", "_knee", "_shares")

    def __init__(self, misses: Bins, knee: float) -> None:
        self._knee = log2(knee)
        self._first = min(misses, default=0)
        self._shares: list[float] = []
        highest = 0.0
        for place in range(self._first, max(misses, default=-1) + 1):
            judged, missed = misses.get(place, (0.0, 0.0))
            share = (missed + PRIOR * self._prior(place)) / (judged + PRIOR)
            highest = max(highest, share)
            self._shares.append(highest)

    def at(self, place: float) -> float:
        shares = self._shares
        if not shares:
            return self._prior(place)
        offset = place - self._first
        if offset <= 0:
            return min(shares[0], self._prior(place))
        if offset >= len(shares) - 1:
            return max(shares[-1], self._prior(place))
        low = int(offset)
        return shares[low] + (offset - low) * (shares[low + 1] - shares[low])

    def _prior(self, place: float) -> float:
        steps = min(max(STEEP * (place / OCTAVE - self._knee), -50.0), 50.0)
        return LEAST_MISSES + (1 - LEAST_MISSES) / (1 + exp(-steps))


def _aged(before: Capacity, seconds: float, now: float) -> Capacity:
    misses, loads = 0.5 ** (seconds / FORGETS_MISSES), 0.5 ** (seconds / FORGETS_LOADS)
    return replace(
        before,
        misses={place: (judged * misses, missed * misses) for place, (judged, missed) in before.misses.items()},
        loads={place: weight * loads for place, weight in before.loads.items() if weight * loads > 0.5},
        solved=now,
    )


def _split(bins: Bins, place: float, judged: float, missed: float) -> dict[int, tuple[float, float]]:
    low = floor(place)
    made = dict(bins)
    for at, share in ((low, 1 - place + low), (low + 1, place - low)):
        known = made.get(at, (0.0, 0.0))
        room = min(1.0, MOST_JUDGED / max(known[0] + share * judged, 1.0))
        made[at] = room * (known[0] + share * judged), room * (known[1] + share * missed)
    return made


def _bounded(bins: dict[int, tuple[float, float]], place: float) -> dict[int, tuple[float, float]]:
    """No more bins than are worth remembering: those far from where the service is now go first."""
    while len(bins) > MOST_BINS:
        del bins[max(bins, key=lambda at: abs(at - place))]
    return bins
