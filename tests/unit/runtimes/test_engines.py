"""What each engine is told, and what it says to what it cannot serve. What holds for all: test_contract.py."""

from __future__ import annotations

from typing import Any

import pytest

from inferops import catalogue
from inferops.api.conditions import Reason
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.core.engine import Obstacle
from inferops.runtimes import ENGINES
from unit.render.building import MODELS, engine_of, pod_of, rendered, revision, service


def obstacle(of: Any, runtime: ServingRuntimeSpec | None = None) -> Obstacle | None:
    spec = revision(of)
    runtime = runtime or catalogue.runtimes()[spec.runtime.name]
    return ENGINES[runtime.engine].obstacle(spec, runtime, catalogue.accelerators()[spec.accelerator.type])


H100X4 = {"type": "nvidia-h100-80gb", "count": 4}
MIG = "nvidia-h100-80gb-mig-1g.10gb"
TEI = "text-embeddings-inference"
SQL = {"name": "sql", "uri": "hf://org/sql-lora"}

# model, spec.runtime, accelerator -> reason, the beginning of the message
REFUSED: list[tuple[str, Any, Any, Any, Reason, str]] = [
    ("vllm", {}, {"args": ["--port=80"]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.args[0]: --port is set by the operator; remove it"),
    ("a field for it", {}, {"args": ["--max-model-len", "8"]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.args[0]: --max-model-len is set by the operator; use spec.model.maxModelLen"),
    ("shortened", {}, {"args": ["--seed", "1", "--por", "80"]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.args[2]: --por could be --port, which is set by the operator; remove it"),
    ("denied", {}, {"args": ["--trust-remote-code"]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.args[0]: --trust-remote-code is not allowed by ServingRuntime 'vllm'; remove it, or have an admin"),
    ("a value alone", {}, {"args": ["other/model"]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.args[0]: 'other/model' stands before any flag; begin with --name"),
    ("a key without value", {}, {"args": ["--hf-overrides.x"]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.args[0]: '--hf-overrides.x' has no value; write --hf-overrides.x=VALUE"),
    ("with another way", {}, {"args": ["--api-key=x"]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.args[0]: --api-key is not allowed by ServingRuntime 'vllm'; set VLLM_API_KEY in spec.runtime.env by "
     "valueFromSecret, or have an admin allow it"),
    ("how a bucket is read", {"uri": "s3://models"}, {"args": ["--load-format=pt"]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.args[0]: --load-format is set by the operator; remove it"),
    ("variable", {}, {"env": [{"name": "LD_PRELOAD", "value": "/evil.so"}]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.env[0]: LD_PRELOAD is not allowed"),
    ("all GPUs of the node", {}, {"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]}, {},
     Reason.ARGUMENT_NOT_ALLOWED, "spec.runtime.env[0]: NVIDIA_VISIBLE_DEVICES is not allowed"),
    ("engine's variable", {}, {"env": [{"name": "VLLM_PLUGINS", "value": "evil"}]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.env[0]: VLLM_PLUGINS is not allowed"),
    ("pickles", {}, {"env": [{"name": "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "value": "1"}]}, {},
     Reason.ARGUMENT_NOT_ALLOWED, "spec.runtime.env[0]: TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD is not allowed"),
    ("flags of a compiler", {}, {"env": [{"name": "NVCC_APPEND_FLAGS", "value": "-ccbin=/mnt/models/cc"}]}, {},
     Reason.ARGUMENT_NOT_ALLOWED, "spec.runtime.env[0]: NVCC_APPEND_FLAGS is not allowed"),
    ("plugin of NCCL", {}, {"env": [{"name": "NCCL_NET_PLUGIN", "value": "evil"}]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.env[0]: NCCL_NET_PLUGIN is not allowed"),
    ("slices", {}, {}, {"type": MIG, "count": 2}, Reason.TENSOR_PARALLEL_INVALID,
     f"spec.accelerators: 2x {MIG}: a process sees one slice"),
    ("uneven pipeline", {}, {"args": ["--pipeline-parallel-size=3"]}, H100X4, Reason.TENSOR_PARALLEL_INVALID,
     "spec.runtime.args: --pipeline-parallel-size must be a whole number that divides the 4 accelerators"),
    ("no pipeline", {}, {"args": ["--pipeline-parallel-size", "0"]}, H100X4, Reason.TENSOR_PARALLEL_INVALID,
     "spec.runtime.args: --pipeline-parallel-size must be"),
    ("pipeline of words", {}, {"args": ["--pipeline_parallel_size", "two"]}, H100X4, Reason.TENSOR_PARALLEL_INVALID,
     "spec.runtime.args: --pipeline-parallel-size must be"),
    ("secret for nothing", {"uri": "pvc://models", "credentialsSecret": "s"}, {}, {}, Reason.INVALID_SPEC,
     "spec.model.credentialsSecret: a pvc:// model is mounted and needs none; remove it"),
    ("triton by name", {"uri": "pvc://models", "name": "x"}, {"name": "triton"}, {}, Reason.INVALID_SPEC,
     "spec.model.name: triton takes it from the model repository"),
    ("triton quantized", {"uri": "pvc://models", "quantization": "fp8"}, {"name": "triton"}, {}, Reason.INVALID_SPEC,
     "spec.model.quantization: triton takes it from the model repository"),
    ("triton control", {"uri": "pvc://m"}, {"name": "triton", "args": ["--model-control=explicit"]}, {},
     Reason.ARGUMENT_NOT_ALLOWED, "spec.runtime.args[0]: --model-control (it could be --model-control-mode) is not"),
    ("triton without value", {"uri": "pvc://m"}, {"name": "triton", "args": ["--id"]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.args[0]: --id has no value; write --id=VALUE"),
    ("sglang remote code", {}, {"name": "sglang", "args": ["--trust-remote-code"]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.args[0]: --trust-remote-code is not allowed by ServingRuntime 'sglang'"),
    ("sglang shortened", {}, {"name": "sglang", "args": ["--tp=2"]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.args[0]: --tp could be --tp-size, which is set by the operator; use count of spec.accelerators"),
    ("sglang plugin", {}, {"name": "sglang", "env": [{"name": "SGLANG_EXTERNAL_MODEL_PACKAGE", "value": "evil"}]}, {},
     Reason.ARGUMENT_NOT_ALLOWED, "spec.runtime.env[0]: SGLANG_EXTERNAL_MODEL_PACKAGE is not allowed"),
    ("sglang uneven", {}, {"name": "sglang", "args": ["--pp-size=3"]}, H100X4, Reason.TENSOR_PARALLEL_INVALID,
     "spec.runtime.args: --pp-size must be a whole number that divides the 4 accelerators of a replica"),
    ("sglang name", {**MODELS["hf"], "name": "qwen:8b"}, {"name": "sglang"}, {}, Reason.INVALID_SPEC,
     "spec.model.name: sglang takes what follows a ':' for the name of an adapter; leave it out of 'qwen:8b'"),
    ("sglang slices", {}, {"name": "sglang"}, {"type": MIG, "count": 2}, Reason.TENSOR_PARALLEL_INVALID,
     f"spec.accelerators: 2x {MIG}: a process sees one slice"),
    ("trtllm bucket", MODELS["s3"], {"name": "tensorrt-llm"}, {}, Reason.SOURCE_NOT_SUPPORTED,
     "spec.model.uri: tensorrt-llm cannot load s3://; it takes hf://, pvc://, oci://"),
    ("trtllm quantized", {**MODELS["hf"], "quantization": "fp8"}, {"name": "tensorrt-llm"}, {}, Reason.INVALID_SPEC,
     "spec.model.quantization: tensorrt-llm loads a checkpoint as it is; remove it"),
    ("trtllm settings", {}, {"name": "tensorrt-llm", "args": ["--config=/mnt/models/x.yaml"]}, {},
     Reason.ARGUMENT_NOT_ALLOWED, "spec.runtime.args[0]: --config is set by the operator; remove it"),
    ("trtllm module", {}, {"name": "tensorrt-llm", "args": ["--custom_module_dirs", "/mnt/models"]}, {},
     Reason.ARGUMENT_NOT_ALLOWED, "spec.runtime.args[0]: --custom-module-dirs is not allowed"),
    ("trtllm any setting", {}, {"name": "tensorrt-llm", "args": ["--set", "trust_remote_code=true"]}, {},
     Reason.ARGUMENT_NOT_ALLOWED, "spec.runtime.args[0]: --set is not allowed by ServingRuntime 'tensorrt-llm'"),
    ("trtllm stages", {}, {"name": "tensorrt-llm", "args": ["--pp_size=3"]}, H100X4, Reason.TENSOR_PARALLEL_INVALID,
     "spec.runtime.args: --pp-size must be a whole number that divides the 4 accelerators"),
    ("onnx over GPUs", MODELS["pvc"], {"name": "onnxruntime"}, H100X4, Reason.TENSOR_PARALLEL_INVALID,
     "spec.accelerators: 4x nvidia-h100-80gb: onnxruntime keeps a model on one accelerator; set count to 1 and raise"),
    ("onnx by name", {**MODELS["pvc"], "name": "x"}, {"name": "onnxruntime"}, {}, Reason.INVALID_SPEC,
     "spec.model.name: onnxruntime takes it from the model repository"),
    ("onnx of the hub", {}, {"name": "onnxruntime"}, {}, Reason.SOURCE_NOT_SUPPORTED,
     "spec.model.uri: onnxruntime cannot load hf://; it takes s3://, gs://, pvc://, oci://"),
    ("TEI over GPUs", {}, {"name": TEI}, H100X4, Reason.TENSOR_PARALLEL_INVALID,
     f"spec.accelerators: 4x nvidia-h100-80gb: {TEI} keeps a model on one accelerator"),
    ("TEI context", {**MODELS["hf"], "maxModelLen": 512}, {"name": TEI}, {}, Reason.INVALID_SPEC,
     f"spec.model.maxModelLen: {TEI} takes it from the model; remove it"),
    ("TEI key", {}, {"name": TEI, "args": ["--api-key=x"]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     f"spec.runtime.args[0]: --api-key is not allowed by ServingRuntime '{TEI}'; set API_KEY in spec.runtime.env by"),
    ("TEI port", {}, {"name": TEI, "env": [{"name": "PORT", "value": "1"}]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.env[0]: PORT is not allowed"),
    ("Bento of the hub", {}, {"name": "bentoml"}, {}, Reason.SOURCE_NOT_SUPPORTED,
     "spec.model.uri: bentoml cannot load hf://; it takes oci://"),
    ("Bento without a tag", {"uri": "oci://registry.example.com:5000/fraud"}, {"name": "bentoml"}, {},
     Reason.INVALID_SPEC, "spec.model.uri: the Bento's image would change under the running service; name a tag"),
    ("latest Bento", {"uri": "oci://registry.example.com/fraud:latest"}, {"name": "bentoml"}, {},
     Reason.INVALID_SPEC, "spec.model.uri: the Bento's image would change under the running service; name a tag"),
    ("Bento quantized", {**MODELS["oci"], "quantization": "fp8"}, {"name": "bentoml"}, {}, Reason.INVALID_SPEC,
     "spec.model.quantization: the Bento itself decides it; remove it"),
    ("Bento elsewhere", MODELS["oci"], {"name": "bentoml", "args": ["--working-dir=/tmp"]}, {},
     Reason.ARGUMENT_NOT_ALLOWED, "spec.runtime.args[0]: --working-dir is not allowed by ServingRuntime 'bentoml'"),
    ("adapters of TensorRT-LLM", {**MODELS["hf"], "adapters": [SQL]}, {"name": "tensorrt-llm"}, {}, Reason.INVALID_SPEC,
     "spec.model.adapters: tensorrt-llm serves no LoRA adapters; remove them, or name vllm or sglang"),
    ("adapter in a bucket", {**MODELS["hf"], "adapters": [SQL, {"name": "b", "uri": "s3://loras/b"}]}, {}, {},
     Reason.SOURCE_NOT_SUPPORTED,
     "spec.model.adapters[1].uri: vllm cannot load an adapter from s3://; it takes hf://, pvc://, oci://:"),
    ("adapters by argument", {}, {"args": ["--lora-modules", "a=org/a"]}, {}, Reason.ARGUMENT_NOT_ALLOWED,
     "spec.runtime.args[0]: --lora-modules is set by the operator; use spec.model.adapters"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "model", "runtime", "choice", "reason", "told"), REFUSED, ids=[r[0] for r in REFUSED])
def test_refused(case: str, model: Any, runtime: Any, choice: Any, reason: Reason, told: str) -> None:
    found = obstacle(service(model, runtime, choice or {"type": "nvidia-h100-80gb"}))
    assert found is not None
    assert (found.reason, found.message[: len(told)]) == (reason, told)


@pytest.mark.parametrize(
    "name",
    ["VLLM_LOGGING_LEVEL", "VLLM_ATTENTION_BACKEND", "HF_ENDPOINT", "HTTPS_PROXY", "NCCL_DEBUG", "OMP_NUM_THREADS",
     "AWS_REGION", "SSL_CERT_FILE", "PYTORCH_CUDA_ALLOC_CONF", "CUDA_LAUNCH_BLOCKING", "VLLM_API_KEY"],
)  # fmt: skip
def test_harmless_variables_pass(name: str) -> None:
    assert obstacle(service(runtime={"env": [{"name": name, "value": "x"}]})) is None


def offered(**more: Any) -> ServingRuntimeSpec:
    return ServingRuntimeSpec.model_validate({"engine": "vllm", **more})


def test_an_admin_allows_and_denies() -> None:
    remote, seqs = service(runtime={"args": ["--trust-remote-code"]}), service(runtime={"args": ["--max-num-seqs=8"]})
    assert obstacle(remote, offered()) is not None
    assert obstacle(remote, offered(userArgs={"deny": []})) is None
    assert obstacle(remote, offered(userArgs={"deny": ["--trust-*"]})) is not None
    assert obstacle(seqs, offered(userArgs={"allow": ["--max-num-*"]})) is None
    assert obstacle(seqs, offered(userArgs={"allow": ["--max-num"]})) is not None
    assert obstacle(seqs, offered(userArgs={"allow": []})) is not None
    assert obstacle(seqs, offered(userArgs={"allow": ["*"], "deny": ["--max-num-seqs"]})) is not None
    parser = service(runtime={"args": ["--reasoning-parser=qwen3"]})
    assert obstacle(parser, offered()) is None
    assert obstacle(parser, offered(userArgs={"deny": ["--reasoning-*"]})) is not None


def test_not_even_an_admin_sets_what_the_operator_sets() -> None:
    found = obstacle(service(), offered(args=["--seed=1", "--tensor-parallel-size=2"]))
    assert found is not None and found.reason is Reason.RUNTIME_INVALID
    assert found.message.startswith("ServingRuntime vllm: spec.args[1]: --tensor-parallel-size is set by the operator")
    users = service(runtime={"args": ["--port=1"]})
    assert obstacle(users, offered(userArgs={"deny": []})) is not None


def test_an_admins_arguments_and_variables_come_first_and_the_users_win() -> None:
    admins = offered(args=["--max-num-seqs=512"], env=[{"name": "A", "value": "1"}, {"name": "HF_HOME", "value": "/x"}])
    of = service(runtime={"args": ["--max-num-seqs=8"], "env": [{"name": "A", "value": "2"}]})
    container = engine_of(rendered(of, admins))
    assert container["args"][:3] == ["Qwen/Qwen3-8B", "--max-num-seqs=512", "--max-num-seqs=8"]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert (env["A"], env["HF_HOME"]) == ("2", "/x")


def test_an_admins_image_command_user_and_pull_secrets() -> None:
    admins = offered(
        image="mirror/vllm:v1", command=["python3", "-m", "vllm"], runAsUser=1234, imagePullSecrets=["mirror"]
    )
    record = rendered(service(), admins)
    assert record.image == engine_of(record)["image"] == "mirror/vllm:v1"
    assert engine_of(record)["command"] == ["python3", "-m", "vllm"]
    assert pod_of(record)["securityContext"]["runAsUser"] == 1234
    assert pod_of(record)["imagePullSecrets"] == [{"name": "mirror"}]
