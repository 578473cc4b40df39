"""Models that tests size, as facts: shapes and counts as their config.json and model cards state them."""

from __future__ import annotations

from inferops.core.facts import Layers, ModelFacts, Precision


def dense(
    name: str,
    billions: float,
    *,
    layers: int,
    hidden: int,
    intermediate: int,
    heads: int,
    kv_heads: int,
    vocabulary: int,
    context: int,
    head_dim: int = 128,
    precision: Precision = Precision.BF16,
) -> ModelFacts:
    """A decoder with grouped-query attention and an output head of its own."""
    params = billions * 1e9
    return ModelFacts(
        name=name,
        architecture="LlamaForCausalLM",
        params=params,
        active_params=params,
        expert_params=0.0,
        embedding_params=2.0 * vocabulary * hidden,
        experts=0,
        experts_per_token=0,
        hidden=hidden,
        intermediate=intermediate,
        vocabulary=vocabulary,
        heads=heads,
        context=context,
        layers=(Layers(layers, kv_heads=kv_heads, key_dim=head_dim, value_dim=head_dim),),
        precision=precision,
    )


LLAMA2_7B = dense(
    "Llama-2-7b",
    6.738,
    layers=32,
    hidden=4096,
    intermediate=11008,
    heads=32,
    kv_heads=32,
    vocabulary=32000,
    context=4096,
)
LLAMA2_70B = dense(
    "Llama-2-70b",
    68.977,
    layers=80,
    hidden=8192,
    intermediate=28672,
    heads=64,
    kv_heads=8,
    vocabulary=32000,
    context=4096,
)
LLAMA31_8B = dense(
    "Llama-3.1-8B",
    8.03,
    layers=32,
    hidden=4096,
    intermediate=14336,
    heads=32,
    kv_heads=8,
    vocabulary=128256,
    context=131072,
)
LLAMA31_405B = dense(
    "Llama-3.1-405B",
    405.85,
    layers=126,
    hidden=16384,
    intermediate=53248,
    heads=128,
    kv_heads=8,
    vocabulary=128256,
    context=131072,
)
QWEN25_05B = dense(
    "Qwen2.5-0.5B",
    0.494,
    layers=24,
    hidden=896,
    intermediate=4864,
    heads=14,
    kv_heads=2,
    vocabulary=151936,
    context=32768,
    head_dim=64,
)
