"""Clients that stream without a pause over several gateways, and what became of each of their requests.

A gateway is chosen as a load balancer does it: in turn among those whose /readyz is 200, asked every tenth of a second.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp

from harness import GatewayProcess

LOOK_EVERY = 0.1  # seconds
HANGS = 20.0  # seconds; a stream takes about one
FEW = 3  # tokens of a stream of which there are many
PATIENCE = 40.0  # seconds for anything to happen


@dataclass(slots=True)
class Request:
    """One stream from its beginning to its end."""

    id: str
    gateway: str
    began: float
    ended: float = 0.0
    status: int = 0
    revision: str = ""
    tokens: int = 0
    whole: bool = False  # it came to its [DONE]
    error: dict[str, Any] = field(default_factory=dict)  # as the client was told

    @property
    def good(self) -> bool:
        return self.status == 200 and self.whole and not self.error


class Streams:
    """So many clients that stream from `model` while the context lasts."""

    def __init__(self, gateways: Sequence[GatewayProcess], model: str, clients: int, tokens: int) -> None:
        self.ended: list[Request] = []
        self._gateways = gateways
        self._body = {
            "model": model,
            "messages": [{"role": "user", "content": "Tell me of the sea."}],
            "max_tokens": tokens,
            "ignore_eos": True,
            "stream": True,
        }
        self._clients, self._tokens = clients, tokens
        self._ready: list[GatewayProcess] = []
        self._turn = itertools.count()
        self._stopped = False

    async def __aenter__(self) -> Self:
        limit = aiohttp.ClientTimeout(total=HANGS)
        self._session = aiohttp.ClientSession(timeout=limit, connector=aiohttp.TCPConnector(limit=0))
        await self._look()
        self._looking = asyncio.create_task(self._keep_looking())
        self._running = [asyncio.create_task(self._client(number)) for number in range(self._clients)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        await asyncio.gather(*self._running)
        self._looking.cancel()
        await asyncio.wait([self._looking])
        await self._session.close()

    async def more(self, number: int) -> list[Request]:
        """Wait for so many that begin from now on, and end."""
        now = asyncio.get_running_loop().time()

        def later() -> list[Request]:
            return [request for request in self.ended if request.began >= now]

        await self.until(f"{number} more streams", lambda: len(later()) >= number)
        return later()

    async def until(self, what: str, true: Callable[[], bool]) -> None:
        """Wait while they stream. Raises TimeoutError that names `what`."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not true():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise TimeoutError(f"{what}: not within {PATIENCE:.0f} s; {self.summary()}") from None

    @property
    def bad(self) -> list[Request]:
        return [request for request in self.ended if not request.good]

    def summary(self) -> str:
        errors = Counter(str(request.error.get("code")) for request in self.bad)
        return f"{len(self.ended)} streams, {len(self.bad)} of them failed: {dict(errors)}"

    async def _client(self, number: int) -> None:
        await asyncio.sleep(number / self._clients)  # not all at once
        for count in itertools.count():
            if self._stopped:
                return
            ready = self._ready or self._gateways
            gateway = ready[next(self._turn) % len(ready)]
            request = Request(f"client-{number}.{count}", gateway.name, asyncio.get_running_loop().time())
            await self.carry(gateway.url, request)
            request.ended = asyncio.get_running_loop().time()
            self.ended.append(request)

    async def carry(self, url: str, request: Request) -> None:
        """Stream, and write down how it went."""
        try:
            await self._stream(url, request)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            request.error = {"code": type(error).__name__, "message": str(error)}

    async def _stream(self, url: str, request: Request) -> None:
        headers = {"X-Request-Id": request.id}
        async with self._session.post(f"{url}/v1/chat/completions", json=self._body, headers=headers) as answer:
            request.status = answer.status
            request.revision = answer.headers.get("Inferops-Revision", "")
            if answer.status != 200:
                request.error = (await answer.json())["error"]
                return
            async for line in answer.content:
                self._take(line.strip(), request)

    def _take(self, line: bytes, request: Request) -> None:
        if line == b"data: [DONE]":
            request.whole = request.tokens == self._tokens
            if not request.whole:
                request.error = {"code": "tokens", "message": f"{request.tokens} tokens in place of {self._tokens}"}
        elif line.startswith(b"data: "):
            event = json.loads(line.removeprefix(b"data: "))
            request.error = event.get("error") or request.error
            choices = event.get("choices") or [{}]
            request.tokens += bool(choices[0].get("delta", {}).get("content"))

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self._look()

    async def _look(self) -> None:
        found = await asyncio.gather(*(self._answers(each) for each in self._gateways))
        self._ready = [gateway for gateway, ready in zip(self._gateways, found, strict=True) if ready]

    async def _answers(self, gateway: GatewayProcess) -> bool:
        try:
            async with self._session.get(f"{gateway.base}/readyz", timeout=aiohttp.ClientTimeout(total=1)) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


class Traffic(Streams):
    """Streams that begin at a rate, however long they take: slow answers do not make it slow."""

    def __init__(self, gateways: list[GatewayProcess], model: str, rate: float) -> None:
        """`rate`: streams a second."""
        super().__init__(gateways, model, clients=1, tokens=FEW)
        self._rate = rate
        self._open: set[asyncio.Task[None]] = set()

    async def _client(self, number: int) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        for count in itertools.count():
            due = max(due + 1 / self._rate, clock() - 1)  # a machine that has much else to do is not asked all at once
            await asyncio.sleep(max(0.0, due - clock()))
            if self._stopped:
                break
            task = asyncio.create_task(self._one(f"{self._body['model']}.{count}", self._gateways[count % 2]))
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        await asyncio.gather(*self._open)

    async def _one(self, name: str, gateway: GatewayProcess) -> None:
        request = Request(name, gateway.name, time.time())
        await self.carry(gateway.url, request)
        request.ended = time.time()
        self.ended.append(request)

    async def _look(self) -> None:
        """These gateways are there all the time."""

    async def _keep_looking(self) -> None:
        """Likewise."""


def access_log(*gateways: GatewayProcess) -> dict[str, dict[str, Any]]:
    """What the gateways logged of each request, by its id."""
    found = {}
    for gateway in gateways:
        for line in gateway.log.read_text(errors="replace").splitlines():
            if line.startswith('{"time"'):
                record = json.loads(line)
                found[record["requestId"]] = record
    return found
