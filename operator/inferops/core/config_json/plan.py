"""Tells what each layer of a model does: how it mixes tokens, and which feed-forward network follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any

from inferops.core.config_json.fields import MOST_LAYERS, Fields


class Mixer(StrEnum):
    """How a layer relates tokens to one another."""

    FULL = auto()  # attention to all tokens
    WINDOW = auto()  # to the last ones
    DELTA = auto()  # linear attention by a gated delta rule, as in Qwen3-Next
    KIMI_DELTA = auto()
    LIGHTNING = auto()  # linear attention as in MiniMax-01
    MAMBA1 = auto()
    MAMBA2 = auto()
    NONE = auto()


class Network(StrEnum):
    """What follows in a layer."""

    DENSE = auto()
    SPARSE = auto()  # experts
    BOTH = auto()
    NONE = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """One layer."""

    index: int
    mixer: Mixer
    network: Network
    window: int | None = None  # tokens


_LETTERS = {
    "M": (Mixer.MAMBA2, Network.NONE),
    "*": (Mixer.FULL, Network.NONE),
    "-": (Mixer.NONE, Network.DENSE),
    "E": (Mixer.NONE, Network.SPARSE),
}
_BLOCKS = {"mamba": "M", "attention": "*", "mlp": "-", "moe": "E"}
_MIXERS = {
    "full_attention": Mixer.FULL,
    "attention": Mixer.FULL,
    "deepseek_sparse_attention": Mixer.FULL,  # reads a part of the tokens, and keeps them all
    "global": Mixer.FULL,
    "sliding_attention": Mixer.WINDOW,
    "chunked_attention": Mixer.WINDOW,
    "local": Mixer.WINDOW,
    "linear_attention": Mixer.DELTA,
    "mamba": Mixer.MAMBA2,
    "hybrid": Mixer.FULL,
}


def steps(fields: Fields, layers: int, experts: int) -> list[Step]:
    """The layers of a model in order; `experts`: routed ones of a layer, 0 where it has none."""
    if (letters := _letters(fields)) is not None:  # each of them is a mixer or a network, not both
        if any(letter not in _LETTERS for letter in letters):
            raise fields.bad("hybrid_override_pattern", f"has other letters than {' '.join(_LETTERS)}")
        return [Step(index, *_LETTERS[letter]) for index, letter in enumerate(letters)]
    window = _window(fields)
    mixers = _mixers(fields, layers, window)
    networks = _networks(fields, layers) if experts else [Network.DENSE] * layers
    return [
        Step(index, mixer, network, window if mixer == Mixer.WINDOW else None)
        for index, (mixer, network) in enumerate(zip(mixers, networks, strict=True))
    ]


def depth(fields: Fields) -> int | None:
    """Number of layers where only a pattern tells it."""
    letters = _letters(fields)
    return None if letters is None else len(letters)


def _letters(fields: Fields) -> str | None:
    if fields.text("model_type") != "nemotron_h":
        return None
    pattern = fields.text("hybrid_override_pattern")
    if not pattern:
        blocks = fields.items("layers_block_type", "layer_types") or []
        pattern = "".join(_BLOCKS.get(block, "?") if isinstance(block, str) else "?" for block in blocks)
    if not pattern or len(pattern) > MOST_LAYERS:
        raise fields.bad(
            "hybrid_override_pattern (or layers_block_type)", f"is missing or of over {MOST_LAYERS} layers"
        )
    return pattern


def _window(fields: Fields) -> int | None:
    """Tokens that layers with a window keep; None where no layer has one."""
    if not fields.flag("use_sliding_window", default=True):
        return None
    chunk = fields.maybe("attention_chunk_size") if fields.text("model_type").startswith("llama4") else None
    return chunk or fields.maybe("sliding_window", "sliding_window_size") or None


def _mixers(fields: Fields, layers: int, window: int | None) -> list[Mixer]:
    if (types := fields.per_layer(layers, "layer_types", "layers_block_type")) is not None:
        return [_named(fields, kind, window) for kind in types[:layers]]
    if (hybrid := _hybrid(fields, layers)) is not None:
        return hybrid
    if window is None:
        return [Mixer.FULL] * layers
    return [Mixer.FULL if full else Mixer.WINDOW for full in _unbounded(fields, layers)]


def _named(fields: Fields, kind: object, window: int | None) -> Mixer:
    mixer = _MIXERS.get(kind) if isinstance(kind, str) else None
    if mixer is None:
        raise fields.bad("layer_types", f"names another kind of layer than {', '.join(_MIXERS)}")
    return Mixer.FULL if mixer == Mixer.WINDOW and window is None else mixer


def _hybrid(fields: Fields, layers: int) -> list[Mixer] | None:
    """Mixers of models whose layers are not all of attention and that have no layer_types."""
    if (linear := fields.inner("linear_attn_config")) is not None:
        kimi = linear.indices("kda_layers")  # counted from 1
        return [Mixer.KIMI_DELTA if index + 1 in kimi else Mixer.FULL for index in range(layers)]
    if (lightning := fields.per_layer(layers, "attn_type_list")) is not None:
        return [Mixer.LIGHTNING if kind == 0 else Mixer.FULL for kind in lightning[:layers]]
    if fields.raw("linear_num_value_heads")[1] is not None:
        interval = fields.size("full_attention_interval", default=4)
        return [Mixer.FULL if (index + 1) % interval == 0 else Mixer.DELTA for index in range(layers)]
    if fields.raw("mamba_d_state", "state_size")[1] is None:
        return None
    mamba = Mixer.MAMBA2 if fields.raw("mamba_n_heads")[1] is not None else Mixer.MAMBA1
    if attending := fields.indices("attn_layer_indices"):
        return [Mixer.FULL if index in attending else mamba for index in range(layers)]
    if (period := fields.maybe("attn_layer_period")) is None:
        return [mamba] * layers
    offset = fields.maybe("attn_layer_offset") or 0
    return [Mixer.FULL if index % max(period, 1) == offset else mamba for index in range(layers)]


def _unbounded(fields: Fields, layers: int) -> list[bool]:
    """Of each layer of a model with windows: whether it attends to all tokens nevertheless."""
    if (sliding := fields.per_layer(layers, "hybrid_layer_pattern")) is not None:
        return [not entry for entry in sliding[:layers]]
    if fields.text("model_type").startswith("llama4"):
        if roped := fields.per_layer(layers, "no_rope_layers"):  # 1: with rotary embeddings, and then in chunks
            return [not entry for entry in roped[:layers]]
        return _each(fields.size("no_rope_layer_interval", default=4), layers)
    name, pattern = fields.raw("sliding_window_pattern", "_sliding_window_pattern")
    if isinstance(pattern, str) and pattern:  # such as LLLG: local, local, local, global
        return [pattern[index % len(pattern)] == "G" for index in range(layers)]
    if pattern is not None:
        return _each(fields.size(name), layers)
    if fields.flag("use_sliding_window"):  # Qwen2 where it is switched on: the upper layers
        first = fields.maybe("max_window_layers") or 0
        return [index < first for index in range(layers)]
    return [False] * layers


def _each(period: int, layers: int) -> list[bool]:
    return [(index + 1) % period == 0 for index in range(layers)]


def _networks(fields: Fields, layers: int) -> list[Network]:
    """Which layers of a mixture of experts have them."""
    if fields.flag("enable_moe_block"):
        return [Network.BOTH] * layers
    dense = fields.indices("mlp_only_layers")
    sparse = [index not in dense and _routed(fields, index) for index in range(layers)]
    if (kinds := fields.per_layer(layers, "mlp_layer_types")) is not None:
        sparse = [kind == "sparse" for kind in kinds[:layers]]
    elif isinstance(frequency := fields.raw("moe_layer_freq")[1], list):
        sparse = [bool(entry) for entry in _checked(fields, frequency, layers)]
    elif listed := fields.indices("moe_layers"):
        sparse = [index in listed for index in range(layers)]
    elif numbers := fields.text("moe_layers_enum"):
        named = {number.strip() for number in numbers.split(",")}
        sparse = [str(index) in named for index in range(layers)]
    if not any(sparse):
        raise fields.bad("moe_layer_freq", "and its like leave no layer to the experts")
    return [Network.SPARSE if routed else Network.DENSE for routed in sparse]


def _checked(fields: Fields, entries: Sequence[Any], layers: int) -> Sequence[Any]:
    if len(entries) < layers:
        raise fields.bad("moe_layer_freq", f"has {len(entries)} entries for {layers} layers")
    return entries[:layers]


def _routed(fields: Fields, index: int) -> bool:
    """Whether a layer has experts, by the rules of the architectures; where none is given: it has."""
    first = fields.maybe("first_k_dense_replace", "moe_layer_start_index", "num_dense_layers") or 0
    last = fields.maybe("moe_layer_end_index", low=-1)
    if index < first or (last is not None and last >= 0 and index > last):
        return False
    if (period := fields.maybe("expert_layer_period")) is not None:
        return index % max(period, 1) == (fields.maybe("expert_layer_offset") or 0)
    step = fields.maybe("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval")
    if step is not None:
        return step > 0 and (index + 1) % step == 0
    name, value = fields.raw("moe_layer_freq")
    return value is None or isinstance(value, list) or index % fields.size(name) == 0
