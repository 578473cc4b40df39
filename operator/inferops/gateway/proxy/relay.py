"""Passes a replica's answer on: whole where that can still be asked for anew, piece by piece where it is a stream.

Nothing is sent before the first bytes of the body are here: until then another replica may answer. A stream that
breaks afterwards ends with an event that says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiohttp import HttpVersion11, web

from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.proxy import headers
from inferops.gateway.proxy.call import Call
from inferops.gateway.proxy.content import COUNTED
from inferops.gateway.proxy.deadlines import error_of
from inferops.gateway.proxy.errors import UPSTREAM, ApiError
from inferops.gateway.proxy.reply import Whole
from inferops.gateway.proxy.sse import Events, tokens_of
from inferops.gateway.proxy.upstream import Answer, Broken
from inferops.gateway.signals.meters import Meters
from inferops.gateway.signals.series import ReplicaSeries

WHOLE = 8 << 20  # bytes of an answer that is kept until it is complete
EVENTS = "text/event-stream"
BODILESS = (204, 304)
FLOWING = ("application/x-ndjson", "application/jsonl", "application/stream+json", "audio/")  # other streams


class Asked(Protocol):
    """Whoever was asked."""

    def progress(self) -> None:
        """Bytes of an answer came."""


class Relay:
    """Passes answers on, and measures them."""

    def __init__(self, clock: Callable[[], float], meters: Meters) -> None:
        """`clock` tells monotonic seconds."""
        self._clock = clock
        self._meters = meters

    async def answer(self, call: Call, answer: Answer, lease: Asked) -> Outcome:
        """Give the client this answer: `call.reply`, which is sent already if it flows.

        Raises Broken while nothing was sent, ConnectionError where the client went away, CancelledError.
        """
        kind = answer.headers.get("Content-Type", "")
        if kind.startswith(EVENTS) and "Content-Encoding" not in answer.headers:
            return await self._events(call, answer, lease)
        chunked = "Content-Length" not in answer.headers
        other = call.backend is not None and call.backend.api.dialect == "other"
        if kind.startswith((EVENTS, *FLOWING)) or (chunked and other):
            call.record.stream = True
            return await self._bytes(call, answer, lease, await self._piece(answer, lease))
        body = answer.at_hand()
        if body is None:
            body = await self._piece(answer, lease)
            while piece := await self._piece(answer, lease):
                body += piece
                if len(body) > WHOLE:
                    return await self._bytes(call, answer, lease, body)
        else:
            lease.progress()
        return self._whole(call, answer, body)

    async def body(self, answer: Answer, lease: Asked) -> bytes:
        """A short body as a whole; of a long one the beginning. Raises Broken."""
        body = b""
        while len(body) <= WHOLE and (piece := await self._piece(answer, lease)):
            body += piece
        return body

    def _whole(self, call: Call, answer: Answer, body: bytes) -> Outcome:
        record = call.record
        record.first = self._clock() - record.arrived
        record.status, record.sent = answer.status, len(body)
        if answer.status < 300 and call.counts_tokens:
            record.tokens_in, record.tokens_out = tokens_of(body)
        call.reply = whole(call, answer, body)
        return _outcome(answer.status)

    async def _begin(self, call: Call, answer: Answer) -> web.StreamResponse:
        """Send the head of a stream."""
        record = call.record
        record.first = self._clock() - record.arrived
        record.status = answer.status
        own = headers.returned(answer, record, call.headers)
        own.setdefault("X-Accel-Buffering", "no")  # proxies before us are to pass it on at once, too
        reply = call.reply = web.StreamResponse(status=answer.status, headers=own)
        reply._send_headers_immediately = False  # but together with the first bytes of the body
        if call.last():
            reply.force_close()
        await reply.prepare(call.request)
        return reply

    async def _bytes(self, call: Call, answer: Answer, lease: Asked, piece: bytes) -> Outcome:
        """Pass on what has no form for errors: when it breaks, so does the client's connection."""
        reply = await self._begin(call, answer)
        try:
            while piece:
                call.record.sent += len(piece)
                await reply.write(piece)
                piece = await self._piece(answer, lease)
        except Broken:
            failed = Outcome.FAILED
        except asyncio.CancelledError:
            if call.deadline.caught() is None:
                raise
            failed = Outcome.TIMEOUT
        else:
            await reply.write_eof()
            return _outcome(answer.status)
        call.record.broken, call.record.error = True, UPSTREAM
        _abort(call)
        return failed

    async def _events(self, call: Call, answer: Answer, lease: Asked) -> Outcome:
        """Pass on a stream of events."""
        record, events = call.record, Events(call.strip)
        record.stream = True
        piece = await self._piece(answer, lease)
        if not piece:
            raise Broken("the stream ended before it began")
        reply = await self._begin(call, answer)
        outcome, error = Outcome.OK, None
        try:
            await self._flow(call, answer, lease, events, piece)
            if events.error:
                outcome, record.error = Outcome.FAILED, UPSTREAM
            elif not events.done and self._must_be_done(call):
                outcome, error = Outcome.FAILED, _broken("it ended too early")
        except Broken:  # whose words are about HTTP, and say nothing to clients
            outcome, error = Outcome.FAILED, _broken("its connection ended")
        except asyncio.CancelledError:
            why = call.deadline.caught()
            if why is None:
                raise
            outcome, error = Outcome.TIMEOUT, error_of(why)
        finally:
            record.tokens_in, record.tokens_out = events.tokens_in, events.tokens_out
            call.events = events.events
        record.broken = outcome is not Outcome.OK
        if error is not None:
            record.error = error.code
            if _stuck(call):
                _abort(call)
                return outcome
            await reply.write((b"\n\n" if events.open else b"") + error.event())
        await reply.write_eof()
        return outcome

    async def _flow(self, call: Call, answer: Answer, lease: Asked, events: Events, piece: bytes) -> None:
        """Pass on events until the stream ends, and measure the gaps between them."""
        record, reply, clock = call.record, call.reply, self._clock
        assert reply is not None and record.key is not None
        series: ReplicaSeries = self._meters.series(record.key, record.revision, record.replica)
        slowest = call.backend.tpot if call.backend is not None and call.backend.tpot is not None else float("inf")
        while piece:
            if passed := events.feed(piece):
                record.sent += len(passed)
                await reply.write(passed)
                call.delivered = events.done and not events.error
            sent = clock()  # a slow client's time is not the engine's
            piece = await answer.piece()
            if piece:
                lease.progress()
                gap = clock() - sent
                series.token_gap(gap, gap > slowest)
        if (events.done or not self._must_be_done(call)) and (rest := events.rest()):
            record.sent += len(rest)
            await reply.write(rest)

    async def _piece(self, answer: Answer, lease: Asked) -> bytes:
        piece = await answer.piece()
        if piece:
            lease.progress()
        return piece

    def _must_be_done(self, call: Call) -> bool:
        """Whether the end of a stream is told by `[DONE]`: of engines that are known to speak OpenAI's API in full."""
        return call.backend is not None and call.backend.api.usage_in_streams and call.path in COUNTED


def whole(call: Call, answer: Answer, body: bytes) -> web.StreamResponse:
    """The reply that an answer is, body and all."""
    request, status = call.request, answer.status
    if request.version != HttpVersion11 or request.method == "HEAD" or status in BODILESS or 300 <= status < 400:
        return web.Response(status=status, headers=headers.returned(answer, call.record, call.headers), body=body)
    last = call.last() or not request.keep_alive
    return Whole(status, headers.returned_head(answer, call.record, call.headers, len(body), last), body, last)


def _outcome(status: int) -> Outcome:
    """Of an answer that the client gets. An engine that does not know a method or a version is not at fault."""
    if status < 400:
        return Outcome.OK
    return Outcome.CLIENT if status < 500 or status in (501, 505) else Outcome.FAILED


def _stuck(call: Call) -> bool:
    """Whether the client does not even take what was sent before."""
    transport = call.request.transport
    return transport is None or transport.get_write_buffer_size() > 0


def _abort(call: Call) -> None:
    """End the client's connection, so that what it got does not look whole."""
    if (transport := call.request.transport) is not None:
        transport.abort()


def _broken(why: str) -> ApiError:
    return ApiError(502, UPSTREAM, f"the engine broke the stream off ({why}); send the request again")
