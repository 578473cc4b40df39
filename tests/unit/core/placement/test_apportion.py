"""Webster's method: in proportion, within what each can take, and never less for anybody when there is more."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.core.placement.apportion import seats

names = st.text("abcdef", min_size=1, max_size=2)
rooms = st.dictionaries(names, st.integers(0, 8), max_size=6)


def test_divides_in_proportion() -> None:
    assert seats(10, {"a": 100, "b": 100, "c": 100}, {"a": 5, "b": 3, "c": 2}) == {"a": 5, "b": 3, "c": 2}


def test_differs_from_the_largest_remainder_where_that_would_take_a_seat_away() -> None:
    weights = {"a": 6.0, "b": 6.0, "c": 2.0}  # with 10 seats largest remainders give c two, with 11 one
    assert [seats(total, dict.fromkeys("abc", 100), weights)["c"] for total in (10, 11)] == [1, 1]


def test_gives_what_one_cannot_take_to_the_others() -> None:
    assert seats(6, {"a": 1, "b": 9}, {"a": 100.0, "b": 1.0}) == {"a": 1, "b": 5}


def test_leaves_over_what_nobody_can_take() -> None:
    assert seats(6, {"a": 1, "b": 2}, {"a": 1.0, "b": 1.0}) == {"a": 1, "b": 2}


def test_gives_to_those_without_weight_last() -> None:
    assert seats(3, {"a": 2, "b": 2}, {"b": 1.0}) == {"a": 1, "b": 2}


@settings(max_examples=100, deadline=None)
@given(total=st.integers(0, 30), caps=rooms, weights=st.dictionaries(names, st.floats(0, 100), max_size=6))
def test_one_seat_more_takes_none_from_anybody(total: int, caps: dict[str, int], weights: dict[str, float]) -> None:
    fewer, more = seats(total, caps, weights), seats(total + 1, caps, weights)
    assert all(fewer[name] <= more[name] <= caps[name] for name in caps)
    assert sum(fewer.values()) == min(total, sum(caps.values()))
    assert seats(total, dict(reversed(caps.items())), weights) == fewer
