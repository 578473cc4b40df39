"""Two clusters that pass requests on to each other: each is sized for the requests of its own clients, if it may be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.core.autoscale.history import History
from inferops.core.autoscale.rule import Recommendation, recommend
from inferops.core.autoscale.terms import Fleet, Goals, Mode, Seed, Signals, StepLimit
from inferops.core.load import Load

GOALS = Goals("auto", 1, 40, ttft=1.0, tpot=0.05, down=StepLimit(60.0, None, 25))
SEED = Seed(concurrency=32, ttft=0.4, tpot=0.04, output_tokens=200)  # 3.8 requests a second
CARRIES = 4.0  # requests a second of a replica
COLD = 60.0  # seconds until one is ready
LOOK = 15.0
TRIES = 0.2  # requests a second for which a cluster without room is asked all the same


@dataclass
class Cluster:
    """One, with so many requests a second of its own clients. It serves them first, and has others serve the rest."""

    rate: float
    goals: Goals = GOALS
    wanted: int = 2
    births: list[float] = field(default_factory=list)  # of replicas that are not ready
    history: History = field(default_factory=History)
    spilled: float = 0.0  # requests a second that the other one answers
    guests: float = 0.0  # that come from it
    left: float = 0.0  # that nobody answers in time
    refused: float = 0.0  # requests a second of the other's that were turned away
    reason: str = ""

    @property
    def ready(self) -> int:
        return self.wanted - len(self.births)

    @property
    def own(self) -> float:
        return min(self.rate, CARRIES * self.ready)

    def look(self, now: float) -> None:
        started = [birth for birth in self.births if birth + COLD <= now]
        self.births = self.births[len(started) :]
        requests, spilled, left = (round(LOOK * each) for each in (self.own + self.guests, self.spilled, self.left))
        waiting, refused = round(4 * self.left), round(LOOK * self.refused)
        told = Load(now - LOOK, now, "gateway", requests + left, requests, 8.0 * requests, waiting=waiting, ttft=0.3,
                    tpot=0.04, judged=requests + left + refused, missed=left + refused, spilled=spilled)  # fmt: skip
        fleet = Fleet(self.wanted, self.ready, len(self.births), started=(COLD,) * len(started), kind="a")
        found: Recommendation = recommend(self.history, Signals(told, fleet, SEED), self.goals, now)
        self.history, self.reason, more = found.history, found.reason, found.replicas - self.wanted
        self.births = [*self.births, *[now] * more] if more >= 0 else self.births[: len(self.births) + more]
        self.wanted = found.replicas


def run(here: Cluster, there: Cluster, looks: int, now: float = 1_000_000.0) -> float:
    for _ in range(looks):
        now += LOOK
        for one, other in ((here, there), (there, here)):
            over = one.rate - one.own
            one.spilled = other.guests = min(over, CARRIES * other.ready - other.own)
            one.left = over - one.spilled
            other.refused = TRIES if one.left else 0.0
        here.look(now)
        there.look(now)
    return now


@cache
def alone(rate: float) -> int:
    cluster = Cluster(rate)
    run(cluster, Cluster(0.0), 300)
    return cluster.wanted


def test_requests_that_another_cluster_has_room_for_are_served_at_home_in_the_end() -> None:
    """Replicas here run as hot as they were seen to do well, and would for ever: the rest is answered elsewhere."""
    here, there = Cluster(8.0), Cluster(4.0, replace(GOALS, lowest=12), 12)
    now = run(here, there, 240)
    here.rate = 40.0
    now = run(here, there, 300, now)
    spilled = 0.0
    for _ in range(60):
        now = run(here, there, 1, now)
        spilled += here.spilled
    assert (spilled, there.wanted) == (0.0, 12)
    assert abs(here.wanted - alone(40.0)) <= 1


@pytest.mark.parametrize(("mine", "theirs"), [(40.0, 8.0), (12.0, 40.0)])
def test_at_rest_nothing_is_sized_for_twice(mine: float, theirs: float) -> None:
    """While replicas start here, both clusters want some for the same requests; then each has its own."""
    here, there = Cluster(8.0), Cluster(theirs)
    now = run(here, there, 60)
    here.rate = mine
    run(here, there, 300, now)
    assert (here.spilled, here.left, there.spilled, there.left) == (0.0, 0.0, 0.0, 0.0)
    assert here.wanted + there.wanted <= alone(mine) + alone(theirs) + 1


def test_who_may_have_no_more_says_so_and_the_other_is_sized_for_the_rest() -> None:
    """Though its replicas run hot, so that as many as there are seem to do for all that it answers."""
    here, there = Cluster(8.0, replace(GOALS, highest=4)), Cluster(4.0)
    now = run(here, there, 240)
    here.rate = 40.0
    run(here, there, 300, now)
    assert (here.left, there.left) == (0.0, 0.0)
    assert (here.wanted, here.reason) == (4, "Maximum")
    assert there.wanted >= (40.0 + 4.0) / CARRIES - 4
    assert here.wanted + there.wanted <= alone(44.0) + 1


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 600), st.integers(0, 600), st.integers(0, 600), st.sampled_from(["auto", "queueDepth", "latency"])
)
def test_more_of_it_is_never_fewer_replicas(arrivals: int, spilled: int, more: int, mode: Mode) -> None:
    now, fleet, goals = 1_000_015.0, Fleet(4, 4, kind="a"), replace(GOALS, mode=mode, settle=5.0)

    def needs(spilled: int) -> int:
        told = Load(now - LOOK, now, "gateway", arrivals, arrivals, 8.0 * arrivals, ttft=0.3, tpot=0.04,
                    judged=arrivals, spilled=spilled)  # fmt: skip
        return recommend(History(begun=now - 60), Signals(told, fleet, SEED), goals, now).replicas

    assert needs(spilled) <= needs(spilled + more)


@pytest.mark.parametrize("mode", ["queueDepth", "latency"])
def test_plain_targets_mind_what_is_answered_elsewhere(mode: Mode) -> None:
    """No queue and no latency here shows it."""
    here, there = Cluster(30.0, replace(GOALS, mode=mode, settle=300.0)), Cluster(4.0, replace(GOALS, lowest=12), 12)
    now = run(here, there, 200)
    assert here.wanted >= 30.0 / CARRIES and there.wanted == 12
    run(here, there, 100, now)
    assert here.spilled == 0.0
