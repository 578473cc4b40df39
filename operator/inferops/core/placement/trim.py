"""What nobody needs any more goes: the costliest first, and of equals from the last in rank and the fullest."""

from __future__ import annotations

from inferops.core.placement.apportion import claim
from inferops.core.placement.fleet import Fleet, Layout, Sums, sums

PART = 64  # of a large surplus one part of so many goes at a time, of a small one a replica


def trim(fleet: Fleet, layout: Layout, keep: int | None = None) -> Layout:
    """The layout without replicas that can go with no constraint met less than it is; those of `keep` stay."""
    layout = dict(layout)
    now = sums(fleet, layout)
    stuck = set() if keep is None else {keep}
    while len(stuck) < len(layout):
        index = min((each for each in layout if each not in stuck), key=lambda each: _last(fleet, layout, each))
        for count in sorted({_part(fleet, now, index), 1}, reverse=True):
            after = _without(fleet, layout, index, count)
            then = sums(fleet, after)
            if as_good(fleet, then, now):
                layout, now = after, then
                break
        else:
            stuck.add(index)
    return layout


def cut(fleet: Fleet, layout: Layout) -> Layout:
    """The layout down to the limit, whatever it carries then."""
    layout = dict(layout)
    while (excess := sum(layout.values()) - fleet.limit) > 0:
        index = min(layout, key=lambda each: _last(fleet, layout, each))
        layout = _without(fleet, layout, index, max(1, excess // PART))
    return layout


def as_good(fleet: Fleet, then: Sums, now: Sums) -> bool:
    """Whether every constraint is met then, or as far as now."""
    if then.work < min(fleet.work, now.work) - fleet.slack or then.clusters < min(fleet.clusters, now.clusters):
        return False
    return not fleet.survives or then.work - then.top >= min(fleet.work, now.work - now.top) - fleet.slack


def _last(fleet: Fleet, layout: Layout, index: int) -> tuple[int, int, int, float, str]:
    """Sorts what goes first to the front."""
    option = fleet.options[index]
    fullness = claim(option.cap, layout[index] - 1)
    return -fleet.tiers[index], -option.rank, -option.order, fullness, option.site


def _part(fleet: Fleet, now: Sums, index: int) -> int:
    """How many of an option's replicas to take at a time."""
    return max(1, int((now.work - fleet.work) / fleet.options[index].work) // PART)


def _without(fleet: Fleet, layout: Layout, index: int, count: int) -> Layout:
    """So many replicas fewer, or as far as the fewest of a cluster; the whole share where it has no more than these."""
    has, floor = layout[index], fleet.options[index].floor
    left = max(has - count, floor) if has > floor else 0
    return {**layout, index: left} if left else {each: some for each, some in layout.items() if each != index}
