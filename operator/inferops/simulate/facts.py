"""What the engine model has to know of an accelerator and of a language model.

Shapes are those of the models' published `config.json`; parameter counts are those of their model cards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import inf, log

GIB = 2**30


@dataclass(frozen=True, slots=True)
class AcceleratorSpec:
    """One accelerator, as its data sheet states it."""

    name: str
    memory_gib: float  # GiB of 2**30 bytes
    bandwidth_gbps: float  # memory bandwidth in 10**9 bytes/s
    bf16_tflops: float  # dense, 10**12 operations/s
    fp8_tflops: float | None = None  # None: it computes FP8 weights in BF16


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The shape of a decoder-only transformer with grouped-query attention."""

    name: str
    params: float  # weights, all experts counted
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int  # tokens: the longest prompt and answer it was made for
    active: float = 0.0  # weights that one token passes through; 0: all of them
    experts: int = 1
    experts_per_token: int = 1
    guessed: bool = False  # made up from the name, because the table does not hold the model

    @property
    def active_params(self) -> float:
        """Weights that one token passes through."""
        return self.active or self.params

    def kv_bytes_per_token(self, value_bytes: float, tensor_parallel: int = 1) -> float:
        """Bytes of KV cache that one token takes on each accelerator. Fewer KV heads than accelerators: replicated."""
        return 2 * self.layers * max(1.0, self.kv_heads / tensor_parallel) * self.head_dim * value_bytes


def _dense(
    name: str, billions: float, layers: int, heads: int, kv_heads: int, head_dim: int, context: int
) -> ModelFacts:
    return ModelFacts(name, billions * 1e9, layers, heads, kv_heads, head_dim, context)


def _sparse(dense: ModelFacts, active_billions: float, experts: int, per_token: int) -> ModelFacts:
    return replace(dense, active=active_billions * 1e9, experts=experts, experts_per_token=per_token)


MODELS: tuple[ModelFacts, ...] = (
    _dense("opt-125m", 0.125, 12, 12, 12, 64, 2048),
    _dense("llama-3.2-1b", 1.24, 16, 32, 8, 64, 131_072),
    _dense("llama-3.2-3b", 3.21, 28, 24, 8, 128, 131_072),
    _dense("llama-3-8b", 8.03, 32, 32, 8, 128, 8192),
    _dense("llama-3.1-8b", 8.03, 32, 32, 8, 128, 131_072),
    _dense("llama-3-70b", 70.55, 80, 64, 8, 128, 8192),
    _dense("llama-3.1-70b", 70.55, 80, 64, 8, 128, 131_072),
    _dense("llama-3.3-70b", 70.55, 80, 64, 8, 128, 131_072),
    _dense("llama-3.1-405b", 405.85, 126, 128, 8, 128, 131_072),
    _dense("mistral-7b", 7.25, 32, 32, 8, 128, 32_768),
    _dense("qwen2.5-0.5b", 0.494, 24, 14, 2, 64, 32_768),
    _dense("qwen2.5-1.5b", 1.54, 28, 12, 2, 128, 32_768),
    _dense("qwen2.5-3b", 3.09, 36, 16, 2, 128, 32_768),
    _dense("qwen2.5-7b", 7.62, 28, 28, 4, 128, 32_768),
    _dense("qwen2.5-14b", 14.77, 48, 40, 8, 128, 32_768),
    _dense("qwen2.5-32b", 32.76, 64, 40, 8, 128, 32_768),
    _dense("qwen2.5-72b", 72.71, 80, 64, 8, 128, 32_768),
    _dense("qwen3-0.6b", 0.596, 28, 16, 8, 128, 40_960),
    _dense("qwen3-1.7b", 1.72, 28, 16, 8, 128, 40_960),
    _dense("qwen3-4b", 4.02, 36, 32, 8, 128, 40_960),
    _dense("qwen3-8b", 8.19, 36, 32, 8, 128, 40_960),
    _dense("qwen3-14b", 14.77, 40, 40, 8, 128, 40_960),
    _dense("qwen3-32b", 32.76, 64, 64, 8, 128, 40_960),
    _sparse(_dense("qwen3-30b-a3b", 30.53, 48, 32, 4, 128, 40_960), 3.35, 128, 8),
    _sparse(_dense("mixtral-8x7b", 46.7, 32, 32, 8, 128, 32_768), 12.9, 8, 2),
    _sparse(_dense("mixtral-8x22b", 140.6, 56, 48, 8, 128, 65_536), 39.1, 8, 2),
)
FALLBACK = next(model for model in MODELS if model.name == "llama-3.1-8b")
SIZE = re.compile(r"(?:^|[-_/])(\d+(?:\.\d+)?)([bm])(?=$|[-_/.])")


def model_facts(name: str) -> ModelFacts:
    """The facts of the model `name`: a repository name, a path or a cache folder that contains its name.

    A model the table does not hold gets the shape of the dense model nearest to the size in its name ("-7b"),
    and the shape of Llama-3.1-8B when the name says no size; `guessed` is then true.
    """
    text = name.lower().replace("--", "/").replace("_", "-").replace("meta-llama-", "llama-")
    known = [model for model in MODELS if re.search(rf"(?:^|[-/]){re.escape(model.name)}(?=$|[-/.])", text)]
    if known:
        return max(known, key=lambda model: len(model.name))
    params = params_in(text)
    if params is None:
        return replace(FALLBACK, name=name, guessed=True)
    return replace(_nearest(params), name=name, params=params, guessed=True)


def params_in(name: str) -> float | None:
    """The number of weights that `name` states, as in "-7b" or "-350m"; None when it states none."""
    sizes = [float(number) * (1e9 if unit == "b" else 1e6) for number, unit in SIZE.findall(name.lower())]
    return sizes[-1] if sizes and sizes[-1] > 0 else None


def _nearest(params: float) -> ModelFacts:
    """The dense model of the table whose size is nearest to `params`, by ratio."""
    return min(MODELS, key=lambda model: abs(log(model.params / params)) if model.experts == 1 else inf)


def weight_bytes(name: str, quantization: str | None, dtype: str = "auto") -> float:
    """Bytes a weight takes: by the quantization asked for, else by what the model's name says, else by `dtype`.

    Four-bit formats count 0.55: their scales and the embeddings, which stay at 16 bits, included.
    """
    text = (quantization or name).lower()
    if any(mark in text for mark in ("awq", "gptq", "int4", "w4a16", "4bit", "bitsandbytes", "mxfp4", "nvfp4")):
        return 0.55
    if any(mark in text for mark in ("fp8", "int8", "w8a8", "8bit")):
        return 1.0
    return 4.0 if dtype in ("float32", "float") else 2.0
