"""Every layout of a small fleet, tried out: what can be had at all, found without any of the code under test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from inferops.core.placement.terms import Ask, Plan, Site

Choice = tuple[str, int, float, float]  # way, replicas, work, cost


def choices(ask: Ask, site: Site) -> list[Choice]:
    """All that a cluster may have, nothing included, with `held` counted as room of its way."""
    held = site.held
    if site.fixed:
        work = next((way.work for way in site.ways if held and way.name == held.way), 0.0)
        return [(held.way, held.replicas, work * held.replicas, 0.0)] if held else [("", 0, 0.0, 0.0)]
    found: list[Choice] = [("", 0, 0.0, 0.0)]
    keeps = held is not None and any(way.name == held.way for way in site.ways)
    for way in site.ways:
        if keeps and held and way.name != held.way:
            continue
        has = held.replicas if keeps and held else 0
        cap = has + (way.room if site.open else 0)
        cap = cap if ask.most is None else min(cap, ask.most)
        floor = max(ask.least, 1) if cap >= max(ask.least, 1) else min(has, cap)
        if floor > 0:
            found += [(way.name, count, way.work * count, way.cost * count) for count in range(floor, cap + 1)]
    return found


def layouts(ask: Ask, sites: Sequence[Site]) -> Iterator[tuple[Choice, ...]]:
    """All within the limit, what is fixed counted."""
    for layout in product(*(choices(ask, site) for site in sites)):
        new = sum(choice[1] for choice, site in zip(layout, sites, strict=True) if not site.fixed)
        fixed = sum(choice[1] for choice, site in zip(layout, sites, strict=True) if site.fixed)
        if ask.limit is None or new <= max(0, ask.limit - fixed):
            yield layout


def undone(ask: Ask, layout: Sequence[Choice]) -> tuple[float, int, float]:
    """Work without room, clusters too few, work lost with the worst cluster."""
    works = [choice[2] for choice in layout if choice[1]]
    total, top = sum(works), max(works, default=0.0)
    wanted = max(ask.clusters, 2 if ask.survives else 0)
    exposed = min(ask.work, total) - min(ask.work, total - top) if ask.survives else 0.0
    return round(max(0.0, ask.work - total), 6), max(0, wanted - len(works)), round(max(0.0, exposed), 6)


def best(ask: Ask, sites: Sequence[Site]) -> tuple[tuple[float, int, float], float]:
    """The least that has to be left undone, in the order of importance, and what that costs at the least."""
    return min((undone(ask, layout), sum(choice[3] for choice in layout)) for layout in layouts(ask, sites))


def told(plan: Plan) -> tuple[float, int, float]:
    """What a plan says is left undone."""
    return round(plan.missing, 6), plan.clusters, round(plan.exposed, 6)
