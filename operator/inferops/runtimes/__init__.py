"""The serving engines: one module each, all behind one contract."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from inferops.runtimes.base import Endpoint, Launch, Metrics, Port, ServingEngine
from inferops.runtimes.triton import Triton
from inferops.runtimes.vllm import VLLM

ENGINES: Mapping[str, ServingEngine] = MappingProxyType({engine.name: engine for engine in (VLLM(), Triton())})
"""The engines by name, as in `ServingRuntime.spec.engine`."""

__all__ = ["ENGINES", "Endpoint", "Launch", "Metrics", "Port", "ServingEngine"]
