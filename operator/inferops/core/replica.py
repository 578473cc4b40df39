"""One replica as sizing sees it: a model on so many accelerators, at a precision."""

from __future__ import annotations

from dataclasses import dataclass

from inferops.api.accelerator import AcceleratorSpec
from inferops.core.facts import WEIGHT_BYTES, ModelFacts, Precision


@dataclass(frozen=True, slots=True)
class Replica:
    """A model on `tensor_parallel` x `pipeline_parallel` accelerators of one type."""

    facts: ModelFacts
    accelerator: AcceleratorSpec
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    precision: Precision | None = None  # of the weights; None: as the checkpoint is
    kv_precision: Precision = Precision.BF16
    utilization: float = 0.92  # share of the memory that the engine takes

    @property
    def accelerators(self) -> int:
        """Accelerators that it takes."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def weights(self) -> Precision:
        """How its weights are stored."""
        return self.facts.precision if self.precision is None else self.precision

    @property
    def kv_value_bytes(self) -> float:
        """Bytes of one value in the KV cache."""
        return WEIGHT_BYTES[self.kv_precision]
