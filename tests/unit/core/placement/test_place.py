"""Placement by example: constraints, cost, equals, and what is there and stays."""

from __future__ import annotations

import pytest

from inferops.core.placement.place import place
from inferops.core.placement.terms import Ask, Moving, Plan, Share, Site, Way


def site(name: str, cost: float = 1.0, room: int = 10, *, held: int = 0, work: float = 10.0, **rest: object) -> Site:
    share = Share("h", held) if held else None
    return Site(name, (Way("h", work, cost, room),), share, **rest)  # type: ignore[arg-type]


def placed(ask: Ask, *sites: Site, moving: Moving = Moving()) -> dict[str, int]:  # noqa: B008
    return replicas(place(ask, sites, moving))


def replicas(plan: Plan) -> dict[str, int]:
    return {name: share.replicas for name, share in plan.shares.items()}


def test_takes_the_cheapest_first() -> None:
    assert placed(Ask(work=50.0), site("a", 3.0), site("b", 1.0, 3), site("c", 2.0, 9)) == {"b": 3, "c": 2}


def test_takes_a_small_one_for_the_last_of_the_work() -> None:
    large = Site("a", (Way("8x", 80.0, 56.0, 9),))
    small = Site("b", (Way("1x", 10.0, 8.0, 9),))
    assert placed(Ask(work=90.0), large, small) == {"a": 1, "b": 1}


def test_divides_among_equals_by_their_room() -> None:
    assert placed(Ask(work=100.0), site("a", 1.0, 25), site("b", 1.01, 15), site("c", 1.02, 10)) == {
        "a": 5,
        "b": 3,
        "c": 2,
    }


def test_keeps_together_what_is_not_to_be_spread_where_there_is_most_room() -> None:
    equals = site("a", 1.0, 3), site("b", 1.01, 5), site("c", 1.02, 4)
    assert placed(Ask(work=50.0, spread=False), *equals) == {"b": 5}
    assert placed(Ask(work=60.0, spread=False), *equals) == {"b": 5, "c": 1}
    assert placed(Ask(work=20.0, spread=False, clusters=2), *equals) == {"b": 1, "c": 1}


def test_prefers_the_lower_rank_of_equals_and_the_cheaper_of_others() -> None:
    assert placed(Ask(work=40.0), site("a", 1.0, rank=1), site("b", 1.02, rank=0)) == {"b": 4}
    assert placed(Ask(work=40.0), site("a", 1.0, rank=1), site("b", 1.2, rank=0)) == {"a": 4}


def test_takes_the_users_first_way_of_those_that_cost_the_same() -> None:
    ways = (Way("2x l4", 2.0, 1.6, 9), Way("1x h100", 10.0, 8.0, 9))
    assert place(Ask(work=10.0), [Site("a", ways)]).shares["a"].way == "2x l4"
    assert place(Ask(work=10.0), [Site("a", ways[::-1])]).shares["a"].way == "1x h100"


def test_takes_the_way_with_room_where_the_cheapest_has_too_little() -> None:
    only = Site("a", (Way("cheap", 10.0, 1.0, 1), Way("dear", 10.0, 3.0, 4)))
    assert place(Ask(work=30.0), [only]).shares == {"a": Share("dear", 3)}


def test_survives_with_half_as_much_again_where_there_are_three() -> None:
    assert placed(Ask(work=40.0, survives=True), site("a"), site("b"), site("c")) == {"a": 2, "b": 2, "c": 2}
    assert placed(Ask(work=40.0, survives=True), site("a"), site("b")) == {"a": 4, "b": 4}


def test_does_not_pay_for_a_third_that_costs_more_than_the_second_half() -> None:
    assert placed(Ask(work=40.0, survives=True), site("a"), site("b"), site("c", 9.0)) == {"a": 4, "b": 4}


def test_has_so_many_clusters_each_with_no_fewer_than_asked() -> None:
    ask = Ask(work=10.0, clusters=2, least=2)
    assert placed(ask, site("a"), site("b", 5.0), site("c", 2.0, 1)) == {"a": 2, "b": 2}


def test_has_no_more_in_a_cluster_than_asked() -> None:
    assert placed(Ask(work=60.0, most=4), site("a"), site("b", 5.0)) == {"a": 4, "b": 2}


def test_takes_larger_replicas_where_their_number_is_limited() -> None:
    large = Site("b", (Way("h", 40.0, 9.0, 9),))
    assert placed(Ask(work=100.0, limit=4), site("a"), large) == {"a": 2, "b": 2}


def test_without_work_keeps_a_cluster_where_one_is_asked() -> None:
    assert placed(Ask(work=0.0), site("a", 2.0), site("b")) == {"b": 1}
    assert placed(Ask(work=0.0, clusters=0), site("a", 2.0), site("b", held=2)) == {}


