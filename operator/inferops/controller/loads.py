"""What was asked of services: from the gateways, from Prometheus, or from the pods, one of which is believed at a time.

Whoever tells nothing, or told something too long ago, gives no load and a sentence why. After a restart of the operator
counting begins anew. The leader's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from inferops.controller.demand import Word
from inferops.controller.following import Ask
from inferops.controller.gatewayload import GatewayLoad
from inferops.controller.store import Key
from inferops.core.load import Load
from inferops.core.signal import Source
from inferops.signals.samples import Samples

SERVICES = 5000  # at a time
SOON = "the first counts are about to come"


class Gateways(Protocol):
    """What the built-in gateways tell, as `demand.Demands` puts it together."""

    loaded: Callable[[Key, Word], None]

    def words(self, key: Key) -> Sequence[Word]: ...


@dataclass(slots=True)
class Service:
    """One that follows its load."""

    ask: Ask
    gateway: GatewayLoad


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
        now, gateway = self._now(), service.gateway
        gateway.look(self._words(key), now)
        if not gateway.fresh(now):
            return None, gateway.why or SOON
        if len(gateway.samples) < 2:
            return None, SOON
        return _load(gateway.samples, "gateway", since, gateway.waiting, gateway.in_flight), ""

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


def _load(samples: Samples, source: Source, since: float | None, waiting: int, in_flight: int) -> Load:
    begin, end, counted = samples.since(since)
    told = counted.counted > 0 or counted.ended == 0
    return Load(
        begin,
        end,
        source,
        round(counted.arrivals),
        round(counted.ended),
        counted.busy,
        counted.queued,
        waiting,
        in_flight,
        round(counted.tokens_in) if told else None,
        round(counted.tokens_out) if told else None,
        counted.ttft / counted.firsts if counted.firsts else None,
        counted.tpot / counted.paced if counted.paced else None,
        round(counted.judged),
        round(counted.missed),
    )
