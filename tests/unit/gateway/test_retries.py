"""When another replica may be asked, and that deadlines end what they are for and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.proxy.deadlines import Deadlines, Why
from inferops.gateway.proxy.retries import ATTEMPTS, FEW, SHARE, Budget, Tries

REFUSED, FAILED, UNREACHABLE, TIMEOUT = Outcome.REFUSED, Outcome.FAILED, Outcome.UNREACHABLE, Outcome.TIMEOUT


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("case", "method", "attempts", "again"),
    [
        ("an engine that failed", "POST", [(FAILED, True)], True),
        ("an engine that is full", "POST", [(REFUSED, True)], True),
        ("no connection", "POST", [(UNREACHABLE, False)], True),
        ("a connection that was reset", "POST", [(UNREACHABLE, True)], True),
        ("an engine that hangs", "POST", [(TIMEOUT, True)], True),
        ("the request's own fault", "POST", [(Outcome.CLIENT, True)], False),
        ("two replicas broke", "POST", [(UNREACHABLE, True), (FAILED, True)], False),
        ("two are full", "POST", [(REFUSED, True), (REFUSED, True)], True),
        ("two are away", "POST", [(UNREACHABLE, False), (UNREACHABLE, False)], True),
        ("one away, one broke", "POST", [(UNREACHABLE, False), (FAILED, True)], True),
        ("three are full", "POST", [(REFUSED, True)] * 3, False),
        ("what may change something", "DELETE", [(FAILED, True)], False),
        ("and did not arrive", "DELETE", [(UNREACHABLE, False)], True),
    ],
)
def test_rules(case: str, method: str, attempts: Any, again: Any) -> None:
    tries, budget = Tries(), Budget(Clock())
    for number, (outcome, reached) in enumerate(attempts):
        tries.failed(f"replica-{number}", outcome, reached)
    outcome, reached = attempts[-1]
    assert tries.again(method, outcome, reached, budget) is again
    assert tries.asked == {f"replica-{number}" for number in range(len(attempts))}


def retried(budget, times):
    return sum(budget.take() for _ in range(times))


def test_a_quiet_service_has_a_few_retries() -> None:
    assert retried(Budget(Clock()), 100) == FEW


def test_an_outage_multiplies_requests_by_little() -> None:
    budget, clock = Budget(Clock()), Clock()
    budget = Budget(clock)
    sent = 0
    for _ in range(1000):
        budget.request()
        sent += 1 + budget.take()
    assert 1000 < sent <= 1000 * (1 + SHARE) + FEW


def test_retries_come_back_with_time() -> None:
    clock = Clock()
    budget = Budget(clock)
    assert retried(budget, 100) == FEW
    clock.now += 10  # a half-life
    assert retried(budget, 100) == FEW // 2
    clock.now += 600
    assert retried(budget, 100) == FEW


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 40)), max_size=40))
def test_no_window_has_more_retries_than_its_share(steps: Any) -> None:
    clock = Clock()
    budget = Budget(clock)
    requests = retries = 0
    for seconds, wanted in steps:
        clock.now += seconds
        budget.request()
        requests += 1
        retries += retried(budget, min(wanted, ATTEMPTS - 1))
    refilled = 1 + sum(seconds for seconds, _ in steps) / 5
    assert retries <= SHARE * requests + FEW * refilled


async def started(deadlines, seconds):
    """A task under a deadline, and what came of it."""
    ready = asyncio.Event()

    async def run():
        deadline = deadlines.start(seconds, asyncio.current_task())
        ready.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return deadline.caught()
        finally:
            deadline.end()

    task = asyncio.create_task(run())
    await ready.wait()
    return task


async def test_only_what_is_late_is_ended() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    soon, later = await started(deadlines, 10), await started(deadlines, 20)
    clock.now += 10
    deadlines.check()
    assert await soon is Why.TIMEOUT
    assert not soon.cancelling()
    assert len(deadlines) == 1
    deadlines.expire_all(Why.ENDING)
    assert await later is Why.ENDING


async def test_somebody_else_who_cancels_is_told_apart() -> None:
    task = await started(Deadlines(Clock()), 10)
    task.cancel()
    assert await task is None
    assert task.cancelling() == 1


async def test_after_the_end_nothing_is_cancelled() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    deadline = deadlines.start(10, asyncio.current_task())
    deadline.end()
    clock.now += 20
    deadlines.check()
    deadline.expire(Why.HUNG)
    await asyncio.sleep(0)
    assert len(deadlines) == 0
