"""A gateway in front of engines, with all its parts but its configuration."""

from __future__ import annotations

import asyncio
import io
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp

from inferops.gateway.access.keyring import Keyring
from inferops.gateway.access.limits import Limiter
from inferops.gateway.balance.fleet import Fleet
from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.proxy.attempts import Attempts
from inferops.gateway.proxy.deadlines import Deadlines
from inferops.gateway.proxy.door import Door
from inferops.gateway.proxy.handler import Handler, Parts
from inferops.gateway.proxy.server import Port, open_port
from inferops.gateway.proxy.upstream import Upstream
from inferops.gateway.signals.accesslog import AccessLog
from inferops.gateway.signals.meters import Meters
from inferops.gateway.signals.record import Record
from inferops.gateway.table import Backend, Replica, Revision, ServiceKey, Table
from inferops.runtimes.base import Api
from unit.gateway.engines import CHAT, STREAMED, Engine, engines

OPENAI = Api("openai", paths=("/v1/", "/tokenize"), closed=("/v1/load_lora_adapter",), usage_in_streams=True)
KEY = ServiceKey("chat", "llama")


class Secrets:
    """Secrets by namespace and name."""

    def __init__(self, *, of: Mapping[tuple[str, str], Mapping[str, bytes | str]] | None = None) -> None:
        self.data = dict(of or {})

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes | str] | None:
        return self.data.get((namespace, name))


@dataclass(slots=True)
class Log:
    """An access log that keeps its records."""

    records: list[Record] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, record: Record) -> None:
        self.records.append(record)
        self.news.set()

    async def next(self) -> Record:
        """The record of the next request that ends, or has ended since the last call."""
        await self.news.wait()
        self.news.clear()
        return self.records[-1]


class Clock:
    """Real time, and what a test adds to it."""

    def __init__(self) -> None:
        self.added = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.added


@dataclass(slots=True)
class Gateway:
    """One under test."""

    fleet: Fleet
    parts: Parts
    handler: Handler
    port: Port
    session: aiohttp.ClientSession
    upstream: Upstream
    clock: Clock
    log: Log
    url: str

    def outcomes(self) -> dict[Outcome, int]:
        """How many attempts ended how; none goes on."""
        every = self.parts.meters.replicas.values()
        assert all(series.in_flight == 0 for series in every)
        counted = sum((Counter(series.attempts) for series in every), Counter[Outcome]())
        return dict(counted)

    async def post(
        self, body: Any = None, path: str = "/v1/chat/completions", **headers: str
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """The answer and its body, read to the end."""
        data = body if isinstance(body, bytes) else json.dumps(CHAT if body is None else body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.post(
            self.url + path, data=io.BytesIO(data), headers={"Content-Type": "application/json", **named}
        ) as answer:
            return answer, await answer.read()

    async def stream_and_leave(self) -> None:
        """Read a stream up to its `[DONE]`, and close the connection before it has ended."""
        async with self.session.post(self.url + "/v1/chat/completions", json=STREAMED) as answer:
            async for line in answer.content:
                if line.startswith(b"data: [DONE]"):
                    break
            answer.close()

    async def get(self, path: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(self.url + path, headers=named) as answer:
            return answer, await answer.read()


def backend(*engines: Engine, key: ServiceKey = KEY, api: Api = OPENAI, **fields: Any) -> Backend:
    """A service with one revision, which these engines serve."""
    replicas = tuple(Replica(f"{key.name}-{number}", engine.address) for number, engine in enumerate(engines))
    revisions = (Revision("aaa", 100, replicas),)
    return Backend(**{"key": key, "api": api, "names": (key.name,), "revisions": revisions, **fields})


@asynccontextmanager
async def gateway(*backends: Backend, secrets: Secrets | None = None) -> AsyncIterator[Gateway]:
    """Run a gateway in front of these services."""
    clock, log = Clock(), Log()
    fleet = Fleet(clock, random.Random(1).random)
    fleet.update(Table(backends))
    meters = Meters(clock, lambda: fleet.table, lambda _: 0)
    upstream, deadlines = Upstream(clock), Deadlines(clock)
    attempts = Attempts(fleet, upstream, meters, clock)
    keyring = Keyring(secrets or Secrets(), clock)
    door = Door(fleet, keyring, Limiter(clock))
    parts = Parts(fleet, door, attempts, meters, cast(AccessLog, log), deadlines, clock, lambda: True)
    handler = Handler(parts)
    async with AsyncExitStack() as stack:
        port = await open_port(handler, "127.0.0.1", 0)
        stack.push_async_callback(port.close, 0.1)
        stack.callback(upstream.close)
        stack.push_async_callback(keyring.close)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        url = f"http://127.0.0.1:{port.number}"
        yield Gateway(fleet, parts, handler, port, session, upstream, clock, log, url)


@asynccontextmanager
async def serving(*all_: Engine, secrets: Secrets | None = None, **fields: Any) -> AsyncIterator[Gateway]:
    """Run engines and a gateway in front of them, as one service."""
    async with engines(*all_), gateway(backend(*all_, **fields), secrets=secrets) as running:
        yield running
