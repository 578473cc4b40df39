"""Checkpoints that are quantized in part have the bytes of their parts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.core.config_json import facts_of
from inferops.core.config_json.storage import Part, part_of
from inferops.core.facts import WEIGHT_BYTES, ModelFacts, Precision
from unit.core.configs import CONFIGS, Config, llama

LLAMA = CONFIGS["llama-3.1-8b"]
MOE = CONFIGS["qwen3-30b-a3b"]
NVFP4 = {"num_bits": 4, "type": "float", "group_size": 16}
FP8 = {"num_bits": 8, "type": "float"}

# Weights of Llama 3.1 8B by part: attention, networks, embeddings.
ATTENTION = 32 * 4096 * (4096 + 1024 + 1024 + 4096)
DENSE = 32 * 3 * 4096 * 14336
EMBEDDINGS = 2 * 128256 * 4096
FOUR = WEIGHT_BYTES[Precision.NVFP4]


def quantized(config: Config, **given: Any) -> ModelFacts:
    return facts_of({**config, "quantization_config": given}, "mine")


def nvfp4(config: Config, ignore: list[Any]) -> ModelFacts:
    return quantized(config, quant_method="modelopt", quant_algo="NVFP4", ignore=ignore)


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ("model.layers.7.self_attn*", Part.ATTENTION),
        ("re:.*self_attn.*", Part.ATTENTION),
        ("*.attn.*", Part.ATTENTION),
        ("model.language_model.layers.0.linear_attn.in_proj_qkv", Part.ATTENTION),
        ("backbone.layers.3.mixer.q_proj", Part.ATTENTION),
        ("model.layers.7.mlp.gate_proj", Part.DENSE),
        ("re:.*mlp\\.(gate|up|gate_up|down)_proj.*", Part.DENSE),
        ("model.layers.7.mlp.shared_experts*", Part.SHARED),
        ("model.layers.7.mlp.experts", Part.EXPERTS),
        ("layers.0.ffn.experts", Part.EXPERTS),
        ("lm_head", None),
        ("model.layers.7.mlp.gate", None),
        ("gate", None),
        ("model.layers.7.mlp.gate.e_score_correction_bias", None),
        ("model.layers.7.mlp.shared_expert_gate", None),
        ("model.layers.7.self_attn.kv_a_layernorm", None),
        ("model.layers.7.self_attn.indexer*", None),
        ("model.visual*", None),
        ("vision_tower.layers.1.self_attn", None),
        ("model.embed_tokens", None),
        ("something", None),
    ],
)
def test_what_an_entry_speaks_of(entry: str, part: Part | None) -> None:
    assert part_of(entry) == part


@pytest.mark.parametrize(
    ("case", "ignore", "wide"),
    [
        ("the head alone", ["lm_head"], 0.0),
        ("routers and norms alone", ["model.layers.0.mlp.gate", "model.layers.0.input_layernorm"], 0.0),
        ("attention by a pattern", ["re:.*self_attn.*", "lm_head"], ATTENTION),
        ("attention layer by layer", [f"model.layers.{index}.self_attn*" for index in range(32)], ATTENTION),
        ("attention of half the layers", [f"model.layers.{index}.self_attn" for index in range(16)], ATTENTION / 2),
        ("one of four matrices", [f"model.layers.{index}.self_attn.o_proj" for index in range(32)], ATTENTION / 4),
        ("the first layer", ["model.layers.0*"], (ATTENTION + DENSE) / 32),
        ("a layer for speculation", ["model.layers.32*"], 0.0),
        ("networks", ["*.mlp.*"], DENSE),
        ("nonsense", [None, 7, "", "model.layers.99999999999.self_attn"], 0.0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_left_out_stays_in_16_bits(case: str, ignore: list[Any], wide: float) -> None:
    body = ATTENTION + DENSE
    expected = FOUR * (body - wide) + 2 * (wide + EMBEDDINGS)
    assert nvfp4(LLAMA, ignore).weight_bytes() == pytest.approx(expected)


def test_each_listed_layer_has_its_own_precision() -> None:
    layers = {f"model.layers.{index}.self_attn.q_proj": {"quant_algo": "FP8"} for index in range(32)}
    layers |= {f"model.layers.{index}.mlp.up_proj": {"quant_algo": "W4A16_NVFP4"} for index in range(32)}
    listed = quantized(LLAMA, quant_algo="MIXED_PRECISION", quantized_layers=layers)
    groups = {
        "group_0": {"weights": FP8, "targets": ["model.layers.0.self_attn.q_proj"]},
        "group_1": {"weights": NVFP4, "targets": ["model.layers.0.mlp.up_proj", "lm_head"]},
    }
    grouped = quantized(LLAMA, quant_method="compressed-tensors", config_groups=groups)
    assert listed.weight_bytes() == grouped.weight_bytes() == ATTENTION + FOUR * DENSE + 2 * EMBEDDINGS
    assert listed.precision == grouped.precision == Precision.NVFP4


def test_experts_alone_in_4_bits() -> None:
    model = facts_of({**MOE, "expert_dtype": "fp4", "quantization_config": {"quant_method": "fp8"}}, "mine")
    rest = model.params - model.expert_params - model.embedding_params
    expected = WEIGHT_BYTES[Precision.MXFP4] * model.expert_params + rest + 2 * model.embedding_params
    assert model.weight_bytes() == pytest.approx(expected)


def test_smaller_groups_have_more_scales() -> None:
    weights = {"num_bits": 4, "type": "int", "group_size": 32, "symmetric": True}
    groups = {"group_0": {"weights": weights, "targets": ["Linear"]}}
    small = quantized(LLAMA, quant_method="compressed-tensors", config_groups=groups)
    assert small.weight_bytes() == (0.5 + 2 / 32) * (ATTENTION + DENSE) + 2 * EMBEDDINGS
    usual = quantized(LLAMA, quant_method="gptq", bits=4, group_size=128)
    channel = quantized(LLAMA, quant_method="gptq", bits=4, group_size=-1)
    assert channel.weight_bytes() < usual.weight_bytes() < small.weight_bytes()
    assert usual.checkpoint_bytes is None, "its precision says it all"


def test_what_is_known_goes_before_what_is_estimated() -> None:
    config = {**LLAMA, "quantization_config": {"quant_algo": "NVFP4", "ignore": ["*.self_attn*"]}}
    assert facts_of(config, "mine", checkpoint_bytes=6e9).weight_bytes() == 6e9


@given(
    st.lists(
        st.sampled_from(["re:.*self_attn.*", "lm_head", "*.mlp.*", "re:.*experts.*", "model.layers.3*"])
        | st.from_regex(r"model\.layers\.[0-9]{1,2}\.(mlp|self_attn)(\.[a-z]_proj|\*)?", fullmatch=True)
        | st.text(max_size=20),
        max_size=12,
    ),
    st.sampled_from([LLAMA, MOE, CONFIGS["deepseek-v3"], llama(64, 64, 2, 2, 2, 100, 100)]),
)
def test_an_estimate_lies_between_all_and_nothing_quantized(ignore: list[str], config: Config) -> None:
    model = nvfp4(config, ignore)
    assert nvfp4(config, []).weight_bytes() * 0.999 <= model.weight_bytes()
    assert model.weight_bytes() <= model.params * WEIGHT_BYTES[Precision.BF16] * 1.001
