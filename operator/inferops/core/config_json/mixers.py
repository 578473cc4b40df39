"""Sizes of attention and of what stands in its place: weights, and what a token or a sequence leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from inferops.core.config_json.fields import Fields
from inferops.core.config_json.plan import Mixer, Step
from inferops.core.facts import Layers

HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
KV_HEADS = (
    "num_key_value_heads",
    "n_head_kv",
    "num_kv_heads",
    "num_key_value_heads_per_layer",
    "num_attention_groups",
    "kv_n_heads",
)
HEAD_DIM = ("head_dim", "attention_head_dim", "kv_channels")


@dataclass(frozen=True, slots=True)
class Part:
    """The mixer of one layer."""

    kept: Layers  # of this one layer
    params: int  # weights


def hidden_size(fields: Fields) -> int:
    """Width of the residual stream."""
    return fields.size("hidden_size", "n_embd", "n_embed", "d_model", "dim", high=10_000_000)


def mixer(fields: Fields, step: Step) -> Part:
    """The sizes of one layer's mixer."""
    if (block := _block(fields, step.index)) is not None:
        return _searched(fields, block)
    if step.mixer in (Mixer.FULL, Mixer.WINDOW):
        return _attention(fields, step)
    return _STATES[step.mixer](fields)


def _attention(fields: Fields, step: Step) -> Part:
    if fields.raw("compress_ratios")[1] is not None:
        return _compressed(fields, step)
    if fields.maybe("kv_lora_rank") and fields.raw("qk_rope_head_dim")[1] is not None:
        return _latent(fields, step)
    hidden, (heads, kv_heads, key, value) = hidden_size(fields), _heads(fields, step)
    queries = heads * key * (2 if fields.flag("attn_output_gate") else 1)
    shared = fields.flag("attention_k_eq_v") and step.mixer == Mixer.FULL  # values are the keys, projected once
    params = hidden * (queries + kv_heads * (key + (0 if shared else value)) + heads * value)
    layers = fields.maybe("num_hidden_layers") or 0
    if step.index >= layers - (fields.maybe("num_kv_shared_layers") or 0) and layers:
        return Part(Layers(1), params)  # takes the keys and values of a layer below
    return Part(Layers(1, kv_heads, key, value, window=step.window), params)


def _heads(fields: Fields, step: Step) -> tuple[int, int, int, int]:
    """Query heads, KV heads and the dimensions of a key and a value of one layer."""
    heads = fields.at(step.index, *HEADS) or fields.size(*HEADS)
    key = fields.maybe(*HEAD_DIM) or hidden_size(fields) // heads
    kv_heads = _kv_heads(fields, step.index, heads)
    value = fields.maybe("v_head_dim") or key
    if step.mixer == Mixer.WINDOW:
        heads = fields.maybe("swa_num_attention_heads") or heads
        kv_heads = fields.maybe("swa_num_key_value_heads") or kv_heads
        key = fields.maybe("swa_head_dim") or key
        value = fields.maybe("swa_v_head_dim") or value
    elif wide := fields.maybe("global_head_dim"):
        kv_heads = fields.maybe("num_global_key_value_heads") or kv_heads
        key = value = wide
    if key < 1:
        raise fields.bad("head_dim", f"is missing, and hidden_size has no room for {heads} heads")
    if kv_heads > heads:
        raise fields.bad("num_key_value_heads", f"is {kv_heads} and more than the {heads} query heads")
    return heads, kv_heads, key, value


def _kv_heads(fields: Fields, layer: int, heads: int) -> int:
    if fields.flag("multi_query_attention"):
        return fields.size("multi_query_group_num", default=1)
    if fields.flag("multi_query") and not fields.flag("new_decoder_architecture"):
        return 1
    return fields.at(layer, *KV_HEADS) or heads


