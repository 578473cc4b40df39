"""Tiny engines on loopback that do as they are told, and a gateway in front of them."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp

from inferops.gateway.access import Door
from inferops.gateway.accesslog import AccessLog
from inferops.gateway.attempts import Attempts
from inferops.gateway.deadlines import Deadlines
from inferops.gateway.fleet import Fleet
from inferops.gateway.handler import Handler, Parts
from inferops.gateway.keyring import Keyring
from inferops.gateway.limits import Limiter
from inferops.gateway.meters import Meters
from inferops.gateway.outcome import Outcome
from inferops.gateway.record import Record
from inferops.gateway.server import Port, open_port
from inferops.gateway.table import Backend, Replica, Revision, ServiceKey, Table
from inferops.gateway.upstream import Upstream
from inferops.runtimes.base import Api

OPENAI = Api("openai", paths=("/v1/", "/tokenize"), closed=("/v1/load_lora_adapter",), usage_in_streams=True)
KEY = ServiceKey("chat", "llama")
CHAT = {"model": "llama", "messages": [{"role": "user", "content": "Hello"}]}
STREAMED = {**CHAT, "stream": True}
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


@dataclass(slots=True)
class Seen:
    """A request as the engine got it, and the way to answer."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader

    def header(self, name: str) -> str | None:
        return dict((key.lower(), value) for key, value in self.headers).get(name.lower())

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


def error(body: bytes) -> Any:
    """What an answer says went wrong."""
    return json.loads(body)["error"]


Does = Callable[[Seen], Awaitable[None]]


def says(status: int = 200, body: Any = None, **headers: str) -> Does:
    """Answers with JSON."""

    async def does(seen: Seen) -> None:
        content = (
            body
            if isinstance(body, bytes)
            else json.dumps({"id": "1", "usage": USAGE} if body is None else body).encode()
        )
        fields = {"content_type": "application/json", **headers}
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        await seen.send(f"HTTP/1.1 {status} X\r\n{lines}content-length: {len(content)}\r\n\r\n".encode() + content)

    return does


async def resets(seen: Seen) -> None:
    """Closes the connection without a word."""
    seen.writer.transport.abort()


async def breaks_off(seen: Seen) -> None:
    """Ends in the middle of a whole answer."""
    await seen.send(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"id":')
    seen.writer.close()


async def babbles(seen: Seen) -> None:
    """Answers in no protocol."""
    await seen.send(b"SSH-2.0-OpenSSH_9.6\r\n")


async def hangs(seen: Seen) -> None:
    """Says nothing for as long as the connection lives."""
    await seen.reader.read()


def in_turn(*script: Does) -> Does:
    """What several engines do together: one thing after the other, whoever is asked, and the last one for ever."""
    left = list(script)

    async def does(seen: Seen) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(seen)

    return does


def event(data: Any) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def token(text: str) -> bytes:
    return event({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]})


DONE = event(b"[DONE]")
COUNTS = event({"object": "chat.completion.chunk", "choices": [], "usage": USAGE})
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def streams(*pieces: bytes, then: Does | None = None) -> Does:
    """Streams these pieces, a chunk each; then it ends well, or does something else."""

    async def does(seen: Seen) -> None:
        await seen.send(STREAM)
        for piece in pieces:
            await seen.send(chunk(piece))
        if then is not None:
            await then(seen)
        else:
            await seen.send(b"0\r\n\r\n")

    return does


class Engine:
    """Does one thing after the other, a request each, and the last one again and again."""

    def __init__(self, *script: Does) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self.left = asyncio.Event()  # somebody closed a connection
        self.address = ""
        self._script = list(script) or [says()]

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.transport.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ")
                headers = [cast(tuple[str, str], tuple(line.split(": ", 1))) for line in head[1:] if line]
                size = int({name.lower(): value for name, value in headers}.get("content-length", "0"))
                seen = Seen(method, target, headers, await reader.readexactly(size), writer, reader)
                self.seen.append(seen)
                await self._script[min(len(self.seen), len(self._script)) - 1](seen)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self.left.set()
            writer.close()


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
            self.url + path, data=data, headers={"Content-Type": "application/json", **named}
        ) as answer:
            return answer, await answer.read()

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
async def engines(*all_: Engine) -> AsyncIterator[None]:
    """Run engines."""
    servers = [await each.start() for each in all_]
    try:
        yield
    finally:
        for server in servers:
            server.close()


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
