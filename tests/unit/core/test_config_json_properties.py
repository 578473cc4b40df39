"""Whatever stands in a config.json: sizes that make sense come out, or a BadConfig."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.core.config_json import BadConfig, facts_of
from inferops.core.facts import ModelFacts
from unit.core.configs import CONFIGS, Config, llama

SHAPES = st.builds(
    lambda heads, grouped, dim, width, layers, words, context, more: llama(
        heads * dim, width, layers, heads, max(1, heads // grouped), words, context, head_dim=dim, **more
    ),
    heads=st.integers(1, 128),
    grouped=st.integers(1, 16),
    dim=st.sampled_from([32, 64, 80, 128, 256]),
    width=st.integers(1, 60_000),
    layers=st.integers(1, 130),
    words=st.integers(1, 300_000),
    context=st.integers(1, 10_000_000),
    more=st.sampled_from(
        [
            {},
            {"sliding_window": 4096},
            {"model_type": "gemma2", "sliding_window": 1024},
            {"num_local_experts": 16, "num_experts_per_tok": 2},
            {"num_experts": 8, "num_experts_per_tok": 8, "n_shared_experts": 2, "first_k_dense_replace": 0},
            {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128},
            {"tie_word_embeddings": True, "quantization_config": {"quant_method": "fp8"}},
        ]
    ),
)
KNOWN = st.sampled_from(sorted(CONFIGS)).map(lambda name: CONFIGS[name])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.sampled_from([0, -1, 10**15, 10**400, 1e308])
    | st.floats()
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = sorted(
    {key for config in CONFIGS.values() for part in (config, config.get("text_config", {})) for key in part}
    | {
        "quantization_config",
        "rope_scaling",
        "block_configs",
        "compress_ratios",
        "linear_attn_config",
        "moe_layer_freq",
    }
    | {"index_head_dim", "index_n_heads", "indexer_types", "mlp_layer_types", "moe_layers_enum", "swa_head_dim"}
    | {"no_rope_layers", "layers_block_type", "architectures", "hidden_size_per_layer_input", "num_kv_shared_layers"}
)


def sane(model: ModelFacts) -> bool:
    sizes = (model.params, model.active_params, model.hidden, model.intermediate, model.vocabulary, model.heads)
    known = (model.context, model.depth, model.weight_bytes(), *(group.count for group in model.layers))
    parts = model.expert_params >= 0 and model.embedding_params >= 0
    return all(size > 0 for size in (*sizes, *known)) and parts and model.active_params <= model.params


@given(SHAPES | KNOWN, st.integers(1, 100_000), st.integers(1, 6))
@settings(max_examples=60)
def test_kv_cache_grows_with_tokens_and_never_with_accelerators(config: Config, tokens: int, doublings: int) -> None:
    model = facts_of(config, "mine")
    assert sane(model)
    parallel = [1 << power for power in range(doublings + 1)]
    a_token = [model.kv_bytes_per_token(tensor_parallel=many) for many in parallel]
    sequence = [model.kv_bytes(tokens, tensor_parallel=many) for many in parallel]
    assert a_token == sorted(a_token, reverse=True) and sequence == sorted(sequence, reverse=True)
    assert model.kv_bytes(tokens) <= model.kv_bytes(tokens + 1) <= model.kv_bytes(tokens) + a_token[0]
    assert (a_token[-1] > 0) == model.decoder


@given(KNOWN, st.lists(st.tuples(st.sampled_from(FIELDS), JSON, st.booleans()), min_size=1, max_size=3))
@settings(max_examples=300)
def test_nonsense_in_a_field_is_refused_or_harmless(config: Config, changes: list[tuple[str, Any, bool]]) -> None:
    changed = copy.deepcopy(config)
    for field, value, inside in changes:
        nested = changed.get("text_config")
        (nested if inside and isinstance(nested, dict) else changed)[field] = value
    try:
        model = facts_of(changed, "mine")
    except BadConfig as error:
        assert str(error).startswith("config.json of mine: ") and len(str(error)) < 500
    else:
        assert sane(model)


@given(JSON, JSON)
@settings(max_examples=100)
def test_no_other_exception_comes_from_anything(config: Any, sidecar: Any) -> None:
    try:
        facts_of(config, "mine", quantization_config=sidecar)
    except BadConfig as error:
        assert "mine" in str(error)
