"""A layout made cheaper by another way in one of its clusters, where the greedy choice of ways was not the best."""

from __future__ import annotations

from inferops.core.placement.fleet import Fleet, Layout, Sums, sums
from inferops.core.placement.trim import as_good, trim

LARGEST = 8  # clusters: with more than these a way in one of them matters little
MORE = 2  # replicas beyond the fewest that are tried


def polish(fleet: Fleet, base: Layout, layout: Layout) -> Layout:
    """The layout, or a cheaper one that does as much and has another way in some clusters that `base` leaves free."""
    if len(layout) > LARGEST:
        return layout
    for index in sorted(layout):
        if index in layout and index not in base:
            layout = _swapped(fleet, layout, index)
    return layout


def _swapped(fleet: Fleet, layout: Layout, index: int) -> Layout:
    """The cheapest layout with another way in the cluster of this option, or the layout."""
    best, now = layout, sums(fleet, layout)
    cost = now.cost
    others = {each: count for each, count in layout.items() if each != index}
    rate = max(fleet.prices[each] / fleet.options[each].work for each in layout)
    small = min((fleet.options[each].work for each in others), default=0.0)
    for option in fleet.options:
        if option.site != fleet.options[index].site or option.index == index:
            continue
        for count in range(option.floor, min(option.cap, option.floor + MORE) + 1):
            swapped = {**others, option.index: count}
            then = sums(fleet, swapped)
            surplus = then.work - _least(fleet, then)
            surplus = surplus if surplus >= small - fleet.slack else 0.0
            if then.cost - surplus * rate >= cost - 1e-9 or then.replicas > fleet.limit:
                continue
            if as_good(fleet, then, now):
                swapped = trim(fleet, swapped, option.index)
                if sums(fleet, swapped).cost < cost - 1e-9:
                    best = trim(fleet, swapped)
                    cost = sums(fleet, best).cost
    return best


def _least(fleet: Fleet, have: Sums) -> float:
    """No less than this has to be carried by so many clusters: where one may be lost, the largest has its part."""
    others = have.clusters - 1
    return fleet.work * have.clusters / others if fleet.survives and others > 0 else fleet.work
