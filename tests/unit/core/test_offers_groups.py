"""Room for replicas over several nodes, next to trying all that there is."""

from __future__ import annotations

from functools import cache
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.core.offers import Coming, Free

nodes = st.lists(st.integers(0, 4), max_size=5)
shares = st.integers(1, 3)
sizes = st.integers(1, 4)


def free_of(amounts: list[int], coming: tuple[int, ...] = (), trusted: int = 0) -> Free:
    later = Coming(coming, trusted) if coming else None
    return Free("a", False, len(amounts), sum(amounts), tuple(sorted(amounts, reverse=True)), coming=later)


@cache
def most(free: tuple[int, ...], share: int, size: int) -> int:
    """The most groups, by trying every way to choose the nodes of the next one."""
    best = 0
    able = [index for index, each in enumerate(free) if each >= share]
    for chosen in combinations(able, size):
        left = tuple(each - share * (index in chosen) for index, each in enumerate(free))
        best = max(best, 1 + most(tuple(sorted(left)), share, size))
    return best


def test_a_node_counts_once_for_a_group() -> None:
    assert free_of([8, 8]).room(16, 2) == 1
    assert free_of([16]).room(16, 2) == 0
    assert free_of([16, 8]).room(16, 2) == 1
    assert free_of([16, 8, 8]).room(16, 2) == 2
    assert free_of([8, 4, 4]).room(8, 2) == 2


@settings(max_examples=200, deadline=None)
@given(nodes, shares, sizes)
def test_room_is_the_most_that_fits(amounts: list[int], share: int, size: int) -> None:
    free = free_of(amounts)
    assert free.room(share * size, size) == most(free.free, share, size)


@given(nodes, shares, sizes, st.integers(0, 6))
def test_each_that_comes_takes_the_room_of_one(amounts: list[int], share: int, size: int, replicas: int) -> None:
    free, count = free_of(amounts), share * size
    left = free.without(count, replicas, size)
    assert left.room(count, size) == max(free.room(count, size) - replicas, 0)
    assert sum(free.free) - sum(left.free) == count * min(replicas, free.room(count, size))
    assert min(left.free, default=0) >= 0


@given(nodes, nodes, st.integers(0, 5), shares, sizes, st.integers(0, 6))
def test_no_more_is_hoped_for_than_may_come(
    amounts: list[int], later: list[int], trusted: int, share: int, size: int, replicas: int
) -> None:
    count, coming = share * size, tuple(later)
    free = free_of(amounts, coming, min(trusted, len(coming)))
    room, grown, hoped = free.room(count, size), free.grown(count, size), free.hoped(count, size)
    assert 0 <= grown <= hoped and (room + hoped) * count <= sum(amounts) + sum(later)
    left = free.without(count, replicas, size)
    assert sum(left.free) >= 0 and min((*left.free, *(left.coming.nodes if left.coming else ())), default=0) >= 0
    assert left.room(count, size) + left.hoped(count, size) <= max(room + hoped - replicas, 0)