def _latent(fields: Fields, step: Step) -> Part:
    """Multi-head latent attention: one compressed key and value a token for all heads, with a rotary part."""
    hidden, heads = hidden_size(fields), fields.size(*HEADS)
    rank, rope = fields.size("kv_lora_rank"), fields.maybe("qk_rope_head_dim") or 0
    nope = fields.size("qk_nope_head_dim")
    value = fields.size("v_head_dim", default=nope)
    queries = fields.maybe("q_lora_rank")
    params = hidden * (rank + rope) + rank * heads * (nope + value) + heads * value * hidden
    params += queries * (hidden + heads * (nope + rope)) if queries else hidden * heads * (nope + rope)
    if fields.flag("mla_use_output_gate"):
        params += hidden * heads * value
    index, index_params = (0, 0) if _borrows(fields, step.index) else _index(fields, queries or hidden)
    return Part(Layers(1, latent_dim=rank + rope + index, window=step.window), params + index_params)


def _borrows(fields: Fields, layer: int) -> bool:
    """Whether a layer takes the index of one below."""
    kinds = fields.per_layer(layer + 1, "indexer_types")
    return kinds is not None and kinds[layer] == "shared"


def _index(fields: Fields, queries: int) -> tuple[int, int]:
    """Values a token, counted at 16 bits, and weights of the index by which sparse attention picks its tokens."""
    dim, heads = fields.maybe("index_head_dim"), fields.maybe("index_n_heads")
    if not dim or not heads:
        return 0, 0
    hidden = hidden_size(fields)
    # Engines keep it in 8 bits with a 32-bit scale for 128 of them, whatever the KV cache is kept in.
    return dim // 2 + max(1, dim // 64), queries * heads * dim + hidden * (dim + heads)


