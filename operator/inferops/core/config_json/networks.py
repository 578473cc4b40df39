"""Sizes of feed-forward networks: dense ones, and experts with what every token passes beside them."""

from __future__ import annotations

from dataclasses import dataclass

from inferops.core.config_json.fields import Fields
from inferops.core.config_json.mixers import hidden_size
from inferops.core.config_json.plan import Network, Step

EXPERTS = ("num_experts", "moe_num_experts", "n_routed_experts", "num_local_experts", "num_moe_experts")
PER_TOKEN = (
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "moe_topk",
    "moe_top_k",
    "moe_k",
    "top_k_experts",
    "num_selected_experts",
    "moe_router_topk",
)
INTERMEDIATE = (
    "intermediate_size",
    "ffn_hidden_size",
    "n_inner",
    "ffn_dim",
    "inner_hidden_size",
    "ffn_embed_dim",
    "hidden_dim",
)
EXPERT = ("moe_intermediate_size", "expert_intermediate_size", "moe_ffn_hidden_size", "expert_ffn_hidden_size")
DENSE = ("dense_intermediate_size", "intermediate_size_mlp", *INTERMEDIATE)
SHARED = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert")
SHARED_WIDTH = (
    "shared_expert_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "share_expert_dim",
    "shared_intermediate_size",
)
# Two matrices, up and down. All others have a third, which gates.
PLAIN = {
    *("gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "gptj", "codegen", "falcon", "RefinedWeb", "RefinedWebModel"),
    *("bloom", "opt", "mpt", "phi", "starcoder2", "nemotron", "nemotron_h", "persimmon"),
    *("bert", "roberta", "xlm-roberta", "distilbert", "electra", "mpnet", "camembert", "deberta", "deberta-v2"),
    "xlm-roberta-xl",
}
FOURFOLD = {"gpt2", "gpt_bigcode", "gpt_neo", "gptj", "codegen", "falcon", "RefinedWeb", "RefinedWebModel"}
FOURFOLD |= {"bloom", "mpt"}
GATING = ("swiglu", "geglu", "silu", "swiglumlp")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Weights of one layer's networks."""

    dense: int = 0
    shared: int = 0  # experts that every token passes, and the router
    routed: int = 0  # all routed experts


def experts_of(fields: Fields) -> tuple[int, int]:
    """Routed experts of a layer and how many of them a token passes; (0, 0) for a dense model."""
    experts = fields.maybe(*EXPERTS, high=1_000_000) or 0
    if experts <= 1:
        return 0, 0
    per_token = fields.size(*PER_TOKEN)
    if per_token > experts:
        raise fields.bad(PER_TOKEN[0], f"is {per_token} and more than the {experts} experts")
    return experts, per_token


def expert_width(fields: Fields) -> int:
    """Intermediate size of one routed expert."""
    return fields.maybe(*EXPERT) or fields.size(*INTERMEDIATE)


def dense_width(fields: Fields, layer: int = 0) -> int:
    """Intermediate size of a layer without experts."""
    blocks = fields.items("block_configs")
    if blocks is not None:
        return _searched(fields, blocks, layer)
    found = fields.at(layer, *DENSE)
    if not found and fields.text("model_type") in FOURFOLD:
        return 4 * hidden_size(fields)
    return found or fields.size(*DENSE)


def network(fields: Fields, step: Step, experts: int) -> Sizes:
    """The sizes of the networks of one layer; `experts`: routed ones of a layer."""
    if step.network == Network.NONE:
        return Sizes()
    hidden, matrices = hidden_size(fields), _matrices(fields)
    dense = shared = routed = 0
    if step.network in (Network.DENSE, Network.BOTH):
        dense = matrices * hidden * dense_width(fields, step.index)
    if step.network in (Network.SPARSE, Network.BOTH):
        inner = fields.maybe("moe_latent_size", "routed_expert_hidden_size")  # experts in a narrower space
        routed = experts * matrices * (inner or hidden) * expert_width(fields)
        shared = hidden * experts + (2 * hidden * inner if inner else 0)
        shared += matrices * hidden * _shared_width(fields)
    return Sizes(dense, shared, routed)


def _matrices(fields: Fields) -> int:
    activation = fields.text("activation_function", "hidden_act", "mlp_hidden_act")
    if activation in ("relu", "relu2"):
        return 2
    return 2 if fields.text("model_type") in PLAIN and activation not in GATING else 3


def _shared_width(fields: Fields) -> int:
    """Intermediate size of the experts that every token passes, together."""
    if fields.text("model_type").startswith("llama4"):
        return fields.size(*INTERMEDIATE)
    width = fields.maybe(*SHARED_WIDTH)
    if width is not None:
        return width
    return (fields.maybe(*SHARED) or 0) * expert_width(fields)


def _searched(fields: Fields, blocks: object, layer: int) -> int:
    """The width in one block of a model that was searched for, as multiple of the hidden size, in steps of 256."""
    inner = None
    if isinstance(blocks, list) and layer < len(blocks) and isinstance(blocks[layer], dict):
        inner = Fields(fields.name, (blocks[layer],)).inner("ffn")
    if inner is None:
        raise fields.bad("block_configs", f"says nothing of the network of layer {layer}")
    if inner.flag("no_op"):
        return 0
    if inner.flag("replace_with_linear"):
        return max(1, hidden_size(fields) // 3)
    if (width := inner.maybe("intermediate_size")) is not None:
        return width
    factor = inner.number("ffn_mult")
    if factor is None:
        raise fields.bad("block_configs", f"has no ffn_mult for layer {layer}")
    return -(-int(2 * factor * hidden_size(fields) / 3) // 256) * 256