def test_tells_what_cannot_be_had() -> None:
    plan = place(Ask(work=100.0, clusters=3, survives=True), [site("a", room=4), site("b", room=3)])
    assert replicas(plan) == {"a": 4, "b": 3}
    assert (plan.missing, plan.clusters, plan.exposed) == (30.0, 1, 40.0)
    plan = place(Ask(work=50.0, survives=True), [site("a"), site("b", 9.0, 3)])
    assert replicas(plan) == {"a": 3, "b": 3}
    assert (plan.missing, plan.clusters, plan.exposed) == (0.0, 0, 20.0)
    assert place(Ask(work=1.0), []) == Plan({}, missing=1.0, clusters=1)


def test_gives_only_what_is_needed_beside_what_is_there() -> None:
    there = site("a", 1.1, held=3), site("b", 1.0, held=1, room=5)
    assert placed(Ask(work=60.0), *there, moving=Moving(horizon=0.0)) == {"a": 3, "b": 3}


def test_takes_the_costliest_first_when_there_is_less_work() -> None:
    there = site("a", 1.0, 0, held=3), site("b", 2.0, held=3), site("c", 1.5, held=1)
    assert placed(Ask(work=40.0), *there) == {"a": 3, "c": 1}


def test_takes_of_equals_from_the_last_in_rank_and_the_fullest() -> None:
    assert placed(Ask(work=40.0), site("a", held=3), site("b", held=3, rank=1)) == {"a": 3, "b": 1}
    assert placed(Ask(work=60.0), site("a", held=4, room=0), site("b", held=4, room=20)) == {"a": 2, "b": 4}


@pytest.mark.parametrize(("cheap", "moves"), [(0.95, True), (0.98, False)])
def test_moves_what_pays_and_leaves_equals(cheap: float, moves: bool) -> None:
    plan = place(Ask(work=40.0), [site("a", 1.0, held=4), site("b", cheap)], Moving(horizon=24.0, hours=0.5))
    assert replicas(plan) == ({"b": 4} if moves else {"a": 4})
    assert not plan.kept


def test_keeps_what_does_not_pay_to_be_moved_and_says_so() -> None:
    plan = place(Ask(work=40.0), [site("a", 1.0, held=4), site("b", 0.95)], Moving(horizon=6.0, hours=0.5))
    assert replicas(plan) == {"a": 4}
    assert plan.kept


def test_moves_only_those_that_pay() -> None:
    there = site("a", 1.05, 0, held=4), site("b", 9.0, held=1), site("c", 1.0, 20)
    assert placed(Ask(work=50.0), *there) == {"a": 4, "c": 1}


def test_repairs_a_constraint_whatever_it_costs() -> None:
    there = site("a", 1.0, held=4), site("b", 50.0)
    assert placed(Ask(work=40.0, survives=True), *there) == {"a": 4, "b": 4}
    assert placed(Ask(work=40.0, clusters=2), *there) == {"a": 3, "b": 1}


def test_keeps_the_way_of_a_cluster() -> None:
    both = Site("a", (Way("h", 10.0, 5.0, 9), Way("l", 10.0, 1.0, 9)), Share("h", 2))
    assert place(Ask(work=40.0), [both]).shares == {"a": Share("h", 4)}


def test_replaces_a_share_whose_way_is_gone() -> None:
    gone = Site("a", (Way("l", 10.0, 1.0, 9),), Share("h", 2))
    assert place(Ask(work=40.0), [gone]).shares == {"a": Share("l", 4)}
    assert placed(Ask(work=40.0), Site("a", (), Share("h", 2)), site("b")) == {"b": 4}


def test_neither_gives_to_nor_takes_from_a_fixed_cluster() -> None:
    lost = site("a", 0.1, held=6, fixed=True)
    assert placed(Ask(work=100.0), lost, site("b")) == {"a": 6, "b": 4}
    assert placed(Ask(work=10.0), lost, site("b", held=2)) == {"a": 6}
    assert placed(Ask(work=10.0, limit=2, most=1), lost, site("b", held=2)) == {"a": 6}


def test_counts_a_fixed_cluster_as_one_that_may_be_lost() -> None:
    assert placed(Ask(work=60.0, survives=True), site("a", held=6, fixed=True), site("b")) == {"a": 6, "b": 6}


def test_gives_nothing_new_to_a_closed_cluster() -> None:
    shut = site("a", 0.5, held=2, open=False)
    assert placed(Ask(work=50.0), shut, site("b")) == {"a": 2, "b": 3}
    assert placed(Ask(work=10.0), shut, site("b")) == {"a": 1}
    assert placed(Ask(work=10.0), site("a", 0.5, open=False), site("b")) == {"b": 1}


def test_takes_what_is_above_the_limit_costliest_first() -> None:
    plan = place(Ask(work=80.0, limit=5), [site("a", 1.0, 0, held=4), site("b", 2.0, 0, held=4)])
    assert replicas(plan) == {"a": 4, "b": 1}
    assert plan.missing == 30.0


def test_raises_a_share_below_the_fewest_where_there_is_room() -> None:
    assert placed(Ask(work=10.0, least=3), site("a", held=1)) == {"a": 3}
    assert placed(Ask(work=10.0, least=3), site("a", held=1, room=1)) == {"a": 1}


def test_never_goes_beyond_room_whatever_it_is_told() -> None:
    assert placed(Ask(work=40.0), site("a", room=-3), site("b", room=2)) == {"b": 2}
