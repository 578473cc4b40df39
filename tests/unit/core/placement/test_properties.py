"""What holds of every placement, of random small fleets and beside a search through all layouts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.core.placement.place import place
from inferops.core.placement.terms import Ask, Moving, Plan, Share, Site, Way
from unit.core.placement.brute import best, choices, told, undone

many = settings(max_examples=60, deadline=None)
NAMES = ("h", "l")
STAY = Moving(horizon=0.0)

ways = st.builds(
    Way,
    name=st.sampled_from(NAMES),
    work=st.sampled_from((1.0, 2.0, 3.5, 8.0)),
    cost=st.sampled_from((0.0, 0.02, 1.0, 1.5, 4.0, 7.0)),
    room=st.integers(0, 4),
)


@st.composite
def fleets(draw: st.DrawFn, held: bool = False, odd: bool = False, alike: bool = False, most: int = 4) -> list[Site]:
    """Up to so many clusters: with shares held, fixed or closed ones, ways that all carry the same."""
    found = []
    for number in range(draw(st.integers(1, most))):
        some = draw(st.lists(ways, min_size=0, max_size=2, unique_by=lambda way: way.name))
        if alike:
            some = [replace(way, work=2.0) for way in some]
        share = None
        if held and draw(st.booleans()):
            name = draw(st.sampled_from(NAMES if odd or not some else [way.name for way in some]))
            share = Share(name, draw(st.integers(1, 4)))
        closed, fixed = (draw(st.booleans()), draw(st.booleans())) if odd else (False, False)
        starting = draw(st.sampled_from((None, 0.0, 0.1, 3.0))) if held else None
        found.append(Site(f"c{number}", tuple(some), share, draw(st.integers(0, 1)), not closed, fixed, starting))
    return found


asks = st.builds(
    Ask,
    work=st.one_of(st.sampled_from((0.0, 1.0, 4.0, 9.5, 16.0)), st.floats(0.0, 30.0)),
    clusters=st.integers(0, 3),
    survives=st.booleans(),
    least=st.integers(1, 2),
    most=st.none() | st.integers(2, 4),
    limit=st.none() | st.integers(0, 10),
    spread=st.booleans(),
)
plain = st.builds(
    Ask, work=st.floats(0.0, 40.0), clusters=st.integers(0, 3), survives=st.booleans(), spread=st.booleans()
)


def after(sites: Sequence[Site], plan: Plan) -> list[Site]:
    """The clusters with what was planned as held, and the room that is left. Who lost all may take its way again."""
    found = []
    for site in sites:
        share, some = plan.shares.get(site.name), []
        for way in site.ways:
            has = site.held.replicas if site.held and site.held.way == way.name else 0
            gets = share.replicas if share and share.way == way.name else 0
            some.append(replace(way, room=max(0, way.room + has - gets) if site.open or not has else way.room))
        if site.held and not share and any(way.name == site.held.way for way in site.ways):
            some = [way for way in some if way.name == site.held.way]
        found.append(replace(site, ways=tuple(some), held=share))
    return found


def work(plan: Plan, sites: Sequence[Site]) -> float:
    each = {(site.name, way.name): way.work for site in sites for way in site.ways}
    return sum(each.get((name, share.way), 0.0) * share.replicas for name, share in plan.shares.items())


@many
@given(ask=asks, sites=fleets(held=True, odd=True))
def test_gives_each_cluster_what_it_may_have(ask: Ask, sites: list[Site]) -> None:
    plan = place(ask, sites)
    for site in sites:
        share = plan.shares.get(site.name)
        allowed = {(way, count) for way, count, *_ in choices(ask, site)}
        held = site.held
        if held is not None and held.replicas < ask.least and ask.limit is not None:
            allowed.add((held.way, held.replicas))  # not raised where the limit does not allow it
        assert ((share.way, share.replicas) if share else ("", 0)) in allowed


@many
@given(ask=asks, sites=fleets(held=True, odd=True))
def test_tells_what_it_leaves_undone(ask: Ask, sites: list[Site]) -> None:
    plan = place(ask, sites)
    works = {(site.name, way.name): way.work for site in sites for way in site.ways}
    layout = [
        (share.way, share.replicas, works.get((name, share.way), 0.0) * share.replicas, 0.0)
        for name, share in plan.shares.items()
    ]
    assert told(plan) == undone(ask, layout)


@many
@given(ask=asks, sites=fleets(odd=True, most=3))
def test_leaves_nothing_undone_that_can_be_done(ask: Ask, sites: list[Site]) -> None:
    assert told(place(ask, sites)) <= best(ask, sites)[0]


@many
@given(ask=asks, sites=fleets(held=True, most=3))
def test_repairs_what_can_be_repaired(ask: Ask, sites: list[Site]) -> None:
    assert told(place(ask, sites)) <= best(ask, sites)[0]


@many
@given(ask=asks, sites=fleets(held=True, odd=True))
def test_stays_where_it_has_come_to(ask: Ask, sites: list[Site]) -> None:
    plan = place(ask, sites)
    assert place(ask, after(sites, plan)).shares == plan.shares


@many
@given(ask=asks, sites=fleets(held=True, odd=True), seed=st.integers(0, 100))
def test_does_not_depend_on_the_order_of_clusters(ask: Ask, sites: list[Site], seed: int) -> None:
    mixed = list(sites)
    random.Random(seed).shuffle(mixed)
    assert place(ask, mixed) == place(ask, sites)


@many
@given(ask=asks, sites=fleets(held=True, odd=True))
def test_leaves_fixed_shares_alone(ask: Ask, sites: list[Site]) -> None:
    plan = place(ask, sites)
    assert all(plan.shares.get(site.name) == site.held for site in sites if site.fixed)


@many
@given(ask=asks, sites=fleets(held=True, odd=True))
def test_keeps_to_the_limit(ask: Ask, sites: list[Site]) -> None:
    fixed = sum(site.held.replicas for site in sites if site.fixed and site.held)
    total = sum(share.replicas for share in place(ask, sites).shares.values())
    assert ask.limit is None or total <= max(ask.limit, fixed)


@many
@given(ask=plain, sites=fleets(alike=True), more=st.floats(0.0, 20.0))
def test_more_work_takes_nothing_from_anybody_where_all_carry_the_same(
    ask: Ask, sites: list[Site], more: float
) -> None:
    plan = place(ask, sites)
    then = place(replace(ask, work=ask.work + more), after(sites, plan), STAY)
    for name, share in plan.shares.items():
        assert then.shares[name].way == share.way
        assert then.shares[name].replicas >= share.replicas


@many
@given(ask=plain, sites=fleets(), more=st.floats(0.0, 20.0))
def test_more_work_gets_no_less_room(ask: Ask, sites: list[Site], more: float) -> None:
    plan = place(ask, sites)
    then = place(replace(ask, work=ask.work + more), after(sites, plan), STAY)
    assert work(then, sites) >= work(plan, sites) - 1e-6


@many
@given(ask=plain, sites=fleets(), less=st.floats(0.0, 20.0))
def test_less_work_gives_nothing_to_anybody(ask: Ask, sites: list[Site], less: float) -> None:
    plan = place(ask, sites)
    then = place(replace(ask, work=max(0.0, ask.work - less)), after(sites, plan), STAY)
    for name, share in then.shares.items():
        assert plan.shares[name].replicas >= share.replicas


def test_finds_the_clusters_that_the_limit_leaves_room_for() -> None:
    sites = [
        Site("c0", (Way("h", 8.0, 0.0, 0),), Share("h", 3)),
        Site("c1", (Way("h", 1.0, 0.0, 1),)),
        Site("c2", (Way("h", 1.0, 0.0, 1),)),
        Site("c3", (Way("h", 8.0, 0.0, 0),), Share("h", 1), rank=1),
    ]
    assert told(place(Ask(work=16.0, clusters=3, limit=3), sites)) == (0.0, 0, 0.0)


@many
@given(ask=asks, sites=fleets(held=True))
def test_nothing_is_there_that_could_go(ask: Ask, sites: list[Site]) -> None:
    plan = place(ask, sites)
    works = {(site.name, way.name): way.work for site in sites for way in site.ways}
    whole = [("", share.replicas, works[name, share.way] * share.replicas, 0.0) for name, share in plan.shares.items()]
    for at, (name, share) in enumerate(plan.shares.items()):
        if share.replicas > ask.least:
            fewer = list(whole)
            fewer[at] = ("", share.replicas - 1, works[name, share.way] * (share.replicas - 1), 0.0)
            assert undone(ask, fewer) > undone(ask, whole)
