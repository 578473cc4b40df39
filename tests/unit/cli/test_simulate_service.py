"""What is simulated is what the operator would run: sizing's replicas, with what the engine's command line says."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

import pytest
import yaml

from inferops.cli.render import BadInput
from inferops.cli.simulateservice import Subject, subject_in
from inferops.simulate.timing import iteration_time

SAMPLES = Path(__file__).parents[3] / "manifests" / "samples"
ADMIN = (SAMPLES / "servingruntime.yaml").read_text()
LANGUAGE = [
    "adapters", "deepseek-on-two-nodes", "embeddings", "llama-70b", "llama-8b", "llama-8b-by-gateway",
    "llama-8b-canary", "llama-8b-on-pvc", "qwen-by-slo", "qwen-on-spot", "sglang", "tensorrt-llm",
]  # fmt: skip


def sample(name: str) -> Subject:
    return subject_in(f"{(SAMPLES / name).with_suffix('.yaml').read_text()}\n---\n{ADMIN}")


def subject(**spec: Any) -> Subject:
    return subject_in(yaml.safe_dump({**yaml.safe_load((SAMPLES / "llama-8b.yaml").read_text()), "spec": spec}))


LLAMA = {"uri": "hf://meta-llama/Llama-3.1-8B-Instruct"}
H100 = [{"type": "nvidia-h100-80gb"}]


@pytest.mark.parametrize("name", LANGUAGE)
def test_samples_of_language_models_can_be_simulated(name: str) -> None:
    found = sample(name)
    first = found.variants[0]
    listed = found.service.spec.accelerators
    assert not listed or first.choice == listed[0]
    assert first.engine.timing == iteration_time(first.deployment.replica)
    assert first.engine.kv_tokens >= found.context and first.seed is not None and not first.doubt
    assert first.deployment.replica.accelerators == first.choice.count


@pytest.mark.parametrize("name", ["bentoml", "onnxruntime", "triton-resnet"])
def test_what_cannot_be_sized_cannot_be_simulated(name: str) -> None:
    with pytest.raises(BadInput, match="cannot be simulated: sizing knows no more than language models"):
        sample(name)


def test_without_arguments_the_cache_is_sizings() -> None:
    found = subject(model=LLAMA, accelerators=H100).variants[0]
    assert found.option is not None and found.engine.kv_tokens == found.option.kv_tokens
    assert (found.engine.max_num_seqs, found.engine.token_budget) == (1024, 8192)


def test_arguments_of_the_engine_count() -> None:
    runtime = {"name": "vllm", "args": ["--max-num-seqs=64", "--gpu-memory-utilization=0.6"]}
    plain, told = (
        subject(model=LLAMA, accelerators=H100, **more).variants[0].engine for more in ({}, {"runtime": runtime})
    )
    assert told.max_num_seqs == 64 and told.kv_tokens < plain.kv_tokens * 0.75


def test_arguments_that_the_engine_refuses_are_told() -> None:
    with pytest.raises(BadInput, match=r"spec.runtime.args: .*max-num-seqs"):
        subject(model=LLAMA, accelerators=H100, runtime={"args": ["--max-num-seqs=-3"]})


def test_a_spot_price_is_that_of_spot_nodes() -> None:
    accelerator = (SAMPLES / "accelerator.yaml").read_text()
    choices = [{"type": "nvidia-rtx-pro-6000", "count": 2, "spot": True}, {"type": "nvidia-rtx-pro-6000", "count": 2}]
    plain = yaml.safe_load((SAMPLES / "llama-8b.yaml").read_text())
    text = yaml.safe_dump({**plain, "spec": {"model": LLAMA, "accelerators": choices}})
    found = subject_in(f"{text}\n---\n{accelerator}")
    assert [variant.price for variant in found.variants] == [pytest.approx(1.8), pytest.approx(3.8)]


def test_what_is_too_slow_is_simulated_with_a_doubt() -> None:
    found = subject(model={**LLAMA, "maxModelLen": 4096}, accelerators=[{"type": "nvidia-l4"}], slo={"tpot": "5ms"})
    assert "too slow" in found.variants[0].doubt and found.variants[0].seed is None
    assert (found.ttft, found.tpot, found.assumed) == (inf, 0.005, False)


def test_what_does_not_fit_is_told_with_the_remedy() -> None:
    with pytest.raises(BadInput, match=r"spec.accelerators: 1x nvidia-l4 .* set maxModelLen to at most"):
        subject(model=LLAMA, accelerators=[{"type": "nvidia-l4"}])
