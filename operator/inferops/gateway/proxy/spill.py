"""Has requests answered by gateways of other clusters, the nearest first, where they would wait too long here.

What another gateway says by itself, and not in the words of a replica of its own, is no answer: so is an error by which
a replica would be passed over here. Then the next one is asked, for as long as nothing was sent to the client; where
none is left the request goes on here as if it had never been away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from inferops.gateway.balance import spill
from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.balance.pool import Pool
from inferops.gateway.balance.spill import Turn
from inferops.gateway.balance.targets import Result, Target, Try
from inferops.gateway.proxy import headers, hop
from inferops.gateway.proxy.call import Call
from inferops.gateway.proxy.deadlines import Why, error_of
from inferops.gateway.proxy.errors import UPSTREAM, ApiError
from inferops.gateway.proxy.hop import Hop
from inferops.gateway.proxy.relay import Relay
from inferops.gateway.proxy.retries import BROKEN, REPEATABLE, Budget, Tries
from inferops.gateway.proxy.upstream import Answer, Broken, Unreached, Upstream
from inferops.gateway.signals.meters import Meters
from inferops.gateway.table import SERVICES

MOST = 8  # times that one request is sent to other clusters
REFUSING = (429, 503)
FAILING = (500, 502, 504)
WORDS = 1 << 16  # bytes of a refusal that are read, so that its connection can be kept
GOOD = (Outcome.OK, Outcome.CLIENT)
LIMITED = b'"rate_limit_exceeded"'  # the client's own limits there: no word on the cluster
REVISION = "Inferops-Revision"  # of the replica that answered; without it no replica did


class Went(NamedTuple):
    """How a request to another cluster went."""

    result: Result
    reached: bool = False  # whether a replica there may have it, though it did not answer
    rest: float = 0.0  # seconds for which the cluster asks to be left alone


class Spilling:
    """Of one request that another cluster may answer, or that another cluster's gateway passed on: that one goes no
    further, and may wait here for as long as was said. `turn` is how it waits."""

    __slots__ = ("_clock", "_pool", "asked", "counted", "denied", "guest", "turn")

    def __init__(self, pool: Pool, passed: Hop | None, clock: Callable[[], float]) -> None:
        self._pool, self._clock = pool, clock
        self.guest = passed is not None
        self.counted = False  # as asked of this cluster
        self.asked = 0
        self.denied: set[str] = set()  # clusters, by name, that answer others and not this one
        if passed is None:
            self.turn = Turn(spill.allowed(pool.backend), self.possible)
        else:
            self.turn = Turn(spill.allowed_to_guest(pool.backend, passed.wait, passed.stay), _always)

    def possible(self) -> bool:
        """Whether a cluster can be asked now."""
        return self.next(()) is not None

    def next(self, asked: set[str] | tuple[()]) -> Target | None:
        """The nearest that can be asked now, but for these."""
        targets = self._pool.overflow.targets
        if targets is None or self.guest or self.asked >= MOST:
            return None
        return targets.next(self.denied.union(asked) if asked else self.denied, self._clock())


class Spill:
    """Sends requests to other clusters."""

    def __init__(self, upstream: Upstream, meters: Meters, relay: Relay, clock: Callable[[], float]) -> None:
        """`clock` tells monotonic seconds."""
        self._upstream, self._meters, self._relay, self._clock = upstream, meters, relay, clock

    async def answer(self, call: Call, pool: Pool, spilling: Spilling, tries: Tries, budget: Budget) -> bool:
        """Have a request answered: `call.reply`, which is sent already if it flows. False: nobody took it, and nothing
        was sent. Raises `ApiError`, and ConnectionError where the client went away."""
        record, began = call.record, self._clock()
        asked: set[str] = set()
        away = _Away(pool)
        try:
            while (target := spilling.next(asked)) is not None:
                asked.add(target.cluster.name)
                spilling.asked += 1
                went = await self._ask(call, pool, target, away, spilling.turn.allowed)
                if call.reply is not None:
                    return True
                if went.result is Result.DENIED:
                    spilling.denied.add(target.cluster.name)
                if went.reached:
                    _broke(record.method, target, tries, budget)
        finally:
            away.end()
            if not record.spilled:
                record.queued += self._clock() - began
        return False

    async def _ask(self, call: Call, pool: Pool, target: Target, away: _Away, allowed: float) -> Went:
        """Ask one cluster. Without `call.reply` it did not take the request."""
        record, name = call.record, target.cluster.name
        record.spilled, record.asked = name, self._clock() - record.arrived
        attempt = Try(target, self._clock(), lambda: call.deadline.expire(Why.HUNG))
        went, answer = Went(Result.GONE), None
        try:
            head = self._head(call, pool, target, allowed)
            answer = await self._upstream.send(target.cluster.url, head, call.body, record.method == "HEAD")
            went = await _judge(answer)
            if went.result is Result.ANSWERED:
                attempt.taken(self._clock())
                record.revision = record.replica = ""
                away.end()
                pool.spilled()
                outcome = await self._relay.answer(call, answer, _Alive(attempt, self._clock))
                went = Went(Result.ANSWERED if outcome in GOOD else Result.BROKEN)
        except Unreached as error:
            went = Went(Result.UNREACHABLE, error.sent)
        except Broken:
            went = Went(Result.FAILED, True)
        except asyncio.CancelledError:
            if (why := call.deadline.caught()) is None:
                raise
            if why is not Why.HUNG:
                raise error_of(why) from None
            went = Went(Result.UNREACHABLE, True)
        finally:
            if answer is not None:
                answer.close()
            if went.result is Result.GONE and call.delivered:
                went = Went(Result.ANSWERED)
            attempt.done(went.result, self._clock(), went.rest)
            self._meters.spilled(pool.backend.key, name, went.result)
        if call.reply is None:
            record.spilled = ""
        return went

    def _head(self, call: Call, pool: Pool, target: Target, allowed: float) -> bytes:
        """The request's head. Where no replica will come here it may wait there as long as it might have here."""
        backend, record, rest = pool.backend, call.record, call.head
        if backend.access is not None:  # keys were taken out of it
            size = len(call.body)
            rest = headers.sent(call.request, record, size, keys_checked=False, plain=call.counts_tokens)
        stay, left = bool(backend.asleep), call.deadline.at - self._clock()
        wait = backend.queue_timeout - record.queued if stay else allowed
        passed = hop.line(Hop(wait, left, stay))
        path = f"{SERVICES}{backend.key.namespace}/{backend.elsewhere or backend.key.name}".encode()
        own = call.target if call.target[1:2] not in (b"", b"?") else call.target[1:]
        host = target.cluster.url.partition("://")[2].encode()
        return b"%b %b%b HTTP/1.1\r\nHost: %b\r\n%b%b" % (record.method.encode(), path, own, host, passed, rest)


