"""Runs of one service on one traffic: what a rule meets, and what one replica carries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from inferops.api.formats import seconds
from inferops.cli.simulateservice import Subject, Variant
from inferops.cli.simulatetraffic import Survey, probe
from inferops.simulate.fleet import run
from inferops.simulate.scaling.peers.static import Settings, Static
from inferops.simulate.scaling.policy import Policy
from inferops.simulate.scaling.scenario import ClusterFigures, ColdStart, Result, Scenario
from inferops.simulate.server.engine import LOAD_BYTES_PER_SECOND
from inferops.simulate.traces.traffic import Traffic

POINTS = 600  # of a timeline
PROBED = (2000, 10_000)  # requests, from and to, of one run that looks for what a replica carries
LASTS = 600.0  # seconds of such a run, where that is no more requests: queues take time to grow
BRACKETS, HALVINGS = 12, 4  # of such runs: to find how much it is about, and more exactly
PLANNED = 0.8  # share of what replicas carry that those at the beginning are to use

Told = Callable[[float, int], None]


class Progress(Protocol):
    """Shows people how far runs are."""

    def begin(self, name: str, requests: int) -> Told | None:
        """A run of so many requests begins; what is to be told how far it is."""
        ...


@dataclass(frozen=True, slots=True)
class Carried:
    """What one replica does within the SLO, under a steady load of requests as they come."""

    rate: float  # requests a second
    concurrency: float  # requests in flight then


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which a rule has its way."""

    lowest: int
    highest: int
    zero_after: float | None = None  # seconds


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything of the runs but their rules."""

    subject: Subject
    requests: Traffic
    survey: Survey
    cold: Callable[[Variant], ColdStart]
    progress: Progress
    price: float | None = None  # US dollars an hour of one accelerator, in place of the catalogue's
    room: int | None = None  # replicas that nodes there have room for; None: any number
    begin: int | None = None  # replicas at the beginning
    seed: int = 0

    def play(self, policy: Policy, variant: Variant, bounds: Bounds, carried: Carried | None = None) -> Result:
        """One run. `carried`: by which replicas at the beginning are chosen, where no number is given."""
        step = max(1.0, ceil(self.survey.seconds / POINTS))
        scenario = self._scenario(self.requests, variant, bounds, self._first(bounds, carried))
        return run(scenario, policy, step=step, progress=self.progress.begin(policy.name, self.survey.count))

    def priced(self, variant: Variant) -> float | None:
        """US dollars an hour of a replica; None: not known."""
        return variant.price if self.price is None else self.price * variant.choice.count

    def carried(self, variant: Variant) -> Carried | None:
        """What one replica carries, by simulated load tests. None: not even one request at a time is within the SLO."""
        best, low, high = None, 0.0, self._guess(variant)
        for _ in range(BRACKETS):  # a rate that it carries, and twice as much, that it does not
            found = self._probe(variant, high)
            if found is not None:
                best, low, high = found, high, 2 * high
            elif best is None:
                high /= 2
            else:
                break
        if best is None:
            return None
        high = min(high, 2 * low)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            found = self._probe(variant, middle)
            low, high, best = (low, middle, best) if found is None else (middle, high, found)
        return best

    def _guess(self, variant: Variant) -> float:
        """Requests a second, from sizing's figures."""
        option = variant.option
        if option is None:
            return 1.0
        return option.concurrency / (option.ttft + option.tpot * self.survey.output)

    def _probe(self, variant: Variant, rate: float) -> Carried | None:
        """One load test. None: the SLO is missed."""
        least, most = PROBED
        count = min(max(round(rate * LASTS), least), most)
        requests = probe(self.survey.first, rate, count, self.seed)
        result = run(self._scenario(requests, variant, Bounds(1, 1), 1), Static(Settings(1)), step=3600.0)
        spent = result.ttft.get("mean", 0.0) + result.tpot.get("mean", 0.0) * self.survey.output
        met = result.attainment >= self.subject.attainment
        return Carried(rate, max(1.0, rate * spent)) if met else None

    def _first(self, bounds: Bounds, carried: Carried | None) -> int:
        if self.begin is not None:
            return min(max(self.begin, bounds.lowest), bounds.highest)
        needed = ceil(self.survey.beginning / (PLANNED * carried.rate)) if carried is not None else 1
        return min(max(needed, bounds.lowest, 1), bounds.highest)

    def _scenario(self, requests: Traffic, variant: Variant, bounds: Bounds, begin: int) -> Scenario:
        traffic, subject = self.subject.service.spec.traffic, self.subject
        there = 1000 if self.room is None else self.room
        cluster = ClusterFigures(
            replicas=there, provisioned=0 if self.room is None else 1000, price=self.priced(variant) or 0.0
        )
        return Scenario(
            requests=requests,
            engine=variant.engine,
            ttft=subject.ttft,
            tpot=subject.tpot,
            begin=begin,
            lowest=bounds.lowest,
            highest=bounds.highest,
            cold=self.cold(variant),
            clusters=(cluster,),
            max_concurrency=traffic.max_concurrency,
            max_queue=traffic.max_queue,
            queue_timeout=seconds(traffic.queue_timeout),
            zero_after=bounds.zero_after,
            gpus=variant.choice.count,
            seed=self.seed,
        )


def usual_start(variant: Variant) -> ColdStart:
    """How long a replica takes to start where nobody tells: loading by the size of the weights."""
    nodes = variant.choice.nodes
    return ColdStart(load=variant.deployment.weights / nodes / LOAD_BYTES_PER_SECOND, warm=variant.startup)
