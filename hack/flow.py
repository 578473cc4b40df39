"""A fluid model of a service for comparing scaling rules: many runs at once, second by second.

Requests are a number, not things: so many arrive in a second, the replicas end as many as one ends at the mean number
in flight, and the share of the arrivals that misses the SLO follows from that number too (`flow_curves`). All runs of a
call advance together as one array, so that two weeks of many rules cost minutes; each rule is shown the same `Seen` as
in the simulation of single requests, and all of one seed see the same arrivals.

What it leaves out: that requests stay with the replica they were sent to, so a new replica helps at once; lengths of
single requests; a gateway's queue. `bench_autoscale` runs chosen points request by request to show what that matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flow_curves import MOST, Curves
from inferops.simulate.scaling.policy import Policy, Seen

Floats = NDArray[np.float64]
DRAIN = 10.0  # seconds that a replica which is taken away is still paid for


@dataclass(frozen=True)
class Case:
    """What is the same for all runs of a call."""

    curves: Curves
    cold: float  # mean seconds from a replica's creation until it serves
    arrivals: Floats  # requests by seed and second
    begin: int  # replicas, ready
    lowest: int = 1
    highest: int = 200
    spread: float = 0.08  # coefficient of variation of the cold start
    seed: int = 0
    warm: int = 0  # seconds at the beginning that do not count


@dataclass
class Run:
    """One rule on one seed's arrivals, and what came of it."""

    policy: Policy
    seed: int  # index into the case's arrivals
    requests: float = 0.0
    missed: float = 0.0
    hours: float = 0.0  # of replicas, paid for
    changes: int = 0
    timeline: list[tuple[float, int, int]] = field(default_factory=list)  # (second, wanted, ready) at each change

    @property
    def attainment(self) -> float:
        return 1 - self.missed / self.requests if self.requests else 1.0


class _Fleet:
    """The replicas of one run."""

    __slots__ = ("births", "created", "ready", "started", "wanted")

    def __init__(self, begin: int) -> None:
        self.wanted, self.ready = begin, begin
        self.births: list[tuple[float, float]] = []  # (when it will be ready, when it was created) of those starting
        self.started: list[float] = []

    def be(self, wanted: int, now: float, draw: Sequence[float]) -> int:
        """Have so many. Those that start go first. Returns how many that were ready are taken away."""
        self.wanted = wanted
        more = wanted - self.ready - len(self.births)
        for number in range(more):
            self.births.append((now + draw[number % len(draw)], now))
        if more >= 0:
            self.births.sort()
            return 0
        dropped = min(-more, len(self.births))
        del self.births[len(self.births) - dropped :]
        taken = -more - dropped
        self.ready -= taken
        return taken

    def grow(self, now: float) -> None:
        while self.births and self.births[0][0] <= now:
            ready, created = self.births.pop(0)
            self.ready += 1
            self.started.append(ready - created)


_SUMS = ("arrivals", "ended", "busy", "queued", "missed", "ttft", "tpot")
_INDEX = np.arange(MOST + 1, dtype=float)


class _Runs:
    """All runs of a call, as arrays by run."""

    def __init__(self, case: Case, runs: Sequence[Run]) -> None:
        count = len(runs)
        self.case, self.runs = case, runs
        self.rows = np.array([run.seed for run in runs])
        self.draws = np.random.default_rng(case.seed).lognormal(0.0, case.spread, 997) * case.cold
        self.fleets = [_Fleet(case.begin) for _ in runs]
        self.ready = np.full(count, float(case.begin))
        self.paid = self.ready.copy()
        self.there = np.zeros(count)  # requests in flight
        self.births = np.full(count, np.inf)  # when the next replica is ready
        self.due = np.array([run.policy.every for run in runs])
        self.hours = np.zeros(count)
        self.sums = {name: np.zeros(count) for name in _SUMS}
        self.told = [[0.0] * len(_SUMS) for _ in runs]  # at the last look
        self.looked = [0.0] * count
        self.before = np.zeros((2, count))  # requests and missed ones while nothing counted

    def count(self) -> None:
        """Forget what came of the runs until now."""
        self.before = np.array([self.sums["arrivals"], self.sums["missed"]])
        self.hours[:] = 0.0
        for run in self.runs:
            run.changes = 0

    def advance(self, second: int) -> None:
        """One second of requests."""
        curves, sums = self.case.curves, self.sums
        arriving = self.case.arrivals[self.rows, second]
        each = self.there / np.maximum(self.ready, 1e-9)
        beyond = np.maximum(each - MOST, 0.0)
        each = np.minimum(each, MOST)
        late = arriving * np.where(self.ready > 0, np.interp(each, _INDEX, curves.missed), 1.0)
        ended = np.minimum(self.there + arriving, self.ready * np.interp(each, _INDEX, curves.throughput))
        self.there = self.there + arriving - ended
        self.hours += self.paid / 3600
        sums["arrivals"] += arriving
        sums["ended"] += ended
        sums["busy"] += self.there
        sums["queued"] += (np.interp(each, _INDEX, curves.waiting) + beyond) * self.ready
        sums["missed"] += late
        sums["ttft"] += arriving * np.interp(each, _INDEX, curves.ttft)
        sums["tpot"] += arriving * np.interp(each, _INDEX, curves.tpot)

    def grow(self, now: float) -> None:
        for at in np.flatnonzero(self.births <= now):
            self.fleets[at].grow(now)
            self._count(int(at))

    def look(self, second: int, now: float) -> None:
        """Show each rule that is due what there is, and have what it wants."""
        for at in (int(each) for each in np.flatnonzero(self.due <= now)):
            fleet, run = self.fleets[at], self.runs[at]
            values = [float(self.sums[name][at]) for name in _SUMS]
            news = [value - before for value, before in zip(values, self.told[at], strict=True)]
            seen = _seen(self.case, fleet, now, self.looked[at], news, float(self.there[at]))
            self.told[at], self.looked[at] = values, now
            wanted = min(max(int(run.policy.look(seen)), self.case.lowest), self.case.highest)
            self.due[at] += run.policy.every
            if wanted == fleet.wanted:
                continue
            run.changes += 1
            run.timeline.append((now, wanted, fleet.ready))
            taken = fleet.be(wanted, now, self.draws[(second + run.seed * 131) % 800 :][:197].tolist())
            self.hours[at] += taken * DRAIN / 3600
            self._count(at)

    def _count(self, at: int) -> None:
        fleet = self.fleets[at]
        self.ready[at], self.paid[at] = fleet.ready, fleet.ready + len(fleet.births)
        self.births[at] = fleet.births[0][0] if fleet.births else np.inf


