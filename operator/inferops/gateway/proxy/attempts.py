"""Gets a request answered: asks one replica, and another where that failed and nothing was sent to the client yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from inferops.gateway.balance.fleet import Fleet
from inferops.gateway.balance.lease import Lease
from inferops.gateway.balance.outcome import (
    Asleep,
    NoOther,
    NoReplica,
    Outcome,
    QueueFull,
    QueueTimeout,
    TooLong,
    Withdrawn,
)
from inferops.gateway.balance.pool import Pool
from inferops.gateway.proxy.call import Call
from inferops.gateway.proxy.deadlines import Why, error_of
from inferops.gateway.proxy.errors import RATE_LIMIT, UNAVAILABLE, UPSTREAM, ApiError
from inferops.gateway.proxy.relay import Relay, whole
from inferops.gateway.proxy.retries import BROKEN as MOST_BROKEN
from inferops.gateway.proxy.retries import REPEATABLE, Budget, Tries
from inferops.gateway.proxy.spill import Spill, Spilling
from inferops.gateway.proxy.upstream import Answer, Broken, Unreached, Upstream
from inferops.gateway.signals.load import ENGINE_FULL, GUEST_REFUSED, QUEUE_FULL, QUEUE_TIMEOUT
from inferops.gateway.signals.meters import Meters
from inferops.gateway.table import ServiceKey

FULL = (429, 503)  # what an engine says that has no room
BROKEN = (500, 502, 504)  # what is worth asking another replica
CODES: dict[type[NoReplica], str] = {
    QueueFull: QUEUE_FULL,
    QueueTimeout: QUEUE_TIMEOUT,
    Asleep: "service_asleep",
    NoOther: "no_other_replica",
    TooLong: GUEST_REFUSED,
    Withdrawn: "service_deleted",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt after which another replica may be asked: nothing was sent to the client."""

    outcome: Outcome
    reached: bool  # whether the replica may have the request
    error: ApiError | None = None
    answer: web.StreamResponse | None = None  # what the engine said, for the client where no other says anything better


