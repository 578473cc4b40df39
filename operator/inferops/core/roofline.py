"""How long one step of an engine takes: what it reads, computes and sends, at what the accelerator can do.

A step carries one token of each decoding sequence and some tokens of prompts (continuous batching, chunked prefill).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

from inferops.api.accelerator import AcceleratorSpec
from inferops.core.calibration import CALIBRATED, Calibration, Work
from inferops.core.facts import WEIGHT_BYTES, Layers, ModelFacts, Precision
from inferops.core.replica import Replica

ACTIVATION_BYTES = 2.0  # of one value between layers
SUMS = 2  # over all accelerators in each layer: after attention and after the feed-forward network
NODE_LINK_GBPS = 50.0  # between nodes, GB/s an accelerator: one network port of 400 Gbit/s
UNPACKED = 5 / 9  # key and value of one head, of MLA's latent for all: 128 + 64 + 128 of 576 values
FOUR_BIT = (Precision.INT4, Precision.MXFP4, Precision.NVFP4)


@dataclass(frozen=True, slots=True)
class Step:
    """One iteration of an engine. Counts may be means, hence not whole."""

    decoding: float  # sequences, one token each
    context: float  # tokens that each of them has in the KV cache
    prefill: float = 0.0  # tokens of prompts
    prompt: float = 0.0  # tokens of the whole prompt that they are of


def step_seconds(replica: Replica, step: Step, calibration: Calibration = CALIBRATED) -> float:
    """Seconds from the start of `step` to its tokens, over all pipeline stages."""
    return calibration.seconds(work_of(replica, step))


def ceiling_tokens_per_second(replica: Replica) -> float:
    """Tokens a second of a single stream at which every weight that a token needs is read once, and nothing else.

    No engine gets above it without speculation: 48 for 70 GB of weights on an H100 of 3350 GB/s.
    """
    return 1 / work_of(replica, Step(decoding=1, context=0)).weights


def work_of(replica: Replica, step: Step) -> Work:
    """What `step` has to do on each accelerator of a stage, summed over the stages, which follow one another."""
    facts, degree = replica.facts, replica.tensor_parallel
    tokens = step.decoding + step.prefill
    bandwidth = replica.accelerator.bandwidth_gbps * 1e9
    transfer, hops = _messages(replica, tokens)
    shared, routed = _arithmetic_seconds(replica, step)
    return Work(
        weights=_weight_bytes(replica, tokens) / degree / bandwidth,
        cache=step.decoding * _cache_bytes(replica, step.context) / bandwidth,
        arithmetic=shared / degree,
        experts=routed / degree,
        transfer=transfer,
        hops=hops,
        layers=facts.depth,
        expert_layers=facts.depth if facts.experts else 0,
        latent_layers=sum(group.count for group in facts.layers if group.latent_dim),
        sequences=step.decoding,
    )


def _dense_params(facts: ModelFacts) -> float:
    """Weights of the layers that every token passes through."""
    return facts.params - facts.expert_params - facts.embedding_params


def _active_expert_params(facts: ModelFacts) -> float:
    return facts.expert_params * facts.experts_per_token / facts.experts if facts.experts else 0.0


def _head_params(facts: ModelFacts) -> float:
    """Weights of the output head: what is multiplied with of the embeddings."""
    return max(0.0, facts.active_params - _dense_params(facts) - _active_expert_params(facts))


def _dense_precision(replica: Replica) -> Precision:
    """Of a mixture of experts, 4-bit checkpoints store the experts so, and attention and shared experts in 16 bits."""
    return Precision.BF16 if replica.facts.experts and replica.weights in FOUR_BIT else replica.weights


def _weight_bytes(replica: Replica, tokens: float) -> float:
    """Bytes of weights that a step of `tokens` reads: few tokens touch few experts."""
    facts = replica.facts
    read = _dense_params(facts) * WEIGHT_BYTES[_dense_precision(replica)]
    read += _head_params(facts) * WEIGHT_BYTES[Precision.BF16]
    if facts.experts:
        touched = 1 - (1 - facts.experts_per_token / facts.experts) ** tokens
        read += facts.expert_params * touched * WEIGHT_BYTES[replica.weights]
    return read


def _cache_bytes(replica: Replica, context: float) -> float:
    """Bytes that an accelerator reads for one decoding sequence: its KV cache, and its states, also written."""
    total = 0.0
    for group in replica.facts.layers:
        kept = context if group.window is None else min(context, group.window)
        total += replica.kv_value_bytes * group.kv_values(replica.tensor_parallel) * kept
        total += 2 * ACTIVATION_BYTES * group.count * group.state_values / replica.tensor_parallel
    return total


def _arithmetic_seconds(replica: Replica, step: Step) -> tuple[float, float]:
    """Seconds of arithmetic of one accelerator with the whole model: outside of experts, and in them."""
    facts, accelerator = replica.facts, replica.accelerator
    tokens = step.decoding + step.prefill
    wide = _flops(accelerator, Precision.BF16)
    shared = 2 * tokens * _dense_params(facts) / _flops(accelerator, _dense_precision(replica))
    shared += 2 * (step.decoding + min(1.0, step.prefill)) * _head_params(facts) / wide
    for group in facts.layers:
        shared += step.decoding * _decode_flops(facts, group, step.context) / wide
        shared += step.prefill * _prefill_flops(facts, group, step.prompt) / wide
    return shared, 2 * tokens * _active_expert_params(facts) / _flops(accelerator, replica.weights)


def _decode_flops(facts: ModelFacts, group: Layers, context: float) -> float:
    """Operations of attention for one token: with keys and values as cached, MLA's latent for each head."""
    seen = context if group.window is None else min(context, group.window)
    dims = group.key_dim + group.value_dim if group.kv_heads else 2 * group.latent_dim
    return 2 * group.count * facts.heads * dims * seen


