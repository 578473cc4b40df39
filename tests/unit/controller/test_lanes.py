"""The queue's two lanes: who is waited for goes first, news is caught up with, and neither is held up for good."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.controller.queue import TURN, Queue
from unit.controller.test_queue import Clock, drained, taken


def lanes(urgent: set[str], clock: Clock | None = None) -> Queue[str]:
    """A queue in which the keys in `urgent`, which may change, go first."""
    return Queue(clock or Clock(), lambda: 0.5, urgent.__contains__)


async def test_what_is_urgent_goes_first_in_its_own_order() -> None:
    queue = lanes({"c", "d"})
    for key in "abcd":
        queue.add(key)
    assert await drained(queue) == ["c", "d", "a", "b"]


async def test_a_key_that_becomes_urgent_while_it_waits_moves_up_and_comes_once() -> None:
    urgent: set[str] = set()
    queue = lanes(urgent)
    for key in "ab":
        queue.add(key)
    urgent.add("b")
    queue.add("b")
    assert len(queue) == 2
    assert await drained(queue) == ["b", "a"]


async def test_a_key_that_moved_up_and_is_asked_for_again_later_comes_once_more() -> None:
    urgent = {"b"}
    queue = lanes(urgent)
    urgent.clear()
    for key in "ab":
        queue.add(key)
    urgent.add("b")
    queue.add("b")
    assert await taken(queue) == "b"
    urgent.clear()
    queue.done("b")
    queue.add("b")
    assert sorted(await drained(queue)) == ["a", "b"]


async def test_news_is_not_held_up_by_a_stream_of_urgent_keys() -> None:
    queue = lanes({"x", "y"})
    queue.add("news")
    given_out = []
    for _ in range(TURN):
        for key in "xy":
            queue.add(key)
        key = await queue.get()
        given_out.append(key)
        queue.done(key)
    assert "news" in given_out


async def test_an_urgent_key_that_fails_waits_in_the_later_lane() -> None:
    clock = Clock()
    queue = lanes({"bad", "good"}, clock)
    queue.add("bad")
    assert await taken(queue) == "bad"
    wait = queue.failed("bad")
    clock.time += wait
    queue.add("news")
    queue.add("good")
    assert await taken(queue) == "good"
    assert set(await drained(queue)) == {"bad", "news"}


@pytest.mark.parametrize("again", [False, True])
async def test_a_key_asked_for_during_its_run_comes_in_the_lane_that_is_then_its_own(again: bool) -> None:
    urgent = {"a"}
    queue = lanes(urgent)
    queue.add("a")
    assert await taken(queue) == "a"
    queue.add("b")
    queue.add("a")
    if not again:
        urgent.clear()
    queue.done("a")
    assert await drained(queue) == (["a", "b"] if again else ["b", "a"])


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans(), st.sampled_from(["add", "take"])), max_size=60))
async def test_every_key_that_is_asked_for_comes_and_none_twice(steps: list[tuple[str, bool, str]]) -> None:
    urgent: set[str] = set()
    queue = lanes(urgent)
    waiting: set[str] = set()
    for key, first, step in steps:
        (urgent.add if first else urgent.discard)(key)
        if step == "add":
            queue.add(key)
            waiting.add(key)
        elif waiting:
            got = await queue.get()
            waiting.remove(got)
            queue.done(got)
        assert len(queue) == len(waiting)
    rest = await drained(queue)
    assert len(rest) == len(set(rest))
    assert set(rest) == waiting
