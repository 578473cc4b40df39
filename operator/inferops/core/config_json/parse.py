"""Reads a config.json into ModelFacts: layer by layer, then what is alike put together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferops.core.config_json.fields import MOST_LAYERS, BadConfig, Fields, fields_of
from inferops.core.config_json.mixers import HEADS, hidden_size, mixer
from inferops.core.config_json.networks import dense_width, expert_width, experts_of, network
from inferops.core.config_json.plan import depth, steps
from inferops.core.config_json.quantization import precision_of
from inferops.core.config_json.storage import WIDE, Part, stored_bytes
from inferops.core.facts import Layers, ModelFacts

LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
CONTEXT = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "seq_length",
    "n_ctx",
    "max_seq_len",
    "max_seq_length",
    "model_max_length",
    "max_trained_positions",
)
ENCODERS = {
    *("bert", "roberta", "xlm-roberta", "xlm-roberta-xl", "xlm-roberta-flash", "distilbert", "electra", "mpnet"),
    *("camembert", "deberta", "deberta-v2", "nomic_bert", "modernbert", "new", "gte", "eurobert", "ernie", "neobert"),
}
OFFSET = {"roberta", "xlm-roberta", "camembert", "mpnet"}  # two positions are for padding
LEARNED = {"gpt2", "gpt_bigcode", "gpt_neo", "opt", "bert", "roberta", "xlm-roberta", "camembert", "distilbert"}
LEARNED |= {"electra", "mpnet", "xlm-roberta-xl"}


def facts_of(
    config: Mapping[str, Any],
    name: str,
    *,
    quantization_config: Mapping[str, Any] | None = None,
    checkpoint_bytes: float | None = None,
) -> ModelFacts:
    """The facts of the model that `config`, the content of its config.json, describes.

    `quantization_config`: the content of its hf_quant_config.json, where there is one. `checkpoint_bytes`: sum of its
    files of weights, where that is known; else it is estimated for checkpoints that are not stored alike in all parts.
    Parameters are counted from the shape: embeddings, attention, networks and experts; biases, norms, towers for images
    and sound, and layers for speculation are left out (below 2 %, of small multimodal models more). Raises BadConfig,
    which names the field that is missing or wrong.
    """
    fields = fields_of(config, name)
    if fields.flag("is_encoder_decoder") and fields.parts[0] is config:
        raise fields.bad("is_encoder_decoder", "is true", "models of an encoder and a decoder cannot be sized")
    experts, per_token = experts_of(fields)
    decoder = fields.text("model_type") not in ENCODERS
    layers, weights = _body(fields, experts, decoder)
    routed = weights[Part.EXPERTS]
    common = sum(weights.values()) - routed
    embedding, looked_up = _embeddings(fields, decoder)
    precision = precision_of(fields, quantization_config)
    size = _bytes(checkpoint_bytes, name)
    if size is None and (stored := stored_bytes(fields, quantization_config, precision, weights, _depth(fields))):
        size = stored + WIDE * embedding
    return ModelFacts(
        name=name,
        architecture=_architecture(fields),
        params=float(common + routed + embedding),
        active_params=common + routed * per_token / max(experts, 1) + embedding - looked_up,
        expert_params=float(routed),
        embedding_params=float(embedding),
        experts=experts if routed else 0,
        experts_per_token=per_token if routed else 0,
        hidden=hidden_size(fields),
        intermediate=expert_width(fields) if routed else max(1, dense_width(fields)),
        vocabulary=_vocabulary(fields),
        heads=fields.size(*HEADS, default=1),
        context=_context(fields),
        layers=layers,
        precision=precision,
        decoder=decoder,
        checkpoint_bytes=size,
    )


def _depth(fields: Fields) -> int:
    return depth(fields) or fields.size(*LAYERS, high=MOST_LAYERS)


def _body(fields: Fields, experts: int, decoder: bool) -> tuple[tuple[Layers, ...], Mapping[Part, int]]:
    """Layers alike, in order of their first; the weights of all of them, by part."""
    kept: Counter[Layers] = Counter()
    weights = dict.fromkeys(Part, 0)
    for step in steps(fields, _depth(fields), experts):
        part, sizes = mixer(fields, step), network(fields, step, experts)
        kept[part.kept if decoder else Layers(1)] += 1
        weights[Part.ATTENTION] += part.params
        weights[Part.DENSE] += sizes.dense
        weights[Part.SHARED] += sizes.shared
        weights[Part.EXPERTS] += sizes.routed
    if not any(weights.values()):
        raise fields.bad("block_configs", "leaves no weights")
    return tuple(replace(group, count=number) for group, number in kept.items()), weights


def _embeddings(fields: Fields, decoder: bool) -> tuple[int, int]:
    """Weights of all embeddings, and of those among them that are looked up, not multiplied with."""
    table = _vocabulary(fields) * fields.size("word_embed_proj_dim", "embedding_size", default=hidden_size(fields))
    positions = 0
    if fields.text("model_type") in LEARNED:
        positions = fields.size(*CONTEXT, default=1) * hidden_size(fields)
    by_layer = (fields.maybe("hidden_size_per_layer_input") or 0) * (fields.maybe("vocab_size_per_layer_input") or 0)
    looked_up = positions + by_layer * fields.size(*LAYERS, default=1, high=MOST_LAYERS)
    if not decoder:
        return table + looked_up, table + looked_up
    if fields.flag("tie_word_embeddings"):
        return table + looked_up, looked_up
    return 2 * table + looked_up, table + looked_up


def _vocabulary(fields: Fields) -> int:
    return fields.size("vocab_size", "padded_vocab_size", "n_vocab", high=100_000_000)


def _context(fields: Fields) -> int:
    """Tokens that prompt and answer may have together, stretched as rotary embeddings are."""
    context = fields.size(*CONTEXT)
    kind = fields.text("model_type")
    rope = fields.inner("rope_scaling", "rope_parameters")
    if rope is None or kind.startswith("gemma3"):  # which states the length after stretching
        return context - 2 if kind in OFFSET and context > 2 else context
    factor, original = rope.number("factor") or 1.0, rope.maybe("original_max_position_embeddings")
    match rope.text("rope_type", "type"):
        case "linear" | "dynamic":
            return min(math.ceil(context * factor), 10**10)
        case "yarn":
            return min(max(math.ceil((original or context) * factor), context), 10**10)
    return context


def _architecture(fields: Fields) -> str:
    """The outermost architecture: what engines choose their implementation by."""
    for part in reversed(fields.parts):
        named = part.get("architectures")
        if isinstance(named, list) and named and isinstance(named[0], str):
            return named[0]
    return fields.text("model_type") or "unknown"


def _bytes(given: float | None, name: str) -> float | None:
    if given is not None and not 0 < given < math.inf:
        raise BadConfig(f"weights of {name}: {given} bytes are none; leave the figure out")
    return None if given is None else float(given)
