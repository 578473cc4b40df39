"""Asks replicas that are suspected, or out, whether they live: something that the engine itself must answer.

For "openai" that is a completion of one token, or an embedding where the engine has no completions; the engine's token
counters tell one whose batch is full from one that hangs. For "open-inference" it is /v2/health/ready, and for others
`/`: there a server that answers while the engine behind it hangs goes unseen, since nothing can be asked of a model
whose inputs are not known. The same holds for an "openai" engine that has neither completions nor embeddings, and for
one rank of several behind one server.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from inferops.gateway.balance.fleet import Fleet
from inferops.gateway.balance.health import Verdict, judge, suspects
from inferops.gateway.balance.member import Member
from inferops.gateway.balance.pool import Pool
from inferops.gateway.table import Backend, Replica

LOOK_EVERY = 0.5  # seconds
LIMIT = 5.0  # seconds for an answer
COUNTED_AFTER = 3.0  # seconds between two looks at the engine's counters, both within LIMIT
SETTLE = 0.05  # seconds in which what had arrived meanwhile is noticed
AT_ONCE = 256  # probes
BREATH = 32  # services looked at before requests have their turn again
METRICS_MAX = 4 << 20  # bytes; of a page that is longer nothing is made
NO_SUCH_API = (400, 404, 405, 501)  # what engines say that serve embeddings alone
QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/completions", {"prompt": "ping", "max_tokens": 1}),
    ("/v1/embeddings", {"input": "ping"}),
)

Ask = Callable[[Backend, Replica], Awaitable[Verdict]]


class Prober:
    """Looks after all replicas of a fleet."""

    def __init__(self, fleet: Fleet, ask: Ask, clock: Callable[[], float]) -> None:
        self._fleet = fleet
        self._ask = ask
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK_EVERY)
        finally:
            for task in self._tasks:
                task.cancel()

    async def _look(self) -> None:
        for count, pool in enumerate(self._fleet.watched(), start=1):
            if count % BREATH == 0:
                await asyncio.sleep(0)
            now = self._clock()
            for member in suspects(pool, now):
                if len(self._tasks) >= AT_ONCE:
                    return
                member.probing = True
                task = asyncio.create_task(self._probe(pool, member))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _probe(self, pool: Pool, member: Member) -> None:
        quiet = member.quiet
        try:
            verdict = await self._ask(pool.backend, member.replica)
            if verdict is Verdict.SILENT:
                await asyncio.sleep(SETTLE)
        finally:
            member.probing = False
        judge(pool, member, verdict, quiet, self._clock())


class HttpAsk:
    """Asks over HTTP. `session` belongs to the caller; its connections should not be kept for reuse."""

    def __init__(self, session: aiohttp.ClientSession, limit: float = LIMIT) -> None:
        self._session = session
        self._limit = limit

    async def __call__(self, backend: Backend, replica: Replica) -> Verdict:
        """What the replica says within the limit."""
        if backend.api.dialect != "openai":
            path = "/v2/health/ready" if backend.api.dialect == "open-inference" else "/"
            return await self._within_limit(self._get(replica, path))
        works = asyncio.create_task(self._works(replica))
        try:
            verdict = await self._within_limit(self._question(backend, replica))
            return Verdict.BUSY if verdict is Verdict.SILENT and works.done() and works.result() else verdict
        finally:
            works.cancel()

    async def _within_limit(self, answer: Awaitable[int]) -> Verdict:
        try:
            async with asyncio.timeout(self._limit):
                return _meaning(await answer)
        except TimeoutError:
            return Verdict.SILENT
        except aiohttp.ClientOSError as error:
            refused = error.errno in (errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, None)
            return Verdict.UNREACHABLE if refused else Verdict.SILENT
        except (aiohttp.ClientError, ValueError):  # it closed the connection, or what it sent is no HTTP
            return Verdict.UNREACHABLE

    async def _question(self, backend: Backend, replica: Replica) -> int:
        """The status of the first question that the engine has an API for, else of the last."""
        status = 0
        for path, body in QUESTIONS:
            status = await self._post(replica, path, {"model": backend.names[0], **body})
            if status not in NO_SUCH_API:
                break
        return status

    async def _post(self, replica: Replica, path: str, body: dict[str, Any]) -> int:
        async with self._session.post(f"http://{replica.address}{path}", json=body, allow_redirects=False) as answer:
            return answer.status

    async def _get(self, replica: Replica, path: str) -> int:
        async with self._session.get(f"http://{replica.address}{path}", allow_redirects=False) as answer:
            return answer.status

    async def _works(self, replica: Replica) -> bool:
        """Whether the engine's token counters move."""
        before = await self._counters(replica)
        await asyncio.sleep(self._limit * COUNTED_AFTER / LIMIT)
        return before is not None and await self._counters(replica) not in (None, before)

    async def _counters(self, replica: Replica) -> list[bytes] | None:
        """The samples of its metrics that count tokens; None where there are none."""
        try:
            async with self._session.get(f"http://{replica.address}/metrics", allow_redirects=False) as answer:
                text = bytearray()
                async for chunk in answer.content.iter_any():
                    text += chunk
                    if len(text) > METRICS_MAX:
                        return None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None
        return [line for line in bytes(text).splitlines() if b"token" in line.partition(b"{")[0]] or None


def _meaning(status: int) -> Verdict:
    if status == 503:
        return Verdict.FULL
    return Verdict.FAILING if status >= 500 else Verdict.ALIVE
