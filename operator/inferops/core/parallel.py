"""How a model may be split: the legal sizes of tensor and pipeline parallelism, and why others are not.

Tensor parallelism needs the query heads and the intermediate size to be divisible, and the KV heads to be either
divisible or replicated whole (vLLM's and SGLang's rule). It stays within a node; over nodes go pipeline stages.
"""

from __future__ import annotations

from collections.abc import Iterator

from inferops.api.accelerator import AcceleratorSpec
from inferops.core.facts import ModelFacts

MOST_NODES = 4  # a replica over more nodes is not proposed


def illegal(facts: ModelFacts, tensor: int, pipeline: int = 1) -> str:
    """Why `tensor` x `pipeline` cannot be; empty where it can."""
    if facts.heads % tensor:
        return f"its {facts.heads} attention heads cannot be divided by {tensor}"
    if facts.intermediate % tensor:
        return f"its intermediate size of {facts.intermediate:,} cannot be divided by {tensor}"
    for group in facts.layers:
        if group.kv_heads and group.kv_heads % tensor and tensor % group.kv_heads:
            return f"its {group.kv_heads} KV heads can neither be divided by {tensor} nor replicated over it"
    if pipeline > facts.depth:
        return f"its {facts.depth} layers are too few for {pipeline} stages"
    return ""


def splits(facts: ModelFacts, accelerator: AcceleratorSpec) -> Iterator[tuple[int, int]]:
    """Tensor and pipeline sizes to try, fewest accelerators first: powers of two in a node, then whole nodes."""
    most = 1 if accelerator.slice else accelerator.max_per_node
    tensor, largest = 1, 1
    while tensor <= most:
        if not illegal(facts, tensor):
            yield tensor, 1
            largest = tensor
        tensor *= 2
    if accelerator.slice or largest * 2 <= most:  # a node that cannot be filled is no ground for a second one
        return
    for nodes in range(2, MOST_NODES + 1):
        if not illegal(facts, largest, nodes):
            yield largest, nodes
