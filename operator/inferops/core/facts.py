"""What decisions need to know of a model: its size, its shape and its precision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Precision(StrEnum):
    """How numbers are stored."""

    FP32 = "fp32"
    BF16 = "bf16"  # and fp16
    FP8 = "fp8"
    INT8 = "int8"
    INT4 = "int4"  # AWQ, GPTQ and other weight-only formats
    MXFP4 = "mxfp4"
    NVFP4 = "nvfp4"


# Bytes a weight takes, the scales of its group included: a 16-bit scale and a 4-bit zero point for 128 weights (AWQ,
# GPTQ), an 8-bit one for 32 (MXFP4) or 16 (NVFP4). Those of fp8 and int8 are one for a channel or for 128 x 128.
WEIGHT_BYTES: dict[Precision, float] = {
    Precision.FP32: 4.0,
    Precision.BF16: 2.0,
    Precision.FP8: 1.0,
    Precision.INT8: 1.0,
    Precision.INT4: 0.5 + 2.5 / 128,
    Precision.MXFP4: 0.5 + 1 / 32,
    Precision.NVFP4: 0.5 + 1 / 16,
}
UNQUANTIZED = (Precision.FP32, Precision.BF16)


@dataclass(frozen=True, slots=True)
class Layers:
    """Layers that are alike in what a token leaves behind in them. Dimensions are those of one head."""

    count: int
    kv_heads: int = 0  # 0: nothing is kept by head
    key_dim: int = 0
    value_dim: int = 0
    latent_dim: int = 0  # MLA: kv_lora_rank + qk_rope_head_dim; one for all heads, whole on every accelerator
    window: int | None = None  # tokens that are kept; None: all
    state_values: int = 0  # linear attention, Mamba: values that a sequence keeps whatever its length

    def kv_values(self, tensor_parallel: int = 1) -> float:
        """Values that one token leaves behind on each accelerator, over all these layers. Fewer heads than
        accelerators: replicated."""
        by_head = max(1.0, self.kv_heads / tensor_parallel) * (self.key_dim + self.value_dim) if self.kv_heads else 0.0
        return self.count * (by_head + self.latent_dim)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A transformer as its config.json describes it. Parameters are counted in weights."""

    name: str
    architecture: str  # as config.json names it, such as LlamaForCausalLM
    params: float  # all of them
    active_params: float  # through which one token passes
    expert_params: float  # in routed experts, all of them counted; 0: dense
    embedding_params: float  # input embeddings and output head, 16-bit also in quantized checkpoints
    experts: int  # routed experts of a layer; 0: dense
    experts_per_token: int
    hidden: int
    intermediate: int  # of a dense layer, or of one expert
    vocabulary: int
    heads: int  # query heads
    context: int  # tokens: the longest prompt and answer together
    layers: tuple[Layers, ...]
    precision: Precision = Precision.BF16  # of the checkpoint's weights
    decoder: bool = True  # False: an encoder, such as one of embeddings, which keeps no KV cache
    checkpoint_bytes: float | None = None  # sum of its files, where it is known; else by `precision`

    @property
    def depth(self) -> int:
        """Number of layers."""
        return sum(group.count for group in self.layers)

    def kv_bytes_per_token(self, value_bytes: float = 2.0, tensor_parallel: int = 1) -> float:
        """Bytes of KV cache that one token takes on each accelerator, windows left out of account."""
        return value_bytes * sum(group.kv_values(tensor_parallel) for group in self.layers)

    def kv_bytes(self, tokens: int, value_bytes: float = 2.0, tensor_parallel: int = 1) -> float:
        """Bytes of cache and state that a sequence of `tokens` takes on each accelerator; windows are capped."""
        total = 0.0
        for group in self.layers:
            kept = tokens if group.window is None else min(tokens, group.window)
            total += value_bytes * group.kv_values(tensor_parallel) * kept
            total += 2.0 * group.count * group.state_values / tensor_parallel
        return total

    def weight_bytes(self, precision: Precision | None = None) -> float:
        """Bytes of all weights, quantized to `precision`; None: as the checkpoint is."""
        if precision in (None, self.precision) and self.checkpoint_bytes is not None:
            return self.checkpoint_bytes
        chosen = self.precision if precision is None else precision
        wide = WEIGHT_BYTES[chosen] if chosen in UNQUANTIZED else WEIGHT_BYTES[Precision.BF16]
        return (self.params - self.embedding_params) * WEIGHT_BYTES[chosen] + self.embedding_params * wide
