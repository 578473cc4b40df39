"""The operator's clock: no step of any clock is one of its."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.controller.clock import PACE, SteadyClock, Told

BEGAN = 1_700_000_000.0
HOUR = 3600.0


@dataclass
class Clocks:
    """A machine's monotonic clock, and how far the one on the wall is ahead of the truth."""

    at: float = 0.0
    ahead: float = 0.0

    def wall(self) -> float:
        return BEGAN + self.at + self.ahead

    def monotonic(self) -> float:
        return self.at

    def steady(self) -> SteadyClock:
        return SteadyClock(self.wall, self.monotonic)


@given(st.lists(st.tuples(st.floats(0, 600), st.floats(-HOUR, HOUR)), max_size=30))
def test_it_never_goes_back_and_is_never_much_faster_or_slower_than_time(steps: list[tuple[float, float]]) -> None:
    clocks = Clocks()
    steady = clocks.steady()
    before = steady.time()
    for passed, step in steps:
        clocks.at += passed
        clocks.ahead += step
        after = steady.time()
        assert (1 - PACE) * passed - 1e-3 <= after - before <= (1 + PACE) * passed + 1e-3
        before = after


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_deadline_of_half_an_hour_stays_one(step: float) -> None:
    """That of a rollout, of what is kept warm, of a member's silence, of a service that nobody asks."""
    clocks = Clocks()
    steady = clocks.steady()
    since = steady.now()
    clocks.ahead += step
    clocks.at += 26 * 60
    assert (steady.now() - since).total_seconds() < 30 * 60
    clocks.at += 8 * 60
    assert (steady.now() - since).total_seconds() > 30 * 60


def test_it_comes_round_to_the_truth_so_that_schedules_do() -> None:
    clocks = Clocks()
    steady = clocks.steady()
    steady.time()
    clocks.ahead = HOUR
    for _ in range(600):
        clocks.at += 60
        steady.time()
    assert steady.time() == pytest.approx(clocks.wall(), abs=0.01)


def test_a_step_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    clocks = Clocks()
    steady = clocks.steady()
    steady.time()
    clocks.ahead = -HOUR
    for _ in range(10):
        clocks.at += 1
        steady.time()
    assert [record.getMessage() for record in caplog.records] == [
        "the API server's clock went back by 3600 s; it is followed slowly"
    ]


@pytest.mark.parametrize("wrong", [-HOUR, 0.0, HOUR])
def test_replicas_agree_however_wrong_their_machines_are(wrong: float) -> None:
    machine, server = Clocks(ahead=wrong), Clocks()
    told = Told(machine.wall, machine.monotonic)
    assert told.time() == machine.wall(), "before anybody has answered"
    for number in range(100):
        machine.at = server.at = number * 0.37
        told.heard(float(int(server.wall())))
        assert abs(told.time() - server.wall()) <= 1.0
    server.ahead = 10.0
    told.heard(float(int(server.wall())))
    assert abs(told.time() - server.wall()) <= 1.0, "a server whose clock was set is believed"
