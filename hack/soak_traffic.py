"""The soak's clients: so many requests a second to each service, half of them streams, in a thread of their own.

A gateway is chosen as a load balancer does it: in turn among those whose /readyz is 200. Nothing is tried again, so
that what a client would see is what is counted.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp

from harness import GatewayProcess
from soak_figures import Answer

LOOK_EVERY = 0.2  # seconds
HANGS = 150.0  # seconds: longer than a request may wait and take
TOKENS = (8, 24, 48, 400)  # the last takes some seconds: long enough to see something happen


class Traffic:
    """A context manager. `aim` says what is asked for, `take` gives what was answered since."""

    def __init__(self, gateways: Sequence[GatewayProcess], seed: int) -> None:
        self._gateways = tuple(gateways)
        self._rates: dict[str, float] = {}
        self._answers: list[Answer] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._chance = random.Random(seed)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="traffic", daemon=True)
        self._ready: tuple[str, ...] = ()
        self.open = 0
        self.sent = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """No request more, and wait for those that are open."""
        self._over.set()
        self._thread.join(HANGS + 10)

    def aim(self, rates: Mapping[str, float]) -> None:
        """Requests a second by NAMESPACE/NAME."""
        self._rates = dict(rates)

    def through(self, gateways: Sequence[GatewayProcess]) -> None:
        """From now on by these."""
        self._gateways = tuple(gateways)

    def take(self) -> list[Answer]:
        """What was answered since the last time."""
        with self._lock:
            taken, self._answers = self._answers, []
        return taken

    async def _run(self) -> None:
        # Connections are used in turn, so those of a moment with many requests would be kept for good by a few.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=1.0)
        timeout = aiohttp.ClientTimeout(total=HANGS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
            looking = asyncio.create_task(self._keep_looking())
            try:
                async with asyncio.TaskGroup() as self._group:
                    await self._send()
            finally:
                looking.cancel()

    async def _send(self) -> None:
        """Begin requests at their rates, however long each takes."""
        due: dict[str, float] = {}
        numbers = itertools.count()
        clock = time.monotonic
        while not self._over.is_set():
            rates = self._rates
            due = {service: max(at, clock() - 1) for service, at in due.items() if service in rates}
            for service, rate in rates.items():
                at = due.setdefault(service, clock() + self._chance.random() / rate)
                if at <= clock() and self._ready:
                    due[service] = at + 1 / rate
                    self._group.create_task(self._one(service, next(numbers)))
            await asyncio.sleep(0.02)

    async def _one(self, service: str, number: int) -> None:
        gateway, began, stream = self._ready[number % len(self._ready)], time.monotonic(), self._chance.random() < 0.5
        self.open, self.sent = self.open + 1, self.sent + 1
        told: dict[str, Any] = {}
        try:
            await self._ask(
                f"{gateway}/services/{service}/v1/chat/completions", service.partition("/")[2], stream, told
            )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            told["note"] = f"{type(error).__name__}: {error}"[:200]
        self.open -= 1
        answer = Answer(service, began, time.monotonic(), stream=stream, **told)
        with self._lock:
            self._answers.append(answer)

    async def _ask(self, url: str, model: str, stream: bool, told: dict[str, Any]) -> None:
        """Fill in `told` as the answer comes."""
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "Tell me of the sea."}],
            "max_tokens": self._chance.choices(TOKENS, (4, 3, 2, 1))[0],
            "stream": stream,
        }
        async with self._session.post(url, json=body) as answer:
            told["status"] = answer.status
            told["revision"] = answer.headers.get("Inferops-Revision", "")
            told["retry_after"] = "Retry-After" in answer.headers
            if answer.status != 200:
                told["code"] = _code(await answer.read())
            elif stream:
                async for line in answer.content:
                    _take(line.strip(), told)
            else:
                told["whole"] = bool((await answer.json())["choices"])

    async def _keep_looking(self) -> None:
        while True:
            gateways = self._gateways
            found = await asyncio.gather(*(self._answers_ready(each) for each in gateways))
            self._ready = tuple(gateway.url for gateway, ready in zip(gateways, found, strict=True) if ready)
            await asyncio.sleep(LOOK_EVERY)

    async def _answers_ready(self, gateway: GatewayProcess) -> bool:
        try:
            limit = aiohttp.ClientTimeout(total=2)
            async with self._session.get(f"{gateway.base}/readyz", timeout=limit) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


def _take(line: bytes, told: dict[str, Any]) -> None:
    if line == b"data: [DONE]":
        told["whole"] = "code" not in told
    elif line.startswith(b"data: ") and b'"error"' in line:
        told["code"] = _code(line.removeprefix(b"data: ")) or told.get("code", "")


def _code(body: bytes) -> str:
    """The code of an error of OpenAI's shape; empty where it is none."""
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""