def _prefill_flops(facts: ModelFacts, group: Layers, prompt: float) -> float:
    """Operations of attention for one token of a prompt, which sees half of it in the mean; encoders see all."""
    seen = prompt / 2 if facts.decoder else prompt
    if group.window is not None:
        seen = min(seen, group.window)
    if not facts.decoder:
        return 4 * group.count * facts.hidden * seen
    dims = group.key_dim + group.value_dim if group.kv_heads else UNPACKED * group.latent_dim
    return 2 * group.count * facts.heads * dims * seen


def _messages(replica: Replica, tokens: float) -> tuple[float, float]:
    """Seconds of transfers at the links' full speed, and messages in turn: sums over tensor ranks, then stages."""
    facts, accelerator, degree = replica.facts, replica.accelerator, replica.tensor_parallel
    values = tokens * facts.hidden * ACTIVATION_BYTES
    transfer = hops = 0.0
    if degree > 1:
        link = _link(accelerator, degree)
        transfer += facts.depth * SUMS * 2 * (degree - 1) / degree * values / link
        hops += facts.depth * SUMS * log2(degree)
    if replica.pipeline_parallel > 1:
        handed = replica.pipeline_parallel - 1
        transfer += handed * values / degree / _link(accelerator, replica.accelerators)
        hops += handed
    return transfer, hops


def _link(accelerator: AcceleratorSpec, together: int) -> float:
    """Bytes a second that an accelerator sends to others, where `together` of them work at once."""
    inside = accelerator.link_gbps
    return 1e9 * (inside if together <= accelerator.max_per_node else min(inside, NODE_LINK_GBPS))


def _flops(accelerator: AcceleratorSpec, precision: Precision) -> float:
    """Operations a second with weights of `precision`. Where it has no arithmetic for them, they are widened."""
    have = accelerator.tflops
    wide = have.bf16 or 0.0
    narrow: dict[Precision, float | None] = {
        Precision.FP8: have.fp8,
        Precision.INT8: have.int8,
        Precision.NVFP4: have.fp4,
        Precision.MXFP4: have.fp8 if have.fp4 else None,  # with activations of 8 bits
    }
    best = max(wide, narrow.get(precision) or 0.0)
    if best == 0.0:
        best = min(figure for figure in (have.fp8, have.int8, have.fp4) if figure)  # the API wants one at least
    return best * 1e12
