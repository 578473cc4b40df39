"""A run: requests as they come, and between them whatever the agenda holds."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop
from math import inf
from random import Random
from typing import Any, Protocol, runtime_checkable

from inferops.simulate.fleet.agenda import Agenda
from inferops.simulate.fleet.counters import Counters
from inferops.simulate.fleet.gateway import Gateway
from inferops.simulate.fleet.replica import Stage
from inferops.simulate.fleet.replicas import Replicas
from inferops.simulate.scaling.policy import Policy, Seen
from inferops.simulate.scaling.scenario import Outage, Point, Result, Scenario


@runtime_checkable
class Blind(Protocol):
    """A rule that wants to be asked even while nobody tells it anything. Others are left out, and keep what is."""

    def blind(self, seen: Seen) -> int:
        """Replicas wanted. Of `seen`, only what concerns replicas and `now` is told."""
        ...


def run(
    scenario: Scenario, policy: Policy, *, step: float = 60.0, progress: Callable[[float, int], None] | None = None
) -> Result:
    """Play `scenario` under `policy`, to its horizon or until the last request has ended.

    `step`: seconds between two points of the timeline, at each of which `progress` is told the time and the requests so
    far. The same arguments give the same result. Raises ValueError for a scenario that cannot be.
    """
    return World(scenario, policy, step, progress).run()


class World:
    """One run."""

    def __init__(
        self, scenario: Scenario, policy: Policy, step: float, progress: Callable[[float, int], None] | None
    ) -> None:
        _check(scenario, step)
        self._scenario = scenario
        self._policy = policy
        self._step = step
        self._progress = progress
        self._agenda = Agenda()
        self._counters = Counters(scenario.ttft, scenario.tpot)
        self._gateway = Gateway(scenario, self._agenda, self._counters)
        self._replicas = Replicas(scenario, self._agenda, self._gateway)
        self._random = Random(f"outages {scenario.seed}")
        self._blind = 0  # outages of metrics at this time
        self._slept = not scenario.begin and scenario.zero_after is not None  # at zero because nobody asked
        self._seen = self._point = self._counters.marks(0.0, 0.0, 0.0)  # at the rule's last look, at the last point
        self._result = Result(policy.name, 0.0)

    def run(self) -> Result:
        """Play it."""
        scenario, agenda, gateway = self._scenario, self._agenda, self._gateway
        horizon = inf if scenario.horizon is None else scenario.horizon
        self._begin()
        entries, arrive = agenda.entries, gateway.arrive
        now = 0.0
        for request in scenario.requests:
            time = request[0]
            if time > horizon:
                break
            if time < now:
                raise ValueError(f"requests: the one at {time:g} s comes after that at {now:g} s; sort them by time")
            while entries[0][0] < time:
                due, _, action, what = heappop(entries)
                action(due, what)
            now = time
            arrive(request)
        while (gateway.open or scenario.horizon is not None) and entries[0][0] <= horizon:
            now = agenda.next()
        self._finish(now if scenario.horizon is None else horizon)
        return self._result

    def _begin(self) -> None:
        scenario, agenda = self._scenario, self._agenda
        gateway, replicas = self._gateway, self._replicas
        gateway.on_wake = self._wake
        if scenario.zero_after is not None:
            gateway.on_idle = self._idle
            agenda.put(scenario.zero_after, self._sleep, 0)
        replicas.begin(scenario.begin)
        agenda.put(self._policy.every, self._look)
        agenda.put(self._step, self._mark)
        for outage in scenario.outages:
            agenda.put(outage.at, self._break, outage)

    def _look(self, now: float, _: Any) -> None:
        """The rule looks and decides."""
        policy = self._policy
        wanted: int | None = None
        if not self._blind:
            wanted = policy.look(self._shown(now))
        elif isinstance(policy, Blind):
            wanted = policy.blind(self._shown(now, blind=True))
        if wanted is not None and not self._slept:
            self._want(wanted, now)
        if policy.every <= 0:
            raise ValueError(f"rule {policy.name}: every ({policy.every:g}) must be above 0 seconds")
        self._agenda.put(now + policy.every, self._look)

    def _want(self, wanted: int, now: float) -> None:
        wanted = min(max(wanted, self._scenario.lowest), self._scenario.highest)
        if not wanted and self._gateway.waiting:
            wanted = min(1, self._scenario.highest)
        self._replicas.want(wanted, now)

    def _wake(self, now: float) -> None:
        """A request came and there is nothing, nor will be."""
        self._slept = False
        self._want(1, now)

    def _idle(self, now: float) -> None:
        """Nobody asks for anything; if that lasts, replicas go."""
        assert self._scenario.zero_after is not None
        self._agenda.put(now + self._scenario.zero_after, self._sleep, self._counters.arrivals)

    def _sleep(self, now: float, arrivals: Any) -> None:
        if not self._gateway.open and self._counters.arrivals == arrivals and self._replicas.wanted:
            self._slept = True
            self._replicas.want(0, now)

    def _break(self, now: float, what: Any) -> None:
        outage: Outage = what
        if outage.kind == "replica":
            self._replicas.lose_one(now, self._random)
            return
        if outage.kind == "metrics":
            self._blind += 1
        else:
            self._replicas.lose_cluster(outage.cluster, now)
        self._agenda.put(now + outage.seconds, self._mend, outage)

    def _mend(self, now: float, what: Any) -> None:
        outage: Outage = what
        if outage.kind == "metrics":
            self._blind -= 1
        else:
            self._replicas.find_cluster(outage.cluster, now)

    def _shown(self, now: float, blind: bool = False) -> Seen:
        """What a rule is shown. What it was not shown while it was blind, it is shown afterwards."""
        replicas, gateway, since = self._replicas, self._gateway, self._seen
        served = [replica for replica in replicas.members if replica.stage is Stage.READY] + [*replicas.draining]
        marks = since._replace(time=now) if blind else self._marks(now)
        if not blind:
            self._seen = marks
        firsts, gaps = marks.firsts - since.firsts, marks.gaps - since.gaps
        ready, homeless = replicas.count(Stage.READY), replicas.count(Stage.HOMELESS)
        started, replicas.started = tuple(replicas.started), []
        return Seen(
            now=now,
            since=since.time,
            wanted=replicas.wanted,
            ready=ready,
            starting=len(replicas.members) - ready,
            homeless=homeless,
            started=started,
            arrivals=marks.arrivals - since.arrivals,
            ended=marks.ended - since.ended,
            tokens_in=marks.tokens_in - since.tokens_in,
            tokens_out=marks.tokens_out - since.tokens_out,
            busy=marks.busy - since.busy,
            queued=marks.queued - since.queued,
            waiting=0 if blind else gateway.waiting + sum(each.batch.waiting for each in served),
            running=0 if blind else sum(each.batch.running for each in served),
            judged=marks.judged - since.judged,
            missed=marks.missed - since.missed,
            ttft=(marks.ttft - since.ttft) / firsts if firsts else None,
            tpot=(marks.tpot - since.tpot) / gaps if gaps else None,
            kv=0.0 if blind or not served else sum(each.batch.kv_usage for each in served) / len(served),
        )

    def _marks(self, now: float) -> Any:
        replicas, gateway = self._replicas, self._gateway
        inside = sum(each.batch.queued(now) for each in (*replicas.members, *replicas.draining))
        return self._counters.marks(now, gateway.busy(now), gateway.queued(now) + replicas.queued + inside)

    def _mark(self, now: float, _: Any) -> None:
        """A point of the timeline."""
        self._agenda.put(now + self._step, self._mark)
        self._note(now)
        self._counters.ttfts.settle()
        self._counters.tpots.settle()
        if self._progress is not None:
            self._progress(now, self._counters.arrivals)

    def _note(self, now: float) -> None:
        replicas, before, marks = self._replicas, self._point, self._marks(now)
        everyone = (*replicas.members, *replicas.draining)
        ready = replicas.count(Stage.READY)
        self._result.timeline.append(
            Point(
                time=now,
                arrivals=(marks.arrivals - before.arrivals) / (now - before.time),
                wanted=replicas.wanted,
                ready=ready,
                starting=len(replicas.members) - ready,
                waiting=self._gateway.waiting + sum(each.batch.waiting for each in everyone),
                running=sum(each.batch.running for each in everyone),
                judged=marks.judged - before.judged,
                missed=marks.missed - before.missed,
            )
        )
        self._point = marks

    def _finish(self, now: float) -> None:
        counters, replicas, result = self._counters, self._replicas, self._result
        if now > self._point.time:
            self._note(now)
        seconds, dollars = replicas.bill(now)
        result.seconds = now
        result.requests, result.met, result.refused = counters.arrivals, counters.met, counters.refused
        result.unfinished = self._gateway.open
        result.ttft, result.tpot = counters.ttfts.summary(), counters.tpots.summary()
        result.replica_hours, result.cost = seconds / 3600, dollars
        result.gpu_hours = result.replica_hours * self._scenario.gpus
        result.changes, result.turns = replicas.changes, replicas.turns


def _check(scenario: Scenario, step: float) -> None:
    """Raises ValueError for a scenario that cannot be."""
    if step <= 0:
        raise ValueError(f"step ({step:g}) must be above 0 seconds")
    if not 0 <= scenario.lowest <= scenario.highest:
        raise ValueError(f"lowest ({scenario.lowest}) must lie between 0 and highest ({scenario.highest})")
    names = [cluster.name for cluster in scenario.clusters]
    if len(set(names)) < len(names) or not names:
        raise ValueError(f"clusters ({', '.join(names)}): there has to be one at least, and each name once")
    for outage in scenario.outages:
        if outage.kind not in ("replica", "cluster", "metrics"):
            raise ValueError(f"outages: kind {outage.kind!r}; there are replica, cluster and metrics")
        if outage.kind == "cluster" and outage.cluster not in names:
            raise ValueError(f"outages: no cluster {outage.cluster!r}; there are {', '.join(names)}")
