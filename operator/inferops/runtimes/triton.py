"""NVIDIA Triton Inference Server: a model repository over HTTP and gRPC. Facts as of Triton 2.51."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferops.api.conditions import Reason
from inferops.core.engine import Obstacle
from inferops.runtimes.arguments import Rules, flags_of
from inferops.runtimes.base import CACHE_PATH, Api, Endpoint, Launch, Metrics, Port, ServingEngine
from inferops.runtimes.environment import variable

RESERVED = {
    "--model-repository": "spec.model.uri",
    "--model-store": "spec.model.uri",
    "--http-port": "",
    "--http-address": "",
    "--grpc-port": "",
    "--grpc-address": "",
    "--metrics-port": "",
    "--metrics-address": "",
    "--reuse-*": "",
    "--allow-http": "",
    "--allow-grpc": "",
    "--allow-metrics": "",
    "--strict-readiness": "",
    "--exit-timeout-secs": "drain of the ServingRuntime",
}

DENIED = (
    # load libraries
    "--backend-directory",
    "--repoagent-directory",
    "--cache-directory",
    # read or write files
    "--log-file",
    "--trace-*",
    "--grpc-server-cert",
    "--grpc-server-key",
    "--grpc-root-cert",
    "--grpc-use-ssl*",
    # let callers load, unload and overwrite models, or reach into the server's shared memory
    "--model-control-mode",
    "--load-model",
    "--allow-client-shm",
    # open further doors
    "--allow-sagemaker",
    "--sagemaker-*",
    "--allow-vertex-ai",
    "--vertex-ai-*",
)

DENIED_ENV = ("TRITON_*", "TRITONSERVER_*", "AIP_*", "SAGEMAKER_*")

# Fields of spec.model that Triton reads from the model repository and from no command line.
FROM_REPOSITORY = ("name", "quantization", "maxModelLen")
WITHOUT_VALUE = "--disable-auto-complete-config"


class Triton(ServingEngine):
    """Triton, which serves every model of a model repository."""

    name = "triton"
    image = "nvcr.io/nvidia/tritonserver:25.10-py3"
    # The image's entry point brings in the CUDA compatibility libraries that an older driver needs.
    command = ("/opt/nvidia/nvidia_entrypoint.sh", "tritonserver")
    user = 1000
    ports = (Port("http", 8000), Port("grpc", 8001), Port("metrics", 8002))
    startup = readiness = Endpoint("http", "/v2/health/ready")
    liveness = Endpoint("http", "/v2/health/live")
    # No histograms; pending are the requests that no model instance has taken up yet.
    metrics = Metrics(
        endpoint=Endpoint("metrics", "/metrics"),
        waiting="nv_inference_pending_request_count",
        e2e_microseconds="nv_inference_request_duration_us",
        queue_microseconds="nv_inference_queue_duration_us",
        succeeded="nv_inference_request_success",
        failed="nv_inference_request_failure",
    )
    api = Api(
        "open-inference",
        paths=("/v2", "/v2/models/", "/v2/health/"),
        closed=("/v2/models/*/trace/setting",),
    )
    sources = ("s3", "gs", "pvc", "oci")
    drain_flag = "--exit-timeout-secs"
    rules = Rules(RESERVED, DENIED)
    denied_env = DENIED_ENV

    def operator_args(self, launch: Launch) -> list[str]:
        return [
            f"--model-repository={launch.source.location}",
            "--http-port=8000",
            "--grpc-port=8001",
            "--metrics-port=8002",
            "--allow-http=true",
            "--allow-grpc=true",
            "--allow-metrics=true",
            "--strict-readiness=true",
            f"--exit-timeout-secs={launch.runtime.drain.timeout_seconds}",
        ]

    def operator_env(self, launch: Launch) -> list[dict[str, Any]]:
        return [
            variable("HOME", CACHE_PATH),
            variable("HF_HOME", f"{CACHE_PATH}/huggingface"),
            variable("XDG_CACHE_HOME", f"{CACHE_PATH}/xdg"),
            variable("CUDA_CACHE_PATH", f"{CACHE_PATH}/cuda"),
        ]

    def own_obstacle(self, launch: Launch) -> Obstacle | None:
        given = launch.revision.model.dump()
        for field in FROM_REPOSITORY:
            if field in given:
                return Obstacle(
                    Reason.INVALID_SPEC,
                    f"spec.model.{field}: {self.name} takes it from the model repository; remove it and set it there",
                )
        admins = f"ServingRuntime {launch.revision.runtime.name}: spec.args"
        return _missing_value(launch.runtime.args, admins, Reason.RUNTIME_INVALID) or _missing_value(
            launch.revision.runtime.args, "spec.runtime.args", Reason.ARGUMENT_NOT_ALLOWED
        )


def _missing_value(args: Sequence[str], where: str, reason: Reason) -> Obstacle | None:
    """A flag without its value, for which Triton would take the next argument, whatever it is."""
    for flag in flags_of(args):
        if not flag.values and flag.name != WITHOUT_VALUE:
            return Obstacle(reason, f"{where}[{flag.index}]: {flag.name} has no value; write {flag.name}=VALUE")
    return None
