"""vLLM's HTTP API on a simulated engine: OpenAI completions, models, health, version, metrics."""

from __future__ import annotations

import hmac
import time
import uuid
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from inferops.simulate.batching import Batch
from inferops.simulate.metrics_http import HttpMetrics
from inferops.simulate.metrics_vllm import VllmMetrics
from inferops.simulate.model import Deployment
from inferops.simulate.sequence import Step, TooLarge
from inferops.simulate.server.argv_vllm import VllmOptions
from inferops.simulate.server.failures import ApiError, Stopped
from inferops.simulate.server.openai_answers import DONE, Shape, sse
from inferops.simulate.server.openai_requests import Ask, read
from inferops.simulate.server.pace import Pace, Ticket
from inferops.simulate.server.text import prefix_keys

VERSION = "0.32.0+simulated"
UNCOUNTED = frozenset({"/metrics", "/health", "/version", "/ping", "/load"})  # requests the real server leaves out
MAX_BODY_BYTES = 32 * 2**20

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class VllmApi:
    """One engine's API. `pace` serves; `draining` refuses what is new."""

    def __init__(
        self, options: VllmOptions, deployment: Deployment, context: int, now: Callable[[], float], scale: float
    ) -> None:
        """`context`: tokens of the longest prompt and answer; `now`: simulated seconds. Raises `DoesNotFit`."""
        self.draining = False
        self._options = options
        self._context = context
        self._now = now
        self._started = int(time.time())
        tokens = deployment.kv_tokens()
        batch = Batch(
            deployment.timing(),
            tokens,
            max_num_seqs=options.max_num_seqs,
            token_budget=options.token_budget,
            block_size=options.block_size,
        )
        self.pace = Pace(batch, now, scale, self)
        self._http = HttpMetrics()
        self._metrics = VllmMetrics(options.names[0], cache_config(options, tokens, context), time.time())
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self._metrics)
        self._registry.register(self._http)

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[self._count, self._authorize], client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/health", self._health)
        app.router.add_get("/version", self._version)
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._completions)
        return app

    def stepped(self, step: Step) -> None:
        """Count a step."""
        self._metrics.stepped(step)

    def ended(self, ticket: Ticket, reason: str) -> None:
        """Count the end of a request."""
        self._metrics.ended(ticket.seq, reason, ticket.max_tokens)

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return web.Response()

    async def _version(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"version": VERSION})

    async def _show_metrics(self, _: web.Request) -> web.StreamResponse:
        self._metrics.gauges(self.pace.running, self.pace.waiting, self.pace.kv_usage)
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _models(self, _: web.Request) -> web.StreamResponse:
        shown = [
            {
                "id": name,
                "object": "model",
                "created": self._started,
                "owned_by": "vllm",
                "root": self._options.model,
                "parent": None,
                "max_model_len": self._context,
            }
            for name in self._options.names
        ]
        return web.json_response({"object": "list", "data": shown})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, read(await request.read(), chat=True))

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, read(await request.read(), chat=False))

    async def _serve(self, request: web.Request, ask: Ask) -> web.StreamResponse:
        """Answer `ask`; the engine forgets it when the client goes away."""
        model = ask.model or self._options.names[0]
        if model not in self._options.names:
            raise ApiError(404, "NotFoundError", f"The model `{model}` does not exist.", "model")
        if self.draining:
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
            self._metrics.rejected("max_num_queued_reqs")
            raise ApiError(503, "ServiceUnavailableError", f"The queue holds {requests} requests, and is full.")
        if most is not None and self.pace.waiting_tokens + tokens > most:
            self._metrics.rejected("max_num_queued_tokens")
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
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
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
        resource = request.match_info.route.resource
        path = resource.canonical if resource else "none"
        if path not in UNCOUNTED:
            sent = response.content_length or 0
            seconds = self._now() - begin
            self._http.answered(path, request.method, response.status, request.content_length or 0, sent, seconds)
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


def cache_config(options: VllmOptions, kv_tokens: int, context: int) -> dict[str, str]:
    """What `vllm:cache_config_info` shows of this engine."""
    return {
        "block_size": str(options.block_size),
        "effective_attention_block_size": str(options.block_size),
        "cache_dtype": options.kv_cache_dtype,
        "enable_prefix_caching": str(options.prefix_caching),
        "gpu_memory_utilization": f"{options.utilization:g}",
        "kv_cache_max_concurrency": f"{kv_tokens / context:g}",
        "kv_cache_size_tokens": str(kv_tokens),
        "num_gpu_blocks": str(kv_tokens // options.block_size),
    }


def _stopped() -> ApiError:
    return ApiError(500, "InternalServerError", "The engine is stopping and answers no request any more.")
