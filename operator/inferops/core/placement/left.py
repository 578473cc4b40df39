"""Where not all that is asked can be had: the layout that does the most of it."""

from __future__ import annotations

import math

from inferops.core.placement.fleet import Fleet, Layout, room, sums
from inferops.core.placement.full import fullest

TRIED = 6  # values of the most work of one cluster that are looked at closely
STEPS = 20  # of the search for the best one, were replicas divisible
NEAR = 2  # multiples of a replica's work on each side of it


def most_left(fleet: Fleet, base: Layout) -> Layout:
    """As much of the work as finds room beside `base`, in as many clusters as asked, with most left without the worst.

    In this order: what comes first is not given up for what comes later.
    """
    low = sums(fleet, base).top
    high = max([low, *(option.cap * option.work for option in fleet.options)])
    tops = sorted(_tops(fleet, low, high), key=lambda top: (top - _roughly(fleet, top), top))[:TRIED]
    layouts = [fullest(fleet, base, top) for top in [math.inf, *tops, high]]
    return max(layouts, key=lambda layout: _done(fleet, layout))


def _done(fleet: Fleet, layout: Layout) -> tuple[float, int, float]:
    """Sorts what does most to the end."""
    have = sums(fleet, layout)
    return (
        round(min(have.work, fleet.work) / max(1.0, fleet.work), 9),
        min(have.clusters, fleet.clusters),
        round((have.work - have.top) / max(1.0, fleet.work), 9),
    )


def _tops(fleet: Fleet, low: float, high: float) -> list[float]:
    """What whole replicas come to, near the value that leaves the most."""
    first, last = low, high
    for _ in range(STEPS):
        one, two = first + (last - first) / 3, last - (last - first) / 3
        if _roughly(fleet, one) - one < _roughly(fleet, two) - two:
            first = one
        else:
            last = two
    tops = {low}
    for option in fleet.options:
        count = math.ceil(first / option.work)
        tops.update(each * option.work for each in range(count - NEAR, count + NEAR) if 0 < each <= option.cap)
        tops.update((option.floor * option.work, option.cap * option.work))
    return sorted({round(top, 9) for top in tops if low - fleet.slack <= top <= high + fleet.slack})


def _roughly(fleet: Fleet, top: float) -> float:
    """About the most work with no cluster above `top`."""
    best: dict[str, tuple[float, int, float]] = {}
    for option in fleet.options:
        count = min(room(fleet, option, top), fleet.limit)
        if count >= option.floor and count * option.work > best.get(option.site, (0.0, 0, 0.0))[0]:
            best[option.site] = (count * option.work, count, option.work)
    work, left = fleet.sunk, fleet.limit
    for _, count, each in sorted(best.values(), key=lambda one: -one[2]):
        some = min(count, left)
        work, left = work + some * each, left - some
    return work
