"""Small services for the tests of the fleet, and rules that do as they are told."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from inferops.simulate.fleet import run
from inferops.simulate.scaling.policy import Seen
from inferops.simulate.scaling.scenario import ColdStart, EngineFigures, Request, Result, Scenario
from inferops.simulate.timing import IterationTime, Ramp

TIMING = IterationTime(fixed=0.01, per_token=2e-5, kv=(Ramp(5e-8),))
ENGINE = EngineFigures(TIMING, kv_tokens=100_000)
AT_ONCE = ColdStart(schedule=0.0, pull=0.0, load=0.0, warm=0.0, spread=0.0, node=0.0)
EXACT = ColdStart(schedule=2.0, pull=20.0, load=60.0, warm=18.0, spread=0.0, node=120.0)  # 100 s, 80 where the image is


class Told:
    """A rule that wants what `plan` says of a time, and keeps what it was shown."""

    name = "told"

    def __init__(self, plan: Callable[[float], int] | int, every: float = 10.0) -> None:
        self.every = every
        self.seen: list[Seen] = []
        self._plan = plan

    def look(self, seen: Seen) -> int:
        self.seen.append(seen)
        return self._plan if isinstance(self._plan, int) else self._plan(seen.now)


def poisson(rate: float, seconds: float, seed: int = 1, prompt: int = 500, output: int = 100) -> list[Request]:
    """Requests at random, of lengths between 1 and twice these."""
    random, now, requests = Random(seed), 0.0, []
    while (now := now + random.expovariate(rate)) < seconds:
        requests.append(Request(now, random.randint(1, 2 * prompt), random.randint(1, 2 * output)))
    return requests


def scenario(requests: list[Request], **given: object) -> Scenario:
    """With an SLO that an idle replica meets."""
    return Scenario(**{"requests": requests, "engine": ENGINE, "ttft": 0.5, "tpot": 0.05, "cold": EXACT, **given})


def played(requests: list[Request], rule: Told, **given: object) -> Result:
    return run(scenario(requests, **given), rule)
