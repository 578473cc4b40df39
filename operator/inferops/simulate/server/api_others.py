"""The OpenAI API as SGLang and TensorRT-LLM serve it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from inferops.simulate.metrics_llm import SGLANG, TENSORRT_LLM, LlmMetrics
from inferops.simulate.model import Deployment
from inferops.simulate.server.api_openai import OpenAiApi
from inferops.simulate.server.options import LlmOptions


class SglangApi(OpenAiApi):
    """SGLang's. From SIGTERM on it says so in /health, and takes requests all the same until none is left."""

    owner = "sglang"

    def __init__(
        self, options: LlmOptions, deployment: Deployment, context: int, now: Callable[[], float], scale: float
    ) -> None:
        """As of `OpenAiApi`."""
        super().__init__(options, deployment, context, now, scale, LlmMetrics(SGLANG, options.names[0]))

    def add_routes(self, app: web.Application) -> None:
        """What the engine serves besides."""
        app.router.add_get("/health_generate", self._health)
        app.router.add_get("/get_model_info", self._model_info)

    def health(self) -> int:
        """The status of /health."""
        return 503 if self.draining else 200

    def accepts(self) -> bool:
        """Whether new requests are taken."""
        return True

    async def _model_info(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"model_path": self._options.model, "is_generation": True})


class TensorRtLlmApi(OpenAiApi):
    """That of `trtllm-serve`."""

    owner = "tensorrt_llm"
    metrics_path = "/prometheus/metrics"

    def __init__(
        self, options: LlmOptions, deployment: Deployment, context: int, now: Callable[[], float], scale: float
    ) -> None:
        """As of `OpenAiApi`."""
        super().__init__(options, deployment, context, now, scale, LlmMetrics(TENSORRT_LLM, options.names[0]))

    def version(self) -> Mapping[str, str]:
        """The body of /version."""
        return {"version": "1.3.0+simulated"}
