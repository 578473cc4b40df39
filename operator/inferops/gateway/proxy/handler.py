"""Answers a request from its arrival to its end: finds its service, lets it in, has it answered, and tells of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from inferops.gateway.balance.fleet import Fleet
from inferops.gateway.proxy import content, headers, hop, models, paths, routing
from inferops.gateway.proxy.attempts import Attempts
from inferops.gateway.proxy.bodies import Bodies
from inferops.gateway.proxy.call import Call
from inferops.gateway.proxy.deadlines import Deadlines, Why, error_of
from inferops.gateway.proxy.door import Door, presented
from inferops.gateway.proxy.errors import INVALID, UNAVAILABLE, ApiError
from inferops.gateway.proxy.routing import By, Route
from inferops.gateway.signals.accesslog import AccessLog
from inferops.gateway.signals.meters import Meters
from inferops.gateway.signals.record import Record
from inferops.gateway.table import Backend

log = logging.getLogger(__name__)

ARRIVING = 300.0  # seconds that a body may take to arrive
GONE = 499  # the status in log and meters of a request whose client went away
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a handler works with."""

    fleet: Fleet
    door: Door
    attempts: Attempts
    meters: Meters
    log: AccessLog
    deadlines: Deadlines
    clock: Callable[[], float]  # monotonic seconds
    loaded: Callable[[], bool]  # whether there was a table yet


