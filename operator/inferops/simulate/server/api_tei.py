"""The HTTP API of Text Embeddings Inference on a simulated model: /embed, /v1/embeddings, info, health, metrics."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from inferops.simulate.batching import Batch
from inferops.simulate.metrics_tei import TeiMetrics
from inferops.simulate.model import Deployment
from inferops.simulate.sequence import Sequence, Step, TooLarge
from inferops.simulate.server.argv_tei import TeiOptions
from inferops.simulate.server.failures import Stopped
from inferops.simulate.server.pace import Pace, Ticket
from inferops.simulate.server.text import pieces

VERSION = "1.9.3+simulated"
DIMENSIONS = 32  # of the vectors, which mean nothing; the same text has the same one
OPEN = frozenset({"/health", "/metrics", "/ping"})  # without an API key

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Embed(BaseModel):
    """Body of POST /embed."""

    inputs: str | list[str]


class OpenAiEmbed(BaseModel):
    """Body of POST /v1/embeddings."""

    input: str | list[str]
    model: str | None = Field(default=None)


class Refused(Exception):
    """A request that is answered with an error: its status and type."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


class TeiApi:
    """One server's API. `pace` serves; `draining` refuses what is new."""

    def __init__(self, options: TeiOptions, deployment: Deployment, now: Callable[[], float], scale: float) -> None:
        """`now`: simulated seconds. Raises `DoesNotFit`."""
        self.draining = False
        self._options = options
        self._now = now
        self._metrics = TeiMetrics()
        self._in_flight = 0
        self._longest = deployment.context
        batch = Batch(
            deployment.timing(),
            deployment.kv_tokens(),
            max_num_seqs=options.batch_requests,
            token_budget=max(options.batch_tokens, options.batch_requests),
        )
        self.pace = Pace(batch, now, scale, self)

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[self._answer_errors])
        app.router.add_get("/health", self._health)
        app.router.add_get("/ping", self._health)
        app.router.add_get("/info", self._info)
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_post("/embed", self._embed)
        app.router.add_post("/v1/embeddings", self._openai)
        return app

    def stepped(self, step: Step) -> None:
        """Count a batch."""
        if step.first_tokens:
            self._metrics.batched(len(step.first_tokens))

    def ended(self, ticket: Ticket, reason: str) -> None:
        """Requests are counted whole, not by their inputs."""

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return web.Response()

    async def _info(self, _: web.Request) -> web.StreamResponse:
        shown = {
            "model_id": self._options.model,
            "served_model_name": self._options.name,
            "max_concurrent_requests": self._options.max_concurrent,
            "max_input_length": self._longest,
            "max_batch_tokens": self._options.batch_tokens,
            "max_client_batch_size": self._options.client_batch,
            "version": VERSION,
        }
        return web.json_response(shown)

    async def _show_metrics(self, _: web.Request) -> web.StreamResponse:
        return web.Response(text=self._metrics.text(self.pace.waiting), content_type="text/plain")

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        asked = _read(Embed, await request.read())
        vectors, _ = await self._vectors(asked.inputs)
        return web.json_response(vectors)

    async def _openai(self, request: web.Request) -> web.StreamResponse:
        asked = _read(OpenAiEmbed, await request.read())
        vectors, tokens = await self._vectors(asked.input)
        data = [{"object": "embedding", "index": place, "embedding": vector} for place, vector in enumerate(vectors)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return web.json_response({"object": "list", "data": data, "model": self._options.name, "usage": usage})

    async def _vectors(self, inputs: str | list[str]) -> tuple[list[list[float]], int]:
        """The embeddings of `inputs`, and how many tokens those are. Raises `Refused`."""
        texts, method = ([inputs], "single") if isinstance(inputs, str) else (inputs, "batch")
        self._metrics.asked(method)
        self._check(texts)
        begin = self._now()
        tokens = [min(max(1, len(pieces(text))), self._longest - 1) for text in texts]
        tickets: list[Ticket] = []
        self._in_flight += 1
        try:
            for count in tokens:
                tickets.append(self.pace.submit(count, 1, (), reason="stop", max_tokens=1))
            for ticket in tickets:
                await self.pace.progress(ticket, 0)
        except TooLarge as error:
            raise self._refuse(413, "validation", f"{error}") from None
        except Stopped:
            self._metrics.failed("inference")
            raise
        finally:
            self._in_flight -= 1
            for ticket in tickets:
                self.pace.leave(ticket)
        queue = sum(_queued(ticket.seq) for ticket in tickets) / len(tickets)
        whole = self._now() - begin
        self._metrics.answered(method, whole, queue, whole - queue)
        return [vector(text) for text in texts], sum(tokens)

    def _check(self, texts: list[str]) -> None:
        most = self._options.client_batch
        if not texts or not all(texts):
            raise self._refuse(413 if texts else 422, "empty", "`inputs` cannot be empty")
        if len(texts) > most:
            raise self._refuse(422, "batch_size", f"batch size {len(texts)} > maximum allowed batch size {most}")
        if self._in_flight >= self._options.max_concurrent:
            raise self._refuse(429, "overloaded", "Model is overloaded")
        if self.draining:
            raise Stopped

    def _refuse(self, status: int, kind: str, message: str) -> Refused:
        self._metrics.failed(kind)
        return Refused(status, kind.title().replace("_", " "), message)

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn errors into the real server's answers, and ask for the API key where there is one."""
        key = self._options.api_key
        if key and request.path not in OPEN:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), key.encode()):
                return web.Response(status=401)
        try:
            return await handler(request)
        except Refused as refused:
            return web.json_response({"error": str(refused), "error_type": refused.kind}, status=refused.status)
        except Stopped:
            return web.json_response({"error": "The server is stopping", "error_type": "Unhealthy"}, status=503)


def vector(text: str) -> list[float]:
    """A unit vector that depends on `text` alone."""
    digest = hashlib.shake_256(text.encode()).digest(2 * DIMENSIONS)
    values = [int.from_bytes(digest[place : place + 2], signed=True) / 32768 for place in range(0, len(digest), 2)]
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    return [value / length for value in values]


def _queued(seq: Sequence) -> float:
    return max(0.0, (seq.scheduled or seq.arrived) - seq.arrived)


def _read(kind: Any, body: bytes) -> Any:
    try:
        return kind.model_validate(json.loads(body))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Refused(422, "Validation", f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError as error:
        raise Refused(400, "Validation", f"The body is not JSON: {error}") from None
