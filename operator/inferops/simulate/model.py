"""One simulated replica: what it runs on, how many tokens its KV cache holds, how long its iterations take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from inferops.api.accelerator import AcceleratorSpec, NodeLabel, Throughput
from inferops.core import memory
from inferops.core.memory import GIB, Limits
from inferops.core.replica import Replica
from inferops.simulate.timing import IterationTime, iteration_time

NO_CACHE_TOKENS = 2**30  # of a model that keeps none: more than any batch of it has


class DoesNotFit(ValueError):
    """The model or its context does not fit the accelerators. The message says what is missing."""


class Accelerator(NamedTuple):
    """One accelerator by its name in the catalogue."""

    name: str
    spec: AcceleratorSpec


# Where there is no accelerator: a server's memory and some of its cores.
CPU = Accelerator(
    "cpu",
    AcceleratorSpec(
        node_labels=[NodeLabel(key="kubernetes.io/os", values=["linux"])],
        memory_gib=64,
        bandwidth_gbps=50,
        tflops=Throughput(bf16=1),
    ),
)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A replica as an engine runs it: sizing's replica, with what the engine was told and what is only guessed."""

    replica: Replica
    accelerator: str  # its name
    context: int  # tokens of the longest prompt and answer that were asked for
    limits: Limits | None = None  # how much it batches; None: as sizing would have it
    guessed: bool = False  # the model is made up from its name

    @property
    def weights(self) -> float:
        """Bytes of the weights, on all accelerators together."""
        return self.replica.facts.weight_bytes(self.replica.precision)

    @property
    def batch(self) -> Limits:
        """How much the engine batches."""
        return self.limits or memory.budget(self.replica, self.context).limits

    def kv_tokens(self) -> int:
        """Tokens the KV cache holds, in sequences of `context`. Raises `DoesNotFit` where there is room for none."""
        budget = memory.budget(self.replica, self.context, self.limits)
        if budget.free > 0 and not budget.sequence:
            return NO_CACHE_TOKENS
        tokens = memory.kv_tokens(self.replica, self.context, self.limits)
        if tokens < 1:
            count = self.replica.accelerators
            left = max(0.0, budget.usable - budget.activations - budget.overhead)
            raise DoesNotFit(
                f"{self.replica.facts.name} needs {count * budget.weights / GIB:.1f} GiB for its weights; {count}x "
                f"{self.accelerator} leave {count * left / GIB:.1f} GiB at a memory utilization of "
                f"{self.replica.utilization:g}"
            )
        return tokens

    def timing(self) -> IterationTime:
        """Seconds an iteration takes on this replica."""
        return iteration_time(self.replica)
