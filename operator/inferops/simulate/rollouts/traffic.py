"""Requests over the replicas of two versions, and how each of them fares: what a rollout is judged by.

Arrivals are Poisson and are shared out by weight, and within a version evenly over its replicas. A request fails with
its replica's probability. Times to the first token are lognormal, and those of failed requests are not measured. Of
the times only those beyond two limits are counted: that is all that anybody here asks about them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from math import erfc, exp, log, sqrt
from random import Random

TICK = 5.0  # seconds between two looks
PERCENTILE_99 = 2.326  # of the standard normal distribution
COARSE = 60.0  # the same once all is decided


@dataclass(frozen=True, slots=True)
class Condition:
    """How a replica fares at one moment."""

    errors: float  # probability that a request fails
    slower: float = 1.0  # factor on its times to the first token


@dataclass(slots=True)
class Replica:
    """A replica, and what it did in the last tick."""

    pod: str
    canary: bool
    index: int  # within its version
    since: float = 0.0  # seconds into the rollout when it became ready
    served: float = 0.0  # requests that it has had
    requests: int = 0
    failed: int = 0
    late: int = 0  # beyond the SLO
    slow: int = 0  # beyond what is usual for the slowest of 100, and a quarter more


@dataclass(frozen=True, slots=True)
class Moment:
    """What a replica's condition may depend on."""

    replica: Replica
    canary: (
        bool  # whether it is to fare as the canary does; of a canary's replica, False is what stable would have done
    )
    time: float  # seconds into the rollout
    weight: int  # percentage of requests that the canary gets


@dataclass(frozen=True, slots=True)
class Service:
    """What is served."""

    replicas: int = 10
    rate: float = 20.0  # requests a second
    ttft: float = 0.3  # median, in seconds
    spread: float = 0.5  # standard deviation of its logarithm
    slo: float = 0.8  # seconds

    def beyond(self, limit: float, slower: float) -> float:
        """Share of times to the first token that are longer."""
        return _beyond(limit / self.ttft / slower, self.spread)

    @property
    def slow(self) -> float:
        """A quarter more than the usual 99th percentile of times, in seconds."""
        return 1.25 * self.ttft * exp(PERCENTILE_99 * self.spread)

    def bad(self, condition: Condition) -> float:
        """Share of requests that fail or are late."""
        return condition.errors + (1 - condition.errors) * self.beyond(self.slo, condition.slower)


@dataclass(slots=True)
class World:
    """A service with a canary, one tick after another."""

    service: Service
    condition: Callable[[Moment], Condition]
    random: Random
    compared: bool = True  # whether anybody looks at stable
    time: float = 0.0
    hurt: float = 0.0  # requests that were bad and would not have been so at stable, in the mean
    stable: list[Replica] = field(default_factory=list[Replica])
    canary: list[Replica] = field(default_factory=list[Replica])

    def size(self, *, stable: int, canary: int) -> None:
        """Give both versions so many replicas, ready at once."""
        for arm, wanted, name in ((self.stable, stable, "stable"), (self.canary, canary, "canary")):
            del arm[wanted:]
            for index in range(len(arm), wanted):
                pod = f"{name}-{self.random.getrandbits(40):010x}"
                arm.append(Replica(pod, name == "canary", index, since=self.time))

    def tick(self, weight: int) -> None:
        """Let requests come for one tick, `weight` of 100 to the canary. Loads are balanced: replicas of a version get
        as many each, but for one."""
        self.time += TICK
        requests = poisson(self.service.rate * TICK, self.random)
        to_canary = binomial(requests, weight / 100, self.random) if self.canary else 0
        for arm, left in ((self.canary, to_canary), (self.stable, requests - to_canary)):
            if arm and (self.compared or arm is self.canary):
                each, more = divmod(left, len(arm))
                first = self.random.randrange(len(arm))
                for place, replica in enumerate(arm):
                    self._serve(replica, each + ((place - first) % len(arm) < more), weight)

    def go_on(self, weight: int, until: float) -> None:
        """Nothing is decided any more until then: requests in the mean, and no times of single ones."""
        while self.time < until and weight and self.canary:
            passed = min(COARSE, until - self.time)
            self.time += passed
            for replica in self.canary:
                share = self.service.rate * passed * weight / 100 / len(self.canary)
                self.hurt += share * self._excess(replica, weight)
                replica.served += share
        self.time = max(self.time, until)

    def _serve(self, replica: Replica, requests: int, weight: int) -> None:
        condition = self.condition(Moment(replica, replica.canary, self.time, weight))
        if replica.canary:
            self.hurt += requests * self._excess(replica, weight)
        replica.served += requests
        replica.requests = requests
        replica.failed = binomial(requests, condition.errors, self.random)
        late, slow = (self.service.beyond(limit, condition.slower) for limit in (self.service.slo, self.service.slow))
        replica.late = binomial(requests - replica.failed, late, self.random)
        replica.slow = binomial(replica.late, min(1.0, slow / late), self.random)

    def _excess(self, replica: Replica, weight: int) -> float:
        """Share of a canary replica's requests that are bad because of the canary."""
        bad, usual = (
            self.service.bad(self.condition(Moment(replica, canary, self.time, weight))) for canary in (True, False)
        )
        return bad - usual


@lru_cache(maxsize=4096)
def _beyond(ratio: float, spread: float) -> float:
    return erfc(log(ratio) / spread / sqrt(2)) / 2


def poisson(mean: float, random: Random) -> int:
    """How many of many rare things happen."""
    if mean > 50:
        return max(0, round(random.gauss(mean, sqrt(mean))))
    product, count, floor = random.random(), 0, exp(-mean)
    while product > floor:
        product *= random.random()
        count += 1
    return count


def binomial(trials: int, share: float, random: Random) -> int:
    """How many of `trials` succeed."""
    if share <= 0 or trials <= 0:
        return 0
    if share >= 1:
        return trials
    if trials * share * (1 - share) > 100:
        return min(trials, max(0, round(random.gauss(trials * share, sqrt(trials * share * (1 - share))))))
    count, at, scale = 0, -1, log(1 - share)
    while True:  # from one success to the next
        at += 1 + int(log(1 - random.random()) / scale)
        if at >= trials:
            return count
        count += 1
