"""Which share of requests misses the SLO at a rate: what one replica carries, whatever the model, engine or GPU.

A histogram of requests judged and missed, by the rate that each replica got. Rates stand in bins of a sixteenth of an
octave, and each count goes to the two bins around it. More load is never served better, so what noise says against
that is averaged out: isotonic regression by pooling adjacent violators (Barlow, Bartholomew, Bremner and Brunk 1972,
Statistical Inference under Order Restrictions). What was never seen is taken from sizing's word, or else from the
highest rate that was served.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, floor, log2

OCTAVE = 16  # bins
PRIOR = 100.0  # requests that the word of sizing counts as, in each bin
STEEP = 12.0  # of a prior's rise, in octaves
LEAST = 0.0005  # share of misses that a prior expects at any rate
ENOUGH = 200.0  # requests that say something
MOST_BINS = 64
MOST_JUDGED = 1e6  # requests of one bin; older ones make room, so that a change is seen while it matters

Bins = Mapping[int, tuple[float, float]]  # requests judged and missed, by bin of the rate


def place_of(rate: float) -> float:
    """Where a rate stands, in bins."""
    return log2(rate) * OCTAVE


def rate_of(place: float) -> float:
    return float(2 ** (place / OCTAVE))


def around(place: float) -> tuple[tuple[int, float], tuple[int, float]]:
    """The two bins around a place, and how much of what is there is each one's."""
    low = floor(place)
    return (low, 1 - place + low), (low + 1, place - low)


def booked(bins: Bins, rate: float, judged: float, missed: float) -> Bins:
    """With requests that came at this rate. Of too many bins those far from it go first."""
    place = place_of(rate)
    made = dict(bins)
    for at, share in around(place):
        known = made.get(at, (0.0, 0.0))
        room = min(1.0, MOST_JUDGED / max(known[0] + share * judged, 1.0))
        made[at] = room * (known[0] + share * judged), room * (known[1] + share * missed)
    while len(made) > MOST_BINS:
        del made[max(made, key=lambda each: abs(each - place))]
    return made


def proven(bins: Bins, allowed: float) -> float:
    """The highest rate that enough requests met without more misses than are allowed, at it and below it."""
    found = 0.0
    for place in sorted(bins):
        judged, missed = bins[place]
        if judged < ENOUGH:
            continue
        if missed > allowed * judged:
            break
        found = rate_of(place)
    return found


class Curve:
    """Share of misses by place; it never falls. `knee`: the rate about which misses are supposed where none were
    seen."""

    __slots__ = ("_first", "_knee", "_shares")

    def __init__(self, bins: Bins, knee: float) -> None:
        self._knee = log2(knee)
        self._first = min(bins, default=0)
        pools: list[tuple[float, float, int]] = []  # requests judged and missed, bins
        for place in range(self._first, max(bins, default=-1) + 1):
            judged, missed = bins.get(place, (0.0, 0.0))
            pool = judged + PRIOR, missed + PRIOR * self._prior(place), 1
            while pools and pools[-1][1] * pool[0] >= pool[1] * pools[-1][0]:
                before = pools.pop()
                pool = before[0] + pool[0], before[1] + pool[1], before[2] + pool[2]
            pools.append(pool)
        self._shares = [missed / judged for judged, missed, count in pools for _ in range(count)]

    def at(self, place: float) -> float:
        """Between bins on straight lines, beyond those seen at least what is supposed there."""
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

    def highest(self, allowed: float, around: float) -> float:
        """The highest rate, within four octaves of this one, at which no more than that miss."""
        low, high = place_of(around) - 4 * OCTAVE, place_of(around) + 4 * OCTAVE
        for _ in range(11):
            middle = (low + high) / 2
            low, high = (middle, high) if self.at(middle) <= allowed else (low, middle)
        return rate_of(low)

    def _prior(self, place: float) -> float:
        steps = min(max(STEEP * (place / OCTAVE - self._knee), -50.0), 50.0)
        return LEAST + (1 - LEAST) / (1 + exp(-steps))
