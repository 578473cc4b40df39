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
from collections.abc import Callable, Iterable, Mapping, Sequence
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

Bins = Mapping[int, float]  # requests by bin of the rate they came at / the planned one
Loads = Mapping[int, Bins]  # those of each class
NO_LOADS: Loads = {}
COSTS = tuple(2 ** (down / OCTAVE) for down in range(REACH + 1))  # of a request beside one at the top, by bins below it
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


def plans(loads: Loads, misses: Callable[[float], float], top: float, allowed: float) -> list[float]:
    """Places of the rates to plan with, by class, none above `top`.

    `misses`: share of misses by place; `allowed`: share of all requests that may miss. `loads` must not be empty.
    """
    shares = Shares(loads.values(), misses, top)
    hulls = {kind: Hull(shares.missed(_mixed(loads, kind))) for kind in loads}
    weighed = [(sum(bins.values()), hulls[kind]) for kind, bins in loads.items()]
    whole = total(loads)
    price = least(
        lambda price: sum([requests * hull.missed(price) for requests, hull in weighed]) / whole <= allowed, allowed
    )
    found = {kind: top - hull.down(price) for kind, hull in hulls.items()}
    # Of a class that was never seen the nearest one's is known, of two as near the burstier one's.
    return [found[min(found, key=lambda seen: (abs(seen - kind), -seen))] for kind in range(CLASSES)]


def least(enough: Callable[[float], bool], allowed: float) -> float:
    """The least price of a miss that is enough, in requests at the top; the dearest, where none is."""
    dearest = DEAREST / max(allowed, 1e-9)
    dear = log2(dearest)
    cheap = dear - _PRICES[0]
    for _ in range(_PRICES[1] if enough(dearest) else 0):
        middle = (cheap + dear) / 2
        cheap, dear = (cheap, middle) if enough(2**middle) else (middle, dear)
    return float(2**dear)


def _mixed(loads: Loads, kind: int) -> Bins:
    """Of a class, with something of those beside it, which may have seen more."""
    mixed: dict[int, float] = {}
    for other, bins in loads.items():
        counts = NEIGHBOUR ** abs(other - kind)
        for at, requests in bins.items():
            mixed[at] = mixed.get(at, 0.0) + counts * requests
    return mixed


class Shares:
    """Shares of misses by how many bins below the top the plan is, 0 to REACH, for requests that came at some loads."""

    __slots__ = ("_falling", "_high", "_low")

    def __init__(self, all_bins: Iterable[Bins], misses: Callable[[float], float], top: float) -> None:
        """`all_bins`: those that will be asked for; `misses`: by place; `top`: the place."""
        seen = [at for bins in all_bins for at in bins]
        self._low, self._high = min(seen), max(seen)
        falling = [misses(top + self._high - down) for down in range(self._high - self._low + REACH + 1)]
        self._falling = [falling[down:] for down in range(REACH + 1)]

    def missed(self, bins: Bins) -> list[float]:
        """`bins` must not be empty."""
        whole = sum(bins.values())
        shares = [bins.get(at, 0.0) / whole for at in range(self._high, self._low - 1, -1)]
        return [sum(map(mul, shares, falling)) for falling in self._falling]


class Hull:
    """The plans of one class that are worth it at some price."""

    __slots__ = ("_points", "_prices")

    def __init__(self, missed: Sequence[float]) -> None:
        points: list[tuple[int, float, float]] = []  # bins below the top, misses, cost beside that of the top
        for down, (share, cost) in enumerate(zip(missed, COSTS, strict=True)):
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
