"""Every tool's way to say how weights are stored is understood."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.core.config_json import BadConfig, facts_of
from inferops.core.facts import Precision
from unit.core.configs import CONFIGS

LLAMA = CONFIGS["llama-3.1-8b"]


def groups(*weights: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = {f"group_{index}": {"targets": ["Linear"], "weights": weight} for index, weight in enumerate(weights)}
    return {"config_groups": named, "quant_method": "compressed-tensors", **more}


def algorithms(*names: str) -> dict[str, Any]:
    layers = {f"model.layers.{index}.mlp": {"quant_algo": name} for index, name in enumerate(names)}
    return {"quant_algo": "MIXED_PRECISION", "quantized_layers": layers}


@pytest.mark.parametrize(
    ("given", "precision"),
    [
        ({"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}, Precision.FP8),
        ({"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}, Precision.FP8),
        (groups({"num_bits": 8, "type": "float"}), Precision.FP8),
        (groups({"num_bits": 8, "type": "int"}), Precision.INT8),
        (groups({"num_bits": 4, "type": "int", "group_size": 32}, format="pack-quantized"), Precision.INT4),
        (groups({"num_bits": 4, "type": "float", "group_size": 16}), Precision.NVFP4),
        (groups({"num_bits": 4, "type": "float", "group_size": 32}, format="mxfp4-pack-quantized"), Precision.MXFP4),
        (groups({"num_bits": 8, "type": "float"}, {"num_bits": 4, "type": "float", "group_size": 16}), Precision.NVFP4),
        (groups({"num_bits": 16, "type": "float"}), Precision.BF16),
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"}, Precision.INT4),
        ({"quant_method": "awq", "w_bit": 4, "q_group_size": 128}, Precision.INT4),
        ({"quant_method": "gptq", "bits": 4, "desc_act": True}, Precision.INT4),
        ({"quant_method": "gptq", "bits": 8}, Precision.INT8),
        ({"quant_method": "auto-round", "bits": 4}, Precision.INT4),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, Precision.INT4),
        ({"quant_method": "bitsandbytes", "_load_in_8bit": True, "load_in_8bit": True}, Precision.INT8),
        ({"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}, Precision.MXFP4),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, Precision.FP8),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", **groups({"num_bits": 4})}, Precision.NVFP4),
        ({"quant_algo": "W4A16_AWQ"}, Precision.INT4),
        ({"quant_algo": "INT8_SQ"}, Precision.INT8),
        (algorithms("FP8", "W4A16_NVFP4", "FP8"), Precision.NVFP4),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}}}, Precision.FP8),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4"}}}, Precision.MXFP4),
    ],
)
def test_precision_of_a_quantized_checkpoint(given: dict[str, Any], precision: Precision) -> None:
    assert facts_of({**LLAMA, "quantization_config": given}, "quantized").precision == precision
    nested = {"model_type": "mistral3", "text_config": {**LLAMA, "quantization_config": given}}
    assert facts_of(nested, "nested").precision == precision


@pytest.mark.parametrize(
    ("fields", "precision"),
    [
        ({"torch_dtype": "bfloat16"}, Precision.BF16),
        ({"torch_dtype": "float16"}, Precision.BF16),
        ({"torch_dtype": None, "dtype": "float32"}, Precision.FP32),
        ({"torch_dtype": None}, Precision.BF16),
    ],
)
def test_precision_of_an_unquantized_checkpoint(fields: dict[str, Any], precision: Precision) -> None:
    assert facts_of({**LLAMA, **fields}, "plain").precision == precision


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_file_that_modelopt_puts_beside_config_json(wrapped: bool) -> None:
    inner = {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "group_size": 16, "exclude_modules": ["lm_head"]}
    sidecar = {"producer": {"name": "modelopt"}, "quantization": inner} if wrapped else inner
    assert facts_of(LLAMA, "beside", quantization_config=sidecar).precision == Precision.NVFP4


def test_experts_in_4_bits_under_a_method_of_8() -> None:
    quantized = {"expert_dtype": "fp4", "quantization_config": {"quant_method": "fp8"}}
    assert facts_of({**CONFIGS["deepseek-v3"], **quantized}, "v4").precision == Precision.MXFP4


def test_bytes_of_weights_follow_the_precision() -> None:
    config = {**LLAMA, "quantization_config": {"quant_method": "awq", "bits": 4}}
    awq = facts_of(config, "awq").weight_bytes()
    assert awq == pytest.approx(5.73e9, rel=0.02)  # the size of an AWQ repository of Llama 3.1 8B
    assert facts_of(CONFIGS["gpt-oss-120b"], "oss").weight_bytes() == pytest.approx(65.25e9, rel=0.03)
    assert facts_of(CONFIGS["llama-2-70b"], "llama").weight_bytes() == pytest.approx(138e9, rel=0.01)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"quant_method": "aqlm"}, ["quant_method", "aqlm", "awq"]),
        ({}, ["quant_method"]),
        ({"quant_algo": "SECRET"}, ["quant_algo", "SECRET", "NVFP4"]),
        ({"quant_algo": "MIXED_PRECISION"}, ["quant_algo"]),
        ({"quant_method": "compressed-tensors", "config_groups": {}}, ["config_groups"]),
        ({"quant_method": "quark"}, ["global_quant_config"]),
        ({"quant_method": "awq", "bits": "four"}, ["bits", "four"]),
        ("fp8", ["quantization_config", "not an object"]),
    ],
)
def test_what_is_not_known_is_named(given: Any, words: list[str]) -> None:
    with pytest.raises(BadConfig) as caught:
        facts_of({**LLAMA, "quantization_config": given}, "mine")
    assert all(word in str(caught.value) for word in words), str(caught.value)
