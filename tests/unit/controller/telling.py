"""Gateways on loopback that tell what a test puts into them, and what reads them, with a clock that stands still."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from inferops.controller.demand import Demands, Word
from inferops.controller.demandline import Counted
from inferops.controller.gateways import Gateway, Gateways
from inferops.controller.store import Key
from inferops.core.observation import Demand
from unit.waiting import until

LLAMA, QWEN = (Key("InferenceService", "chat", name) for name in ("llama", "qwen"))


def told(waiting: int = 0, in_flight: int = 0, idle: float = 0.0) -> dict[str, Any]:
    return {"waiting": waiting, "inFlight": in_flight, "idle": idle}


def line(**services: Any) -> bytes:
    """A gateway's line; services of the namespace chat."""
    return json.dumps({"gateway": "g", "services": {f"chat/{name}": each for name, each in services.items()}}).encode()


def boot(name: str, up: float | None = None, **services: Any) -> bytes:
    """A line of one start of a gateway."""
    more = {} if up is None else {"up": up}
    return json.dumps({**json.loads(line(**services)), "boot": name, **more}).encode()


class Teller:
    """A gateway that tells what a test puts into it. An empty line ends its stream."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.status = 200
        self.asked = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.status != 200:
            return web.Response(status=self.status, headers={"Location": "/elsewhere"})
        response = web.StreamResponse()
        await response.prepare(request)
        while text := await self.lines.get():
            await response.write(text)
        return response

    def say(self, text: bytes) -> None:
        self.lines.put_nowait(text + b"\n")

    def end(self) -> None:
        self.lines.put_nowait(b"")


class Bench:
    """Gateways on loopback, and what reads them, with a clock that stands still."""

    def __init__(self) -> None:
        self.time = 100.0
        self.gateways = Gateways()
        self.added: list[Key] = []
        self.asleep: set[Key] = set()
        self.dropped: list[str] = []
        self.known = {LLAMA, QWEN}
        self.demands = Demands(
            self.gateways,
            lambda: self.time,
            self.added.append,
            asleep=lambda namespace, name: Key("InferenceService", namespace, name) in self.asleep,
            managed=lambda: [LLAMA],
            everything=lambda: [LLAMA, QWEN],
            known=self.known.__contains__,
            dropped=self.dropped.append,
        )
        self.counted: list[tuple[Key, str, Counted]] = []
        self.demands.counted = lambda *told: self.counted.append(told)
        self.loaded: list[tuple[Key, Word]] = []
        self.demands.loaded = lambda *told: self.loaded.append(told)
        self.tellers: dict[str, Teller] = {}
        self.runners: list[web.AppRunner] = []

    async def start(self) -> Teller:
        """A gateway that is not listed yet."""
        teller = Teller()
        app = web.Application()
        app.router.add_get("/demand", teller.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.runners.append(runner)
        host, port = runner.addresses[0]
        self.tellers[f"{host}:{port}"] = teller
        return teller

    def list(self, *unready: Teller) -> None:
        """List the gateways, all of them ready but for these."""
        self.gateways.listed = tuple(
            Gateway(f"10.0.0.{number}:8080", address, teller not in unready)
            for number, (address, teller) in enumerate(self.tellers.items())
        )
        self.gateways.changed()

    async def until(self, true: Callable[[], Any]) -> None:
        await until(true, every=0.002, seconds=5)

    async def becomes(self, demand: Demand | None, key: Key = LLAMA) -> None:
        try:
            await self.until(lambda: self.demands.of(key) == demand)
        except AssertionError:
            raise AssertionError(f"{self.demands.of(key)}, not {demand}") from None


@asynccontextmanager
async def bench(gateways: int = 1) -> AsyncIterator[tuple[Bench, list[Teller]]]:
    made = Bench()
    tellers = [await made.start() for _ in range(gateways)]
    made.list()
    reading = asyncio.create_task(made.demands.read())
    try:
        yield made, tellers
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        for teller in tellers:
            teller.end()
        for runner in made.runners:
            await runner.cleanup()
