"""vLLM's HTTP API on a simulated engine: the OpenAI API, with vLLM's metrics of the engine and of its answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from inferops.simulate.metrics_http import HttpMetrics
from inferops.simulate.metrics_vllm import VllmMetrics
from inferops.simulate.model import Deployment
from inferops.simulate.server.api_openai import OpenAiApi
from inferops.simulate.server.options import LlmOptions

VERSION = "0.32.0+simulated"
UNCOUNTED = frozenset({"/metrics", "/health", "/version", "/ping", "/load"})  # requests the real server leaves out


class VllmMeter(VllmMetrics):
    """The engine's metrics with those of its API server."""

    def __init__(self, model_name: str, cache_config: Mapping[str, str], created: float) -> None:
        super().__init__(model_name, cache_config, created)
        self.http = HttpMetrics()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._registry.register(self.http)

    def exposition(self) -> tuple[bytes, str]:
        """The metrics as text, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


class VllmApi(OpenAiApi):
    """One engine's API."""

    owner = "vllm"

    def __init__(
        self, options: LlmOptions, deployment: Deployment, context: int, now: Callable[[], float], scale: float
    ) -> None:
        """As of `OpenAiApi`."""
        meter = VllmMeter(options.names[0], cache_config(options, deployment.kv_tokens(), context), time.time())
        super().__init__(options, deployment, context, now, scale, meter)
        self._http = meter.http

    def version(self) -> Mapping[str, str]:
        """The body of /version."""
        return {"version": VERSION}

    def answered(self, request: web.Request, response: web.StreamResponse, seconds: float) -> None:
        """Count an answer, by its route."""
        resource = request.match_info.route.resource
        path = resource.canonical if resource else "none"
        if path not in UNCOUNTED:
            sent = response.content_length or 0
            self._http.answered(path, request.method, response.status, request.content_length or 0, sent, seconds)


def cache_config(options: LlmOptions, kv_tokens: int, context: int) -> dict[str, str]:
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
