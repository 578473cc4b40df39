"""What sizing goes by, and what it tells an engine: its share of the memory, and its batches."""

from __future__ import annotations

import pytest

from inferops.catalogue import accelerators, runtimes
from inferops.core.revision import BatchLimits, RevisionSpec
from inferops.runtimes import ENGINES
from inferops.runtimes.base import Launch, ServingEngine

SIZED = [engine for engine in ENGINES.values() if engine.takes_memory is not None]
LIMITED = [engine for engine in SIZED if engine.batch_flags is not None]


def launch(engine: ServingEngine, *args: str, batch: BatchLimits | None = None) -> Launch:
    asked = {
        "model": {"uri": "hf://Qwen/Qwen3-8B"},
        "runtime": {"name": engine.name, "args": list(args)},
        "accelerator": {"type": "nvidia-h100-80gb"},
    }
    revision = RevisionSpec.model_validate(asked).model_copy(update={"batch": batch})
    return Launch("qwen", revision, runtimes()[engine.name], accelerators()["nvidia-h100-80gb"])


def test_language_model_engines_are_sized_and_the_others_are_not() -> None:
    assert {engine.name for engine in SIZED} == {"vllm", "sglang", "tensorrt-llm", "text-embeddings-inference"}
    assert ENGINES["triton"].memory_share(runtimes()["triton"], []) is None


@pytest.mark.parametrize("engine", [engine for engine in SIZED if engine.memory_flag], ids=lambda engine: engine.name)
def test_the_users_share_of_the_memory_counts_and_nonsense_does_not(engine: ServingEngine) -> None:
    runtime, usual = runtimes()[engine.name], engine.takes_memory
    assert engine.memory_share(runtime, [f"{engine.memory_flag}=0.5"]) == 0.5
    assert engine.memory_share(runtime, [str(engine.memory_flag), "0.7"]) == 0.7
    for nonsense in ("0", "7", "much", "-0.5", "nan"):
        assert engine.memory_share(runtime, [f"{engine.memory_flag}={nonsense}"]) == usual
    assert engine.memory_share(runtime, ["-x", "loose"]) == usual


@pytest.mark.parametrize("engine", LIMITED, ids=lambda engine: engine.name)
def test_limits_reach_the_engine_unless_the_user_sets_them(engine: ServingEngine) -> None:
    batch = BatchLimits(tokens=2048, sequences=256)
    tokens, sequences = engine.batch_flags or ("", "")
    assert {f"{tokens}=2048", f"{sequences}=256"} <= set(engine.args(launch(engine, batch=batch)))
    own = engine.args(launch(engine, f"{sequences}=64", batch=batch))
    assert f"{sequences}=256" not in own and f"{tokens}=2048" in own
    assert not [arg for arg in engine.args(launch(engine)) if arg.startswith((tokens, sequences))]
