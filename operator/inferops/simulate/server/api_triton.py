"""Triton's HTTP API on simulated models: the Open Inference Protocol, generate, the repository index, metrics."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inferops.simulate.batching import Batch
from inferops.simulate.metrics_triton import Timing, TritonMetrics
from inferops.simulate.model import Deployment
from inferops.simulate.sequence import Step, TooLarge
from inferops.simulate.server.argv_triton import LANGUAGE_MODEL_BATCH, MAX_BATCH, TritonOptions, is_language_model
from inferops.simulate.server.failures import Stopped
from inferops.simulate.server.host import host
from inferops.simulate.server.pace import Pace, Ticket
from inferops.simulate.server.tensors import BadTensor, InferRequest, echo, flat
from inferops.simulate.server.text import Answer, pieces

VERSION = "2.51.0"
EXTENSIONS = ("classification", "model_repository", "generate", "statistics")
ELEMENTS_PER_TOKEN = 256  # of a tensor, to say how much work it is
COPY_BYTES_PER_SECOND = 25e9  # to and from the accelerator
GENERATE_DEFAULT = 16  # max_tokens when left out
MAX_BODY_BYTES = 64 * 2**20

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class UnknownModel(Exception):
    """A request for a model that is not served."""


class GenerateRequest(BaseModel):
    """Body of generate and generate_stream; parameters stand beside the text or in `parameters`."""

    model_config = ConfigDict(extra="allow")

    text_input: str
    max_tokens: int | None = Field(default=None, ge=1)
    parameters: dict[str, Any] = Field(default_factory=dict)

    def limit(self) -> int:
        """Tokens it may produce."""
        asked = self.max_tokens or self.parameters.get("max_tokens")
        return asked if isinstance(asked, int) and asked > 0 else GENERATE_DEFAULT


class ModelServer:
    """One model: its batching, and what is counted of it. Models do not slow one another down."""

    def __init__(
        self, name: str, deployment: Deployment, metrics: TritonMetrics, now: Callable[[], float], scale: float
    ) -> None:
        self.name = name
        self._metrics = metrics
        self.now = now
        seqs = LANGUAGE_MODEL_BATCH if is_language_model(name) else MAX_BATCH
        self.pace = Pace(Batch(deployment.timing(), deployment.kv_tokens(), max_num_seqs=seqs), now, scale, self)

    def stepped(self, step: Step) -> None:
        """Count an execution for every step that answers requests: a prefill in chunks is one execution."""
        if step.finished:
            self._metrics.executed(self.name)

    def ended(self, ticket: Ticket, reason: str) -> None:
        """Count the end of a request."""
        if reason in ("abort", "error"):
            self._metrics.failed(self.name, "CANCELED" if reason == "abort" else "OTHER")
            return
        seq = ticket.seq
        assert seq.scheduled is not None and seq.finished is not None
        copy = 4 * ELEMENTS_PER_TOKEN * seq.prompt / COPY_BYTES_PER_SECOND
        timing = Timing(seq.scheduled - seq.arrived, copy, seq.finished - seq.scheduled, copy)
        self._metrics.succeeded(self.name, self.now(), timing, ticket.max_tokens if ticket.label == "infer" else 1)


class TritonApi:
    """The server's API over `deployments` by model name. `draining` refuses what is new."""

    def __init__(
        self, options: TritonOptions, deployments: Mapping[str, Deployment], now: Callable[[], float], scale: float
    ) -> None:
        """`now`: simulated seconds."""
        self.draining = False
        self._now = now
        self._metrics = TritonMetrics(deployments, options.summaries)
        self.models = {
            name: ModelServer(name, deployment, self._metrics, now, scale) for name, deployment in deployments.items()
        }

    def app(self) -> web.Application:
        """The routes of the HTTP port."""
        app = web.Application(middlewares=[self._answer_errors], client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/v2", self._server)
        app.router.add_get("/v2/health/live", self._live)
        app.router.add_get("/v2/health/ready", self._ready)
        app.router.add_post("/v2/repository/index", self._index)
        for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            app.router.add_get(path, self._model)
            app.router.add_get(f"{path}/ready", self._model_ready)
            app.router.add_post(f"{path}/infer", self._infer)
            app.router.add_post(f"{path}/generate", self._generate)
            app.router.add_post(f"{path}/generate_stream", self._generate)
        return app

    def metrics_app(self) -> web.Application:
        """The routes of the metrics port."""
        app = web.Application()
        app.router.add_get("/metrics", self._show_metrics)
        return app

    async def _live(self, _: web.Request) -> web.StreamResponse:
        return web.Response()

    async def _ready(self, _: web.Request) -> web.StreamResponse:
        return web.Response(status=400 if self.draining else 200)

    async def _server(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"name": "triton", "version": VERSION, "extensions": list(EXTENSIONS)})

    async def _index(self, _: web.Request) -> web.StreamResponse:
        return web.json_response([{"name": name, "version": "1", "state": "READY"} for name in self.models])

    async def _model(self, request: web.Request) -> web.StreamResponse:
        name = self._found(request).name
        names = ("text_input", "text_output") if is_language_model(name) else ("INPUT0", "OUTPUT0")
        datatype = "BYTES" if is_language_model(name) else "FP32"
        inputs, outputs = ([{"name": tensor, "datatype": datatype, "shape": [-1]}] for tensor in names)
        shown = {"name": name, "versions": ["1"], "platform": "simulated", "inputs": inputs, "outputs": outputs}
        return web.json_response(shown)

    async def _model_ready(self, request: web.Request) -> web.StreamResponse:
        known = request.match_info["model"] in self.models and request.match_info.get("version", "1") == "1"
        return web.Response(status=200 if known and not self.draining else 400)

    async def _infer(self, request: web.Request) -> web.StreamResponse:
        """One pass over the inputs, which come back as outputs."""
        model = self._found(request)
        if "Inference-Header-Content-Length" in request.headers:
            raise BadTensor("the simulated server takes tensors in JSON only: set binary_data to false")
        body = InferRequest.model_validate(await _json(request))
        values = [flat(tensor) for tensor in body.inputs]
        outputs = echo(body, values)
        self._refuse_new()
        work = max(1, sum(map(len, values)) // ELEMENTS_PER_TOKEN)
        shape = body.inputs[0].shape
        items = max(1, shape[0]) if len(shape) > 1 else 1
        ticket = model.pace.submit(work, 1, (), reason="stop", max_tokens=items, label="infer")
        try:
            await model.pace.progress(ticket, 0)
        finally:
            model.pace.leave(ticket)
        answer = {"model_name": model.name, "model_version": "1", "outputs": outputs}
        return web.json_response(answer | ({"id": body.id} if body.id else {}))

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        """Text for text, whole or in pieces, as the backends for language models answer it."""
        model = self._found(request)
        body = GenerateRequest.model_validate(await _json(request))
        self._refuse_new()
        tokens = pieces(body.text_input) or [""]
        answer = Answer(tokens)
        output = min(body.limit(), answer.own_length)
        reason = "length" if output == body.limit() else "stop"
        ticket = model.pace.submit(len(tokens), output, (), reason=reason, max_tokens=body.limit())
        try:
            if request.path.endswith("_stream"):
                return await self._stream(request, model, ticket, answer)
            produced = 0
            while produced < output:
                produced = await model.pace.progress(ticket, produced)
            return web.json_response(_generated(model.name, answer.text(0, output)))
        finally:
            model.pace.leave(ticket)

    async def _stream(
        self, request: web.Request, model: ModelServer, ticket: Ticket, answer: Answer
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        seen = 0
        try:
            while seen < ticket.seq.output:
                produced = await model.pace.progress(ticket, seen)
                event = _generated(model.name, answer.text(seen, produced))
                await response.write(f"data: {json.dumps(event)}\n\n".encode())
                seen = produced
        except Stopped as error:
            await response.write(f"data: {json.dumps({'error': str(error)})}\n\n".encode())
        return response

    async def _show_metrics(self, _: web.Request) -> web.StreamResponse:
        pending = {name: model.pace.waiting for name, model in self.models.items()}
        return web.Response(
            text=self._metrics.text(pending, host(), self._now()),
            headers={"Content-Type": "text/plain; charset=utf-8"},
        )

    def _found(self, request: web.Request) -> ModelServer:
        name, version = request.match_info["model"], request.match_info.get("version", "1")
        if name not in self.models or version != "1":
            raise UnknownModel(f"Request for unknown model: '{name}' version '{version}' is not found")
        return self.models[name]

    def _refuse_new(self) -> None:
        if self.draining:
            raise Stopped("Server is stopping, and takes no new requests")

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn errors into the real server's answers."""
        try:
            return await handler(request)
        except UnknownModel as error:
            return _error(404, str(error))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            return _error(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        except (BadTensor, TooLarge) as error:
            return _error(400, str(error))
        except Stopped as error:
            return _error(503, str(error))


async def _json(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError as error:
        raise BadTensor(f"failed to parse the request JSON buffer: {error}") from None


def _generated(model: str, text: str) -> dict[str, str]:
    return {"model_name": model, "model_version": "1", "text_output": text}


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
