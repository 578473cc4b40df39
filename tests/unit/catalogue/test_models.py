"""The built-in models are the published ones, are found under the names that people use, and no other is."""

from __future__ import annotations

from importlib import resources
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from inferops.catalogue import built_in, models
from inferops.core.facts import WEIGHT_BYTES, Precision

ENTRIES: list[dict[str, Any]] = yaml.safe_load(
    resources.files("inferops.catalogue").joinpath("models.yaml").read_text()
)["models"]
NAMES = sorted(models())


def test_there_are_enough_of_them() -> None:
    assert len(ENTRIES) >= 45
    assert {"meta-llama/Llama-3.3-70B-Instruct", "deepseek-ai/DeepSeek-R1", "BAAI/bge-m3", "facebook/opt-125m"} <= set(
        NAMES
    )
    assert sum(len(entry["names"]) for entry in ENTRIES) == len(NAMES)  # none is named twice


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["names"][0])
def test_parameters_are_the_published_ones(entry: dict[str, Any]) -> None:
    assert entry.keys() == {"names", "billions", "shape"}
    for name in entry["names"]:
        assert models()[name].params == pytest.approx(entry["billions"] * 1e9, rel=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_facts_are_whole(name: str) -> None:
    model = models()[name]
    assert model.name == name and model.architecture != "unknown"
    assert 0 < model.active_params <= model.params
    assert model.decoder == (model.kv_bytes_per_token() > 0)
    assert 256 <= model.context <= 10_485_760
    assert (model.experts > 0) == (model.expert_params > 0)


@pytest.mark.parametrize(
    ("name", "bytes_a_token", "context", "precision"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 131_072, 131_072, Precision.BF16),
        ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", 163_840, 131_072, Precision.BF16),
        ("Qwen/Qwen2.5-72B-Instruct", 327_680, 32_768, Precision.BF16),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", 24_576, 262_144, Precision.BF16),
        ("deepseek-ai/DeepSeek-R1-0528", 70_272, 163_840, Precision.FP8),
        ("deepseek-ai/DeepSeek-V3.2", 61 * (1152 + 132), 163_840, Precision.FP8),
        ("moonshotai/Kimi-K2.5", 70_272, 262_144, Precision.INT4),
        ("openai/gpt-oss-120b", 73_728, 131_072, Precision.MXFP4),
        ("google/gemma-3-27b-it", 507_904, 131_072, Precision.BF16),
        ("BAAI/bge-m3", 0, 8_192, Precision.FP32),
    ],
)
def test_some_of_them(name: str, bytes_a_token: int, context: int, precision: Precision) -> None:
    model = models()[name]
    assert (model.kv_bytes_per_token(), model.context, model.precision) == (bytes_a_token, context, precision)


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [("openai/gpt-oss-20b", 13.76), ("openai/gpt-oss-120b", 65.25), ("moonshotai/Kimi-K2.5", 594)],
)
def test_checkpoints_in_several_precisions_have_the_size_of_their_files(name: str, gigabytes: float) -> None:
    assert models()[name].weight_bytes() == pytest.approx(gigabytes * 1e9, rel=0.01)


@pytest.mark.parametrize(
    ("asked", "is_", "precision"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct", Precision.BF16),
        ("hf://meta-llama/llama-3.1-8b-instruct", "meta-llama/Llama-3.1-8B-Instruct", Precision.BF16),
        ("hf://unsloth/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct", Precision.BF16),
        ("Qwen3-8B", "Qwen/Qwen3-8B", Precision.BF16),
        ("s3://models/llm/Qwen3-8B/", "Qwen/Qwen3-8B", Precision.BF16),
        ("gs://models/gpt-oss-20b", "openai/gpt-oss-20b", Precision.MXFP4),
        ("pvc://weights/Mistral-7B-Instruct-v0.3", "mistralai/Mistral-7B-Instruct-v0.3", Precision.BF16),
        ("oci://registry.example.com:5000/models/qwen3-8b:v1", "Qwen/Qwen3-8B", Precision.BF16),
        ("oci://registry.example.com/qwen3-8b@sha256:" + "0" * 64, "Qwen/Qwen3-8B", Precision.BF16),
        ("hf://Qwen/Qwen3-8B-FP8", "Qwen/Qwen3-8B", Precision.FP8),
        ("hf://RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic", "meta-llama/Llama-3.1-8B-Instruct", Precision.FP8),
        ("hf://Qwen/Qwen2.5-7B-Instruct-AWQ", "Qwen/Qwen2.5-7B-Instruct", Precision.INT4),
        ("hf://Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "Qwen/Qwen2.5-7B-Instruct", Precision.INT4),
        ("hf://Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8", "Qwen/Qwen2.5-7B-Instruct", Precision.INT8),
        ("hf://nvidia/Llama-3.3-70B-Instruct-NVFP4", "meta-llama/Llama-3.3-70B-Instruct", Precision.NVFP4),
        ("hf://nvidia/DeepSeek-R1-FP4", "deepseek-ai/DeepSeek-R1", Precision.NVFP4),
        ("hf://unsloth/Qwen3-14B-unsloth-bnb-4bit", "Qwen/Qwen3-14B", Precision.INT4),
        ("hf://unsloth/Qwen3-14B-bnb-4bit", "Qwen/Qwen3-14B", Precision.INT4),
        ("hf://RedHatAI/Qwen3-14B-quantized.w4a16", "Qwen/Qwen3-14B", Precision.INT4),
        ("hf://RedHatAI/Qwen3-14B-quantized.w8a8", "Qwen/Qwen3-14B", Precision.INT8),
        ("hf://unsloth/DeepSeek-V3-bf16", "deepseek-ai/DeepSeek-V3", Precision.BF16),
    ],
)
def test_what_a_name_finds(asked: str, is_: str, precision: Precision) -> None:
    found, model = built_in(asked), models()[is_]
    assert found is not None
    assert (found.params, found.layers, found.context) == (model.params, model.layers, model.context)
    assert found.precision == precision
    assert found.name.lower() in asked.lower()


@pytest.mark.parametrize(
    "asked",
    [
        "hf://acme/llama-70b",
        "hf://acme/Super-8B-Instruct",
        "hf://bartowski/Qwen3-8B-GGUF",
        "hf://acme/Qwen3-8B-abliterated",
        "hf://acme/Qwen3-8B-FP8-FP8-of-mine",
        "s3://bucket",
        "pvc://weights",
        "Llama",
        "-FP8",
        "",
    ],
)
def test_nothing_is_guessed(asked: str) -> None:
    assert built_in(asked) is None


def test_a_last_part_means_one_shape() -> None:
    seen: dict[str, object] = {}
    for name, model in models().items():
        last = name.rpartition("/")[2].lower()
        assert seen.setdefault(last, (model.params, model.layers, model.context)) == (
            model.params,
            model.layers,
            model.context,
        )


@given(st.text(max_size=40) | st.sampled_from(NAMES).map(lambda name: f"hf://x/{name.rpartition('/')[2]}-FP8"))
def test_any_text_is_an_answer(asked: str) -> None:
    found = built_in(asked)
    assert found is None or found.weight_bytes() > 0
    if found is not None and asked.endswith("-FP8"):
        assert found.precision == Precision.FP8
        assert found.weight_bytes() <= found.params * WEIGHT_BYTES[Precision.BF16]


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        models()["mine"] = models()[NAMES[0]]  # type: ignore[index]
