"""The stream by which the operator learns who waits, and how the revisions of a rollout do: GET /demand on the
metrics port, a line of JSON each time.

First all services; then within milliseconds those whose room began to fill or became empty, and every second those
with any traffic since. A line: {"gateway": "POD", "boot": "ID", "up": 61.5, "services": {"NS/NAME": {"waiting": 3,
"inFlight": 0, "idle": 0.0, "load": [...]}}}, with an ID that no other start of it has, `up` in seconds since that
start, `idle` in seconds since a request was there last, and in "load" the numbers of `Totals`, all in all since then.
Of a service that has other clusters to go to, "waiting" holds those too that one of them has just begun to answer;
"load" counts them apart, and else for no more than how long they waited here.

A service with replicas of two revisions or more has "replicas": {"HASH": {"POD": [...]}} in addition, all in all since
the gateway began: attempts judged, and those of them that failed; requests judged by the time to their first token, and
those beyond the SLO, or without one beyond what is usual (`yardstick`); the same by the time per token after it;
attempts begun; and attempts under way now.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aiohttp import web

from inferops.gateway.balance.fleet import Fleet
from inferops.gateway.balance.pool import Pool
from inferops.gateway.signals.load import Load
from inferops.gateway.signals.meters import Meters
from inferops.gateway.signals.series import ReplicaSeries
from inferops.gateway.table import Backend, ServiceKey
from inferops.signals.totals import Totals

TICK = 1.0  # seconds between two lines at the most
GATHER = 0.005  # seconds in which several news make one line
PATIENCE = 5.0  # seconds that a reader may take for a line
MOST_READERS = 16

Counts = dict[str, dict[str, list[int]]]  # of replicas, by hash and pod


@dataclass(eq=False, slots=True)
class _Reader:
    """Who reads, and what there is to tell at once."""

    news: set[ServiceKey] = field(default_factory=set[ServiceKey])
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    ticked: float = 0.0  # when it was last told of all traffic
    counted: set[ServiceKey] = field(default_factory=set[ServiceKey])  # services whose replicas it was told of last


class Demand:
    """Tells the state of a fleet to whoever reads."""

    def __init__(self, fleet: Fleet, meters: Meters, gateway: str, clock: Callable[[], float]) -> None:
        """`gateway`: the name of this one's pod. `clock`: the fleet's. Takes `fleet.on_demand` for itself."""
        self._fleet, self._meters, self._gateway, self._clock = fleet, meters, gateway, clock
        self._boot, self._began = uuid.uuid4().hex[:12], clock()
        self._readers: set[_Reader] = set()
        self._closed = False
        fleet.on_demand = self.changed

    def changed(self, key: ServiceKey) -> None:
        """Requests begin to wait for a service, or none waits any more."""
        for reader in self._readers:
            reader.news.add(key)
            reader.woken.set()

    def close(self) -> None:
        """Let every stream end."""
        self._closed = True
        for reader in self._readers:
            reader.woken.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /demand. Ends when the reader goes, or is too slow."""
        if len(self._readers) >= MOST_READERS:
            return web.Response(status=503, text=f"{MOST_READERS} read already\n", headers={"Retry-After": "5"})
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
        reader = _Reader()
        self._readers.add(reader)
        try:
            await response.prepare(request)
            await self._tell(reader, response)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()  # what a slow reader has not taken is not kept for it
        finally:
            self._readers.discard(reader)
        return response

    async def _tell(self, reader: _Reader, response: web.StreamResponse) -> None:
        """Write line after line. Raises ConnectionError and TimeoutError."""
        reader.ticked = self._clock()
        keys: Iterable[ServiceKey] = tuple(self._fleet.table.by_key)
        while not self._closed:
            async with asyncio.timeout(PATIENCE):
                await response.write(self._line(reader, keys))
            keys = await self._next(reader)

    def _line(self, reader: _Reader, keys: Iterable[ServiceKey]) -> bytes:
        now = self._clock()
        services: dict[str, dict[str, object]] = {}
        for key in keys:
            pool = self._fleet.pool(key)
            reader.counted.discard(key)
            if pool is None:  # it was deleted meanwhile
                continue
            told: dict[str, object] = {
                "waiting": pool.wanting(now),
                "inFlight": pool.in_flight,
                "idle": round(pool.idle(now), 3),
                "load": self._load(pool, now),
            }
            if replicas := self._replicas(pool.backend):
                told["replicas"] = replicas
                reader.counted.add(key)
            services[f"{key.namespace}/{key.name}"] = told
        up = round(now - self._began, 3)
        line = {"gateway": self._gateway, "boot": self._boot, "up": up, "services": services}
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"

    def _load(self, pool: Pool, now: float) -> Totals:
        """What was asked of a service."""
        series, (busy, queued) = self._meters.services.get(pool.backend.key), pool.spent(now)
        load = series.load if series is not None else Load()
        return Totals(
            load.arrivals,
            load.ended,
            round(busy, 3),
            round(queued, 3),
            load.tokens_in,
            load.tokens_out,
            load.counted,
            round(load.ttft, 3),
            load.firsts,
            round(load.tpot, 6),
            load.paced,
            load.judged,
            load.missed,
            pool.overflow.passed,
        )

    def _replicas(self, backend: Backend) -> Counts:
        """What the replicas of a service have counted; nothing where only one revision has any. Those that left the
        table, as a replica does that crashes, are told of for as long as they are remembered."""
        if len(backend.revisions) < 2:
            return {}
        told: Counts = {}
        for revision in backend.revisions:
            for replica in revision.replicas:
                told.setdefault(revision.hash, {})[replica.name] = [0] * 8
        for (_, hashed, pod), series in self._meters.of(backend.key).items():
            if hashed and pod:
                told.setdefault(hashed, {})[pod] = _counts(series)
        return told if len(told) > 1 else {}

    async def _next(self, reader: _Reader) -> set[ServiceKey]:
        """The services to tell of next, once there is a reason to tell."""
        try:
            async with asyncio.timeout(max(0.0, reader.ticked + TICK - self._clock())):
                await reader.woken.wait()
                await asyncio.sleep(GATHER)
        except TimeoutError:
            now = self._clock()
            since, reader.ticked = now - reader.ticked, now
            reader.news.update(
                pool.backend.key
                for pool in self._fleet.pools()
                if pool.idle(now) <= since
                or self._ended(pool.backend.key, now - since)
                or self._begins(reader, pool.backend)
            )
        reader.woken.clear()
        news, reader.news = reader.news, set()
        return news

    def _ended(self, key: ServiceKey, since: float) -> bool:
        """Whether a request ended after a moment, be it that its client gave up."""
        series = self._meters.services.get(key)
        return series is not None and series.load.touched >= since

    def _begins(self, reader: _Reader, backend: Backend) -> bool:
        """Whether a reader does not know from where a service's replicas count: told only once they have counted
        something, that would be lost."""
        return len(backend.revisions) > 1 and backend.key not in reader.counted and bool(self._replicas(backend))


def _counts(series: ReplicaSeries) -> list[int]:
    judged = [by_slo + by_usual for by_slo, by_usual in zip(series.judged, series.compared, strict=True)]
    missed = [by_slo + by_usual for by_slo, by_usual in zip(series.missed, series.slow, strict=True)]
    pairs = [each for pair in zip(judged, missed, strict=True) for each in pair]
    return [*pairs, sum(series.attempts.values()) + series.in_flight, series.in_flight]
