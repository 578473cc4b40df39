"""What placement works on: the ways of all clusters as one list, what stays as it is, and sums over a layout."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from inferops.core.placement.terms import Ask, Share, Site, Way

EQUAL = 0.03  # clusters whose cost per work differs by no more are equals
SLACK = 1e-9  # relative: smaller differences are none

Layout = dict[int, int]  # replicas by the option's index; one option a cluster, none with 0 replicas


@dataclass(frozen=True, slots=True)
class Option:
    """One way in one cluster."""

    index: int
    site: str
    way: str
    work: float  # of a replica
    cost: float  # of a replica for an hour
    cap: int  # replicas that may be there, with those held
    floor: int  # the fewest, where there are any
    held: int
    rank: int
    order: int  # in the user's order of ways
    starting: float | None  # hours of its cost that a new one takes to start


@dataclass(frozen=True, slots=True)
class Fleet:
    """All options in which replicas may be, at their prices, and what is asked beside what is fixed."""

    options: tuple[Option, ...]
    prices: tuple[float, ...]  # by option, of a replica: of equals that of the cheapest, for its work
    tiers: tuple[int, ...]  # by option: those of one tier are equals, the lowest costs the least
    rates: tuple[float, ...]  # by tier: the least price per work
    work: float
    clusters: int
    survives: bool
    spread: bool
    limit: int  # replicas beside the fixed ones
    fixed: Mapping[str, Share]
    sunk: float  # work of the fixed ones
    top: float  # the most work of a fixed one
    slack: float  # of work: less is nothing


def read(ask: Ask, sites: Sequence[Site]) -> Fleet:
    """The fleet of these sites, at their true costs."""
    options: list[Option] = []
    fixed = {site.name: site.held for site in sites if site.fixed and site.held is not None}
    carried = [0.0]
    for site in sorted(sites, key=lambda each: each.name):
        if site.fixed:
            carried += [way.work * site.held.replicas for way in site.ways if site.held and site.held.way == way.name]
        else:
            options += _options(ask, site, len(options))
    count = sum(share.replicas for share in fixed.values())
    bare = Fleet(
        options=tuple(options),
        prices=(),
        tiers=(),
        rates=(),
        work=max(ask.work, 0.0),
        clusters=max(ask.clusters, 2 if ask.survives else 0),
        survives=ask.survives,
        spread=ask.spread,
        limit=max(0, ask.limit - count) if ask.limit is not None else sum(each.cap for each in options),
        fixed=fixed,
        sunk=math.fsum(carried),
        top=max(carried),
        slack=SLACK * max(1.0, ask.work),
    )
    return priced(bare, [each.cost for each in options])


def _options(ask: Ask, site: Site, index: int) -> list[Option]:
    """What may be done in a cluster: with replicas it keeps their way, while that is one of its ways."""
    held = next((way for way in site.ways if site.held and site.held.way == way.name), None)
    options: list[Option] = []
    for order, way in enumerate(site.ways):
        has = site.held.replicas if held is way and site.held else 0
        cap = has + (max(way.room, 0) if site.open else 0)
        cap = cap if ask.most is None else min(cap, ask.most)
        floor = max(ask.least, 1)
        if has and cap < floor:
            floor = min(has, cap)  # tolerated
        if cap >= floor > 0 and way.work > 0 and (held is None or held is way):
            options.append(_option(index + len(options), site, way, order, cap, floor, min(has, cap)))
    return options


def _option(index: int, site: Site, way: Way, order: int, cap: int, floor: int, held: int) -> Option:
    return Option(
        index, site.name, way.name, way.work, max(way.cost, 0.0), cap, floor, held, site.rank, order, site.starting
    )


def priced(fleet: Fleet, prices: Sequence[float]) -> Fleet:
    """The same fleet at other prices; equals get the price per work of the cheapest of them."""
    rates = [price / option.work for option, price in zip(fleet.options, prices, strict=True)]
    tiers = [0] * len(rates)
    least: list[float] = []
    for index in sorted(range(len(rates)), key=rates.__getitem__):
        if not least or rates[index] > least[-1] * (1 + EQUAL) + 1e-12:
            least.append(rates[index])
        tiers[index] = len(least) - 1
    level = tuple(least[tier] * option.work for option, tier in zip(fleet.options, tiers, strict=True))
    return replace(fleet, prices=level, tiers=tuple(tiers), rates=tuple(least))


@dataclass(frozen=True, slots=True)
class Sums:
    """What a layout comes to, with what is fixed."""

    work: float
    top: float  # the most work of one cluster
    clusters: int
    replicas: int  # beside the fixed ones
    cost: float  # beside that of the fixed ones, at the fleet's prices


def sums(fleet: Fleet, layout: Layout) -> Sums:
    """What a layout comes to."""
    options, prices = fleet.options, fleet.prices
    parts = [options[index].work * count for index, count in layout.items()]
    costs = [prices[index] * count for index, count in layout.items()]
    top = max(parts) if parts else 0.0
    return Sums(
        fleet.sunk + math.fsum(parts),
        top if top > fleet.top else fleet.top,
        len(fleet.fixed) + len(layout),
        sum(layout.values()),
        math.fsum(costs),
    )


def room(fleet: Fleet, option: Option, top: float) -> int:
    """The most replicas of an option, where no cluster may carry more than `top`."""
    if top == math.inf:
        return option.cap
    return min(option.cap, int((top + fleet.slack) / option.work))
