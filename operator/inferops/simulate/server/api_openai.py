"""The OpenAI API on a simulated engine: completions, models, errors. What an engine adds to it is a subclass."""

from __future__ import annotations

import hmac
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiohttp import web

from inferops.simulate.batching import Batch
from inferops.simulate.model import Deployment
from inferops.simulate.sequence import Sequence, Step, TooLarge
from inferops.simulate.server.failures import ApiError, Stopped
from inferops.simulate.server.openai_answers import DONE, Shape, sse
from inferops.simulate.server.openai_requests import Ask, read
from inferops.simulate.server.options import LlmOptions
from inferops.simulate.server.pace import Pace, Ticket
from inferops.simulate.server.text import prefix_keys

MAX_BODY_BYTES = 32 * 2**20

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Meter(Protocol):
    """Counts what the engine does, under the real engine's names."""

    def gauges(self, running: int, waiting: int, kv_usage: float) -> None:
        """Set what is so now."""

    def stepped(self, step: Step) -> None:
        """Count a step."""

    def ended(self, seq: Sequence, reason: str, max_tokens: int) -> None:
        """Count the end of a request."""

    def rejected(self, reason: str) -> None:
        """Count a request refused by a limit of the queue."""

    def exposition(self) -> tuple[bytes, str]:
        """The metrics as text, and its content type."""


class OpenAiApi:
    """One engine's API. `pace` serves; `draining` refuses what is new."""

    owner = ""  # as /v1/models names it
    metrics_path = "/metrics"

    def __init__(
        self,
        options: LlmOptions,
        deployment: Deployment,
        context: int,
        now: Callable[[], float],
        scale: float,
        meter: Meter,
    ) -> None:
        """`context`: tokens of the longest prompt and answer; `now`: simulated seconds. Raises `DoesNotFit`."""
        self.draining = False
        self._options = options
        self._context = context
        self._now = now
        self._started = int(time.time())
        self._meter = meter
        batch = Batch(
            deployment.timing(),
            deployment.kv_tokens(),
            max_num_seqs=deployment.batch.sequences,
            token_budget=deployment.batch.tokens,
            block_size=options.block_size,
        )
        self.pace = Pace(batch, now, scale, self)

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[self._answer_errors, self._authorize], client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/health", self._health)
        app.router.add_get("/version", self._version)
        app.router.add_get(self.metrics_path, self._show_metrics)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._completions)
        self.add_routes(app)
        return app

    def add_routes(self, app: web.Application) -> None:
        """What the engine serves besides."""

    def health(self) -> int:
        """The status of /health."""
        return 200

    def version(self) -> Mapping[str, str]:
        """The body of /version."""
        return {"version": "simulated"}

    def answered(self, request: web.Request, response: web.StreamResponse, seconds: float) -> None:
        """Count an answer; `seconds`: simulated ones that it took."""

    def accepts(self) -> bool:
        """Whether new requests are taken."""
        return not self.draining

    def stepped(self, step: Step) -> None:
        """Count a step."""
        self._meter.stepped(step)

    def ended(self, ticket: Ticket, reason: str) -> None:
        """Count the end of a request."""
        self._meter.ended(ticket.seq, reason, ticket.max_tokens)

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return web.Response(status=self.health())

    async def _version(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(dict(self.version()))

    async def _show_metrics(self, _: web.Request) -> web.StreamResponse:
        self._meter.gauges(self.pace.running, self.pace.waiting, self.pace.kv_usage)
        body, content_type = self._meter.exposition()
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _models(self, _: web.Request) -> web.StreamResponse:
        base = self._options.names[0]
        shown = [(name, None) for name in self._options.names] + [(name, base) for name in self._options.adapters]
        cards = [
            {
                "id": name,
                "object": "model",
                "created": self._started,
                "owned_by": self.owner,
                "root": self._options.model,
                "parent": parent,
                "max_model_len": self._context,
            }
            for name, parent in shown
        ]
        return web.json_response({"object": "list", "data": cards})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, read(await request.read(), chat=True))

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, read(await request.read(), chat=False))

    async def _serve(self, request: web.Request, ask: Ask) -> web.StreamResponse:
        """Answer `ask`; the engine forgets it when the client goes away."""
        model = ask.model or self._options.names[0]
        if model not in (*self._options.names, *self._options.adapters):
            raise ApiError(404, "NotFoundError", f"The model `{model}` does not exist.", "model")
        if not self.accepts():
            raise Stopped
        ticket = self._submit(ask)
        shape = Shape(ask, request.headers.get("X-Request-Id") or uuid.uuid4().hex, model, int(time.time()))
        try:
            if ask.stream:
                return await self._stream(request, shape, ticket)
            produced = 0
            while produced < ticket.seq.output:
                produced = await self.pace.progress(ticket, produced)
            return web.json_response(shape.whole(produced, ticket.reason))
        finally:
            self.pace.leave(ticket)

    def _submit(self, ask: Ask) -> Ticket:
        allowed, output = ask.lengths(self._context)
        self._check_queue(len(ask.tokens))
        keys = prefix_keys(ask.tokens, self._options.block_size) if self._options.prefix_caching else ()
        reason = "length" if output == allowed else "stop"
        try:
            return self.pace.submit(len(ask.tokens), output, keys, reason=reason, max_tokens=allowed)
        except TooLarge as error:
            raise ApiError(400, "BadRequestError", f"{error}.") from None

    def _check_queue(self, tokens: int) -> None:
        requests, most = self._options.max_queued_requests, self._options.max_queued_tokens
        if requests is not None and self.pace.waiting >= requests:
            self._meter.rejected("max_num_queued_reqs")
            raise ApiError(503, "ServiceUnavailableError", f"The queue holds {requests} requests, and is full.")
        if most is not None and self.pace.waiting_tokens + tokens > most:
            self._meter.rejected("max_num_queued_tokens")
            raise ApiError(503, "ServiceUnavailableError", f"The queue holds {most} tokens, and is full.")

    async def _stream(self, request: web.Request, shape: Shape, ticket: Ticket) -> web.StreamResponse:
        """Server-sent events; what goes wrong now is an event too, since the status has been sent."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        seen = 0
        try:
            while seen < ticket.seq.output:
                produced = await self.pace.progress(ticket, seen)
                if seen == 0 and (opening := shape.opening()):
                    await response.write(opening)
                reason = ticket.reason if produced == ticket.seq.output else None
                await response.write(shape.piece(seen, produced, reason))
                seen = produced
            if shape.ask.usage_in_stream:
                await response.write(shape.usage(seen))
        except Stopped:
            await response.write(sse(_stopped().body()))
        await response.write(DONE)
        return response

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn errors into the real server's answers, and count every answer."""
        begin = self._now()
        try:
            response = await handler(request)
        except ApiError as error:
            response = web.json_response(error.body(), status=error.status)
        except Stopped:
            response = web.json_response(_stopped().body(), status=500)
        except web.HTTPException as error:
            response = web.json_response({"detail": error.reason}, status=error.status)
        self.answered(request, response, self._now() - begin)
        return response

    @web.middleware
    async def _authorize(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Where there are API keys, everything below /v1 wants one."""
        if self._options.api_keys and request.path.startswith("/v1"):
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            known = any(hmac.compare_digest(token.encode(), key.encode()) for key in self._options.api_keys)
            if scheme.lower() != "bearer" or not known:
                return web.json_response({"error": "Unauthorized"}, status=401)
        return await handler(request)


def _stopped() -> ApiError:
    return ApiError(500, "InternalServerError", "The engine is stopping and answers no request any more.")
