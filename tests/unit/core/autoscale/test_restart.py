"""An operator that ends and comes back: nothing goes before fewer have been enough since, by what was counted since."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from inferops.core.autoscale import memory
from inferops.core.autoscale.capacity import SOLVE
from inferops.core.autoscale.history import History
from inferops.core.autoscale.rule import GAP, recommend
from inferops.core.autoscale.terms import Fleet, Goals, Seed, Signals
from inferops.core.load import Load

GOALS = Goals("auto", 1, 40, ttft=1.0, tpot=0.05, settle=5.0)
SEED = Seed(concurrency=32, ttft=0.4, tpot=0.04, output_tokens=200)  # 3.8 requests a second
BEGIN = 1_000_000.0
STEP = BEGIN + 60.0
LOW, HIGH = 1.0, 20.0  # requests a second
STARTS = 2.0  # seconds that a replica needs


def came(until: float) -> int:
    """Requests up to a moment."""
    return int(LOW * (min(until, STEP) - BEGIN) + HIGH * max(until - STEP, 0.0))


class Service:
    """Scaled by operators, one after the other, each of which looks when it gets to it, and is told in between by
    gateways that are late by as much as it is slow."""

    def __init__(self, goals: Goals, slow: float, seed: int, first: float = 0.0, stalled: float = 0.0) -> None:
        """`slow`: seconds by which a look is late at the most; `first`: of what an operator is told at first, whose
        last ones, `stalled`, are counted later."""
        self.goals, self.slow, self.first, self.stalled, self.random = goals, slow, first, stalled, Random(seed)
        self.now, self.wanted, self.history = BEGIN, 1, History()
        self.told, self.counted, self.behind = BEGIN, 0, 0.0
        self.said: list[int] = []

    def restart(self) -> None:
        """What is told next is of the last moments alone."""
        self.history, self.told = memory.read(memory.written(self.history)), self.now - self.first
        self.counted, self.behind = came(self.told), self.stalled

    def look(self) -> None:
        counted, self.behind = came(self.now - self.behind), 0.0
        arrivals, self.counted = counted - self.counted, counted
        load = Load(self.told, self.now, "gateway", arrivals, arrivals, float(arrivals), judged=arrivals)
        fleet = Fleet(self.wanted, self.wanted, started=(STARTS,), kind="a")
        found = recommend(self.history, Signals(load, fleet, SEED), self.goals, self.now)
        self.history, self.wanted, self.told = found.history, found.replicas, self.now
        self.said.append(found.replicas)
        self.now += found.again + self.random.uniform(0.0, self.slow)

    def run(self, until: float) -> None:
        while self.now < until:
            self.look()


@pytest.mark.parametrize("settle", [5.0, None])
@pytest.mark.parametrize(("first", "stalled"), [(1e-6, 0.0), (0.3, 0.0), (4.0, 0.0), (4.0, 2.0)])
@pytest.mark.parametrize("slow", [0.0, 3.0, 20.0])
def test_a_restart_in_the_middle_of_a_step_takes_nothing_away(
    settle: float | None, first: float, stalled: float, slow: float
) -> None:
    """For as long as nothing is learned of its replicas, by which fewer would do."""
    for offset in range(-20, int(SOLVE), 7):
        service = Service(replace(GOALS, settle=settle), slow, offset, first, stalled)
        service.run(STEP + offset)
        before = len(service.said)
        service.restart()
        service.run(service.now + SOLVE)
        said = service.said[before - 1 :]
        assert said == sorted(said), (offset, said)
        assert said[-1] <= 12


def test_a_moment_says_nothing_of_a_rate() -> None:
    """An operator's first two samples may be as near as two readings of a clock."""
    for arrivals in (0, 1):
        told = Load(BEGIN - 1e-6, BEGIN, "gateway", arrivals, arrivals, 0.0)
        found = recommend(History(), Signals(told, Fleet(4, 4, kind="a"), SEED), GOALS, BEGIN)
        assert (found.replicas, found.reason, found.history.begun) == (4, "Start", None)


@pytest.mark.parametrize("silence", [20.0, GAP + 1])
def test_what_was_counted_before_nobody_looked_is_no_evidence_after(silence: float) -> None:
    """Be it that nobody told, or that nobody asked."""
    service = Service(GOALS, 0.0, 0)
    service.run(STEP + 60)
    before = service.wanted
    if silence < GAP:
        fleet = Fleet(before, before, kind="a")
        service.history = recommend(service.history, Signals(None, fleet), GOALS, service.now).history
    service.now += silence
    told = Load(service.now - 5, service.now, "gateway", 5, 5, 5.0, judged=5)
    found = recommend(service.history, Signals(told, Fleet(before, before, kind="a"), SEED), GOALS, service.now)
    assert before > 4 and found.replicas == before
