"""How much one cluster may carry where the loss of any one is survived: the values to try, the most promising first."""

from __future__ import annotations

import math

from inferops.core.placement.cover import scarce, seat_price
from inferops.core.placement.fleet import Fleet, Layout, room, sums

PROMISING = 32  # values that are looked at closely
TRIED = 8  # of those, values unlike each other, and as many that are like one of them
NEAR = 0.05  # relative: values that differ by no more are alike
AROUND = 4  # multiples of a replica's work on each side of the best value for divisible replicas
PARTS = 8  # equal parts of the work, from one to so many

Entry = tuple[str, float, float, float]  # cluster, price per work, least and most work
Bar = tuple[float, float]  # price per work and most work of a cluster
Scale = tuple[list[Entry], list[Bar], float]  # with replicas dearer by what a seat costs, and what all seats cost


def promising(fleet: Fleet, base: Layout, left: float) -> list[tuple[float, float]]:
    """What a layout costs at least of which `left` is left without its largest cluster, and what that carries."""
    entries = _entries(fleet)
    low = sums(fleet, base).top
    high = max([low, *(entry[3] for entry in entries)])
    scales = [(entries, _bars(entries, math.inf), 0.0)]
    middle = _valley(fleet, scales, left, low, high)
    seat = seat_price(fleet, base, max(fleet.work, left + middle), middle)
    if seat > 0:
        scale = _entries(scarce(fleet, seat))
        scales.append((scale, _bars(scale, math.inf), seat * fleet.limit))  # as many seats at the most are paid for
        middle = _valley(fleet, scales, left, low, high)
    first = sorted((_least(fleet, scales, left, top), top) for top in _tops(fleet, left, low, high, middle))
    fewest = {round(option.floor * option.work, 9) for option in fleet.options}  # where one more way becomes possible
    tops = [top for at, (_, top) in enumerate(first) if at < PROMISING or top in fewest]
    return _unlike(sorted((_closely(fleet, scales, left, top), top) for top in tops))


def _closely(fleet: Fleet, scales: list[Scale], left: float, top: float) -> float:
    """No less than this, by the ways alone that do not exceed `top`."""
    return _least(fleet, [(entries, _bars(entries, top), seats) for entries, _, seats in scales], left, top)


def _least(fleet: Fleet, scales: list[Scale], left: float, top: float) -> float:
    """No less than this, by any of the scales."""
    return max(_costs(fleet, bars, left, top) - seats for _, bars, seats in scales)


def _unlike(found: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """One of each that are alike, and then the others."""
    unlike: list[tuple[float, float]] = []
    alike: list[tuple[float, float]] = []
    for cost, top in found:
        near = any(abs(top - other) <= NEAR * other for _, other in unlike)
        (alike if near else unlike).append((cost, top))
    return unlike[:TRIED] + alike[: TRIED // 2]


def _entries(fleet: Fleet) -> list[Entry]:
    return [
        (each.site, price / each.work, each.floor * each.work, each.cap * each.work)
        for each, price in zip(fleet.options, fleet.prices, strict=True)
    ]


def _bars(entries: list[Entry], top: float) -> list[Bar]:
    """By cluster the least price of work and the most work, the cheapest first; of ways that do not exceed `top`."""
    found: dict[str, Bar] = {}
    for site, rate, least, most in entries:
        if least > top + 1e-9:
            continue
        if site in found:
            rate, most = min(rate, found[site][0]), max(most, found[site][1])
        found[site] = rate, most
    return sorted(found.values())


def _costs(fleet: Fleet, bars: list[Bar], left: float, top: float) -> float:
    """What it costs to carry the work and to have `left` left, with no cluster above `top`, were replicas divisible."""
    rest, cost = max(fleet.work, left + top) - fleet.sunk - fleet.slack, 0.0
    for rate, most in bars:
        if rest <= 0.0:
            return cost
        some = most if most < top else top
        if some > rest:
            some = rest
        cost += some * rate
        rest -= some
    return cost if rest <= 0.0 else math.inf


def _tops(fleet: Fleet, left: float, low: float, high: float, middle: float) -> list[float]:
    """What whole replicas come to: near the best value for divisible ones, near equal parts, and the first few."""
    bounds: dict[float, tuple[int, int]] = {}
    for option in fleet.options:
        floor, cap = bounds.get(option.work, (option.floor, option.cap))
        bounds[option.work] = min(floor, option.floor), max(cap, option.cap)
    tops = {low, high}
    for work, (floor, cap) in bounds.items():
        around = math.ceil(middle / work)
        counts = {floor, floor + 1, *range(around - AROUND, around + AROUND)}
        for others in range(1, PARTS + 1):
            part = math.ceil(left / others / work - 1e-9)
            counts |= {part - 1, part}
        tops.update(round(each * work, 9) for each in counts if floor <= each <= cap)
    return sorted(top for top in tops if low - fleet.slack <= top <= high + fleet.slack)


def _valley(fleet: Fleet, scales: list[Scale], left: float, low: float, high: float) -> float:
    """The value at which the cost for divisible replicas, which is convex in it, is least."""
    for _ in range(24):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        one, two = _least(fleet, scales, left, first), _least(fleet, scales, left, second)
        if one == two == math.inf or one > two:
            low = first
        else:
            high = second
    return (low + high) / 2


def within(fleet: Fleet, base: Layout, target: float, top: float) -> bool:
    """Whether so few replicas as the limit allows may carry `target`: where not, there is no need to search."""
    free = fleet.limit - sum(base.values())
    most: dict[str, tuple[float, float]] = {}
    for option in fleet.options:
        has = base.get(option.index, 0)
        more = (room(fleet, option, top) - has) * option.work
        each, total = most.get(option.site, (0.0, 0.0))
        if more > 0:
            most[option.site] = max(each, option.work), max(total, more)
    rest, count = target - sums(fleet, base).work - fleet.slack, 0.0
    for each, total in sorted(most.values(), reverse=True):
        some = min(total, rest, max(0.0, free - count) * each)
        rest, count = rest - some, count + some / each
    return rest <= fleet.slack
