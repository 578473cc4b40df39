"""Clients who stream from one service at a rate that may change at any moment, and what became of each request."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp

TICK = 0.02  # seconds between two looks at the rate
LONGEST = 120.0  # seconds of one request
MOST = 2000  # requests at once: a machine that cannot keep up fails here and not somewhere else
ENDS = 90.0  # seconds that the last requests get at the end


@dataclass(slots=True)
class Request:
    """One stream, by the client's clock. Times are Unix seconds."""

    began: float
    first: float | None = None  # when the first token came
    ended: float = 0.0
    tokens: int = 0
    error: str = ""  # what the client got in place of the whole answer

    @property
    def ttft(self) -> float | None:
        return None if self.first is None else self.first - self.began

    @property
    def tpot(self) -> float | None:
        return None if self.first is None or self.tokens < 2 else (self.ended - self.first) / (self.tokens - 1)

    def within(self, ttft: float, tpot: float) -> bool:
        """Whether it was answered whole, with no more seconds to the first token and from one to the next."""
        found, pace = self.ttft, self.tpot
        return not self.error and found is not None and found <= ttft and (pace is None or pace <= tpot)


class Load:
    """Requests at `rate` a second, set by whoever likes, for as long as the context lasts."""

    def __init__(self, urls: Sequence[str], model: str, tokens: int, *, seed: int | None = None) -> None:
        """`urls`: of the gateways, asked in turn. `seed`: arrivals are Poisson's; None: they keep equal distances."""
        self.rate = 0.0
        self.sent: list[Request] = []
        self._urls, self._tokens = urls, tokens
        self._body = {
            "model": model,
            "messages": [
                {"role": "user", "content": "Tell me of the sea, of the ships on it and of those who sail them."}
            ],
            "max_tokens": tokens,
            "ignore_eos": True,
            "stream": True,
        }
        self._chance = None if seed is None else random.Random(seed)
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=LONGEST)
        )
        self._arriving = asyncio.create_task(self._arrive())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._arriving.cancel()
        await asyncio.wait([self._arriving])
        if self._running:
            await asyncio.wait(self._running, timeout=ENDS if kind is None else 0)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._session.close()

    @property
    def open(self) -> int:
        """Requests that have not ended."""
        return len(self._running)

    @property
    def lost(self) -> list[Request]:
        """Those that ended without the whole answer."""
        return [each for each in self.sent if each.error]

    def since(self, begin: float, end: float) -> list[Request]:
        """Those that began in a span of time."""
        return [each for each in self.sent if begin <= each.began < end]

    async def _arrive(self) -> None:
        clock = asyncio.get_running_loop().time
        due, looked = self._distance(), clock()
        while True:
            await asyncio.sleep(TICK)
            now = clock()
            due, looked = due - self.rate * (now - looked), now
            while due <= 0:
                due += self._distance()
                if len(self._running) >= MOST:
                    raise RuntimeError(f"{MOST} requests at once: the machine does not keep up")
                self._send()

    def _distance(self) -> float:
        """To the next request, in mean distances."""
        return 1.0 if self._chance is None else self._chance.expovariate(1.0)

    def _send(self) -> None:
        request = Request(time.time())
        url = self._urls[len(self.sent) % len(self._urls)]
        self.sent.append(request)
        task = asyncio.create_task(self._ask(url, request))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _ask(self, url: str, request: Request) -> None:
        try:
            request.error = await self._stream(url, request)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            request.error = f"{type(error).__name__}: {error}"
        except asyncio.CancelledError:
            request.error = "it had not ended"
            raise
        finally:
            request.ended = time.time()

    async def _stream(self, url: str, request: Request) -> str:
        async with self._session.post(f"{url}/v1/chat/completions", json=self._body) as answer:
            if answer.status != 200:
                return f"{answer.status}: {(await answer.text())[:200]}"
            async for line in answer.content:
                if line.startswith(b"data: [DONE]"):
                    whole = request.tokens == self._tokens
                    return "" if whole else f"{request.tokens} tokens in place of {self._tokens}"
                if b'"content":' in line and b'"content":""' not in line:
                    request.tokens += 1
                    request.first = request.first or time.time()
                elif b'"error"' in line:
                    return line.decode(errors="replace")[:200]
        return "it ended early"
