"""Replicas over clusters that are equals: by Webster's method in proportion to their room."""

from __future__ import annotations

import heapq
import math

from inferops.core.placement.apportion import claim
from inferops.core.placement.fleet import EQUAL, Fleet, Layout, Option, room, sums


def spread(fleet: Fleet, base: Layout, layout: Layout, target: float, top: float) -> Layout:
    """The layout, with what it has beside `base` divided anew among equals, where that costs about as much."""
    if not fleet.spread:
        return layout
    ceiling = sums(fleet, layout).cost * (1 + EQUAL)
    for equals in _groups(fleet, layout, base):
        layout = _divided(fleet, base, layout, equals, target, top, ceiling)
    return layout


def _groups(fleet: Fleet, layout: Layout, base: Layout) -> list[list[Option]]:
    """Equals of which some were given replicas: first all of a tier and rank, then those that carry the same."""
    given = [fleet.options[index] for index, count in layout.items() if count > base.get(index, 0)]
    tiers, ranks = fleet.tiers, {(fleet.tiers[each.index], each.rank) for each in given}
    alike = {(fleet.tiers[each.index], each.rank, each.work) for each in given}
    groups = []
    for tier, rank in sorted(ranks):
        equals = [each for each in fleet.options if tiers[each.index] == tier and each.rank == rank]
        groups.append(equals)
        works = sorted(work for *key, work in alike if key == [tier, rank])
        if len({each.work for each in equals}) > 1:
            groups += [[each for each in equals if each.work == work] for work in works]
    return groups


def _divided(
    fleet: Fleet, base: Layout, layout: Layout, equals: list[Option], target: float, top: float, ceiling: float
) -> Layout:
    """The layout with what these equals were given divided among them; as it was, where that does not do."""
    members = {each.index for each in equals}
    others = {index: base.get(index, 0) if index in members else count for index, count in layout.items()}
    others = {index: count for index, count in others.items() if count > 0}
    have = sums(fleet, others)
    found = _awarded(fleet, others, equals, target - have.work, fleet.limit - have.replicas, top)
    if found is None or sums(fleet, found).cost > ceiling + 1e-12:
        return layout
    return found


def _awarded(fleet: Fleet, others: Layout, equals: list[Option], rest: float, left: int, top: float) -> Layout | None:
    """Award replicas, each to the largest claim, until the rest is carried."""
    owner = {fleet.options[index].site: index for index in others}
    caps: dict[int, int] = {}
    for each in sorted(equals, key=lambda option: (option.site, option.order)):
        if owner.setdefault(each.site, each.index) == each.index:
            caps[each.index] = room(fleet, each, top)
    layout, options = dict(others), fleet.options
    claims = [(-claim(cap, layout.get(index, 0)), options[index].site, index) for index, cap in caps.items()]
    heapq.heapify(claims)
    while rest > fleet.slack and claims:
        _, site, index = heapq.heappop(claims)
        has, work = layout.get(index, 0), options[index].work
        some = max(1, options[index].floor - has)
        if has + some > caps[index] or some > min(left, math.ceil((rest - fleet.slack) / work)):
            continue
        layout[index] = has + some
        rest, left = rest - some * work, left - some
        heapq.heappush(claims, (-claim(caps[index], has + some), site, index))
    return layout if rest <= fleet.slack else None
