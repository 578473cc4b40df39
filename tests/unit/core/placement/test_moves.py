"""On the way to a plan: add before remove, few moves at once, and always an end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.core.placement.moves import next_shares
from inferops.core.placement.terms import Share

Shares = dict[str, Share]
ALIKE = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}


def shares(way: str = "h", **replicas: int) -> Shares:
    return {name: Share(way, count) for name, count in replicas.items()}


def ready(now: Shares) -> dict[str, int]:
    return {name: share.replicas for name, share in now.items()}


def carried(now: Shares, up: dict[str, int], work: dict[str, float]) -> float:
    return sum(min(up.get(name, 0), share.replicas) * work[name] for name, share in now.items())


def test_gives_growth_at_once() -> None:
    plan = shares(a=5, b=9)
    assert next_shares(shares(a=2), {"a": 2}, plan, ALIKE, 1) == plan


def test_takes_a_surplus_at_once() -> None:
    plan = shares(a=1)
    assert next_shares(shares(a=4, b=3), {"a": 4, "b": 3}, plan, ALIKE, 1) == plan


def test_keeps_of_a_surplus_what_stands_in_for_what_is_not_ready() -> None:
    now, plan = shares(a=3, b=3), shares(a=3, b=1)
    assert next_shares(now, {"a": 1, "b": 3}, plan, ALIKE, 1) == now


def test_moves_a_few_at_a_time_and_only_after_the_new_ones_are_ready() -> None:
    plan = shares(b=4)
    one = next_shares(shares(a=4), {"a": 4}, plan, ALIKE, 2)
    assert one == shares(a=4, b=2)
    assert next_shares(one, {"a": 4}, plan, ALIKE, 2) == one
    assert next_shares(one, {"a": 4, "b": 1}, plan, ALIKE, 2) == shares(a=3, b=3)
    assert next_shares(one, {"a": 4, "b": 2}, plan, ALIKE, 2) == shares(a=2, b=4)
    assert next_shares(shares(a=2, b=4), {"a": 2, "b": 4}, plan, ALIKE, 2) == plan


def test_replaces_what_is_dead_at_once() -> None:
    assert next_shares(shares(a=6, b=2), {"b": 2}, shares(b=2, c=6), ALIKE, 1) == shares(b=2, c=6)


def test_gives_growth_at_once_while_it_moves() -> None:
    assert next_shares(shares(a=4), {"a": 4}, shares(b=10), ALIKE, 1) == shares(a=4, b=7)


def test_empties_a_cluster_before_its_way_changes() -> None:
    plan = {"a": Share("new", 2), "b": Share("h", 4)}
    now = shares(a=4, b=2)
    now = next_shares(now, ready(now), plan, ALIKE, 2)
    assert now == shares(a=2, b=4)  # four are planned beside those that cannot be ready before it is empty
    assert next_shares(now, {"a": 2, "b": 2}, plan, ALIKE, 2) == now
    now = next_shares(now, ready(now), plan, ALIKE, 2)
    assert now == shares(b=4)
    assert next_shares(now, ready(now), plan, ALIKE, 2) == plan


def test_changes_the_way_of_the_only_cluster() -> None:
    plan = {"a": Share("new", 2)}
    assert next_shares(shares(a=4), {"a": 4}, plan, ALIKE, 2) == {}
    assert next_shares({}, {}, plan, ALIKE, 2) == plan


def test_changes_the_ways_of_one_cluster_after_another() -> None:
    plan = {"a": Share("new", 2), "b": Share("new", 2)}
    assert next_shares(shares(a=2, b=2), {"a": 2, "b": 2}, plan, ALIKE, 2) == shares(b=2)


counted = st.dictionaries(st.sampled_from("abcd"), st.builds(Share, st.sampled_from("hl"), st.integers(1, 6)))
works = st.fixed_dictionaries({name: st.sampled_from((1.0, 2.5, 4.0)) for name in "abcd"})
many = settings(max_examples=100, deadline=None)


@many
@given(now=counted, plan=counted, work=works, at_once=st.integers(0, 4))
def test_reaches_the_plan_when_all_gets_ready(now: Shares, plan: Shares, work: dict[str, float], at_once: int) -> None:
    for _ in range(80):
        then = next_shares(now, ready(now), plan, work, at_once)
        if then == now:
            break
        now = then
    assert now == plan


@many
@given(now=counted, up=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 6)), plan=counted, work=works)
def test_keeps_what_is_ready(now: Shares, up: dict[str, int], plan: Shares, work: dict[str, float]) -> None:
    changing = sorted(name for name in plan if name in now and now[name].way != plan[name].way)
    planned = {**plan, **{name: now[name] for name in changing}}
    for name in changing[:1]:
        del planned[name]
    goal = sum(share.replicas * work[name] for name, share in planned.items())
    then = next_shares(now, up, plan, work, 2)
    assert carried(then, up, work) >= min(carried(now, up, work), goal) - 1e-9


@many
@given(now=counted, up=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 6)), plan=counted, work=works)
def test_goes_beyond_neither_side(now: Shares, up: dict[str, int], plan: Shares, work: dict[str, float]) -> None:
    then = next_shares(now, up, plan, work, 2)
    for name in {*now, *plan, *then}:
        before, after, aim = (side[name].replicas if name in side else 0 for side in (now, then, plan))
        if name in now and name in plan and now[name].way != plan[name].way:
            aim = 0
        assert min(before, aim) <= after <= max(before, aim)
        if name in then and name in now:
            assert then[name].way == now[name].way


@many
@given(now=counted, up=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 6)), plan=counted, at=st.integers(1, 4))
def test_has_few_moves_under_way(now: Shares, up: dict[str, int], plan: Shares, at: int) -> None:
    """With replicas that carry the same: beyond what the plan grows by, few are given before they are ready."""
    plan = {name: Share(now[name].way if name in now else share.way, share.replicas) for name, share in plan.items()}
    then = next_shares(now, up, plan, ALIKE, at)
    given_ = sum(max(0, share.replicas - (now[name].replicas if name in now else 0)) for name, share in then.items())
    kept = sum(
        max(min(up.get(name, 0), share.replicas), min(share.replicas, plan[name].replicas if name in plan else 0))
        for name, share in now.items()
    )
    growth = max(0, sum(share.replicas for share in plan.values()) - kept)
    if any(name not in plan or plan[name].replicas < share.replicas for name, share in now.items()):
        assert given_ <= growth + at
