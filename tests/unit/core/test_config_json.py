"""A model's size comes out of its config.json as its makers and the engines state it."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.core.config_json import BadConfig, facts_of
from inferops.core.facts import ModelFacts
from unit.core.configs import CONFIGS, llama

BILLION = 1e9


def facts(name: str, **more: Any) -> ModelFacts:
    return facts_of(CONFIGS[name], name, **more)


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("llama-2-7b", 6.738),
        ("llama-2-70b", 68.98),
        ("llama-3.1-8b", 8.03),
        ("llama-3.3-70b", 70.55),
        ("llama-3.1-405b", 405.85),
        ("llama-3.2-1b", 1.236),
        ("llama-4-scout", 109),  # with its tower for images
        ("mistral-7b-v0.1", 7.242),
        ("mistral-small-3.2", 24.0),  # likewise
        ("mixtral-8x7b", 46.7),
        ("mixtral-8x22b", 140.6),
        ("qwen2.5-7b", 7.616),
        ("qwen2.5-72b", 72.7),
        ("qwen3-30b-a3b", 30.5),
        ("qwen3-235b-a22b", 235),
        ("qwen3-next-80b-a3b", 80),
        ("gemma-2-9b", 9.24),
        ("gemma-3-27b", 27),
        ("phi-3-mini", 3.82),
        ("phi-4", 14.66),
        ("falcon-7b", 6.92),
        ("falcon-40b", 41.3),
        ("gpt-oss-20b", 20.9),
        ("gpt-oss-120b", 116.8),
        ("deepseek-v3", 671),
        ("deepseek-v2-lite", 15.7),
        ("kimi-k2", 1026),
        ("chatglm-glm-4-9b", 9.4),
        ("glm-4.5-air", 106),
        ("dbrx", 132),
        ("mpt-7b", 6.65),
        ("starcoder", 15.5),
        ("gpt2", 0.124),
        ("opt-125m", 0.125),
        ("nemotron-h-56b", 56.3),
        ("jamba-v0.1", 51.6),
        ("granite-4.0-h-small", 32.2),
        ("minimax-text-01", 456),
        ("bge-m3", 0.568),
        ("nomic-embed-text-v1.5", 0.137),
        ("modernbert-base", 0.149),
    ],
)
def test_parameters_are_those_that_the_makers_publish(name: str, billions: float) -> None:
    assert facts(name).params == pytest.approx(billions * BILLION, rel=0.02)


def test_every_shape_that_is_written_down_here_is_counted() -> None:
    counted = test_parameters_are_those_that_the_makers_publish.pytestmark[0].args[1]
    assert {name for name, _ in counted} == set(CONFIGS)


# Makers count active parameters with the table of input embeddings, of which a token reads one row, or without it.
@pytest.mark.parametrize(
    ("name", "billions", "with_table"),
    [
        ("mixtral-8x7b", 12.9, True),
        ("mixtral-8x22b", 39.1, True),
        ("qwen3-30b-a3b", 3.3, True),
        ("qwen3-235b-a22b", 22, True),
        ("llama-4-scout", 17, True),
        ("jamba-v0.1", 12, True),
        ("deepseek-v3", 37, False),
        ("kimi-k2", 32, False),
        ("dbrx", 36, False),
        ("gpt-oss-20b", 3.6, False),
        ("gpt-oss-120b", 5.1, False),
    ],
)
def test_active_parameters_are_those_that_the_makers_publish(name: str, billions: float, with_table: bool) -> None:
    model = facts(name)
    table = model.vocabulary * model.hidden if with_table else 0
    assert model.active_params + table == pytest.approx(billions * BILLION, rel=0.02)


# Bytes of KV cache a token, at 16 bits, on each accelerator: what vLLM's page of a block comes to.
@pytest.mark.parametrize(
    ("name", "tensor_parallel", "expected"),
    [
        ("llama-2-7b", 1, 524_288),
        ("llama-2-7b", 4, 131_072),
        ("llama-2-70b", 1, 327_680),
        ("llama-2-70b", 8, 40_960),
        ("llama-3.3-70b", 1, 327_680),
        ("llama-3.3-70b", 16, 40_960),  # more accelerators than heads: replicated
        ("llama-3.1-8b", 1, 131_072),
        ("llama-3.1-405b", 1, 516_096),
        ("mistral-small-3.2", 1, 163_840),
        ("mistral-small-3.2", 2, 81_920),
        ("qwen2.5-7b", 1, 57_344),
        ("qwen2.5-7b", 4, 14_336),
        ("qwen2.5-7b", 7, 14_336),
        ("qwen3-30b-a3b", 1, 98_304),
        ("qwen3-30b-a3b", 8, 24_576),
        ("qwen3-235b-a22b", 1, 192_512),
        ("mixtral-8x7b", 1, 131_072),
        ("deepseek-v3", 1, 70_272),
        ("deepseek-v3", 8, 70_272),  # one latent for all heads: whole on every accelerator
        ("deepseek-v3", 16, 70_272),
        ("deepseek-v2-lite", 1, 31_104),
        ("kimi-k2", 16, 70_272),
        ("falcon-7b", 1, 8_192),
        ("falcon-7b", 2, 8_192),  # multi-query: one head, replicated
        ("falcon-40b", 1, 122_880),
        ("starcoder", 4, 20_480),
        ("gemma-2-9b", 1, 344_064),
        ("gemma-3-27b", 1, 507_904),
        ("phi-3-mini", 1, 393_216),
        ("phi-4", 1, 204_800),
        ("gpt-oss-20b", 1, 49_152),
        ("gpt-oss-120b", 8, 9_216),
        ("chatglm-glm-4-9b", 1, 40_960),
        ("chatglm-glm-4-9b", 4, 20_480),
        ("dbrx", 1, 163_840),
        ("qwen3-next-80b-a3b", 1, 24_576),  # 12 of its 48 layers
        ("jamba-v0.1", 1, 16_384),
        ("nemotron-h-56b", 1, 40_960),
        ("bge-m3", 1, 0),
    ],
)
def test_kv_bytes_a_token_are_the_engines(name: str, tensor_parallel: int, expected: int) -> None:
    assert facts(name).kv_bytes_per_token(tensor_parallel=tensor_parallel) == expected


def test_layers_with_a_window_keep_no_more_than_it() -> None:
    gemma = facts("gemma-3-27b")
    layer = 2 * 2 * 16 * 128  # bytes of keys and values of a token
    assert gemma.kv_bytes(512) == 62 * layer * 512
    assert gemma.kv_bytes(131_072) == 10 * layer * 131_072 + 52 * layer * 1024
    assert facts("gpt-oss-20b").kv_bytes(4096) == 12 * 2048 * (4096 + 128)
    assert facts("mistral-7b-v0.1").kv_bytes(32_768) == 131_072 * 4096
    assert facts("llama-4-scout").kv_bytes(65_536) == 4096 * (12 * 65_536 + 36 * 8192)


def test_a_window_that_is_switched_off_is_none() -> None:
    config = CONFIGS["qwen2.5-7b"]
    assert [group.window for group in facts_of(config, "off").layers] == [None]
    upper = facts_of({**config, "use_sliding_window": True, "max_window_layers": 20}, "on").layers
    assert [(group.count, group.window) for group in upper] == [(20, None), (8, 131_072)]


def test_state_is_kept_by_sequence_not_by_token() -> None:
    model = facts("qwen3-next-80b-a3b")
    # 32 heads of 128 x 128, and 3 inputs of a convolution over 2 x 16 x 128 + 32 x 128 channels
    state = 2 * 36 * (32 * 128 * 128 + 3 * 8192)
    assert model.kv_bytes(1) == state + 24_576
    assert model.kv_bytes(100_000) == state + 100_000 * 24_576
    assert facts("nemotron-h-56b").kv_bytes(1, tensor_parallel=8) < facts("nemotron-h-56b").kv_bytes(1) / 7


def test_a_state_in_32_bits_counts_twice() -> None:
    wide = facts_of({**CONFIGS["qwen3-next-80b-a3b"], "mamba_ssm_dtype": "float32"}, "wide")
    assert wide.kv_bytes(1) - facts("qwen3-next-80b-a3b").kv_bytes(1) == 2 * 36 * 32 * 128 * 128


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("llama-3.1-8b", 131_072),  # its rope_scaling is part of it
        ("deepseek-v3", 163_840),  # yarn: 40 x 4096
        ("gpt-oss-20b", 131_072),
        ("gemma-3-27b", 131_072),
        ("bge-m3", 8192),  # two positions are for padding
        ("falcon-7b", 2048),
        ("dbrx", 32_768),
    ],
)
def test_context_is_what_engines_allow(name: str, context: int) -> None:
    assert facts(name).context == context


def test_linear_scaling_of_positions_lengthens_the_context() -> None:
    scaled = llama(4096, 11008, 32, 32, 32, 32000, 4096, rope_scaling={"type": "linear", "factor": 4.0})
    assert facts_of(scaled, "vicuna-16k").context == 16_384


def test_what_else_decisions_read() -> None:
    model = facts("deepseek-v3", checkpoint_bytes=688_586_727_753)
    assert (model.architecture, model.depth, model.heads) == ("DeepseekV3ForCausalLM", 61, 128)
    assert (model.experts, model.experts_per_token, model.intermediate) == (256, 8, 2048)
    assert model.expert_params == 58 * 256 * 3 * 7168 * 2048
    assert model.embedding_params == 2 * 129_280 * 7168
    assert model.weight_bytes() == 688_586_727_753
    assert facts("mistral-small-3.2").architecture == "Mistral3ForConditionalGeneration"
    assert facts("phi-4").decoder and not facts("modernbert-base").decoder


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"hidden_size": None}, ["hidden_size", "n_embd", "missing"]),
        ({"num_hidden_layers": None}, ["num_hidden_layers", "missing"]),
        ({"vocab_size": "many"}, ["vocab_size", "'many'", "not a number"]),
        ({"num_attention_heads": -32}, ["num_attention_heads", "-32"]),
        ({"num_attention_heads": 12.5}, ["num_attention_heads", "12.5"]),
        ({"intermediate_size": float("nan")}, ["intermediate_size", "nan"]),
        ({"hidden_size": 10**12}, ["hidden_size", "10000000"]),
        ({"hidden_size": True}, ["hidden_size", "True"]),
        ({"num_hidden_layers": 10**9}, ["num_hidden_layers", "2000"]),
        ({"num_key_value_heads": 64}, ["num_key_value_heads", "64", "32 query heads"]),
        ({"num_local_experts": 8}, ["num_experts_per_tok", "missing"]),
        ({"num_local_experts": 8, "num_experts_per_tok": 9}, ["num_experts_per_tok", "8 experts"]),
        ({"layer_types": ["full_attention"]}, ["layer_types", "1 entries for 32 layers"]),
        ({"layer_types": ["holographic"] * 32}, ["layer_types", "full_attention"]),
        ({"rope_scaling": 4}, ["rope_scaling", "not an object"]),
        ({"quantization_config": {"quant_method": "magic"}}, ["quant_method", "magic", "compressed-tensors"]),
        ({"is_encoder_decoder": True}, ["is_encoder_decoder", "cannot be sized"]),
        ({"tie_word_embeddings": "yes"}, ["tie_word_embeddings", "true or false"]),
    ],
)
def test_what_is_wrong_is_named(changed: dict[str, Any], words: list[str]) -> None:
    config = {**CONFIGS["llama-3.1-8b"], **changed}
    with pytest.raises(BadConfig, match=r"^config\.json of mine: ") as caught:
        facts_of(config, "mine")
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_size_of_files_that_is_none_is_refused() -> None:
    with pytest.raises(BadConfig, match="-1 bytes"):
        facts("llama-3.1-8b", checkpoint_bytes=-1)


@pytest.mark.parametrize("config", [None, [], "text", 7, {}, {"text_config": []}])
def test_what_is_no_config_is_refused(config: Any) -> None:
    with pytest.raises(BadConfig):
        facts_of(config, "mine")
