"""NVIDIA Triton Inference Server: a model repository over HTTP and gRPC. Facts as of Triton 2.51."""

from __future__ import annotations

from typing import Any

from inferops.api.conditions import Reason
from inferops.core.engine import Obstacle
from inferops.runtimes.arguments import Rules
from inferops.runtimes.base import CACHE_PATH, Endpoint, Launch, Metrics, Port, ServingEngine
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
    # let callers load, unload and overwrite models
    "--model-control-mode",
    "--load-model",
    # open further doors
    "--allow-sagemaker",
    "--sagemaker-*",
    "--allow-vertex-ai",
    "--vertex-ai-*",
)

DENIED_ENV = ("TRITON_*", "TRITONSERVER_*", "AIP_*", "SAGEMAKER_*")

# What Triton takes from the model repository and not from a command line, by field of spec.model.
FROM_REPOSITORY = ("name", "quantization", "max_model_len")


class Triton(ServingEngine):
    """Triton, which serves every model of a model repository."""

    name = "triton"
    image = "nvcr.io/nvidia/tritonserver:25.10-py3"
    command = ("tritonserver",)
    user = 1000
    ports = (Port("http", 8000), Port("grpc", 8001), Port("metrics", 8002))
    startup = readiness = Endpoint("http", "/v2/health/ready")
    liveness = Endpoint("http", "/v2/health/live")
    # Latencies are cumulative microseconds, no histograms; requests in execution are not counted.
    metrics = Metrics(
        endpoint=Endpoint("metrics", "/metrics"),
        waiting="nv_inference_pending_request_count",
        succeeded="nv_inference_request_success",
        failed="nv_inference_request_failure",
    )
    sources = ("s3", "gs", "pvc", "oci")
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
            # Where it copies a repository from s3 or gs to.
            variable("TRITON_AWS_MOUNT_DIRECTORY", CACHE_PATH),
            variable("TRITON_GCS_MOUNT_DIRECTORY", CACHE_PATH),
            variable("CUDA_CACHE_PATH", f"{CACHE_PATH}/cuda"),
        ]

    def own_obstacle(self, launch: Launch) -> Obstacle | None:
        model = launch.revision.model
        given = model.dump()
        for field, key in (("name", "name"), ("quantization", "quantization"), ("max_model_len", "maxModelLen")):
            if getattr(model, field) is not None and key in given:
                return Obstacle(
                    Reason.INVALID_SPEC,
                    f"spec.model.{key}: triton takes it from the model repository; remove it and set it there",
                )
        return None
