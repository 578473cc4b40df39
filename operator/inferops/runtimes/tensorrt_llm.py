"""TensorRT-LLM: `trtllm-serve MODEL`, the OpenAI API on port 8000. Facts as of TensorRT-LLM 1.3.

Its PyTorch backend loads checkpoints of the hub as they are; engines need not be built before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from inferops.api.conditions import Reason
from inferops.core.engine import Obstacle
from inferops.runtimes import environment, parallel
from inferops.runtimes.arguments import Rules
from inferops.runtimes.base import CACHE_PATH, Api, Endpoint, Launch, Metrics, Port, ServingEngine
from inferops.runtimes.environment import variable
from inferops.runtimes.sources import Source

PIPELINE = ("--pp-size", "--pipeline-parallel-size")

# Only a file can switch on the metrics, which are off at first. The pod's own annotation becomes that file.
SETTINGS = "return_perf_metrics: true\nenable_iter_perf_stats: true\n"
ANNOTATION = "inferops.dev/trtllm-settings"
SETTINGS_FOLDER, SETTINGS_FILE = "/etc/trtllm", "settings.yaml"

RESERVED = {
    "--host": "",
    "--port": "",
    "--backend": "",
    "--served-model-name": "spec.model.name",
    "--revision": "spec.model.revision",
    "--max-seq-len": "spec.model.maxModelLen",
    "--tp-size": "count of spec.accelerators",
    "--tensor-parallel-size": "count of spec.accelerators",
    "--gpus-per-node": "count of spec.accelerators",
    "--config": "",
    "--extra-llm-api-options": "",
    "--server-role": "",
    "--disagg-*": "",
    "--metadata-server-config-file": "",
    "--grpc": "",
}

DENIED = (
    # load code
    "--trust-remote-code",
    "--custom-module-dirs",
    "--custom-tokenizer",
    "--set",  # any of the engine's settings, these among them
    # read files
    "--chat-template",
    # weaken security
    "--allow-request-chat-template",
)

INSTEAD = {"--chat-template": "put it into the checkpoint's tokenizer_config.json"}

DENIED_ENV = ("TLLM_*", "TRTLLM_*PATH", "TRTLLM_*DIR", "OPAL_*", "ORTE_*", "TRITON_*", "TORCHINDUCTOR_*")


class TensorRTLLM(ServingEngine):
    """TensorRT-LLM, behind its own OpenAI-compatible server."""

    name = "tensorrt-llm"
    # The first line of versions that counts running and waiting requests is 1.3.
    image = "nvcr.io/nvidia/tensorrt-llm/release:1.3.0rc24"
    # The image's entry point brings in the CUDA compatibility libraries that an older driver needs.
    command = ("/opt/nvidia/nvidia_entrypoint.sh", "trtllm-serve")
    user = 1000
    ports = (Port("http", 8000),)
    # The port opens when the model is loaded. From SIGTERM on new connections are refused, the others finish,
    # however long that takes.
    startup = readiness = liveness = Endpoint("http", "/health")
    metrics = Metrics(
        endpoint=Endpoint("http", "/prometheus/metrics"),
        running="trtllm_num_requests_running",
        waiting="trtllm_num_requests_waiting",
        kv_cache_usage="trtllm_kv_cache_utilization",
        ttft="trtllm_time_to_first_token_seconds",
        tpot="trtllm_time_per_output_token_seconds",
        e2e="trtllm_e2e_request_latency_seconds",
        queue_time="trtllm_request_queue_time_seconds",
        succeeded="trtllm_request_success_total",
        failed="trtllm_request_error_total",
        prompt_tokens="trtllm_prompt_tokens_total",
        generated_tokens="trtllm_generation_tokens_total",
    )
    takes_memory = 0.9
    memory_flag = "--kv-cache-free-gpu-memory-fraction"
    batch_flags = ("--max_num_tokens", "--max_batch_size")
    api = Api("openai", paths=("/v1/",), usage_in_streams=True)
    sources = ("hf", "pvc", "oci")
    rules = Rules(RESERVED, DENIED, frozenset(), INSTEAD)
    denied_env = DENIED_ENV

    def positional(self, launch: Launch) -> list[str]:
        return [launch.source.location]

    def source(self, launch: Launch) -> Source:
        reference = {"fieldPath": f"metadata.annotations['{ANNOTATION}']"}
        volume = {"name": "settings", "downwardAPI": {"items": [{"path": SETTINGS_FILE, "fieldRef": reference}]}}
        mount = {"name": "settings", "mountPath": SETTINGS_FOLDER, "readOnly": True}
        source = launch.source
        return replace(source, volumes=(*source.volumes, volume), mounts=(*source.mounts, mount))

    def annotations(self, launch: Launch) -> dict[str, str]:
        return {ANNOTATION: SETTINGS}

    def operator_args(self, launch: Launch) -> list[str]:
        model, pipeline = launch.revision.model, parallel.stages(launch, PIPELINE)
        args = [
            "--backend=pytorch",
            "--host=0.0.0.0",
            "--port=8000",
            f"--served_model_name={launch.served_name}",
            f"--tp_size={launch.revision.accelerator.count // pipeline}",
            f"--extra_llm_api_options={SETTINGS_FOLDER}/{SETTINGS_FILE}",
        ]
        if model.revision is not None:
            args.append(f"--revision={model.revision}")
        if model.max_model_len is not None:
            args.append(f"--max_seq_len={model.max_model_len}")
        return [*args, *self.batch_args(launch)]

    def operator_env(self, launch: Launch) -> list[dict[str, Any]]:
        return [
            *environment.at_home(CACHE_PATH, "trtllm"),
            *environment.torch_caches(CACHE_PATH),
            variable("TRTLLM_DG_CACHE_DIR", f"{CACHE_PATH}/deep_gemm"),
            variable("FLASHINFER_WORKSPACE_BASE", CACHE_PATH),
        ]

    def own_obstacle(self, launch: Launch) -> Obstacle | None:
        if launch.revision.model.quantization is not None:
            return Obstacle(
                Reason.INVALID_SPEC,
                "spec.model.quantization: tensorrt-llm loads a checkpoint as it is; remove it, and name a quantized "
                "checkpoint in spec.model.uri",
            )
        return parallel.uneven(launch, PIPELINE)
