"""The batching in real time, on a clock that the test turns."""

from __future__ import annotations

import asyncio

import pytest

from inferops.simulate.batching import Batch
from inferops.simulate.sequence import Step
from inferops.simulate.server.failures import Stopped
from inferops.simulate.server.pace import CATCH_UP_SECONDS, Pace, Ticket
from inferops.simulate.timing import IterationTime

SCALE = 1e9  # simulated seconds in a second: no sleep lasts


class Recorder:
    """What happened, and a clock that shows `late` seconds more than the end of the last step."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.endings: list[str] = []
        self.late = 0.0

    def now(self) -> float:
        return (self.steps[-1].end if self.steps else 0.0) + self.late

    def stepped(self, step: Step) -> None:
        self.steps.append(step)

    def ended(self, ticket: Ticket, reason: str) -> None:
        self.endings.append(reason)


@pytest.fixture
async def pace():
    recorder = Recorder()
    batch = Batch(IterationTime(0.01), 10_000)
    pace = Pace(batch, recorder.now, SCALE, recorder)
    task = asyncio.create_task(pace.run())
    yield pace, recorder
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def finished(pace: Pace, ticket: Ticket) -> list[int]:
    """How many tokens were seen, each time there were more."""
    seen = [0]
    while seen[-1] < ticket.seq.output:
        seen.append(await pace.progress(ticket, seen[-1]))
    return seen[1:]


@pytest.mark.parametrize(("late", "contiguous"), [(0.9, True), (1.1, False)])
async def test_small_delays_do_not_add_up_and_large_ones_do(pace, late, contiguous):
    pace, recorder = pace
    recorder.late = late * CATCH_UP_SECONDS * SCALE
    await finished(pace, pace.submit(10, 20, (), reason="length", max_tokens=20))
    pairs = zip(recorder.steps, recorder.steps[1:], strict=False)
    assert [step.start == before.end for before, step in pairs] == [contiguous] * 19


async def test_tokens_are_seen_as_they_come(pace):
    pace, recorder = pace
    assert await finished(pace, pace.submit(10, 5, (), reason="stop", max_tokens=9)) == [1, 2, 3, 4, 5]
    await pace.emptied()
    assert recorder.endings == ["stop"]


async def test_a_request_that_comes_while_the_clock_is_ahead_has_not_come_in_the_future(pace):
    pace, recorder = pace
    first = pace.submit(10, 3, (), reason="stop", max_tokens=3)
    await pace.progress(first, 0)
    recorder.late = 1e6
    second = pace.submit(10, 3, (), reason="stop", max_tokens=3)
    await finished(pace, second)
    assert second.seq.arrived <= second.seq.scheduled < second.seq.first_token


async def test_requests_fail_leave_and_end_once(pace):
    pace, recorder = pace
    tickets = [pace.submit(10, 1000, (), reason="stop", max_tokens=1000) for _ in range(3)]
    await pace.progress(tickets[0], 0)
    pace.leave(tickets[0])
    pace.leave(tickets[0])
    pace.fail_all(Stopped("over"))
    pace.fail_all(Stopped("over"))
    with pytest.raises(Stopped, match="over"):
        await finished(pace, tickets[1])
    await pace.emptied()
    assert recorder.endings == ["abort", "error", "error"]
    assert (pace.waiting, pace.running) in ((0, 3), (0, 0)), "the step that was under way had all three"


async def test_a_hung_engine_takes_requests_and_answers_none(pace):
    pace, recorder = pace
    pace.hang()
    ticket = pace.submit(10, 5, (), reason="stop", max_tokens=5)
    for _ in range(100):
        await asyncio.sleep(0)
    assert (ticket.produced, recorder.steps) == (0, [])