class Handler:
    """Answers all requests of the gateway's port; a callable as `aiohttp.web.Server` wants it."""

    def __init__(self, parts: Parts) -> None:
        self.draining = False  # the gateway ends: clients are told to connect elsewhere
        self.bodies = Bodies()
        self._parts = parts

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """The reply; it is sent already where it is a stream."""
        clock, deadline = self._parts.clock, self._parts.deadlines.start(ARRIVING, request.task)
        record = Record(clock(), method=request.method)
        call = Call(request, record, deadline, self._ends)
        try:
            reply = await self._answer(call)
        except ApiError as error:
            reply = _told(call, error)
        except asyncio.CancelledError:
            if (why := deadline.caught()) is None:
                _left(call)
                raise
            reply = _told(call, error_of(why) if call.head or why is not Why.TIMEOUT else _late())
        except ConnectionError:  # while we wrote: aiohttp notices as well
            _left(call)
            reply = call.reply or web.Response(status=400)
        except Exception:
            log.exception("request %s failed", record.request_id)
            reply = _told(call, ApiError(500, "server_error", "the gateway failed; send the request again"))
        finally:
            deadline.end()
            self.bodies.release(call.held)
            self._finish(call)
        if self.draining and not reply.prepared:  # a client that was not told may be sending its next request by now
            reply.force_close()
        return reply

    def _ends(self) -> bool:
        return self.draining

    async def _answer(self, call: Call) -> web.StreamResponse:
        """Raises `ApiError`, and ConnectionError where the client went away."""
        request, record, fleet = call.request, call.record, self._parts.fleet
        headers.identify(request, record)
        target = request.raw_path
        record.path = target.partition("?")[0]
        path, query = paths.split(target)
        if not self._parts.loaded():
            raise ApiError(503, UNAVAILABLE, "this gateway is starting; send it again", code="starting", retry_after=2)
        route = routing.route(fleet.table, record.method, request.headers.get("Host", ""), path)
        if route.by is By.HEALTH:
            call.silent = True
            return web.Response(headers=headers.own(record, {}))
        if route.by is By.MODELS:
            return await self._models(call, route)
        call.path = route.path
        call.target = f"{route.encoded}{query}".encode("utf-8", "surrogateescape")
        if route.backend is not None:  # then nobody uploads who may not
            await self._enter(call, route.backend)
        await self._read(call, route)
        if call.backend is None:
            backend = routing.of_model(fleet.table, call.content.model, record.method, route.path)
            await self._enter(call, backend)
        return await self._forward(call)

    async def _enter(self, call: Call, backend: Backend) -> None:
        """The service is known: count the request there, and see whether it may in."""
        call.backend = backend
        call.record.key = backend.key
        self._parts.meters.arrived(backend.key)
        await self._parts.door.admit(call, backend)

    async def _read(self, call: Call, route: Route) -> None:
        """Take in the body, and what it says where it is one of OpenAI's API."""
        request = call.request
        call.body = await self.bodies.read(request)
        call.held = len(call.body)
        if route.backend is not None and route.backend.api.dialect != "openai":
            if route.path.endswith(content.GENERATING):
                call.content = content.of_bytes(call.body)
            return
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise ApiError(415, INVALID, "compressed bodies are not read here; send it without Content-Encoding")
        call.content = content.read(call.body, request.headers.get("Content-Type", ""), route.path)

    async def _forward(self, call: Call) -> web.StreamResponse:
        """Have a replica answer."""
        record, said, backend = call.record, call.content, call.backend
        assert backend is not None
        record.model = said.model if said.model in backend.names else (backend.names or ("",))[0]
        if said.stream and backend.api.usage_in_streams and call.path in content.COUNTED:
            record.stream = True
            if not content.asks_for_usage(said):
                call.strip = True
                call.body = content.with_usage(call.body, said)
        if backend.session_header:
            call.session = call.request.headers.get(backend.session_header) or None
        if said.cache_key:
            call.affinity = said.cache_key.encode("utf-8", "surrogatepass")
        elif call.session is None:
            call.affinity = said.prefix
        call.head = headers.sent(
            call.request, record, len(call.body), keys_checked=backend.access is not None, plain=call.counts_tokens
        )
        pool = self._parts.fleet.pool(backend.key)
        if pool is None:
            raise ApiError(404, INVALID, "the service was deleted just now", code="service_not_found")
        call.deadline.at = record.arrived + backend.request_timeout
        if (passed := call.request.headers.get(hop.HEADER)) is not None:
            self._passed_on(call, hop.read(passed))
        return await self._parts.attempts.answer(call, pool)

    def _passed_on(self, call: Call, said: hop.Hop) -> None:
        """A gateway of another cluster passed the request on."""
        call.hop, call.record.received = said, True
        if said.left is not None:
            call.deadline.at = min(call.deadline.at, self._parts.clock() + said.left)

    async def _models(self, call: Call, route: Route) -> web.StreamResponse:
        """The models that the caller may use: of one service, or of all."""
        door = self._parts.door
        if route.backend is not None:
            await self._enter(call, route.backend)
            found = [route.backend]
        else:
            key, table = presented(call.request), self._parts.fleet.table
            found = [each for each in table.by_key.values() if await door.may_list(key, each)]
        body = models.answer(route.path, found)
        call.record.status, call.record.sent = 200, len(body)
        own = headers.own(call.record, call.headers)
        own["Content-Type"] = JSON
        return web.Response(body=body, headers=own)

    def _finish(self, call: Call) -> None:
        """Tell meters, limits and log that a request has ended."""
        if call.silent:
            return
        record, backend, meters = call.record, call.backend, self._parts.meters
        record.duration = self._parts.clock() - record.arrived
        if backend is None:
            meters.arrived(None)
        if record.status >= 400 and not record.attempts and not record.spilled and record.status != GONE:
            meters.refused(record.key, record.status, record.error)
        meters.finished(record, backend)
        self._parts.door.spend(call)
        self._parts.log.write(record)


def _left(call: Call) -> None:
    """The client went away. Who has the whole answer was served: many read no further than its `[DONE]`."""
    if not call.delivered:
        call.record.status, call.record.error = GONE, "client_gone"


def _late() -> ApiError:
    return ApiError(408, INVALID, f"the body did not arrive in {ARRIVING:g} s; send it anew", code="request_too_slow")


def _told(call: Call, error: ApiError) -> web.StreamResponse:
    """The answer that an error is. Where another was begun, and its client does not take it, that is cut off."""
    record, body = call.record, error.body(call.openai)
    if call.reply is not None and call.reply.prepared:
        record.broken, record.error = True, error.code
        if call.request.transport is not None:
            call.request.transport.abort()
        return call.reply
    record.status, record.error, record.sent, record.first = error.status, error.code, len(body), None
    own = headers.own(record, {**call.headers, **error.headers()})
    own["Content-Type"] = JSON
    reply = call.reply = web.Response(status=error.status, body=body, headers=own)
    if not call.request.content.is_eof():
        reply.force_close()  # the rest of the body is not waited for
    return reply
