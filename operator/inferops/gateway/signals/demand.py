"""The stream by which the operator learns who waits: GET /demand on the metrics port, a line of JSON each time.

First all services; then within milliseconds those whose room began to fill or became empty, and every second those
with any traffic since. A line: {"gateway": "POD", "services": {"NS/NAME": {"waiting": 3, "inFlight": 0, "idle": 0.0}}},
with `idle` in seconds since a request was there last.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aiohttp import web

from inferops.gateway.balance.fleet import Fleet
from inferops.gateway.table import ServiceKey

TICK = 1.0  # seconds between two lines at the most
GATHER = 0.005  # seconds in which several news make one line
PATIENCE = 5.0  # seconds that a reader may take for a line
MOST_READERS = 16


@dataclass(eq=False, slots=True)
class _Reader:
    """Who reads, and what there is to tell at once."""

    news: set[ServiceKey] = field(default_factory=set[ServiceKey])
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    ticked: float = 0.0  # when it was last told of all traffic


class Demand:
    """Tells the state of a fleet to whoever reads."""

    def __init__(self, fleet: Fleet, gateway: str, clock: Callable[[], float]) -> None:
        """`gateway`: the name of this one's pod. `clock`: the fleet's. Takes `fleet.on_demand` for itself."""
        self._fleet, self._gateway, self._clock = fleet, gateway, clock
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
                await response.write(self._line(keys))
            keys = await self._next(reader)

    def _line(self, keys: Iterable[ServiceKey]) -> bytes:
        now = self._clock()
        pools = ((key, self._fleet.pool(key)) for key in keys)
        services = {
            f"{key.namespace}/{key.name}": {
                "waiting": pool.waiting,
                "inFlight": pool.in_flight,
                "idle": round(pool.idle(now), 3),
            }
            for key, pool in pools
            if pool is not None  # else it was deleted meanwhile
        }
        return json.dumps({"gateway": self._gateway, "services": services}).encode() + b"\n"

    async def _next(self, reader: _Reader) -> set[ServiceKey]:
        """The services to tell of next, once there is a reason to tell."""
        try:
            async with asyncio.timeout(max(0.0, reader.ticked + TICK - self._clock())):
                await reader.woken.wait()
                await asyncio.sleep(GATHER)
        except TimeoutError:
            now = self._clock()
            since, reader.ticked = now - reader.ticked, now
            reader.news.update(pool.backend.key for pool in self._fleet.pools() if pool.idle(now) <= since)
        reader.woken.clear()
        news, reader.news = reader.news, set()
        return news
