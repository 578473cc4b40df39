"""The contract: what holds for every built-in engine, and what each one says to what it cannot serve."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from inferops import catalogue
from inferops.api.conditions import Reason
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.core.engine import Engine, Obstacle
from inferops.runtimes import ENGINES, Endpoint, Launch, Metrics, ServingEngine
from inferops.runtimes.sources import SCHEMES
from unit.render.building import MODELS, engine_of, pod_of, rendered, revision, service

FIXTURES = Path(__file__).parents[2] / "fixtures"
METRICS = {"vllm": "vllm-0.32.0-metrics-after.txt", "triton": "triton-2.51-metrics-after.txt"}

each_engine = pytest.mark.parametrize("engine", ENGINES.values(), ids=list(ENGINES))


def served(engine: ServingEngine) -> dict[str, Any]:
    return {"name": engine.name}


@each_engine
def test_it_is_an_engine_to_the_decisions(engine: ServingEngine) -> None:
    contract: Engine = engine
    assert ENGINES[contract.name] is engine
    assert catalogue.runtimes()[engine.name].engine == engine.name


@each_engine
def test_image_by_version(engine: ServingEngine) -> None:
    name, _, tag = engine.image.rpartition(":")
    assert name and tag and tag != "latest"
    assert ServingRuntimeSpec.model_validate({"engine": engine.name, "image": engine.image}).image == engine.image


@each_engine
def test_ports_probes_and_metrics_fit_together(engine: ServingEngine) -> None:
    ports = {port.name: port.number for port in engine.ports}
    assert len(set(ports.values())) == len(ports) == len(engine.ports)
    assert "http" in ports
    for endpoint in (engine.startup, engine.readiness, engine.liveness, engine.metrics.endpoint):
        assert endpoint.port in ports and endpoint.path.startswith("/")


@each_engine
def test_metric_names_are_those_of_the_real_server(engine: ServingEngine) -> None:
    lines = (FIXTURES / METRICS[engine.name]).read_text().splitlines()
    types = dict(line.split()[2:4] for line in lines if line.startswith("# TYPE"))
    kinds = {
        "gauge": ("running", "waiting", "kv_cache_usage"),
        "histogram": ("ttft", "tpot", "itl", "e2e", "queue_time"),
        "counter": (
            "e2e_microseconds",
            "queue_microseconds",
            "succeeded",
            "failed",
            "rejected",
            "prompt_tokens",
            "generated_tokens",
        ),
    }
    assert {field.name for field in fields(Metrics)} == {
        "endpoint",
        *(name for names in kinds.values() for name in names),
    }
    for kind, names in kinds.items():
        for name in names:
            metric = getattr(engine.metrics, name)
            assert metric is None or types.get(metric) == kind, (name, metric)
    assert engine.metrics.waiting is not None  # scaling speaks by it first


@each_engine
def test_sources_are_known_ones(engine: ServingEngine) -> None:
    assert set(engine.sources) <= set(SCHEMES)


@each_engine
@pytest.mark.parametrize("model", MODELS, ids=list(MODELS))
def test_every_source_is_served_or_refused(engine: ServingEngine, model: str) -> None:
    of = service(MODELS[model], served(engine))
    found = engine.obstacle(
        revision(of), catalogue.runtimes()[engine.name], catalogue.accelerators()["nvidia-h100-80gb"]
    )
    scheme = MODELS[model]["uri"].partition(":")[0]
    assert (found is None) == (scheme in engine.sources)
    if found is None:
        args = engine_of(rendered(of))["args"]
        path = MODELS[model]["uri"].partition("://")[2].strip("/").partition("/")[2]
        assert any(path in arg for arg in args) or scheme == "oci"
    else:
        assert found.reason is Reason.SOURCE_NOT_SUPPORTED
        assert found.message.startswith(f"spec.model.uri: {engine.name} cannot load {scheme}://; it takes ")


@each_engine
def test_the_operators_arguments_are_reserved_and_stand_last(engine: ServingEngine) -> None:
    of = service(MODELS["s3"], {**served(engine), "args": ["--seed=1"] if engine.name == "vllm" else ["--id=1"]})
    launch = Launch("chat", revision(of), catalogue.runtimes()[engine.name], catalogue.accelerators()["nvidia-h200"])
    own = engine.operator_args(launch)
    for arg in own:
        flag, equals, _ = arg.partition("=")
        users = {**served(engine), "args": [f"{flag}=mine"]}
        found = obstacle(service(MODELS["s3"], users))
        assert equals and found is not None
        assert found.message.startswith(f"spec.runtime.args[0]: {flag} is set by the operator; ")
    assert engine.args(launch)[-len(own) :] == own


@each_engine
def test_the_operators_variables_are_the_operators(engine: ServingEngine) -> None:
    of = service(MODELS["s3 with keys"], served(engine))
    for entry in engine_of(rendered(of))["env"]:
        users = {**served(engine), "env": [{"name": entry["name"], "value": "mine"}]}
        found = obstacle(service(MODELS["s3 with keys"], users))
        assert found is not None and found.reason is Reason.ARGUMENT_NOT_ALLOWED
        assert found.message == f"spec.runtime.env[0]: {entry['name']} is set by the operator; remove it"


@each_engine
def test_it_drains(engine: ServingEngine) -> None:
    pod, container = pod_of(rendered(service(MODELS["pvc"], served(engine)))), None
    container = pod["containers"][0]
    drain = catalogue.runtimes()[engine.name].drain
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": drain.pre_stop_seconds}}}
    assert any(arg.endswith(f"={drain.timeout_seconds}") for arg in container["args"])
    assert pod["terminationGracePeriodSeconds"] > drain.pre_stop_seconds + drain.timeout_seconds


@each_engine
def test_it_runs_as_its_own_user_with_a_writable_home(engine: ServingEngine) -> None:
    pod = pod_of(rendered(service(MODELS["pvc"], served(engine))))
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == engine.user > 0
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    env = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    caches = [value for name, value in env.items() if name.endswith(("HOME", "_ROOT", "_DIR", "_PATH"))]
    assert env["HOME"] in caches
    assert all(any(path == mount or path.startswith(f"{mount}/") for mount in writable) for path in caches)
    assert "/dev/shm" in writable


def obstacle(of: Any, runtime: ServingRuntimeSpec | None = None) -> Obstacle | None:
    spec = revision(of)
    runtime = runtime or catalogue.runtimes()[spec.runtime.name]
    return ENGINES[runtime.engine].obstacle(spec, runtime, catalogue.accelerators()[spec.accelerator.type])


H100X4 = {"type": "nvidia-h100-80gb", "count": 4}
MIG = "nvidia-h100-80gb-mig-1g.10gb"

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


def test_endpoints_are_plain_data() -> None:
    assert ENGINES["vllm"].readiness == Endpoint("http", "/health")
    assert ENGINES["triton"].metrics.endpoint == Endpoint("metrics", "/metrics")
