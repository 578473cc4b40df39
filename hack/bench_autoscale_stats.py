"""What autoscalers cost at equal attainment: Pareto fronts, interpolation on them, and intervals over paired seeds.

A rule with one setting is a point: hours paid for, and the share of requests that missed the SLO. A rule is a curve
through the points of its settings, and rules are compared where their curves reach the same share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, log, sqrt
from statistics import fmean, stdev
from typing import NamedTuple

LEAST = 1e-6  # share of requests; what is below counts as this, since it is drawn on a logarithmic scale
# Quantiles of Student's t for two-sided 95 % intervals, by degrees of freedom from 1 on.
STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


class Point(NamedTuple):
    """A rule with one setting on the same arrivals as all others."""

    hours: float
    missed: float  # share of the requests, 0..1


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and half of its 95 % confidence interval. `within` is None of a single value, which has none."""

    mean: float
    within: float | None
    count: int

    @property
    def low(self) -> float:
        return self.mean - (self.within or 0.0)

    @property
    def high(self) -> float:
        return self.mean + (self.within or 0.0)


def front(points: Iterable[Point]) -> list[Point]:
    """The points that no other beats in both, from the fewest missed requests, and most hours, on."""
    found: list[Point] = []
    for point in sorted(points, key=lambda each: (each.missed, each.hours)):
        if not found or point.hours < found[-1].hours:
            found.append(point)
    return found


def hours_at(points: Iterable[Point], missed: float) -> float | None:
    """Hours at which this share of the requests misses: on a straight line over its logarithm.

    Where even the cheapest point misses fewer, its hours; where every point misses more, None. Raises ValueError where
    there are no points.
    """
    best = front(points)
    if not best:
        raise ValueError("points: there are none; give at least one")
    if best[-1].missed <= missed:
        return best[-1].hours
    for before, after in pairwise(best):
        if before.missed <= missed < after.missed:
            low, high = log(max(before.missed, LEAST)), log(max(after.missed, LEAST))
            share = (log(max(missed, LEAST)) - low) / (high - low) if high > low else 0.0
            return before.hours + max(0.0, share) * (after.hours - before.hours)
    return None


def cheapest(points: Sequence[Point], missed: float) -> int:
    """The place of the point that misses no more than this at the fewest hours; else of the one that misses least."""
    if not points:
        raise ValueError("points: there are none; give at least one")
    enough = [place for place, point in enumerate(points) if point.missed <= missed]
    if enough:
        return min(enough, key=lambda place: (points[place].hours, points[place].missed))
    return min(range(len(points)), key=lambda place: (points[place].missed, points[place].hours))


def near(points: Sequence[Point], slack: float) -> list[int]:
    """Places of the points that cost no more than this share above the front at what they miss themselves."""
    best = front(points)
    return [
        place
        for place, point in enumerate(points)
        if (least := hours_at(best, point.missed)) is None or point.hours <= least * (1 + slack)
    ]


def interval(values: Sequence[float]) -> Interval:
    """The mean and its 95 % interval by Student's t. Raises ValueError where there are no values."""
    if not values:
        raise ValueError("values: there are none; give at least one")
    if len(values) == 1:
        return Interval(values[0], None, 1)
    quantile = STUDENT[min(len(values) - 1, len(STUDENT)) - 1]
    return Interval(fmean(values), quantile * stdev(values) / sqrt(len(values)), len(values))


def saved(ours: Sequence[float | None], theirs: Sequence[float | None]) -> Interval | None:
    """The share of `theirs` that `ours` does without, over pairs of one seed each; None where no pair is whole.

    Below 0: ours costs more. Raises ValueError where there are not as many of both.
    """
    pairs = zip(ours, theirs, strict=True)
    whole = [1 - our / their for our, their in pairs if our is not None and their is not None and their > 0]
    whole = [share for share in whole if isfinite(share)]
    return interval(whole) if whole else None
