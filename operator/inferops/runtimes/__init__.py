"""The serving engines: one module each, all behind one contract."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from inferops.runtimes.base import Endpoint, Launch, Metrics, Port, ServingEngine
from inferops.runtimes.bentoml import BentoML
from inferops.runtimes.onnxruntime import OnnxRuntime
from inferops.runtimes.sglang import SGLang
from inferops.runtimes.tensorrt_llm import TensorRTLLM
from inferops.runtimes.text_embeddings_inference import TextEmbeddingsInference
from inferops.runtimes.triton import Triton
from inferops.runtimes.vllm import VLLM

ALL = (VLLM(), SGLang(), TensorRTLLM(), Triton(), OnnxRuntime(), TextEmbeddingsInference(), BentoML())

ENGINES: Mapping[str, ServingEngine] = MappingProxyType({engine.name: engine for engine in ALL})
"""The engines by name, as in `ServingRuntime.spec.engine`."""

__all__ = ["ENGINES", "Endpoint", "Launch", "Metrics", "Port", "ServingEngine"]
