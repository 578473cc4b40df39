"""What may happen to a rollout: harmless versions under hard conditions, and versions that are worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import exp
from random import Random
from zlib import crc32

from inferops.simulate.rollouts.traffic import Condition, Moment, Service, World

ERRORS = 0.005  # of a healthy replica
HEALTHY = Condition(ERRORS)
QUIET = Service(replicas=2, rate=0.5)
MIDDLING = Service()
LARGE = Service(replicas=20, rate=40.0)
Conditions = Callable[[Moment], Condition]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that may happen."""

    name: str
    harmful: bool  # whether the version is worse
    condition: Conditions
    service: Service = MIDDLING

    def world(self, seed: int) -> World:
        """It, for one seed."""
        return World(self.service, self.condition, Random(f"{self.name} {seed}"))


def healthy(moment: Moment) -> Condition:
    """As ever."""
    return HEALTHY


def failing(points: float) -> Conditions:
    """So many more of 100 requests fail."""
    return lambda moment: Condition(ERRORS + points / 100) if moment.canary else HEALTHY


def slower(percent: float) -> Conditions:
    """The first token takes so much longer."""
    return lambda moment: Condition(ERRORS, 1 + percent / 100) if moment.canary else HEALTHY


def cold(requests: float) -> Conditions:
    """A canary's replica starts with empty caches: twice the time at first, less with every request that it had."""
    return lambda moment: Condition(ERRORS, 1 + exp(-moment.replica.served / requests)) if moment.canary else HEALTHY


def one_bad(canary: bool, index: int, points: float) -> Conditions:
    """One replica sits on a bad node."""
    worse = Condition(ERRORS + points / 100)

    def condition(moment: Moment) -> Condition:
        its = moment.replica.canary == moment.canary == canary and moment.replica.index == index
        return worse if its else HEALTHY

    return condition


def incident(moment: Moment) -> Condition:
    """Two minutes in which a quarter of all requests fail, and the others take longer."""
    return Condition(0.25, 1.5) if 180 < moment.time <= 300 else HEALTHY


def different(moment: Moment) -> Condition:
    """No two replicas are alike."""
    return _of_its_own(moment.replica.pod)


@cache
def _of_its_own(pod: str) -> Condition:
    luck = Random(pod)
    return Condition(ERRORS * exp(luck.gauss(0, 0.4)), exp(luck.gauss(0, 0.1)))


def bursts(moment: Moment) -> Condition:
    """Each replica has a bad spell of some seconds now and then."""
    bad = crc32(f"{moment.replica.pod} {moment.time}".encode()) % 1000 < 15
    return Condition(0.3, 2.0) if bad else HEALTHY


def under_load(points: float, weight: int) -> Conditions:
    """Fails only once it gets as much as `weight`."""
    worse = Condition(ERRORS + points / 100)
    return lambda moment: worse if moment.canary and moment.weight >= weight else HEALTHY


SCENARIOS = (
    Scenario("A/A", False, healthy),
    Scenario("A/A, replicas differ", False, different),
    Scenario("A/A, bursts on replicas", False, bursts),
    Scenario("A/A, low traffic", False, healthy, QUIET),
    Scenario("cold prefix cache", False, cold(100)),
    Scenario("incident of both versions", False, incident),
    Scenario("one bad pod of the canary", False, one_bad(True, 2, 20), LARGE),
    Scenario("one bad pod of stable", False, one_bad(False, 2, 20), LARGE),
    *(Scenario(f"errors +{points:g} points", True, failing(points)) for points in (0.5, 1, 2, 5, 10, 20)),
    Scenario("errors +10 points from 25 % on", True, under_load(10, 25)),
    *(Scenario(f"TTFT +{percent} %", True, slower(percent)) for percent in (10, 20, 50, 100)),
    Scenario("low traffic, errors +5 points", True, failing(5), QUIET),
    Scenario("low traffic, errors +20 points", True, failing(20), QUIET),
    Scenario("low traffic, TTFT +100 %", True, slower(100), QUIET),
)
