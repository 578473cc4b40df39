"""What gateways tell to be asked of services: it is handed on as it comes, and what is broken is as if not told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.controller import demand as module
from inferops.controller.demand import SILENCE
from inferops.controller.demandline import line_of, load_of
from inferops.signals.totals import FIELDS, NONE, Totals
from unit.controller.telling import LLAMA, QWEN, bench, boot, line, told

SOME = [120, 118, 310.5, 4.25, 6000, 90000, 118, 40.5, 118, 2.36, 110, 118, 2, 7]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on how long these are."""
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(module, "GATHER", 0.02)


def loaded(numbers: Any = None, **more: Any) -> dict[str, Any]:
    return {**told(**more), "load": SOME if numbers is None else numbers}


async def test_what_was_asked_of_a_service_is_handed_on() -> None:
    async with bench(2) as (world, [first, second]):
        first.say(boot("one", 61.5, llama=loaded(waiting=2), qwen=told()))
        await world.until(lambda: world.loaded)
        [(key, word)] = world.loaded
        assert (key, word.up, word.age) == (LLAMA, 61.5, 0.0)
        assert word.asked is not None
        assert (word.asked.load, word.asked.waiting) == (Totals(*SOME), 2)
        second.say(boot("two", 1.0, qwen=loaded()))
        await world.until(lambda: len(world.loaded) == 2)
        mine, other = sorted(world.demands.words(LLAMA), key=lambda each: each.up or 0.0, reverse=True)
        assert (mine.start, mine.asked, other.asked) == (word.start, word.asked, None)
        assert other.start and other.start != mine.start
        assert [each.asked is not None and each.asked.load for each in world.demands.words(QWEN)].count(None) == 1


async def test_how_old_a_word_is() -> None:
    async with bench() as (world, [gateway]):
        gateway.say(boot("one", 1.0, llama=loaded(), qwen=loaded()))
        await world.until(lambda: len(world.loaded) == 2)
        world.time += 0.75
        gateway.say(boot("one", 1.75, qwen=loaded()))
        await world.until(lambda: len(world.loaded) == 3)
        ages = {key: world.demands.words(key)[0].age for key in (LLAMA, QWEN)}
        assert ages == {LLAMA: 0.75, QWEN: 0.0}, "the line was of another one"
        world.time += 0.5
        gateway.say(boot("one", 2.25, qwen=loaded()))
        await world.until(lambda: len(world.loaded) == 4)
        assert world.demands.words(LLAMA)[0].age == 0.0, "a whole tick did not mention it"
        world.time += SILENCE + 1
        assert [(each.start, each.asked) for each in world.demands.words(LLAMA)] == [("", None)], "nobody tells"


async def test_one_that_does_not_tell_of_load_is_known_as_such() -> None:
    async with bench() as (world, [gateway]):
        gateway.say(boot("one", llama=told()))
        gateway.say(line(qwen=loaded()))
        await world.until(lambda: world.demands.words(QWEN)[0].asked)
        for key in (LLAMA, QWEN):
            asked = world.demands.words(key)[0].asked
            assert asked is not None and asked.load is None, "nor is one that does not say which start of it counts"
        assert world.loaded == []


@pytest.mark.parametrize(
    ("case", "numbers"),
    [
        ("nothing", None),
        ("a text", "120"),
        ("too few", SOME[:-1]),
        ("too many", [*SOME, 0]),
        ("a negative number", [-1, *SOME[1:]]),
        ("no number", ["1", *SOME[1:]]),
        ("a truth", [True, *SOME[1:]]),
        ("half a request", [0.5, *SOME[1:]]),
        ("beyond all measure", [10**300, *SOME[1:]]),
        ("not a number", [*SOME[:2], float("nan"), *SOME[3:]]),
        ("more missed than judged", [*SOME[:-3], 1, 2, 7]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_broken_load_is_dropped_and_the_demand_is_not(case: str, numbers: Any) -> None:
    async with bench() as (world, [gateway]):
        gateway.say(boot("one", llama={**told(waiting=2), "load": numbers}))
        await world.until(lambda: world.demands.of(LLAMA))
        demand, asked = world.demands.of(LLAMA), world.demands.words(LLAMA)[0].asked
        assert demand is not None and demand.waiting == 2
        assert (world.dropped, world.loaded) == (["load"], [])
        assert asked is not None and asked.load is None


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)


@given(anything | st.lists(st.integers(-1, 20) | st.floats() | anything, min_size=FIELDS - 1, max_size=FIELDS + 1))
def test_whatever_is_told_of_load_is_sane_or_nothing(numbers: Any) -> None:
    load = load_of(numbers)
    if load is not None:
        assert all(0 <= number < float("inf") for number in load)
        assert load.missed <= load.judged


@given(st.builds(Totals, *[st.integers(0, 2**50)] * 11, judged=st.integers(9, 20), missed=st.integers(0, 9),
                 spilled=st.integers(0, 9)))  # fmt: skip
def test_what_is_sane_is_taken_as_it_is(totals: Totals) -> None:
    assert load_of(list(totals)) == totals


def test_a_line_says_since_when_it_counts() -> None:
    for text, up in ((b'{"up": 5, "services": {}}', 5.0), (b'{"up": -1, "services": {}}', None)):
        found = line_of(text)
        assert found is not None and found.up == up
    assert load_of(list(NONE)) == NONE
