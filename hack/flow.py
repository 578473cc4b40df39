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
from typing import NamedTuple

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


class _Measured(NamedTuple):
    """What a rule is shown of one run that is no count, as in `Seen`."""

    busy: float
    queued: float
    ttft: float
    tpot: float
    kv: float


class _Counted(NamedTuple):
    """What a rule is shown of one run that is a count, as in `Seen`."""

    arrivals: int
    ended: int
    tokens_in: int
    tokens_out: int
    waiting: int
    running: int
    missed: int


_SUMS = ("arrivals", "ended", "busy", "queued", "missed", "ttft", "tpot")
_CURVES = ("throughput", "missed", "waiting", "ttft", "tpot")


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
        self.sums = np.zeros((len(_SUMS), count))
        self.told = self.sums.copy()  # at the last look
        self.looked = [0.0] * count
        self.before = np.zeros((2, count))  # requests and missed ones while nothing counted
        self.curves = np.array([getattr(case.curves, name) for name in _CURVES]).T  # by requests in flight
        self.steps = np.diff(self.curves, axis=0, append=self.curves[-1:])

    def count(self) -> None:
        """Forget what came of the runs until now."""
        self.before = self.asked()
        self.hours[:] = 0.0
        for run in self.runs:
            run.changes = 0

    def asked(self) -> Floats:
        """Requests and missed ones, by run."""
        return self.sums[[_SUMS.index("arrivals"), _SUMS.index("missed")]]

    def advance(self, second: int) -> None:
        """One second of requests."""
        arriving = self.case.arrivals[self.rows, second]
        each = self.there / np.maximum(self.ready, 1e-9)
        beyond = np.maximum(each - MOST, 0.0)
        each = np.minimum(each, MOST)
        low = each.astype(np.int64)
        between = self.curves[low] + (each - low)[:, None] * self.steps[low]
        throughput, missed, waiting, ttft, tpot = between.T
        late = arriving * np.where(self.ready > 0, missed, 1.0)
        ended = np.minimum(self.there + arriving, self.ready * throughput)
        self.there = self.there + arriving - ended
        self.hours += self.paid / 3600
        queued = (waiting + beyond) * self.ready
        self.sums += (arriving, ended, self.there, queued, late, arriving * ttft, arriving * tpot)

    def grow(self, now: float) -> None:
        for at in np.flatnonzero(self.births <= now):
            self.fleets[at].grow(now)
            self._count(int(at))

    def look(self, second: int, now: float) -> None:
        """Show each rule that is due what there is, and have what it wants."""
        due = np.flatnonzero(self.due <= now)
        if not due.size:
            return
        for at, seen in zip(due.tolist(), self._seen(due, now), strict=True):
            fleet, run = self.fleets[at], self.runs[at]
            self.looked[at] = now
            wanted = min(max(int(run.policy.look(seen)), self.case.lowest), self.case.highest)
            self.due[at] += run.policy.every
            if wanted == fleet.wanted:
                continue
            run.changes += 1
            run.timeline.append((now, wanted, fleet.ready))
            taken = fleet.be(wanted, now, self.draws[(second + run.seed * 131) % 800 :][:197].tolist())
            self.hours[at] += taken * DRAIN / 3600
            self._count(at)

    def _seen(self, due: NDArray[np.intp], now: float) -> list[Seen]:
        """What the rules of these runs are shown."""
        curves, there, ready = self.case.curves, self.there[due], self.ready[due]
        news = self.sums[:, due] - self.told[:, due]
        self.told[:, due] = self.sums[:, due]
        arrivals, ended, busy, queued, missed, ttft, tpot = news
        low = np.minimum(there / np.maximum(ready, 1e-9), MOST).astype(np.int64)
        waiting = np.minimum(curves.waiting[low] * ready + np.maximum(there - MOST * ready, 0.0), there)
        waiting = np.where(ready > 0, waiting, there)
        kv = np.where(ready > 0, curves.kv[low], curves.kv[0])
        each = np.maximum(arrivals, 1e-9)
        counted = (arrivals, ended, ended * curves.prompt, ended * curves.output, waiting, there - waiting, missed)
        return [
            self._shown(at, now, _Measured(*means), _Counted(*counts))
            for at, means, counts in zip(
                due.tolist(),
                np.array((busy, queued, ttft / each, tpot / each, kv)).T.tolist(),
                np.rint(counted).astype(np.int64).T.tolist(),
                strict=True,
            )
        ]

    def _shown(self, at: int, now: float, means: _Measured, counts: _Counted) -> Seen:
        fleet = self.fleets[at]
        started, fleet.started = tuple(fleet.started), []
        return Seen(
            now=now,
            since=self.looked[at],
            wanted=fleet.wanted,
            ready=fleet.ready,
            starting=len(fleet.births),
            homeless=0,
            started=started,
            arrivals=counts.arrivals,
            ended=counts.ended,
            tokens_in=counts.tokens_in,
            tokens_out=counts.tokens_out,
            busy=means.busy,
            queued=means.queued,
            waiting=counts.waiting,
            running=counts.running,
            judged=counts.arrivals,
            missed=counts.missed,
            ttft=means.ttft if counts.arrivals else None,
            tpot=means.tpot if counts.arrivals else None,
            kv=means.kv,
        )

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
    requests, missed = many.asked() - many.before
    for at, run in enumerate(runs):
        run.requests, run.missed = float(requests[at]), float(missed[at])
        run.hours = float(many.hours[at])


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
