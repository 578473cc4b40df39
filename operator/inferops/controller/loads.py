"""What was asked of services: by the gateways, by Prometheus, or by the pods, one of whom is believed at a time.

Unless a source is named, gateways are believed while hardly a request goes past them, which engines are asked about now
and then; where gateways do not tell, Prometheus and then the pods are asked all the time. Whoever tells nothing, or
told something too long ago, gives no load and a sentence why. After a restart of the operator counting begins anew.
The leader's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from inferops.controller.demand import Word
from inferops.controller.engineload import STALE, EngineLoad
from inferops.controller.following import POLL, SOON, Ask, Asked, answers, follow, target_of
from inferops.controller.gatewayload import GatewayLoad
from inferops.controller.store import Key
from inferops.core.load import Load
from inferops.core.signal import Source
from inferops.signals.reading import Target

SERVICES = 5000  # at a time
ENGINES: tuple[Source, ...] = ("prometheus", "pods")
EVERY = {"prometheus": 10.0, "pods": POLL}  # seconds between two looks at a source that is believed
CHECK = 60.0  # and at one that only shows what goes past the gateways
PODS = 300  # that are asked in one go; others are asked in the next one
BACK = 300.0  # seconds of which it is seen what goes past the gateways
PAST = 20.0  # times as many requests as came through the gateways: then these are not believed
AGAIN = 10.0  # and when they are again


class Gateways(Protocol):
    """What the built-in gateways tell, as `demand.Demands` puts it together."""

    loaded: Callable[[Key, Word], None]

    def words(self, key: Key) -> Sequence[Word]: ...


@dataclass(slots=True)
class Service:
    """One that follows its load."""

    ask: Ask
    gateway: GatewayLoad
    engines: dict[Source, EngineLoad] = field(default_factory=lambda: {source: EngineLoad() for source in ENGINES})
    past: bool = False  # whether most requests go past the gateways

    @property
    def started(self) -> bool:
        """Whether there are engines that could have requests."""
        return any(pod.started for pod in self.ask.pods.values())


class Loads:
    """The load of each service."""

    def __init__(
        self, now: Callable[[], datetime], gateways: Gateways | None = None, prometheus: str | None = None
    ) -> None:
        """`now`: the wall clock; while it goes backwards it is taken to stand still. `prometheus`: its URL."""
        self._clock, self._gateways, self._prometheus = now, gateways, prometheus
        self._latest = now().timestamp()
        self._services: dict[Key, Service] = {}
        if gateways is not None:
            gateways.loaded = self._heard

    def want(self, key: Key, ask: Ask) -> None:
        """Count what is asked of a service from now on. To be called again and again, with what is new."""
        service = self._services.get(key)
        if service is not None:
            service.ask = ask
        elif len(self._services) < SERVICES:
            now = self._now()
            service = self._services[key] = Service(ask, GatewayLoad(now))
            service.gateway.begin(self._words(key), now)
            if self._prometheus is None:
                service.engines["prometheus"].why = "the operator knows no Prometheus (--prometheus)"

    def forget(self, key: Key) -> None:
        """Nobody wants to know any more."""
        self._services.pop(key, None)

    def load(self, key: Key, since: float | None) -> tuple[Load | None, str]:
        """What was asked of a service after `since`, in Unix seconds, and else why nothing is known.

        It begins with the newest sample that is not after `since`, or the first one, and ends with the newest one:
        asked again with its end, nothing is lost or counted twice. Where nothing is newer both are the same moment.
        """
        service = self._services.get(key)
        if service is None:
            many = len(self._services) >= SERVICES
            return None, f"more than {SERVICES} services are counted already" if many else "counting has not begun"
        now = self._now()
        service.gateway.look(self._words(key), now)
        source = _believed(service, now)
        if source is None:
            return None, _why(service)
        return _load(service, source, since, now), ""

    async def run(self) -> None:
        """Ask those who do not tell by themselves, until cancelled."""
        await follow(self._prometheus, self.ask)

    async def ask(self, source: Source, asked: Asked) -> None:
        """Ask a source once for all services of which it is to tell now."""
        targets = self._targets(source)
        if not targets:
            return
        told = await answers(source, asked, targets)
        now = self._now()
        for key, answer in told.items():
            if (service := self._services.get(key)) is not None:
                service.engines[source].take(answer, service.ask, now)

    def _targets(self, source: Source) -> dict[Key, Target]:
        """The services of which a source is to tell now, those first that were asked about longest ago."""
        now, left = self._now(), PODS
        targets: dict[Key, Target] = {}
        for key, service in sorted(self._services.items(), key=lambda each: each[1].engines[source].asked or 0.0):
            if not service.gateway.fresh(now):  # nobody has looked of late
                service.gateway.look(self._words(key), now)
            engine, every = service.engines[source], _every(service, source, now)
            if every is None or not engine.due(now, every):
                continue
            target = target_of(key, service.ask, 1, load=True)
            if isinstance(target, str):
                engine.why = target
            elif source == "prometheus" or not targets or len(target.pods) <= left:
                targets[key], left, engine.asked = target, left - len(target.pods), now
        return targets

    def _heard(self, key: Key, word: Word) -> None:
        """A gateway tells."""
        service = self._services.get(key)
        if service is not None:
            now = self._now()
            if service.gateway.hear(word, now):
                service.gateway.look(self._words(key), now)

    def _words(self, key: Key) -> Sequence[Word]:
        return self._gateways.words(key) if self._gateways is not None else ()

    def _now(self) -> float:
        self._latest = max(self._latest, self._clock().timestamp())
        return self._latest


def _believed(service: Service, now: float) -> Source | None:
    """Who answers; None: nobody can."""
    source, gateway = service.ask.source, service.gateway
    if source == "gateway":
        return source if gateway.fresh(now) else None
    if source != "auto":
        return source if service.engines[source].fresh(now) else None
    engine = _engine(service, now, STALE)
    if not gateway.fresh(now):
        return engine
    other = engine or _engine(service, now, 3 * CHECK)
    if other is not None:
        service.past = _past(service, other, now)
    if service.past:
        return engine
    # Requests that go past gateways are not seen by them: their silence alone says nothing.
    return "gateway" if gateway.used or other is not None or not service.started else None


def _engine(service: Service, now: float, within: float) -> Source | None:
    return next((source for source in ENGINES if service.engines[source].fresh(now, within)), None)


def _past(service: Service, engine: Source, now: float) -> bool:
    """Whether hardly any requests come through the gateways."""
    gateways, engines = service.gateway.samples, service.engines[engine].samples
    begin = max(gateways.first, engines.first, now - BACK)
    through, served = (each.between(begin, engines.last).ended for each in (gateways, engines))
    if not through and not served:
        return service.past
    return served > (AGAIN if service.past else PAST) * through


def _every(service: Service, source: Source, now: float) -> float | None:
    """How often engines are to be asked; None: not at all."""
    ask, gateway = service.ask, service.gateway
    soon = EVERY[source]
    if ask.source not in ("auto", source) and not ask.queues:
        return None
    trusted = ask.source == "auto" and gateway.fresh(now) and not service.past
    within = 3 * CHECK if trusted and not ask.queues else STALE
    if source == "pods" and ask.source != source and service.engines["prometheus"].fresh(now, within):
        return None
    known = gateway.used or len(service.engines[source].samples) > 1
    return CHECK if trusted and known and not ask.queues else soon


def _why(service: Service) -> str:
    """Why nobody tells."""
    source, engines = service.ask.source, service.engines
    if source != "auto":
        return (service.gateway.why if source == "gateway" else engines[source].why) or SOON
    said = [service.gateway.why, *(each.why for each in engines.values())]
    if not service.gateway.why and service.started:
        said[0] = "requests go past the gateways" if service.past else "no request came through the gateways so far"
    return "; ".join(each for each in said if each) or SOON


def _load(service: Service, source: Source, since: float | None, now: float) -> Load:
    told = service.gateway if source == "gateway" else service.engines[source]
    begin, end, counted = told.samples.since(since)
    known = counted.counted > 0 or counted.ended == 0
    waiting = told.waiting
    if source == "gateway" and service.ask.queues and (engine := _engine(service, now, STALE)) is not None:
        waiting += service.engines[engine].waiting
    return Load(
        begin,
        end,
        source,
        round(counted.arrivals),
        round(counted.ended),
        counted.busy,
        counted.queued,
        waiting,
        told.in_flight,
        round(counted.tokens_in) if known else None,
        round(counted.tokens_out) if known else None,
        counted.ttft / counted.firsts if counted.firsts else None,
        counted.tpot / counted.paced if counted.paced else None,
        round(counted.judged),
        round(counted.missed),
        round(counted.spilled),
    )
