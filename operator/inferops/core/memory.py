"""What a replica needs of each accelerator's memory, and how many tokens of KV cache that leaves.

The terms are those of vLLM's own profiling: KV cache = memory x utilization - (weights + peak activations + what is
not torch's) - CUDA graphs. Activations are those of its profiling run at its default batch limits, and the same on
every accelerator of a replica: they are not divided by tensor parallelism. Measured with vLLM 0.19 on H100 (GiB):
Llama 1.89, Qwen3 2.21, Qwen3-MoE 2.68, Gemma3 3.94; memory outside of torch 0.27 alone and 2.10 with TP.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

from inferops.api.accelerator import AcceleratorSpec
from inferops.core.replica import Replica

GIB = 2**30

# Bytes for each entry of the vocabulary and sequence of the profiling run: the logits in 32 bits and what sampling
# makes of them. 15,000 bytes an entry at 1024 sequences give the measured peaks of three vocabularies.
SAMPLING_BYTES = 14.65
NOT_TORCH = 0.27 * GIB
NOT_TORCH_PARALLEL = 2.10 * GIB  # with the buffers of NCCL and of its own all-reduce
GRAPHS = 0.3 * GIB
GRAPHS_PER_LAYER = 11 * 2**20
LARGE = 70.0  # GiB; from here on vLLM batches more by default
SLACK = 1.01  # blocks, alignment, scales of the cache


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an engine batches: what its activations are sized for."""

    tokens: int  # of one step
    sequences: int  # that run at once


# vLLM's defaults for its API server, on large accelerators and on others.
GENEROUS, TIGHT = Limits(8192, 1024), Limits(2048, 256)


@dataclass(frozen=True, slots=True)
class Budget:
    """Memory of each accelerator in bytes, and what it holds."""

    limits: Limits
    usable: float  # what the engine takes of it
    weights: float
    activations: float
    overhead: float  # outside of torch, CUDA graphs
    sequence: float  # KV cache and state of one sequence of the asked length

    @property
    def free(self) -> float:
        """Bytes for the KV cache; negative where not even the weights fit."""
        return self.usable - self.weights - self.activations - self.overhead

    @property
    def fits(self) -> bool:
        """Whether one sequence of the asked length fits; without it engines do not start."""
        return self.free >= self.sequence and self.free > 0


def budget(replica: Replica, context: int, limits: Limits | None = None) -> Budget:
    """What one replica's fullest accelerator holds beside sequences of `context` tokens.

    `limits`: how much its engine batches. None: as usual; a large accelerator batches less where only that leaves room
    for such a sequence, and then the engine has to be told.
    """
    if limits is not None:
        return _budget(replica, context, limits)
    usual = usual_limits(replica.accelerator)
    found = _budget(replica, context, usual)
    return found if found.fits or usual == TIGHT else _budget(replica, context, TIGHT)


def usual_limits(accelerator: AcceleratorSpec) -> Limits:
    """How much the engine batches where nobody tells it."""
    return GENEROUS if accelerator.memory_gib >= LARGE else TIGHT


def _budget(replica: Replica, context: int, limits: Limits) -> Budget:
    return Budget(
        limits=limits,
        usable=replica.utilization * replica.accelerator.memory_gib * GIB,
        weights=_weights(replica),
        activations=_activations(replica, limits),
        overhead=_overhead(replica),
        sequence=sequence_bytes(replica, context),
    )


def kv_tokens(replica: Replica, context: int, limits: Limits | None = None) -> int:
    """Tokens of KV cache over all sequences when each has `context`; 0 where not even the weights fit.

    Windows and states make long sequences cheaper a token, so it depends on how long they are.
    """
    found = budget(replica, context, limits)
    if found.free <= 0 or found.sequence <= 0:
        return 0
    return floor(found.free / found.sequence * context)


def sequence_bytes(replica: Replica, tokens: int) -> float:
    """Bytes of cache that a sequence of `tokens` takes on the fullest accelerator."""
    whole = replica.facts.kv_bytes(tokens, replica.kv_value_bytes, replica.tensor_parallel)
    return SLACK * whole * _stage_share(replica)


def longest_context(replica: Replica) -> int:
    """The longest single sequence that fits, at most the model's own limit; 0 where none does."""
    free = _budget(replica, 1, TIGHT).free
    low, high = 0, replica.facts.context if free > 0 else 0
    while low < high:
        middle = (low + high + 1) // 2
        if sequence_bytes(replica, middle) <= free:
            low = middle
        else:
            high = middle - 1
    return low


def most_sequences(replica: Replica, tokens: int, context: int) -> int:
    """How many sequences of `tokens` run at once in an engine that is made for `context`."""
    found, each = budget(replica, context), sequence_bytes(replica, tokens)
    if not found.fits:
        return 0
    return found.limits.sequences if each == 0 else min(found.limits.sequences, floor(found.free / each))


def _stage_share(replica: Replica) -> float:
    """Share of the layers on the fullest pipeline stage."""
    depth = replica.facts.depth
    return ceil(depth / replica.pipeline_parallel) / depth


def _weights(replica: Replica) -> float:
    """The fullest stage: its layers, and the embeddings or the output head."""
    facts = replica.facts
    whole = facts.weight_bytes(replica.precision)
    ends = min(2.0 * facts.embedding_params, whole)
    if replica.pipeline_parallel == 1:
        return whole / replica.tensor_parallel
    return ((whole - ends) * _stage_share(replica) + ends) / replica.tensor_parallel


def _activations(replica: Replica, limits: Limits) -> float:
    facts, tokens, sequences = replica.facts, limits.tokens, limits.sequences
    stream = 2 * tokens * facts.hidden * 2.0  # the hidden states and their residual
    wide = 2.0 * tokens * (4 * facts.hidden + 2 * facts.intermediate / replica.tensor_parallel)
    sampling = SAMPLING_BYTES * sequences * facts.vocabulary if facts.decoder else 0.0
    experts = 2.0 * tokens * facts.experts_per_token * (facts.hidden + 2 * facts.intermediate / replica.tensor_parallel)
    return stream + max(wide, sampling) + (experts if facts.experts else 0.0)


def _overhead(replica: Replica) -> float:
    outside = NOT_TORCH_PARALLEL if replica.accelerators > 1 else NOT_TORCH
    graphs = GRAPHS + GRAPHS_PER_LAYER * replica.facts.depth if replica.facts.decoder else 0.0
    return outside + graphs