class Attempts:
    """Sends requests to the replicas of a fleet."""

    def __init__(self, fleet: Fleet, upstream: Upstream, meters: Meters, clock: Callable[[], float]) -> None:
        """`clock` tells monotonic seconds."""
        self._fleet = fleet
        self._upstream = upstream
        self._meters = meters
        self._clock = clock
        self._relay = Relay(clock, meters)
        self._spill = Spill(upstream, meters, self._relay, clock)
        self._budgets: dict[ServiceKey, Budget] = {}

    async def answer(self, call: Call, pool: Pool) -> web.StreamResponse:
        """The reply to a request, which is sent already where it flows. Raises `ApiError`."""
        if call.hop is None and (pool.overflow.targets is None or call.record.method not in REPEATABLE):
            self._meters.needed(pool.backend.key)
            return await self._answer(call, pool, None)
        spilling = Spilling(pool, call.hop, self._clock)
        try:
            return await self._answer(call, pool, spilling)
        finally:
            if not call.record.spilled:
                self._count(pool, spilling)

    async def _answer(self, call: Call, pool: Pool, spilling: Spilling | None) -> web.StreamResponse:
        tries, budget = Tries(), self._budget(pool)
        budget.request()
        failure: Failure | None = None
        while True:
            try:
                lease = await self._lease(call, pool, tries, spilling)
            except TooLong as error:
                assert spilling is not None
                if spilling.guest:
                    spilling.counted = True  # by the gateway that it comes from
                    raise refusal(error) from None
                if await self._spill.answer(call, pool, spilling, tries, budget):
                    return _sent(call)
                continue
            except NoReplica as error:
                stands = failure if isinstance(error, NoOther) or (failure and failure.answer is not None) else None
                return await self._give_up(call, pool, spilling, tries, stands or error)
            if spilling is not None:
                self._count(pool, spilling)
            failure = await self._attempt(call, lease)
            if failure is None:
                return _sent(call)
            tries.failed(lease.replica.name, failure.outcome, failure.reached)
            if not tries.again(call.record.method, failure.outcome, failure.reached, budget):
                return await self._give_up(call, pool, spilling, tries, failure)

    async def _give_up(
        self, call: Call, pool: Pool, spilling: Spilling | None, tries: Tries, why: Failure | NoReplica
    ) -> web.StreamResponse:
        """What the client gets where no replica is left to ask: another cluster's answer, or what was said last."""
        budget = self._budget(pool)
        if spilling is not None and spilling.possible() and tries.broken < MOST_BROKEN:
            multiplies = isinstance(why, Failure) and why.reached and why.outcome is not Outcome.REFUSED
            if (not multiplies or budget.take()) and await self._spill.answer(call, pool, spilling, tries, budget):
                return _sent(call)
        if isinstance(why, NoReplica):
            raise refusal(why) from None
        return _last(call, why)

    def _count(self, pool: Pool, spilling: Spilling) -> None:
        """A request is asked of this cluster; what another one answers is counted there."""
        if not spilling.counted:
            spilling.counted = True
            self._meters.needed(pool.backend.key)

    def sweep(self) -> None:
        """Forget the budgets of services that are gone."""
        for key in [key for key in self._budgets if self._fleet.pool(key) is None]:
            del self._budgets[key]

    async def _lease(self, call: Call, pool: Pool, tries: Tries, spilling: Spilling | None) -> Lease:
        """A replica to ask. However the wait for it ends, the record tells of it. Raises NoReplica."""
        record, began = call.record, self._clock()
        try:
            lease = await pool.acquire(
                session=call.session,
                affinity=call.affinity,
                exclude=tries.asked,
                waited=record.queued,
                stream=record.stream,
                turn=spilling.turn if spilling is not None else None,
            )
        except BaseException:
            record.queued += self._clock() - began
            raise
        record.queued += lease.queued
        return lease

    async def _attempt(self, call: Call, lease: Lease) -> Failure | None:
        """Ask one replica. None: `call.reply` is the answer."""
        record, key, replica, revision = call.record, call.record.key, lease.replica, lease.revision.hash
        assert key is not None
        record.attempts += 1
        record.revision, record.replica = revision, replica.name
        record.asked = self._clock() - record.arrived
        head = f"Host: {replica.address}\r\n".encode()
        outcome, failure, answer = Outcome.GONE, None, None
        self._meters.began(key, revision, replica.name)
        lease.on_lost = lambda: call.deadline.expire(Why.HUNG)
        try:
            head = b"%b %b HTTP/1.1\r\n%b%b" % (record.method.encode(), call.target, head, call.head)
            answer = await self._upstream.send(replica.address, head, call.body, record.method == "HEAD")
            failure = await self._judge(call, answer, lease)
            outcome = failure.outcome if failure is not None else await self._relay.answer(call, answer, lease)
        except Unreached as error:
            failure = Failure(Outcome.UNREACHABLE, error.sent, _no_answer())
            outcome = failure.outcome
        except Broken:
            failure = Failure(Outcome.FAILED, True, _no_answer())
            outcome = failure.outcome
        except asyncio.CancelledError:
            if (why := call.deadline.caught()) is None:
                raise
            outcome = Outcome.TIMEOUT if why is not Why.ENDING else Outcome.GONE
            if why is not Why.HUNG:
                raise error_of(why) from None
            failure = Failure(outcome, True, error_of(why))
        finally:
            if answer is not None:
                answer.close()
            lease.on_lost = None
            outcome = Outcome.OK if outcome is Outcome.GONE and call.delivered else outcome
            lease.done(outcome)
            self._meters.attempt(key, revision, replica.name, outcome)
        return failure

    async def _judge(self, call: Call, answer: Answer, lease: Lease) -> Failure | None:
        """The failure that an answer stands for, if it stands for one. Raises Broken."""
        full = answer.status in FULL
        if not full and answer.status not in BROKEN:
            return None
        body = await self._relay.body(answer, lease)
        call.record.sent = len(body)
        extra = call.headers
        if full and "Retry-After" not in answer.headers:
            call.headers = {**extra, "Retry-After": "1"}
        reply = whole(call, answer, body)
        call.headers = extra
        return Failure(Outcome.REFUSED if full else Outcome.FAILED, True, answer=reply)

    def _budget(self, pool: Pool) -> Budget:
        key = pool.backend.key
        budget = self._budgets.get(key)
        if budget is None:
            budget = self._budgets[key] = Budget(self._clock)
        return budget


def _sent(call: Call) -> web.StreamResponse:
    assert call.reply is not None
    return call.reply


def refusal(error: NoReplica) -> ApiError:
    """Why no replica was asked, as clients read it."""
    kind = RATE_LIMIT if error.status == 429 else UNAVAILABLE
    message = f"{error.message}; send it again in {error.retry_after} s"
    return ApiError(error.status, kind, message, code=CODES.get(type(error)), retry_after=error.retry_after)


def _last(call: Call, failure: Failure) -> web.StreamResponse:
    """What the client gets where no replica is left to ask."""
    if failure.answer is None:
        raise failure.error or _no_answer()
    record = call.record
    record.status = failure.answer.status
    record.error = ENGINE_FULL if failure.outcome is Outcome.REFUSED else UPSTREAM
    record.first = None
    call.reply = failure.answer
    return failure.answer


def _no_answer() -> ApiError:
    return ApiError(502, UPSTREAM, "the engine did not answer; send the request again", retry_after=1)
