"""What model a command line means: of the table, of a folder, or guessed from its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferops.catalogue import built_in
from inferops.core.facts import Precision
from inferops.simulate.facts import model_named, precision_asked

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
}


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
        (
            "/cache/hub/models--meta-llama--Llama-3.3-70B-Instruct/snapshots/6f6073b",
            "meta-llama/Llama-3.3-70B-Instruct",
        ),
        ("/models/llama-3.1-8b/1", "llama-3.1-8b"),
        ("s3://bucket/models/Qwen3-8B/", "Qwen3-8B"),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "Qwen/Qwen2.5-7B-Instruct-AWQ"),
        ("Qwen/Qwen3-30B-A3B", "Qwen/Qwen3-30B-A3B"),
    ],
)
def test_models_of_the_table_are_known_by_any_part_of_their_path(name: str, known: str) -> None:
    found = model_named(name)
    assert found.facts == built_in(known)
    assert not found.guessed


@pytest.mark.parametrize(
    ("name", "billions", "layers", "precision"),
    [
        ("acme/writer-7b", 7.24, 32, Precision.BF16),
        ("acme/writer-65b-chat", 68.98, 80, Precision.BF16),
        ("acme/tiny-350m", 0.494, 24, Precision.BF16),
        ("/cache/models--acme--writer-70b-GPTQ-Int4/snapshots/6f6073b", 70.55, 80, Precision.INT4),
        ("/models/current", 8.03, 32, Precision.BF16),
        ("tiny", 8.03, 32, Precision.BF16),
    ],
)
def test_others_have_the_shape_nearest_to_the_size_in_their_names(
    name: str, billions: float, layers: int, precision: Precision
) -> None:
    found = model_named(name)
    assert found.guessed
    assert (found.facts.name, found.facts.depth, found.facts.precision) == (name, layers, precision)
    assert found.facts.params / 1e9 == pytest.approx(billions, rel=0.001)


def test_a_folder_is_what_its_config_says(tmp_path: Path) -> None:
    folder = tmp_path / "llama-3.1-8b"
    folder.mkdir()
    assert model_named(str(folder)).facts.depth == 32, "without a config, its name counts"
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "hf_quant_config.json").write_text('{"quantization": {"quant_algo": "FP8"}}')
    found = model_named(str(folder))
    assert (found.facts.depth, found.facts.precision, found.guessed) == (22, Precision.FP8, False)


@pytest.mark.parametrize("config", ["{", "[]", "{}", '{"hidden_size": -1}', "\xff"])
def test_a_config_that_says_nothing_is_passed_over(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    assert model_named(f"{tmp_path}").guessed


@pytest.mark.parametrize(
    ("name", "quantization", "dtype", "precision"),
    [
        ("Qwen3-8B", None, "auto", None),
        ("Qwen3-8B", None, "float32", Precision.FP32),
        ("Qwen3-8B", "fp8", "auto", Precision.FP8),
        ("Qwen3-8B", "awq_marlin", "auto", Precision.INT4),
        ("Qwen3-8B", "bitsandbytes", "half", Precision.INT4),
        ("Qwen3-8B", "something-new", "auto", None),
        ("Qwen3-8B-FP8", None, "bfloat16", None),
        ("Qwen3-8B-AWQ", "awq", "auto", None),
    ],
)
def test_weights_are_stored_as_asked_or_as_the_checkpoint_is(
    name: str, quantization: str | None, dtype: str, precision: Precision | None
) -> None:
    assert precision_asked(model_named(name).facts, quantization, dtype) == precision
