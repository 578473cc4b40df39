"""The queue in virtual time: a key once, one worker a key, back-off by key, and nobody is delayed by another."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.controller.queue import BASE, CEILING, Closed, Queue
from unit.kube.virtualtime import now, run


@dataclass
class Clock:
    """A clock that is set by hand."""

    time: float = 0.0

    def __call__(self) -> float:
        return self.time


def queue_at(clock: Clock, jitter: float = 0.5) -> Queue[str]:
    return Queue(clock, lambda: jitter)


async def taken(queue: Queue[str]) -> str | None:
    """The next key if there is one now."""
    task = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if task.done():
        return task.result()
    task.cancel()
    return None


async def drained(queue: Queue[str]) -> list[str]:
    """All keys that are given out now; they are not given back."""
    keys = []
    while (key := await taken(queue)) is not None:
        keys.append(key)
    return keys


async def test_keys_come_in_their_order_and_each_once() -> None:
    queue = queue_at(Clock())
    for key in "abacb":
        queue.add(key)
    assert len(queue) == 3
    assert await drained(queue) == ["a", "b", "c"]
    assert len(queue) == 0


async def test_while_nobody_works_nothing_is_kept() -> None:
    queue: Queue[str] = Queue(Clock(), idle=True)
    queue.add("gone")
    queue.add("gone later", 5.0)
    assert len(queue) == 0
    queue.begin("ab")
    queue.add("c")
    assert await drained(queue) == ["a", "b", "c"]


async def test_a_key_is_worked_on_by_one_worker_and_again_if_it_was_asked_for_meanwhile() -> None:
    queue = queue_at(Clock())
    queue.add("a")
    assert await taken(queue) == "a"
    queue.add("a")
    queue.add("a")
    assert await taken(queue) is None
    queue.done("a")
    assert await taken(queue) == "a"
    queue.done("a")
    assert await taken(queue) is None


async def test_a_key_that_was_not_asked_for_meanwhile_does_not_run_again() -> None:
    queue = queue_at(Clock())
    queue.add("a")
    await queue.get()
    queue.done("a")
    assert await taken(queue) is None


async def test_a_delayed_key_comes_when_it_is_due_and_at_its_earliest_time() -> None:
    clock = Clock()
    queue = queue_at(clock)
    for delay in (9, 5, 7):
        queue.add("a", delay)
    assert len(queue) == 1 and await taken(queue) is None
    clock.time = 4.9
    assert await taken(queue) is None
    clock.time = 5
    assert await taken(queue) == "a"
    queue.done("a")
    clock.time = 99
    assert await taken(queue) is None


async def test_asking_at_once_overtakes_a_delay() -> None:
    clock = Clock()
    queue = queue_at(clock)
    queue.add("a", 5)
    queue.add("a")
    assert await taken(queue) == "a"
    queue.done("a")
    clock.time = 6
    assert await taken(queue) is None


async def test_a_delay_that_ends_during_the_work_makes_it_run_again_after_it() -> None:
    clock = Clock()
    queue = queue_at(clock)
    queue.add("a")
    await queue.get()
    queue.add("a", 5)
    clock.time = 6
    assert await taken(queue) is None
    queue.done("a")
    assert await taken(queue) == "a"


async def test_backoff_doubles_to_its_ceiling_and_is_forgotten_by_success() -> None:
    clock = Clock()
    queue = queue_at(clock)
    waits = []
    queue.add("a")
    for _ in range(40):
        assert await taken(queue) == "a"
        waits.append(queue.failed("a"))
        clock.time += waits[-1] - 0.001
        assert await taken(queue) is None
        clock.time += 0.001 + 1e-9
    assert waits == [min(BASE * 2**failures, CEILING) for failures in range(40)]
    assert queue.failing == 1
    await queue.get()
    queue.done("a")
    assert queue.failing == 0
    queue.add("a")
    await queue.get()
    assert queue.failed("a") == BASE


@pytest.mark.parametrize(("jitter", "factor"), [(0.0, 0.75), (0.5, 1.0), (1.0, 1.25)])
async def test_jitter_is_a_quarter_in_both_directions(jitter: float, factor: float) -> None:
    queue = queue_at(Clock(), jitter)
    queue.add("a")
    await queue.get()
    assert queue.failed("a") == pytest.approx(BASE * factor)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0, 600))
def test_a_wait_stays_within_its_bounds(jitters: list[float], at_least: float) -> None:
    drawn = iter(jitters)
    queue: Queue[str] = Queue(Clock(), lambda: next(drawn))
    for failures in range(len(jitters)):
        wait = queue.failed("a", at_least)
        base = min(BASE * 2**failures, CEILING)
        assert max(at_least, base * 0.75) <= wait <= max(at_least, base * 1.25)


async def test_an_event_does_not_shorten_the_backoff() -> None:
    clock = Clock()
    queue = queue_at(clock)
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert queue.failed("a", at_least=5) == 5
    queue.add("a")
    queue.add("a", 1)
    clock.time = 4.9
    assert await taken(queue) is None
    clock.time = 5
    assert await taken(queue) == "a"


async def test_nor_does_a_time_that_was_asked_for_before_it_failed() -> None:
    clock = Clock()
    queue = queue_at(clock)
    queue.add("a")
    await queue.get()
    queue.add("a", 1)
    queue.failed("a", at_least=5)
    clock.time = 1.5
    assert await taken(queue) is None
    clock.time = 5
    assert await taken(queue) == "a"


async def test_a_forgotten_key_leaves_nothing_behind() -> None:
    clock = Clock()
    queue = queue_at(clock)
    queue.add("a")
    await queue.get()
    queue.failed("a")
    queue.forget("a")
    assert (len(queue), queue.failing) == (0, 0)
    clock.time = 99
    assert await taken(queue) is None
    queue.add("a")
    assert await taken(queue) == "a"


async def test_a_closed_queue_gives_out_nothing_and_takes_back() -> None:
    queue = queue_at(Clock())
    queue.add("a")
    queue.add("b")
    await queue.get()
    waiting = [asyncio.ensure_future(queue.get()) for _ in range(3)]
    queue.close()
    queue.done("a")
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results].count(Closed) >= 2
    with pytest.raises(Closed):
        await queue.get()


def test_a_close_wakes_those_who_wait() -> None:
    async def main() -> float:
        queue: Queue[str] = Queue(now)
        queue.add("a", 500)
        waiting = [asyncio.ensure_future(queue.get()) for _ in range(3)]
        await asyncio.sleep(1)
        queue.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [Closed] * 3
        return now()

    assert run(main()) == 1


def test_a_failing_key_delays_nobody() -> None:
    async def main() -> None:
        queue: Queue[str] = Queue(now, lambda: 0.5)
        runs: Counter[str] = Counter()

        async def worker() -> None:
            while True:
                key = await queue.get()
                runs[key] += 1
                if key == "poisoned":
                    queue.failed(key)
                else:
                    assert now() == asked[key], "a well key waited"
                    queue.done(key)

        workers = [asyncio.ensure_future(worker()) for _ in range(2)]
        asked: dict[str, float] = {}
        queue.add("poisoned")
        for number in range(100):
            await asyncio.sleep(10)
            asked[f"well-{number}"] = now()
            queue.add(f"well-{number}")
            queue.add("poisoned")
        await asyncio.sleep(1)
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        assert sum(runs.values()) - runs["poisoned"] == 100
        assert runs["poisoned"] <= 15, "2^15 * 0.2 s is far more than the 1000 s"

    run(main())


@dataclass
class Bench:
    """Workers and what they did."""

    queue: Queue[str]
    outcomes: dict[str, list[bool]]
    working: set[str] = field(default_factory=set)
    asked: dict[str, float] = field(default_factory=dict)
    began: dict[str, float] = field(default_factory=dict)
    runs: Counter[str] = field(default_factory=Counter)

    def ask(self, key: str, delay: float) -> None:
        self.asked[key] = now()
        self.queue.add(key, delay)

    async def work(self, seconds: float) -> None:
        while True:
            try:
                key = await self.queue.get()
            except Closed:
                return
            assert key not in self.working, "two workers on one key"
            self.working.add(key)
            self.began[key] = now()
            self.runs[key] += 1
            await asyncio.sleep(seconds)
            self.working.remove(key)
            if self.outcomes[key].pop(0) if self.outcomes[key] else True:
                self.queue.done(key)
            else:
                self.queue.failed(key)


KEYS = "abcd"
asks = st.tuples(st.floats(0, 3), st.sampled_from(KEYS), st.sampled_from([0.0, 0.0, 0.5, 30.0]))


@settings(max_examples=60)
@given(
    asked=st.lists(asks, max_size=25),
    speeds=st.lists(st.sampled_from([0.0, 0.1, 1.0, 2.5]), min_size=1, max_size=3),
    outcomes=st.fixed_dictionaries({key: st.lists(st.booleans(), max_size=4) for key in KEYS}),
)
def test_no_key_is_lost_and_none_is_worked_on_twice_at_once(
    asked: list[tuple[float, str, float]], speeds: list[float], outcomes: dict[str, list[bool]]
) -> None:
    async def main() -> None:
        bench = Bench(Queue(now, lambda: 0.5), outcomes)
        workers = [asyncio.ensure_future(bench.work(speed)) for speed in speeds]
        for pause, key, delay in asked:
            await asyncio.sleep(pause)
            bench.ask(key, delay)
        await asyncio.sleep(3600)
        assert not bench.working and len(bench.queue) == 0 and bench.queue.failing == 0
        for key, when in bench.asked.items():
            assert bench.began[key] >= when, "the last ask was not followed by a run"
        bench.queue.close()
        await asyncio.gather(*workers)

    run(main())
