"""Tells how a checkpoint's weights are stored, from the words that the tools of quantization leave in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from inferops.core.config_json.fields import Fields
from inferops.core.facts import Precision

BY_METHOD = {
    "fp8": Precision.FP8,
    "fbgemm_fp8": Precision.FP8,
    "ptpc_fp8": Precision.FP8,
    "mxfp4": Precision.MXFP4,
    "eetq": Precision.INT8,
    "experts_int8": Precision.INT8,
}
BY_BITS = {
    "awq",
    "gptq",
    "awq_marlin",
    "gptq_marlin",
    "auto-round",
    "autoround",
    "auto_round",
    "inc",
    "hqq",
    "moe_wna16",
}
UNQUANTIZED = {"float32": Precision.FP32, "float": Precision.FP32, "fp32": Precision.FP32}
KNOWN = "fp8, fbgemm_fp8, compressed-tensors, awq, gptq, auto-round, bitsandbytes, mxfp4, modelopt and quark"


def given_of(fields: Fields, sidecar: Mapping[str, Any] | None = None) -> Fields | None:
    """What is said of quantization, in config.json or else in hf_quant_config.json; None where nothing is."""
    given = fields.inner("quantization_config", "compression_config")
    if given is not None or sidecar is None:
        return given
    if not isinstance(sidecar, Mapping):
        raise fields.bad("hf_quant_config.json", "is not an object", "give the file as the repository has it")
    outer = Fields(fields.name, (sidecar,))
    return outer.inner("quantization") or outer


def precision_of(fields: Fields, sidecar: Mapping[str, Any] | None = None) -> Precision:
    """How most weights are stored. `sidecar`: the content of hf_quant_config.json, which is asked last.

    Where a checkpoint mixes precisions it is that of the fewest bits, as experts have. Raises BadConfig on a method
    that is not known.
    """
    given = given_of(fields, sidecar)
    if given is None:
        return UNQUANTIZED.get(fields.text("dtype", "torch_dtype").removeprefix("torch."), Precision.BF16)
    if given.raw("quant_algo")[1] is None and fields.text("expert_dtype") == "fp4":
        return Precision.MXFP4
    return _method(given)


def _method(given: Fields) -> Precision:
    method = given.text("quant_method", "quant_library").lower()
    if given.raw("quant_algo")[1] is not None:
        return _algorithm(given)
    if method == "bitsandbytes":
        return Precision.INT4 if given.flag("load_in_4bit", "_load_in_4bit") else Precision.INT8
    if method in BY_METHOD:
        return BY_METHOD[method]
    if method in BY_BITS:
        return Precision.INT4 if given.size("bits", "w_bit", "nbits", default=4) <= 4 else Precision.INT8
    if given.raw("config_groups")[1] is not None:
        return _groups(given)
    if method == "quark":
        return _quark(given)
    raise given.bad("quantization_config.quant_method", f"is {method[:40]!r}", f"known are {KNOWN}")


def _groups(given: Fields) -> Precision:
    """compressed-tensors: bits and type of every group of modules."""
    groups = given.inner("config_groups")
    found = []
    for name in groups.parts[0] if groups else ():
        group = groups.inner(name) if groups else None
        precision = group_precision(given, group) if group else None
        found += [precision] if precision is not None else []
    if not found:
        raise given.bad("quantization_config.config_groups", "has no group with weights")
    return min(found, key=_bits)


def group_precision(given: Fields, group: Fields) -> Precision | None:
    """How the weights of one group are stored; None where it is about no weights."""
    weights = group.inner("weights")
    layout = group.text("format") or given.text("format")
    return _stored(weights.size("num_bits", default=16), weights, layout) if weights is not None else None


def _stored(bits: int, weights: Fields, layout: str) -> Precision:
    if bits > 8:
        return Precision.BF16
    if weights.text("type") != "float":
        return Precision.INT8 if bits > 4 else Precision.INT4
    if bits > 4:
        return Precision.FP8
    return Precision.MXFP4 if "mxfp4" in layout or weights.maybe("group_size") == 32 else Precision.NVFP4


def _algorithm(given: Fields) -> Precision:
    """modelopt: the name of an algorithm, or one for each layer."""
    name = given.text("quant_algo").upper()
    if name != "MIXED_PRECISION":
        return named_precision(given, name)
    layers = given.inner("quantized_layers")
    algorithms = Counter(
        inner.text("quant_algo").upper()
        for layer in (layers.parts[0] if layers else ())
        if layers is not None and (inner := layers.inner(layer)) is not None
    )
    if not algorithms:
        return named_precision(given, given.text("moe_quant_algo").upper())
    return min((named_precision(given, algorithm) for algorithm in algorithms), key=_bits)


def named_precision(given: Fields, algorithm: str) -> Precision:
    """How an algorithm of modelopt stores weights."""
    for part, precision in (
        ("NVFP4", Precision.NVFP4),
        ("MXFP4", Precision.MXFP4),
        ("FP8", Precision.FP8),
        ("W4", Precision.INT4),
        ("INT4", Precision.INT4),
        ("INT8", Precision.INT8),
        ("W8", Precision.INT8),
    ):
        if part in algorithm:
            return precision
    raise given.bad("quant_algo", f"is {algorithm[:40]!r}", "known are FP8, NVFP4, MXFP4, W4A16_AWQ and INT8_SQ")


def _quark(given: Fields) -> Precision:
    overall = given.inner("global_quant_config")
    weight = overall.inner("weight") if overall else None
    stored = weight.text("dtype") if weight else ""
    for part, precision in (("fp8", Precision.FP8), ("fp4", Precision.MXFP4), ("int8", Precision.INT8)):
        if part in stored:
            return precision
    if "int4" in stored:
        return Precision.INT4
    where = "quantization_config.global_quant_config.weight.dtype"
    raise given.bad(where, f"is {stored[:40]!r}", "known are fp8, fp4, int8 and int4")


def _bits(precision: Precision) -> int:
    return {Precision.FP32: 32, Precision.BF16: 16, Precision.FP8: 8, Precision.INT8: 8}.get(precision, 4)
