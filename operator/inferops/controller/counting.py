"""What was counted of the requests of services in a rollout: from the gateways, from Prometheus, or from the pods.

Every source is followed on its own from the moment that a rollout asks for it, and one of them at a time answers. Who
tells nothing holds: there is no window then, and a sentence why. After a restart of the operator counting begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from inferops.api.rollout import Metric
from inferops.controller.demandline import Counted
from inferops.controller.store import Key
from inferops.core.observation import PodView
from inferops.core.signal import Count, ReplicaCounts, Source, Window
from inferops.runtimes.base import Metrics
from inferops.signals.cumulative import METRICS, Sample, Sums, Tally

POLL = 5.0  # seconds between two looks at sources that do not tell by themselves
STALE = timedelta(seconds=3 * POLL)  # after which a source that does not answer has told nothing
UNASKED = timedelta(minutes=15)  # after which nobody is taken to ask for a service any more
SERVICES = 2000  # in rollouts at a time
ORDER: tuple[Source, ...] = ("gateway", "prometheus", "pods")


@dataclass(frozen=True, slots=True)
class Ask:
    """Whose requests are to be counted, and what is too slow."""

    source: Literal["auto", "gateway", "prometheus", "pods"] = "auto"
    pods: Mapping[str, PodView] = field(default_factory=dict[str, PodView])  # by name, of all revisions
    engine: Metrics | None = None  # how its metrics are called
    ports: Mapping[str, int] = field(default_factory=dict[str, int])  # of its container, by name
    ttft: float | None = None  # what the SLO allows, in seconds
    tpot: float | None = None


class Gateways(Protocol):
    """What the built-in gateways tell, as `demand.Demands` puts it together."""

    counted: Callable[[Key, str, Counted], None]

    def counts(self, key: Key) -> Mapping[str, Counted]: ...


@dataclass(slots=True)
class Told:
    """What one source told of one service."""

    sums: Sums
    revisions: dict[str, str] = field(default_factory=dict[str, str])  # hashes by pod
    metrics: frozenset[Metric] = frozenset()  # that it can tell of
    in_flight: Mapping[str, int] = field(default_factory=dict[str, int])
    heard: datetime | None = None  # when it answered last
    why: str = ""  # it does not

    def name(self, revisions: Mapping[str, str]) -> None:
        """Remember whose replicas those are that are counted."""
        counted = self.sums.total()
        for pod, revision in revisions.items():
            if pod in counted:
                self.revisions.setdefault(pod, revision)


@dataclass(slots=True)
class Service:
    """A service whose rollout is under way."""

    ask: Ask
    asked: datetime
    told: dict[Source, Told]
    settled: Source | None = None  # the source that was taken, once it had counts of two revisions


class Counting:
    """Counts by service."""

    def __init__(self, now: Callable[[], datetime], gateways: Gateways | None = None) -> None:
        """`now`: the wall clock; while it goes backwards it is taken to stand still."""
        self._clock, self._gateways = now, gateways
        self._latest = now()
        self._services: dict[Key, Service] = {}
        if gateways is not None:
            gateways.counted = self._heard

    def want(self, key: Key, ask: Ask) -> None:
        """A rollout is under way: count its requests from now on. To be called again and again, with what is new."""
        now = self._now()
        service = self._services.get(key)
        if service is not None:
            service.ask, service.asked = ask, now
            return
        if len(self._services) >= SERVICES and not self._expire(now):
            return
        told = {source: Told(Sums(complete=source == "gateway")) for source in ORDER}
        self._services[key] = Service(ask, now, told)
        if self._gateways is not None:  # they told before anybody asked
            for start, counted in self._gateways.counts(key).items():
                self._heard(key, start, counted)

    def forget(self, key: Key) -> None:
        """No rollout is under way any more."""
        self._services.pop(key, None)

    def window(self, key: Key, since: datetime | None) -> tuple[Window | None, str]:
        """What was counted after `since`, and why nothing is known, or not all that was asked for.

        It begins with the first sample that is not before `since`, and ends with the last one, both on whole seconds:
        asked again with its end, nothing is lost or counted twice. Where nothing is newer both are the same moment.
        """
        service = self._services.get(key)
        if service is None:
            many = len(self._services) >= SERVICES
            return None, f"more than {SERVICES} services are counted already" if many else "counting has not begun"
        now = self._now()
        self._hear_gateways(key, service, now)
        source = self._source(service, now)
        told = service.told[source]
        whole = now if source == "gateway" else None  # what a gateway does not mention had no requests
        pair = told.sums.between(since, now, whole) if self._fresh(told, now) else None
        if pair is None:
            return None, self._why(service, now)
        return _window(source, service.ask, told, *pair), _unknown(source, told, service.ask)

    async def run(self) -> None:
        """Forget those who are not asked for any more, until cancelled."""
        while True:
            await asyncio.sleep(POLL)
            self._expire(self._now())

    def _heard(self, key: Key, start: str, counted: Counted) -> None:
        """A gateway tells."""
        service = self._services.get(key)
        if service is None:
            return
        told, now = service.told["gateway"], self._now()
        told.sums.take(now, start, counted.tallies)
        told.name(counted.revisions)
        told.heard = now

    def _hear_gateways(self, key: Key, service: Service, now: datetime) -> None:
        """What gateways tell goes on for as long as their streams do."""
        told = service.told["gateway"]
        now_there = self._gateways.counts(key) if self._gateways is not None else {}
        told.why = "" if now_there else "no gateway tells of replicas of two revisions"
        if now_there:
            told.heard = now
            slo = {"errorRate": 0.0, "ttft": service.ask.ttft, "tpot": service.ask.tpot}
            told.metrics = frozenset(metric for metric in METRICS if slo[metric] is not None)
        told.in_flight = {
            pod: sum(each.in_flight.get(pod, 0) for each in now_there.values())
            for pod in {pod for each in now_there.values() for pod in each.in_flight}
        }

    def _source(self, service: Service, now: datetime) -> Source:
        """Who answers: the one that was named, or the first that has counts of two revisions, and then that one for as
        long as it tells; another one's counts of the same requests may come later."""
        if service.ask.source != "auto":
            return service.ask.source
        if service.settled is not None and self._fresh(service.told[service.settled], now):
            return service.settled
        best = max(ORDER, key=lambda source: self._rank(service.told[source], now))
        service.settled = best if self._rank(service.told[best], now)[1] > 1 else service.settled
        return best

    def _rank(self, told: Told, now: datetime) -> tuple[bool, int]:
        """How much a source knows: whether it tells at all, and of how many revisions it has counted requests."""
        counted = {told.revisions.get(pod) for pod, total in told.sums.total().items() if total} - {None}
        return self._fresh(told, now), min(len(counted), 2)

    def _fresh(self, told: Told, now: datetime) -> bool:
        return told.heard is not None and not told.why and now - told.heard <= STALE

    def _why(self, service: Service, now: datetime) -> str:
        """Why nobody tells."""
        sources = ORDER if service.ask.source == "auto" else (service.ask.source,)
        said = [service.told[source].why for source in sources]
        return "; ".join(each for each in said if each) or "the first counts are about to come"

    def _expire(self, now: datetime) -> bool:
        """Forget those for whom nobody has asked for long. Whether there is room now."""
        for key in [key for key, each in self._services.items() if now - each.asked > UNASKED]:
            del self._services[key]
        return len(self._services) < SERVICES

    def _now(self) -> datetime:
        self._latest = max(self._latest, self._clock())
        return self._latest


