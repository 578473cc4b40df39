"""How long one iteration of an engine takes, and how many tokens its KV cache holds.

t = c0 + hypot(weights / (eb BW), 2 P T / (ef F)) + KV bytes / (eb BW)
for T tokens in the iteration, on the bandwidth BW and arithmetic F of the accelerators together. The
efficiencies eb and ef are fitted to published H100 profiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

from inferops.simulate.facts import GIB, AcceleratorSpec, ModelFacts

BANDWIDTH_EFFICIENCY = 0.73
FLOPS_EFFICIENCY = 0.65
FIXED_SECONDS = 0.001  # c0: scheduling, launches and sampling of one iteration
RESERVED_BYTES = 3e9  # an accelerator: activations at their peak, CUDA graphs and what is not the framework's


class DoesNotFit(ValueError):
    """The model or its context does not fit the accelerators. The message says what is missing."""


@dataclass(frozen=True, slots=True)
class IterationTime:
    """Seconds an iteration takes: `base` of its tokens, plus `per_kv_token` for each token of KV cache it reads."""

    fixed: float
    dense_read: float  # seconds to read the weights that every token needs
    expert_read: float  # seconds to read all experts
    share: float  # of the experts that one token needs
    per_token: float  # seconds of arithmetic
    per_kv_token: float

    def base(self, tokens: int) -> float:
        """Seconds for `tokens` tokens without the attention's reads. Few tokens touch few experts."""
        read = self.dense_read
        if self.expert_read:
            read += self.expert_read * (1 - (1 - self.share) ** tokens)
        return self.fixed + hypot(read, self.per_token * tokens)

    def of(self, tokens: int, kv_tokens: int) -> float:
        """Seconds for `tokens` tokens while `kv_tokens` tokens of KV cache are resident."""
        return self.base(tokens) + self.per_kv_token * kv_tokens


@dataclass(frozen=True, slots=True)
class Deployment:
    """One replica: a model on `tensor_parallel` x `pipeline_parallel` accelerators.

    Pipeline stages add memory; an iteration passes through them one after the other, so they add no speed.
    """

    model: ModelFacts
    accelerator: AcceleratorSpec
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    weight_bytes: float = 2.0  # bytes a weight
    kv_bytes: float = 2.0  # bytes a value of the KV cache
    utilization: float = 0.9  # share of the memory that the engine may use

    @property
    def accelerators(self) -> int:
        """Accelerators that one replica takes."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def weights(self) -> float:
        """Bytes of the weights, on all accelerators together."""
        return self.model.params * self.weight_bytes

    @property
    def kv_bytes_per_token(self) -> float:
        """Bytes one token takes in the KV cache, on all accelerators together."""
        return self.model.kv_bytes_per_token(self.kv_bytes, self.tensor_parallel) * self.tensor_parallel

    def kv_tokens(self) -> int:
        """Tokens the KV cache holds. Raises `DoesNotFit` when the weights leave no room for any."""
        usable = self.utilization * self.accelerator.memory_gib * GIB - RESERVED_BYTES
        free = usable * self.accelerators - self.weights
        if free < self.kv_bytes_per_token:
            raise DoesNotFit(
                f"{self.model.name} needs {self.weights / GIB:.1f} GiB for its weights; {self.accelerators}x "
                f"{self.accelerator.name} leave {max(0.0, usable * self.accelerators) / GIB:.1f} GiB at a memory "
                f"utilization of {self.utilization:g}"
            )
        return int(free / self.kv_bytes_per_token)

    def timing(self) -> IterationTime:
        """Seconds an iteration takes on this replica."""
        bandwidth = BANDWIDTH_EFFICIENCY * self.accelerator.bandwidth_gbps * 1e9 * self.tensor_parallel
        flops = FLOPS_EFFICIENCY * self._tflops() * 1e12 * self.tensor_parallel
        experts = self._expert_params()
        return IterationTime(
            fixed=FIXED_SECONDS,
            dense_read=(self.model.params - experts) * self.weight_bytes / bandwidth,
            expert_read=experts * self.weight_bytes / bandwidth,
            share=self.model.experts_per_token / self.model.experts,
            per_token=2 * self.model.active_params / flops,
            per_kv_token=self.kv_bytes_per_token / bandwidth,
        )

    def _tflops(self) -> float:
        """Arithmetic of one accelerator at the precision of the weights; 4-bit weights are computed in BF16."""
        if self.weight_bytes == 1.0 and self.accelerator.fp8_tflops:
            return self.accelerator.fp8_tflops
        return self.accelerator.bf16_tflops

    def _expert_params(self) -> float:
        """Weights in experts: what the active weights leave out, over the experts that a token leaves out."""
        left_out = self.model.experts - self.model.experts_per_token
        if left_out == 0:
            return 0.0
        return (self.model.params - self.model.active_params) / left_out * self.model.experts
