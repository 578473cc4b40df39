"""What was counted of the requests of services in a rollout: from the gateways, from Prometheus, or from the pods.

Every source is followed on its own from the moment that a rollout asks for it, and one of them at a time answers. Who
tells nothing holds: there is no window then, and a sentence why. After a restart of the operator counting begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from inferops.controller.demandline import Counted
from inferops.controller.following import ORDER, SOON, Ask, Asked, answers, follow, target_of
from inferops.controller.store import Key
from inferops.controller.told import Limits, Told
from inferops.core.signal import Source, Window
from inferops.signals.cumulative import METRICS, Sums
from inferops.signals.reading import Target

UNASKED = timedelta(minutes=15)  # after which nobody is taken to ask for a service any more
SERVICES = 2000  # in rollouts at a time


class Gateways(Protocol):
    """What the built-in gateways tell, as `demand.Demands` puts it together."""

    counted: Callable[[Key, str, Counted], None]

    def counts(self, key: Key) -> Mapping[str, Counted]: ...


@dataclass(slots=True)
class Service:
    """A service whose rollout is under way."""

    ask: Ask
    asked: datetime
    told: dict[Source, Told]
    settled: Source | None = None  # the source that was taken, once it had counts of two revisions


class Counting:
    """Counts by service."""

    def __init__(
        self, now: Callable[[], datetime], gateways: Gateways | None = None, prometheus: str | None = None
    ) -> None:
        """`now`: the wall clock; while it goes backwards it is taken to stand still. `prometheus`: its URL."""
        self._clock, self._gateways, self._prometheus = now, gateways, prometheus
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
        if self._prometheus is None:
            told["prometheus"].why = "the operator knows no Prometheus (--prometheus)"
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
        window = told.window(source, since, now, service.ask.pods) if told.fresh(now) else None
        if window is None:
            return None, self._why(service)
        return window, told.unknown(source, _limits(service.ask))

    async def run(self) -> None:
        """Ask those who do not tell by themselves, until cancelled."""
        await follow(self._prometheus, self.ask)

    async def ask(self, source: Source, asked: Asked) -> None:
        """Ask a source once for all services of which it is to tell."""
        self._expire(self._now())
        targets = self._targets(source)
        if not targets:
            return
        told = await answers(source, asked, targets)
        now = self._now()
        for key, answer in told.items():
            if (service := self._services.get(key)) is not None:
                service.told[source].take(now, source, answer, service.ask.pods)

    def _targets(self, source: Source) -> dict[Key, Target]:
        """The services of which a source is to tell now: those that name it, and those for which nobody tells who
        comes before it."""
        now = self._now()
        targets: dict[Key, Target] = {}
        for key, service in self._services.items():
            settled = service.settled
            other = settled not in (None, source) and service.told[settled].fresh(now)
            if service.ask.source == source or (service.ask.source == "auto" and not other):
                target = target_of(key, service.ask, 2)
                if isinstance(target, Target):
                    targets[key] = target
                else:
                    service.told[source].why = target
        return targets

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
            told.metrics = told.judged() | {metric for metric in METRICS if _limits(service.ask)[metric] is not None}
        told.in_flight = {
            pod: sum(each.in_flight.get(pod, 0) for each in now_there.values())
            for pod in {pod for each in now_there.values() for pod in each.in_flight}
        }

    def _source(self, service: Service, now: datetime) -> Source:
        """Who answers: the one that was named, or the first that has counts of two revisions, and then that one for as
        long as it tells; another one's counts of the same requests may come later."""
        if service.ask.source != "auto":
            return service.ask.source
        if service.settled is not None and service.told[service.settled].fresh(now):
            return service.settled

        def knows(source: Source) -> tuple[bool, bool, bool]:
            told = service.told[source]
            counted = told.counted()
            return told.fresh(now), counted > 1, counted > 0

        best = max(ORDER, key=knows)
        if all(knows(best)):
            service.settled = best
        return best

    def _why(self, service: Service) -> str:
        """Why nobody tells."""
        sources = ORDER if service.ask.source == "auto" else (service.ask.source,)
        said = [service.told[source].why for source in sources]
        return "; ".join(each for each in said if each) or SOON

    def _expire(self, now: datetime) -> bool:
        """Forget those for whom nobody has asked for long. Whether there is room now."""
        for key in [key for key, each in self._services.items() if now - each.asked > UNASKED]:
            del self._services[key]
        return len(self._services) < SERVICES

    def _now(self) -> datetime:
        self._latest = max(self._latest, self._clock())
        return self._latest


def _limits(ask: Ask) -> Limits:
    return {"errorRate": 0.0, "ttft": ask.ttft, "tpot": ask.tpot}
