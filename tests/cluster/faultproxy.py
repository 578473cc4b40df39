"""An HTTP proxy between the operator and the API server that loses, delays and refuses requests as a test asks.

It runs in a thread with an event loop of its own, so that it goes on while a test blocks; start it after the process
has entered the bench's namespace. Every request is noted in its journal, also those that it never passed on.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp
import yaml
from aiohttp import web

PASSED_ON = ("Accept", "Authorization", "Content-Type", "User-Agent")
PASSED_BACK = ("Content-Type", "Retry-After")
LINE_LIMIT = 2**21  # bytes; an event of a watch is one line
START_DEADLINE = 10.0  # seconds
REASONS = {
    401: "Unauthorized",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


@dataclass(slots=True)
class Entry:
    """A request, as it came."""

    at: float  # time.monotonic()
    method: str
    path: str
    agent: str
    watch: bool
    status: int = 0  # 0: no answer (yet)

    @property
    def writes(self) -> bool:
        """Whether it asks for a change, Leases left out: those are renewed for ever."""
        return self.method != "GET" and "/leases" not in self.path


@dataclass(slots=True)
class Fault:
    """What happens to the requests that match. Of several that match, the first counts."""

    method: str = ""  # regular expressions, searched for; empty: any
    path: str = ""
    watch: bool | None = None  # only watches, only others, or either
    status: int = 0  # answered instead of passed on
    retry_after: int | None = None  # seconds
    drop: Literal["", "before", "after"] = ""  # the connection, before or after it was passed on
    delay: float = 0.0  # seconds until it is passed on
    share: float = 1.0  # of the requests that match, by chance
    times: int | None = None  # so often and no more
    once_a_path: bool = False
    hits: Counter[str] = field(default_factory=Counter)  # by verb and path

    def strikes(self, entry: Entry, chance: random.Random) -> bool:
        """Whether this request is hit; it is counted then."""
        here = f"{'WATCH' if entry.watch else entry.method} {entry.path}"
        if self.watch is not None and entry.watch != self.watch:
            return False
        if not re.search(self.method, entry.method) or not re.search(self.path, entry.path):
            return False
        if (self.times is not None and self.hits.total() >= self.times) or (self.once_a_path and self.hits[here]):
            return False
        if chance.random() >= self.share:
            return False
        self.hits[here] += 1
        return True


class FaultProxy:
    """A proxy to one API server; a context manager. `server` and `ca` are those of a bench cluster."""

    def __init__(self, server: str, ca: Path, seed: int = 1) -> None:
        self.journal: list[Entry] = []
        self._server, self._ca = server, ca
        self._chance = random.Random(seed)
        self._faults: list[Fault] = []
        self._watches: dict[asyncio.Task[None], bytes | None] = {}  # and its last line; empty: it is cut off
        self._port = 0
        self._up = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="faultproxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._up.wait(START_DEADLINE) or self._failure is not None:
            raise RuntimeError(f"the proxy did not start: {self._failure}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def kubeconfig(self, original: Path, name: str) -> Path:
        """`original`, a kubeconfig with a token, leading through this proxy; written beside it as `name`."""
        config = yaml.safe_load(original.read_text())
        for entry in config["clusters"]:
            entry["cluster"] = {"server": self.url}
        file = original.with_name(f"{name}.kubeconfig")
        file.write_text(yaml.safe_dump(config))
        return file

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[Fault]:
        """Let `fault` happen for as long as the context lasts."""
        self._faults.append(fault)
        try:
            yield fault
        finally:
            self._faults.remove(fault)

    @contextmanager
    def frozen_watches(self) -> Iterator[None]:
        """Watches stay open and tell nothing. What they did not tell comes at the end, unless they are ended before."""
        self._loop.call_soon_threadsafe(self._thawed.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._thawed.set)

    def cut_watches(self) -> int:
        """Drop the connections of all watches, and what they had not told yet. Returns how many there were."""
        return self._end_watches(b"")

    def fail_watches(self, code: int = 410) -> int:
        """End all watches by an event that says ERROR: 410 Gone, as the API server does after a compaction. Returns how
        many there were."""
        return self._end_watches(json.dumps({"type": "ERROR", "object": _failure(code)}).encode() + b"\n")

    def writes(self, since: float = 0.0) -> list[Entry]:
        """Requests for changes that came after `since` (time.monotonic), Leases left out."""
        return [entry for entry in tuple(self.journal) if entry.writes and entry.at >= since]

    def _end_watches(self, last: bytes) -> int:
        async def end() -> int:
            for task in self._watches:
                self._watches[task] = last
                task.cancel()
            return len(self._watches)

        return asyncio.run_coroutine_threadsafe(end(), self._loop).result(START_DEADLINE)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._up.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop, self._thawed = asyncio.Event(), asyncio.Event()
        self._thawed.set()
        app = web.Application(client_max_size=LINE_LIMIT)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=str(self._ca)))
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=LINE_LIMIT) as session:
            self._session = session
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._port = runner.addresses[0][1]
            self._up.set()
            await self._stop.wait()
            await _hang_up(runner)
            await runner.cleanup()
            await asyncio.sleep(0)  # in which connections that are closed by now are lost

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        agent = request.headers.get("User-Agent", "")
        entry = Entry(time.monotonic(), request.method, request.path, agent, "watch" in request.query)
        self.journal.append(entry)
        fault = next((each for each in tuple(self._faults) if each.strikes(entry, self._chance)), Fault())
        await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            return _drop(request)
        if fault.status:
            entry.status = fault.status
            return _refuse(fault)
        try:
            return await self._pass_on(request, entry, fault)
        except aiohttp.ClientError:  # the API server is away
            return _drop(request)

    async def _pass_on(self, request: web.Request, entry: Entry, fault: Fault) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        body = await request.read()
        async with self._session.request(
            request.method, f"{self._server}{request.raw_path}", headers=headers, data=body or None
        ) as answer:
            back = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
            if entry.watch and answer.status == 200:
                entry.status = 200
                return await self._pass_events(request, answer, back)
            content = await answer.read()
            if fault.drop == "after":
                return _drop(request)
            entry.status = answer.status
            return web.Response(status=answer.status, body=content, headers=back)

    async def _pass_events(
        self, request: web.Request, answer: aiohttp.ClientResponse, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)

        async def pump() -> None:
            async for line in answer.content:
                await self._thawed.wait()
                await response.write(line)

        task = asyncio.create_task(pump())
        self._watches[task] = None
        try:
            await task
        except asyncio.CancelledError:
            last = self._watches[task]
            if last is None:
                raise  # the client hung up, or the proxy stops
            if not last:
                return _drop(request)
            with suppress(ConnectionError):
                await response.write(last)
        finally:
            task.cancel()
            del self._watches[task]
        return response


def _drop(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # nobody gets it


def _failure(code: int) -> dict[str, Any]:
    message = "made by a test"
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": REASONS[code],
            "message": message}  # fmt: skip


def _refuse(fault: Fault) -> web.Response:
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else None
    return web.json_response(_failure(fault.status), status=fault.status, headers=headers)


async def _hang_up(runner: web.AppRunner) -> None:
    """Close every connection at once: one whose other end reads no more would never be done with its last bytes."""
    for site in tuple(runner.sites):
        await site.stop()
    async with asyncio.timeout(START_DEADLINE):
        while True:
            await asyncio.sleep(0.01)  # also for those that were just accepted
            connections = runner.server.connections if runner.server is not None else []
            if not connections:
                return
            for connection in connections:
                if connection.transport is not None:
                    connection.transport.abort()