def run_many(case: Case, runs: Sequence[Run], seconds: int | None = None) -> None:
    """Run them all over the case's arrivals, filling in each. Raises ValueError where there are no runs."""
    if not runs:
        raise ValueError("no runs were given; give at least one")
    many = _Runs(case, runs)
    for second in range(case.arrivals.shape[1] if seconds is None else seconds):
        if second == case.warm:
            many.count()
        many.advance(second)
        many.grow(second + 1.0)
        many.look(second, second + 1.0)
    requests, missed = np.array([many.sums["arrivals"], many.sums["missed"]]) - many.before
    for at, run in enumerate(runs):
        run.requests, run.missed = float(requests[at]), float(missed[at])
        run.hours = float(many.hours[at])


def _seen(case: Case, fleet: _Fleet, now: float, since: float, told: list[float], there: float) -> Seen:
    arrivals, ended, busy, queued, missed, ttft, tpot = told
    curves = case.curves
    each = min(there / fleet.ready, float(MOST)) if fleet.ready else 0.0
    at = int(each)
    waiting = curves.waiting[at] * fleet.ready + max(0.0, there - MOST * fleet.ready)
    waiting = min(float(waiting), there) if fleet.ready else there
    started, fleet.started = tuple(fleet.started), []
    return Seen(
        now=now,
        since=since,
        wanted=fleet.wanted,
        ready=fleet.ready,
        starting=len(fleet.births),
        homeless=0,
        started=started,
        arrivals=round(arrivals),
        ended=round(ended),
        tokens_in=round(ended * curves.prompt),
        tokens_out=round(ended * curves.output),
        busy=busy,
        queued=queued,
        waiting=round(waiting),
        running=round(there - waiting),
        judged=round(arrivals),
        missed=round(missed),
        ttft=ttft / arrivals if arrivals else None,
        tpot=tpot / arrivals if arrivals else None,
        kv=float(curves.kv[at]),
    )


def bursty(rates: Floats, dispersions: Floats, seeds: int, first: int = 0) -> Floats:
    """Arrivals by seed and second, where `rates` are those of each second: counts whose variance is so many times
    their mean, as of a renewal process whose squared coefficient of variation is `dispersions`.

    Below 1.01 they are Poisson, above negative binomial."""
    made = np.zeros((seeds, len(rates)))
    over = np.maximum(dispersions, 1.01)
    for seed in range(seeds):
        random = np.random.default_rng([first + seed, 7])
        shape = np.maximum(rates, 1e-12) / (over - 1.0)
        made[seed] = random.negative_binomial(shape, 1.0 / over)
    return made


def by_second(values: Sequence[float], step: float, gap: float = 0.05) -> Floats:
    """Values of equal steps, second by second, on straight lines between the steps' middles.

    What is below `gap` of the median is a gap of the record rather than silence, and is bridged.
    """
    known = np.array(values, dtype=float)
    middles = (np.arange(len(known)) + 0.5) * step
    there = known > gap * float(np.median(known))
    seconds = np.arange(int(len(known) * step)) + 0.5
    made: Floats = np.interp(seconds, middles[there], known[there])
    return made