def _window(source: Source, ask: Ask, told: Told, since: Sample, until: Sample) -> Window:
    """What was counted between two samples, of replicas that are there or have counted something."""
    replicas = tuple(
        ReplicaCounts(pod, told.revisions[pod], _counts(gained, told.metrics), gained.requests)
        for pod, gained in sorted(until.since(since).items())
        if pod in told.revisions and (gained or pod in ask.pods)
    )
    return Window(since.at, until.at, source, replicas, dict(told.in_flight))


def _counts(gained: Tally, metrics: frozenset[Metric]) -> dict[Metric, Count]:
    return {
        metric: Count(bad, good + bad)
        for metric, good, bad in zip(METRICS, gained.good, gained.bad, strict=True)
        if metric in metrics
    }


def _unknown(source: Source, told: Told, ask: Ask) -> str:
    """Which metrics a source cannot tell of, though there is an SLO for them."""
    slo = {"errorRate": 0.0, "ttft": ask.ttft, "tpot": ask.tpot}
    missing = [metric for metric in METRICS if slo[metric] is not None and metric not in told.metrics]
    names = {"gateway": "the gateways do", "prometheus": "Prometheus does", "pods": "the pods' metrics do"}
    return f"{names[source]} not tell of {', '.join(missing)}" if missing else ""
