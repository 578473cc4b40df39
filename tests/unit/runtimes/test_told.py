"""What each engine is told on its command line, in its environment and by its files, and which image it gets."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from inferops import catalogue
from inferops.api.conditions import Reason
from inferops.runtimes import ENGINES, Endpoint
from unit.render.building import MODELS, engine_of, pod_of, rendered, revision, service

H100X4 = {"type": "nvidia-h100-80gb", "count": 4}
TEI = "text-embeddings-inference"


@pytest.mark.parametrize(
    ("model", "runtime", "choice", "wanted"),
    [
        (MODELS["hf"], {}, {}, {"--served-model-name=chat", "--tensor-parallel-size=1", "--host=0.0.0.0"}),
        ({**MODELS["hf"], "name": "q"}, {}, H100X4, {"--served-model-name=q", "--tensor-parallel-size=4"}),
        (MODELS["hf with a token"], {}, {}, {"--revision=main"}),
        (
            {**MODELS["hf"], "maxModelLen": 8192, "quantization": "fp8"},
            {},
            {},
            {"--max-model-len=8192", "--quantization=fp8"},
        ),
        (MODELS["s3"], {}, {}, {"--load-format=runai_streamer"}),
        (MODELS["hf"], {"args": ["--pipeline-parallel-size=2"]}, H100X4, {"--tensor-parallel-size=2"}),
        (MODELS["hf"], {"args": ["--pipeline_parallel_size", "4"]}, H100X4, {"--tensor-parallel-size=1"}),
    ],
)
def test_what_vllm_is_told(model: Any, runtime: Any, choice: Any, wanted: set[str]) -> None:
    args = engine_of(rendered(service(model, runtime, choice or {"type": "nvidia-h100-80gb"})))["args"]
    assert wanted <= set(args)
    assert not args[0].startswith("-")


@pytest.mark.parametrize("quantization", ["awq", "gptq", "int8", "nvfp4"])
def test_a_checkpoints_own_quantization_is_left_to_the_checkpoint(quantization: str) -> None:
    of = service({**MODELS["hf"], "quantization": quantization})
    assert not [arg for arg in engine_of(rendered(of))["args"] if "quantization" in arg]


def test_triton_reads_its_repository_where_it_is() -> None:
    args = engine_of(rendered(service(MODELS["s3"], {"name": "triton"})))["args"]
    assert "--model-repository=s3://models/qwen/3-8b" in args
    mounted = engine_of(rendered(service(MODELS["pvc folder"], {"name": "triton"})))["args"]
    assert "--model-repository=/mnt/models/qwen/3-8b" in mounted


def told(model: Any, runtime: str, choice: Any = None) -> list[str]:
    args: list[str] = engine_of(rendered(service(model, {"name": runtime}, choice)))["args"]
    return args


def test_what_sglang_is_told() -> None:
    model = {**MODELS["hf with a token"], "maxModelLen": 8192, "quantization": "fp8"}
    args = told(model, "sglang", H100X4)
    assert args[:2] == ["--model-path=Qwen/Qwen3-8B", "--served-model-name=chat"]
    assert {"--tp-size=4", "--context-length=8192", "--quantization=fp8", "--revision=main", "--enable-metrics"} <= {
        *args
    }
    assert "--model-path=s3://models/qwen/3-8b" in told(MODELS["s3"], "sglang")
    of = service(MODELS["hf"], {"name": "sglang", "args": ["--pp-size=2"]}, H100X4)
    assert "--tp-size=2" in engine_of(rendered(of))["args"]


def test_what_tensorrt_llm_is_told() -> None:
    args = told({**MODELS["hf with a token"], "maxModelLen": 8192}, "tensorrt-llm", H100X4)
    # A flag of the user's without its value would take the first, which is the default anyway.
    assert args[:2] == ["Qwen/Qwen3-8B", "--backend=pytorch"]
    assert {"--tp_size=4", "--max_seq_len=8192", "--revision=main", "--served_model_name=chat"} <= {*args}


def test_tensorrt_llm_reads_its_settings_from_its_own_annotation() -> None:
    record = rendered(service(MODELS["hf"], {"name": "tensorrt-llm"}))
    annotations = record.objects["deployment"]["spec"]["template"]["metadata"]["annotations"]
    volume = next(volume for volume in pod_of(record)["volumes"] if "downwardAPI" in volume)
    mount = next(mount for mount in engine_of(record)["volumeMounts"] if mount["name"] == volume["name"])
    [item] = volume["downwardAPI"]["items"]
    assert f"--extra_llm_api_options={mount['mountPath']}/{item['path']}" in engine_of(record)["args"]
    [(name, settings)] = annotations.items()
    assert item["fieldRef"] == {"fieldPath": f"metadata.annotations['{name}']"}
    assert yaml.safe_load(settings) == {"return_perf_metrics": True, "enable_iter_perf_stats": True}


@pytest.mark.parametrize(
    ("accelerator", "tag"),
    [
        ("nvidia-l4", "89-1.9.3"),
        ("nvidia-l40s", "89-1.9.3"),
        ("nvidia-geforce-rtx-4090", "89-1.9.3"),
        ("nvidia-a10g", "86-1.9.3"),
        ("nvidia-a100-40gb", "1.9.3"),
        ("nvidia-a100-80gb-mig-3g.40gb", "1.9.3"),
        ("nvidia-h100-80gb", "hopper-1.9.3"),
        ("nvidia-h200-mig-1g.18gb", "hopper-1.9.3"),
        ("nvidia-b200", "100-1.9.3"),
        ("nvidia-rtx-pro-6000", "120-1.9.3"),
        ("nvidia-rtx-5090", "120-1.9.3"),
        ("tesla-t4", "turing-1.9.3"),
        ("our-own-gpu", "cuda-1.9.3"),
        ("nvidia-b300", None),
        ("nvidia-gb200", None),
    ],
)
def test_the_image_of_embeddings_is_made_for_the_gpu(accelerator: str, tag: str | None) -> None:
    of = service(runtime={"name": TEI}, choice={"type": accelerator})
    gpu = catalogue.accelerators()["nvidia-l4"]
    runtime = catalogue.runtimes()[TEI]
    if tag is None:
        found = ENGINES[TEI].obstacle(revision(of), runtime, gpu)
        assert found is not None and found.reason is Reason.RUNTIME_INVALID
        assert found.message.startswith(f"spec.accelerators: {TEI} has no built-in image for {accelerator}; name ")
        own = runtime.model_copy(update={"image": "mirror/tei:sm103"})
        assert ENGINES[TEI].obstacle(revision(of), own, gpu) is None
    else:
        assert rendered(of, runtime, gpu).image == f"ghcr.io/huggingface/text-embeddings-inference:{tag}"


def test_gpus_of_amd_need_an_image_for_them() -> None:
    amd = catalogue.accelerators()["nvidia-l4"].model_copy(update={"vendor": "amd", "resource_name": "amd.com/gpu"})
    assert rendered(service(), accelerator=amd).image.startswith("vllm/vllm-openai-rocm:v")
    found = ENGINES["sglang"].obstacle(
        revision(service(runtime={"name": "sglang"})), catalogue.runtimes()["sglang"], amd
    )
    assert found is not None and "sglang has no built-in image for nvidia-h100-80gb" in found.message


def test_a_bento_is_its_own_image() -> None:
    record = rendered(service(MODELS["oci with a login"], {"name": "bentoml"}))
    assert record.image == engine_of(record)["image"] == "registry.example.com/models/qwen:3-8b"
    assert pod_of(record)["imagePullSecrets"] == [{"name": "login"}]
    assert not [volume for volume in pod_of(record)["volumes"] if "image" in volume]
    admins = catalogue.runtimes()["bentoml"].model_copy(update={"image": "mirror/fraud:1"})
    found = ENGINES["bentoml"].obstacle(
        revision(service(MODELS["oci"], {"name": "bentoml"})), admins, catalogue.accelerators()["nvidia-h100-80gb"]
    )
    assert found is not None and found.reason is Reason.RUNTIME_INVALID
    assert found.message.startswith("ServingRuntime bentoml: spec.image: a Bento is an image of its own")


def test_endpoints_are_plain_data() -> None:
    assert ENGINES["vllm"].readiness == Endpoint("http", "/health")
    assert ENGINES["triton"].metrics.endpoint == Endpoint("metrics", "/metrics")
