"""What the operator renders is what the simulated engines read: each starts from its own pod's command line."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.render.record import Record
from inferops.runtimes import ENGINES
from inferops.simulate.server.runtimes import RUNTIMES
from nodeagent.engine import accelerator_named
from nodeagent.process import Command, engine_of
from unit.render.building import MODELS, rendered, service
from unit.render.building import engine_of as container_of

ADAPTERS = [{"name": "sql", "uri": "hf://org/sql"}, {"name": "tone", "uri": "pvc://loras/tone", "rank": 64}]
PLAIN = [(name, MODELS[model], {}) for name, engine in ENGINES.items() for model in ("hf with a token", "oci", "pvc")
         if MODELS[model]["uri"].partition(":")[0] in engine.sources]  # fmt: skip
FULLER: list[tuple[str, Any, Any]] = [
    ("vllm", {**MODELS["hf"], "maxModelLen": 8192, "quantization": "fp8", "adapters": ADAPTERS}, {"count": 2}),
    ("sglang", {**MODELS["hf"], "maxModelLen": 8192, "quantization": "fp8", "adapters": ADAPTERS}, {"count": 2}),
    ("tensorrt-llm", {**MODELS["hf"], "maxModelLen": 8192}, {"count": 2}),
]


def started(record: Record) -> tuple[str, Any]:
    """The engine that the bench finds in the pod, with its command line read."""
    container = container_of(record)
    argv = [*container["command"], *container["args"]]
    found = engine_of(Command(image=record.image, argv=argv, env={}))
    assert found is not None
    name, words = found
    return name, RUNTIMES[name](words, {}, accelerator_named("nvidia-h100-80gb"), 8)


@pytest.mark.parametrize(("name", "model", "choice"), [*PLAIN, *FULLER])
def test_it_starts_from_its_own_pod(name: str, model: Any, choice: Any) -> None:
    record = rendered(service(model, {"name": name}, {"type": "nvidia-h100-80gb", "count": 1, **choice}))
    engine, runtime = started(record)
    assert engine == ("triton" if name == "onnxruntime" else name)
    ports = {endpoint.name: endpoint.port for endpoint in runtime.endpoints}
    declared = {port.name: port.number for port in ENGINES[name].ports if port.name != "grpc"}
    assert ports == declared
    assert {endpoint.host for endpoint in runtime.endpoints} == {"0.0.0.0"}