def _compressed(fields: Fields, step: Step) -> Part:
    """DeepSeek V4: the last tokens whole, those before by `ratio` in one entry, which is key and value of all heads."""
    hidden, heads, dim = hidden_size(fields), fields.size(*HEADS), fields.size("head_dim")
    ratio = fields.at(step.index, "compress_ratios") or 0
    queries, output = fields.size("q_lora_rank"), fields.size("o_lora_rank")
    groups = fields.size("o_groups", default=1)
    params = queries * (hidden + heads * dim) + hidden * dim + output * (heads * dim + groups * hidden)
    window = fields.size("sliding_window") * dim
    if ratio == 0:
        return Part(Layers(1, state_values=window), params)
    index, index_params = _index(fields, queries) if ratio < 16 else (0, 0)  # strong compression is read whole
    kept = -(-(dim + index) // ratio)
    return Part(Layers(1, latent_dim=kept, state_values=window), params + index_params + 2 * hidden * dim)


def _block(fields: Fields, layer: int) -> Fields | None:
    """The attention of one block of a model that was searched for, block by block (DeciLM, Nemotron Super)."""
    blocks = fields.items("block_configs")
    if blocks is None:
        return None
    if layer >= len(blocks) or not isinstance(blocks[layer], dict):
        raise fields.bad("block_configs", f"says nothing of layer {layer}")
    return Fields(fields.name, (blocks[layer],)).inner("attention")


def _searched(fields: Fields, block: Fields) -> Part:
    hidden, heads = hidden_size(fields), fields.size(*HEADS)
    if block.flag("no_op"):
        return Part(Layers(1), 0)
    if block.flag("replace_with_linear"):
        return Part(Layers(1), hidden * hidden)
    dim = fields.maybe(*HEAD_DIM) or max(1, hidden // heads)
    kv_heads = block.maybe("num_key_value_heads") or max(1, heads // block.size("n_heads_in_group", default=1))
    return Part(Layers(1, kv_heads, dim, dim), 2 * hidden * dim * (heads + kv_heads))


def _wide(fields: Fields) -> int:
    """16-bit values that one number of a state takes."""
    return 2 if fields.text("mamba_ssm_dtype", "mamba_ssm_cache_dtype") == "float32" else 1


def _delta(fields: Fields) -> Part:
    """A gated delta rule: a matrix of keys by values for each head, and the last inputs of a short convolution."""
    hidden = hidden_size(fields)
    key = fields.size("linear_num_key_heads") * fields.size("linear_key_head_dim")
    heads, dim = fields.size("linear_num_value_heads"), fields.size("linear_value_head_dim")
    kernel, value = fields.size("linear_conv_kernel_dim", default=4), heads * dim
    mixed = 2 * key + value
    params = hidden * (mixed + value + 2 * heads) + mixed * kernel + value * hidden
    state = heads * fields.size("linear_key_head_dim") * dim * _wide(fields) + mixed * (kernel - 1)
    return Part(Layers(1, state_values=state), params)


def _kimi(fields: Fields) -> Part:
    """Kimi's delta attention: like the gated delta rule, with a gate for every channel."""
    inner = fields.inner("linear_attn_config")
    if inner is None:
        raise fields.bad("linear_attn_config", "is missing")
    hidden, heads, dim = hidden_size(fields), inner.size("num_heads"), inner.size("head_dim")
    kernel, width = inner.size("short_conv_kernel_size", default=4), heads * dim
    gate = hidden * width if inner.flag("use_full_rank_gate") else dim * (hidden + width)
    params = 4 * hidden * width + dim * (hidden + width) + gate + hidden * heads + 3 * width * kernel
    # Its state is kept in 32 bits.
    return Part(Layers(1, state_values=2 * heads * dim * dim + 3 * width * (kernel - 1)), params)


def _lightning(fields: Fields) -> Part:
    """MiniMax-01's linear attention: a matrix of keys by values for each head, in 32 bits."""
    hidden, heads = hidden_size(fields), fields.size(*HEADS)
    dim = fields.maybe(*HEAD_DIM) or max(1, hidden // heads)
    return Part(Layers(1, state_values=2 * heads * dim * dim), 5 * hidden * heads * dim)


def _mamba1(fields: Fields) -> Part:
    hidden = hidden_size(fields)
    state = fields.size("mamba_d_state", "state_size")
    kernel = fields.size("mamba_d_conv", "conv_kernel", default=4)
    expand = Fraction(fields.number("mamba_expand", "expand") or 2.0).limit_denominator(64)
    inner = fields.maybe("intermediate_size", "d_inner") if fields.raw("state_size")[1] else None
    width = inner or max(1, int(hidden * expand))
    rank = fields.maybe("mamba_dt_rank", "time_step_rank") if _is_number(fields) else None
    steps = rank or -(-hidden // 16)
    params = width * (3 * hidden + kernel + 2 * (steps + state) + state)
    return Part(Layers(1, state_values=width * (state * _wide(fields) + kernel - 1)), params)


def _is_number(fields: Fields) -> bool:
    return not isinstance(fields.raw("mamba_dt_rank", "time_step_rank")[1], str)  # it may be "auto"


def _mamba2(fields: Fields) -> Part:
    """Mamba 2: a matrix of channels by states for each head, and the last inputs of a short convolution."""
    hidden = hidden_size(fields)
    heads = fields.size("mamba_num_heads", "mamba_n_heads", "n_mamba_heads")
    dim = fields.maybe("mamba_head_dim") or _number_of(fields, "mamba_d_head", "mamba_headdim")
    width = heads * (dim or max(1, fields.size("mamba_expand", "expand", default=2) * hidden // heads))
    state = fields.size("ssm_state_size", "mamba_d_state")
    kernel = fields.size("conv_kernel", "mamba_d_conv", default=4)
    mixed = width + 2 * fields.size("n_groups", "mamba_n_groups", "mamba_ngroups", default=1) * state
    params = hidden * (width + mixed + heads) + mixed * kernel + width * hidden
    return Part(Layers(1, state_values=width * state * _wide(fields) + mixed * (kernel - 1)), params)


def _number_of(fields: Fields, *names: str) -> int | None:
    return None if fields.raw(*names)[1] == "auto" else fields.maybe(*names)


_STATES: dict[Mixer, Callable[[Fields], Part]] = {
    Mixer.DELTA: _delta,
    Mixer.KIMI_DELTA: _kimi,
    Mixer.LIGHTNING: _lightning,
    Mixer.MAMBA1: _mamba1,
    Mixer.MAMBA2: _mamba2,
    Mixer.NONE: lambda _: Part(Layers(1), 0),
}
