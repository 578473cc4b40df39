"""Where room or the number of replicas is scarce: which way each cluster takes so that the work finds room at all."""

from __future__ import annotations

import math
from collections.abc import Callable

from inferops.core.placement.fleet import Fleet, Layout, room

STEPS = 16  # halvings of an interval
SMALL = 1e-9

Free = list[list[tuple[int, int]]]  # by cluster: its options and how many replicas each can be given


def tight(fleet: Fleet, base: Layout, rest: float, top: float) -> list[int]:
    """One option for each cluster: at the lowest price of work at which all that pays carries `rest`."""
    free, prices, options = _free(fleet, base, top), fleet.prices, fleet.options

    def chosen(worth: float) -> list[tuple[int, int]]:
        return _chosen(free, lambda index, count: count * (worth * options[index].work - prices[index]))

    def carried(worth: float) -> bool:
        return math.fsum(options[index].work * count for index, count in chosen(worth)) >= rest - fleet.slack

    high = max([*fleet.rates, SMALL])
    for _ in range(STEPS):
        if carried(high):
            break
        high *= 2
    return [index for index, _ in chosen(least(carried, 0.0, high))]


def fullest(fleet: Fleet, base: Layout, top: float) -> Layout:
    """`base` and beside it all the work that finds room, with no cluster above `top`."""
    free, options = _free(fleet, base, top), fleet.options
    left = max(0, fleet.limit - sum(base.values()))

    def chosen(worth: float) -> list[tuple[int, int]]:
        return _chosen(free, lambda index, count: count * (options[index].work - worth))

    def fits(worth: float) -> bool:
        return sum(count for _, count in chosen(worth)) <= left

    first = {index for index, _ in chosen(least(fits, 0.0, max([SMALL, *(each.work for each in options)])))}
    layout = dict(base)
    owner = {options[index].site: index for index in [*base, *first]}
    each = sorted((pair for group in free for pair in group), key=lambda pair: _largest(fleet, pair, first))
    for index, count in each:
        some = min(count, left)
        if some <= 0 or layout.get(index, 0) + some < options[index].floor:
            continue
        if owner.setdefault(options[index].site, index) == index:
            layout[index] = layout.get(index, 0) + some
            left -= some
    return layout


def _largest(fleet: Fleet, pair: tuple[int, int], first: set[int]) -> tuple[bool, float, int, int]:
    index, count = pair
    return index not in first, -fleet.options[index].work, -count, index


def _free(fleet: Fleet, base: Layout, top: float) -> Free:
    """What each cluster can be given beside `base`."""
    owner = {fleet.options[index].site: index for index in base}
    free: dict[str, list[tuple[int, int]]] = {}
    for option in fleet.options:
        has = base.get(option.index, 0)
        more = room(fleet, option, top) - has
        if owner.get(option.site, option.index) == option.index and more > 0 and has + more >= option.floor:
            free.setdefault(option.site, []).append((option.index, more))
    return list(free.values())


def _chosen(free: Free, value: Callable[[int, int], float]) -> list[tuple[int, int]]:
    """Of each cluster the option of most value, if of any."""
    best = [max(group, key=lambda each: (value(*each), -each[0])) for group in free]
    return [each for each in best if value(*each) > 0]


def least(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The least value, to within a small part, at which what holds from some value on does; `high` at the most."""
    if holds(low):
        return low
    for _ in range(STEPS):
        middle = math.sqrt(low * high) if low > 0 else high / 16
        if holds(middle):
            high = middle
        else:
            low = middle
    return high