def _always() -> bool:
    return True


class _Away:
    """That a request is away, and waits here all the same."""

    def __init__(self, pool: Pool) -> None:
        self._pool: Pool | None = pool
        pool.away(1)

    def end(self) -> None:
        """It is answered, or back; only the first call counts."""
        if self._pool is not None:
            self._pool.away(-1)
            self._pool = None


class _Alive:
    """In place of a lease."""

    def __init__(self, attempt: Try, clock: Callable[[], float]) -> None:
        self._attempt, self._clock = attempt, clock

    def progress(self) -> None:
        self._attempt.progress(self._clock())


async def _judge(answer: Answer) -> Went:
    """What an answer says. Raises Broken."""
    status, replica = answer.status, REVISION in answer.headers
    if replica and status not in REFUSING and status not in FAILING:
        return Went(Result.ANSWERED)
    said = await _words(answer)
    if status in REFUSING:
        limited = status == 429 and not replica and LIMITED in said
        return Went(Result.DENIED if limited else Result.REFUSED, rest=_seconds(answer.headers.get("Retry-After", "")))
    if 400 <= status < 500 and status != 404:
        return Went(Result.DENIED)
    return Went(Result.FAILED, status in FAILING)


async def _words(answer: Answer) -> bytes:
    """The beginning of an answer that is not for the client."""
    said = b""
    while len(said) <= WORDS and (piece := await answer.piece()):
        said += piece
    return said


def _broke(method: str, target: Target, tries: Tries, budget: Budget) -> None:
    """A replica of a cluster may have broken on a request. Raises `ApiError` where no other may have it."""
    tries.broken += 1
    if method not in REPEATABLE or tries.broken >= BROKEN or not budget.take():
        message = f"the cluster {target.cluster.name} did not answer; send the request again"
        raise ApiError(502, UPSTREAM, message, retry_after=1)


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() and len(text) < 6 else 0.0
