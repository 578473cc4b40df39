"""What of each engine's HTTP API requests from outside may reach."""

from __future__ import annotations

import pytest

from inferops.runtimes import ENGINES

OPEN = {
    "vllm": ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/audio/transcriptions", "/tokenize"),
    "sglang": ("/v1/chat/completions", "/v1/responses", "/generate"),
    "tensorrt-llm": ("/v1/chat/completions", "/v1/models"),
    "triton": ("/v2", "/v2/models/resnet/infer", "/v2/models/resnet/versions/3/ready", "/v2/health/ready"),
    "onnxruntime": ("/v2/models/resnet/infer",),
    "text-embeddings-inference": ("/v1/embeddings", "/embed", "/rerank"),
    "bentoml": ("/classify", "/a/b"),
}
# What changes the engine or tells of it: each stands in the engines' own route tables.
CLOSED = {
    "vllm": (
        "/v1/load_lora_adapter",
        "/v1/load_lora_adapter/",
        "/v1/unload_lora_adapter",
        "/metrics",
        "/sleep",
        "/wake_up",
        "/collective_rpc",
        "/reset_prefix_cache",
        "/start_profile",
        "/server_info",
        "/scale_elastic_ep",
        "/invocations",
    ),
    "sglang": (
        "/metrics",
        "/flush_cache",
        "/update_weights_from_disk",
        "/release_memory_occupation",
        "/start_profile",
        "/get_server_info",
        "/load_lora_adapter",
        "/abort_request",
    ),
    "tensorrt-llm": ("/metrics", "/prometheus/metrics", "/_test", "/update_weights"),
    "triton": (
        "/v2/repository/index",
        "/v2/repository/models/resnet/unload",
        "/v2/systemsharedmemory/region/x/register",
        "/v2/cudasharedmemory/status",
        "/v2/trace/setting",
        "/v2/models/resnet/trace/setting",
        "/v2/logging",
        "/metrics",
    ),
    "onnxruntime": ("/v2/repository/models/x/load", "/v2/logging"),
    "text-embeddings-inference": ("/metrics", "/docs", "/info"),
    "bentoml": ("/metrics",),
}
EACH = [(name, path, True) for name, paths in OPEN.items() for path in paths]
EACH += [(name, path, False) for name, paths in CLOSED.items() for path in paths]


def test_every_engine_is_judged() -> None:
    assert set(OPEN) == set(CLOSED) == set(ENGINES)


@pytest.mark.parametrize(("name", "path", "is_open"), EACH)
def test_only_requests_pass(name: str, path: str, is_open: bool) -> None:
    assert ENGINES[name].api.allows(path) is is_open


@pytest.mark.parametrize("name", ENGINES)
def test_only_engines_of_language_models_count_tokens_in_streams(name: str) -> None:
    api = ENGINES[name].api
    assert api.usage_in_streams <= (api.dialect == "openai")
