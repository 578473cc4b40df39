"""Where a service's replicas go: constraints first, then cost, and what is there stays unless moving it pays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from inferops.core.placement.fleet import EQUAL, Fleet, Layout, Option, Sums, priced, read, sums
from inferops.core.placement.left import most_left
from inferops.core.placement.polish import polish
from inferops.core.placement.span import span
from inferops.core.placement.survive import survive
from inferops.core.placement.terms import Ask, Moving, Plan, Share, Site, Way
from inferops.core.placement.trim import cut, trim

AGAIN = 5  # times at the most that a plan is planned from
SMALL = 1e-12


def place(ask: Ask, sites: Sequence[Site], moving: Moving = Moving()) -> Plan:  # noqa: B008
    """The share of each cluster, so that all that is asked is done, or the most of it, at the least cost.

    Names of clusters are unique, and so are those of ways in a cluster. What is done comes in this order: room, `most`
    and `limit` are kept; then the work is carried; then there are enough clusters; then the loss of one is survived.
    Clusters whose cost per work differs by less than 3 % are equals: the lower rank first, then Webster's method by
    room. Where nothing is asked but one cluster (no work), it gets the fewest replicas that a cluster must have.

    What is held stays, but for what nobody needs any more (the costliest first) and what pays to be moved: when the
    cost until the horizon, with that of starting what is new, is less. So more work gets more replicas beside those
    held; one of these goes only when what was added makes it needless. The plan is a fixed point: placed again with
    its shares as held, it is the same.
    """
    for _ in range(AGAIN):
        plan = _placed(ask, sites, moving)
        if plan.shares == {site.name: site.held for site in sites if site.held is not None}:
            break
        sites = _after(sites, plan)
    return plan


def _after(sites: Sequence[Site], plan: Plan) -> list[Site]:
    """The clusters with their planned shares as held."""
    found = []
    for site in sites:
        share, held = plan.shares.get(site.name), site.held
        if site.fixed or share == held:
            found.append(site)
            continue
        ways = tuple(
            Way(way.name, way.work, way.cost, way.room + _of(held, way) - _of(share, way)) for way in site.ways
        )
        if held is not None and share is None and any(way.name == held.way for way in ways):
            ways = tuple(way for way in ways if way.name == held.way)  # it is not emptied to take another way
        found.append(replace(site, ways=ways, held=share))
    return found


def _of(share: Share | None, way: Way) -> int:
    return share.replicas if share is not None and share.way == way.name else 0


def _placed(ask: Ask, sites: Sequence[Site], moving: Moving) -> Plan:
    fleet = read(ask, sites)
    held = {option.index: option.held for option in fleet.options if option.held > 0}
    kept = solve(fleet, cut(fleet, raised(fleet, held)))
    other = cheaper(fleet, kept) if held and (moving.horizon > 0 or _short(fleet, kept)) else None
    if other is None:
        return told(fleet, kept, False)
    choices = [kept, other]
    if moving.horizon > 0:
        choices.insert(1, solve(_dearer(fleet, moving), {}))
    chosen = min(choices, key=lambda each: _judged(fleet, each, moving))
    return told(fleet, chosen, chosen == kept and not _worse(fleet, sums(fleet, other), sums(fleet, kept)))


def solve(fleet: Fleet, base: Layout) -> Layout:
    """`base` and the cheapest beside it that does what is asked, or the most that can be done."""
    found = survive(fleet, base) if fleet.survives else None
    if found is None:
        found = span(fleet, base, fleet.work, math.inf)
    if found is None:
        return trim(fleet, most_left(fleet, base))
    return polish(fleet, base, trim(fleet, found))


def cheaper(fleet: Fleet, stay: Layout) -> Layout | None:
    """What does more than what is there, or as much for less by more than the difference among equals."""
    have = sums(fleet, stay)
    below = have.cost * (1 - EQUAL) - SMALL
    if _short(fleet, stay):
        found: Layout | None = solve(fleet, {})
    elif fleet.survives:
        found = survive(fleet, {}, below)
    else:
        found = span(fleet, {}, fleet.work, math.inf, below)
    if found is None:
        return None
    found = polish(fleet, {}, trim(fleet, found))
    then = sums(fleet, found)
    one, other = _undone(fleet, then), _undone(fleet, have)
    return found if one < other or (one == other and then.cost < below) else None


def raised(fleet: Fleet, held: Layout) -> Layout:
    """What is held, with shares below the fewest that a cluster must have raised to it within the limit."""
    layout = dict(held)
    for index, count in held.items():
        more = max(0, fleet.options[index].floor - count)
        if sum(layout.values()) + more <= fleet.limit:
            layout[index] += more
    return layout


def told(fleet: Fleet, layout: Layout, kept: bool) -> Plan:
    """The plan of a layout, with what it leaves undone."""
    have = sums(fleet, layout)
    shares = dict(fleet.fixed)
    for index, count in layout.items():
        shares[fleet.options[index].site] = Share(way=fleet.options[index].way, replicas=count)
    missing, clusters, exposed = shortfalls(fleet, have)
    return Plan({name: shares[name] for name in sorted(shares)}, missing, clusters, exposed, kept)


def shortfalls(fleet: Fleet, have: Sums) -> tuple[float, int, float]:
    """Work without room, clusters too few, and work lost with the worst cluster."""
    missing = max(0.0, fleet.work - have.work)
    left = min(fleet.work, have.work - have.top)
    exposed = max(0.0, min(fleet.work, have.work) - left) if fleet.survives else 0.0
    return (
        missing if missing > fleet.slack else 0.0,
        max(0, fleet.clusters - have.clusters),
        exposed if exposed > fleet.slack else 0.0,
    )


def _short(fleet: Fleet, layout: Layout) -> bool:
    return any(shortfalls(fleet, sums(fleet, layout)))


def _worse(fleet: Fleet, one: Sums, other: Sums) -> bool:
    """Whether one leaves more undone than the other."""
    return _undone(fleet, one) > _undone(fleet, other)


def _undone(fleet: Fleet, have: Sums) -> tuple[float, int, float]:
    missing, clusters, exposed = shortfalls(fleet, have)
    unit = max(1.0, fleet.work)
    return round(missing / unit, 7), clusters, round(exposed / unit, 7)


def _dearer(fleet: Fleet, moving: Moving) -> Fleet:
    """The fleet where replicas in clusters that hold none cost what it takes to start them, too."""
    horizon = moving.horizon
    return priced(
        fleet, [each.cost * (1 if each.held else 1 + _starting(each, moving) / horizon) for each in fleet.options]
    )


def _starting(option: Option, moving: Moving) -> float:
    """Hours of a replica's cost that it takes to start one, while what it stands in for is paid for too."""
    return moving.hours if option.starting is None else option.starting


def _judged(fleet: Fleet, layout: Layout, moving: Moving) -> tuple[tuple[float, int, float], float]:
    """What is undone, and the cost until the horizon with that of starting what is new."""
    options = fleet.options
    costs = [options[index].cost * count for index, count in layout.items()]
    started = [
        options[index].cost * max(0, count - options[index].held) * _starting(options[index], moving)
        for index, count in layout.items()
    ]
    spent = math.fsum(costs) * moving.horizon + math.fsum(started)
    return _undone(fleet, sums(fleet, layout)), round(spent, 9)
