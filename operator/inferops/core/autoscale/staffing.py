"""How much of a replica to plan with, by how bursty the load is: where the next replica spares the most misses.

Plans are missed: by bursts, forecasts that erred, replicas that came late, whole numbers. How far is counted beside
what was planned, apart for calm hours and for bursty ones. An objective like 99 % holds for all requests together, so
replicas go where one more spares the most misses: calm hours run hot, bursty ones keep room, and at the margin a
replica is worth the same in each. Per request, a plan of p requests a second and replica costs 1/p replica seconds and
lets F(p) of them miss; the plans that together let no more miss than is allowed, at the least cost, are those that lie
on the lower convex hull of (F, 1/p) where its slope is the same for all: Lagrange's multiplier, the price of a miss.
Source: Everett 1963, Generalized Lagrange Multiplier Method, Operations Research 11(3).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import log2
from operator import mul

from inferops.core.autoscale.misses import OCTAVE, around

CLASSES = 6  # of burstiness, an octave each
CALMEST = 1 / 32  # burstiness of the first
LOWEST, HIGHEST = -24, 24  # bins of a load: a third of what was planned to 2.8 times it
NEIGHBOUR = 0.02  # what a request counts for the class next to its own, which may have seen too few
REACH = 2 * OCTAVE  # bins from the highest plan down to the lowest: loads go up by less
DEAREST = 4.0  # price of all misses that are allowed, in fleets: what spares them for more than that is not worth it

Loads = Mapping[int, Mapping[int, float]]  # requests by class and by bin of the rate they came at / the planned one
_PRICES = 30.0, 20  # octaves in which the price is looked for, and steps


def kinds(burst: float) -> tuple[tuple[int, float], tuple[int, float]]:
    """The two classes around this burstiness, and how much of it is each."""
    place = min(max(log2(max(burst, 1e-6) / CALMEST), 0.0), CLASSES - 1.0)
    low = min(int(place), CLASSES - 2)
    return (low, low + 1 - place), (low + 1, place - low)


def counted(loads: Loads, burst: float, load: float, requests: float) -> Loads:
    """With requests that came at a rate so many bins from what was planned, below HIGHEST."""
    places = around(max(load, float(LOWEST)))
    made = dict(loads)
    for kind, part in kinds(burst):
        if part <= 0:
            continue
        bins = dict(made.get(kind, ()))
        for at, share in places:
            bins[at] = bins.get(at, 0.0) + part * share * requests
        made[kind] = bins
    return made


def aged(loads: Loads, by: float) -> Loads:
    """With every request counting that much less; what hardly counts is forgotten."""
    faded = {kind: {at: by * n for at, n in bins.items() if by * n > 0.5} for kind, bins in loads.items()}
    return {kind: bins for kind, bins in faded.items() if bins}


def total(loads: Loads) -> float:
    return sum(sum(bins.values()) for bins in loads.values())


def plans(
    loads: Loads,
    misses: Callable[[float], float],
    top: float,
    allowed: float,
    beside: Callable[[float], float] = lambda price: 0.0,
) -> tuple[list[float], float]:
    """Places of the rates to plan with, by class, none above `top`; and the price of a miss at which those that no plan
    spares are within the objective, too, in requests at the top.

    `misses`: share of misses by place; `allowed`: share of all requests that may miss; `beside`: share that misses
    besides, by the price. `loads` must not be empty.
    """
    low, high = min(map(min, loads.values())), max(map(max, loads.values()))
    falling = [misses(top + high - down) for down in range(high - low + REACH + 1)]
    hulls = {kind: _Hull(_expected(loads, kind, low, high, falling)) for kind in loads}
    weighed = [(sum(bins.values()), hulls[kind]) for kind, bins in loads.items()]
    whole = total(loads)

    def missed(price: float) -> float:
        return sum([requests * hull.missed(price) for requests, hull in weighed]) / whole

    dearest = DEAREST / max(allowed, 1e-9)
    price = _least(lambda price: missed(price) <= allowed, dearest)
    found = {kind: top - hull.down(price) for kind, hull in hulls.items()}
    # Of a class that was never seen the nearest one's is known, of two as near the burstier one's.
    places = [found[min(found, key=lambda seen: (abs(seen - kind), -seen))] for kind in range(CLASSES)]
    if beside(price) > 0:
        price = _least(lambda price: missed(price) + beside(price) <= allowed, dearest)
    return places, price


def _least(enough: Callable[[float], bool], dearest: float) -> float:
    """The least price that is enough; the dearest, where none is."""
    dear = log2(dearest)
    cheap = dear - _PRICES[0]
    for _ in range(_PRICES[1] if enough(dearest) else 0):
        middle = (cheap + dear) / 2
        cheap, dear = (cheap, middle) if enough(2**middle) else (middle, dear)
    return float(2**dear)


def _expected(loads: Loads, kind: int, low: int, high: int, falling: Sequence[float]) -> list[float]:
    """Share of misses of a class where the plan is so many bins below the top."""
    mixed = [0.0] * (high - low + 1)
    for other, bins in loads.items():
        counts = NEIGHBOUR ** abs(other - kind)
        for at, requests in bins.items():
            mixed[high - at] += counts * requests
    whole = sum(mixed)
    shares = [each / whole for each in mixed]
    return [sum(map(mul, shares, falling[down:])) for down in range(REACH + 1)]


class _Hull:
    """The plans of one class that are worth it at some price."""

    __slots__ = ("_points", "_prices")

    def __init__(self, missed: Sequence[float]) -> None:
        points: list[tuple[int, float, float]] = []  # bins below the top, misses, cost beside that of the top
        for down, share in enumerate(missed):
            cost = 2 ** (down / OCTAVE)
            if points and share >= points[-1][1]:
                continue
            while len(points) > 1 and _slope(points[-2], points[-1]) >= _slope(points[-2], (down, share, cost)):
                points.pop()
            points.append((down, share, cost))
        self._points = points
        self._prices = [_slope(*pair) for pair in pairwise(points)]

    def missed(self, price: float) -> float:
        return self._points[bisect_left(self._prices, price)][1]

    def down(self, price: float) -> int:
        return self._points[bisect_left(self._prices, price)][0]


def _slope(one: tuple[int, float, float], other: tuple[int, float, float]) -> float:
    """Cost of a miss less, from one plan to a lower one."""
    return (other[2] - one[2]) / (one[1] - other[1])
