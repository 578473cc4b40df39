"""SGLang: `python3 -m sglang.launch_server`, the OpenAI API on port 30000. Facts as of SGLang 0.5.23."""

from __future__ import annotations

from typing import Any

from inferops.api.conditions import Reason
from inferops.core.engine import Obstacle
from inferops.runtimes import adapters, environment, parallel
from inferops.runtimes.arguments import Rules
from inferops.runtimes.base import (
    CACHE_PATH,
    LEADER_ADDRESS,
    WORKER_INDEX,
    Api,
    Endpoint,
    Launch,
    Metrics,
    Port,
    ServingEngine,
)
from inferops.runtimes.environment import variable

RENDEZVOUS_PORT = 20000  # on the leader, for the processes of other nodes
PIPELINE = ("--pp-size", "--pipeline-parallel-size")

RESERVED = {
    "--model-path": "spec.model.uri",
    "--model": "spec.model.uri",
    "--revision": "spec.model.revision",
    "--served-model-name": "spec.model.name",
    "--context-length": "spec.model.maxModelLen",
    "--quantization": "spec.model.quantization",
    "--enable-lora": "spec.model.adapters",
    "--lora-paths": "spec.model.adapters",
    "--max-lora-rank": "spec.model.adapters",
    "--max-loras-per-batch": "spec.model.adapters",
    "--max-loaded-loras": "spec.model.adapters",
    "--tp-size": "count of spec.accelerators",
    "--tensor-parallel-size": "count of spec.accelerators",
    # A replica is one process group; more of them are more replicas.
    "--dp-size": "spec.scaling.minReplicas",
    "--data-parallel-size": "spec.scaling.minReplicas",
    "--nnodes": "nodes of spec.accelerators",
    "--node-rank": "",
    "--dist-init-addr": "",
    "--nccl-*": "",
    "--base-gpu-id": "",
    "--gpu-id-step": "",
    "--use-ray": "",
    "--host": "",
    "--port": "",
    "--fastapi-root-path": "",
    "--grpc-*": "",
    "--smg-*": "",
    "--disaggregation-*": "",
    "--encoder-*": "",
    "--language-only": "",
    "--download-dir": "",
    # Scaling and rollouts read the metrics.
    "--enable-metrics": "",
    "--tokenizer-metrics-*": "",
    "--extra-metric-labels": "",
}

DENIED = (
    # load code
    "--trust-remote-code",
    "--custom-weight-loader",
    "--enable-custom-logit-processor",  # runs code that requests bring along
    "--forward-hooks",
    "--sidecar",
    "--sidecar-args",
    "--tool-server",
    "--hicache-storage-*",  # names a class to import
    "--unified-cache-external-*",
    "--enable-unified-cache-external-linker",
    "--radix-cache-backend",
    "--lmcache-config-file",
    "--flexkv-config-file",
    "--warmups",
    # read or write files, open ports
    "--config",
    "--chat-template",
    "--completion-template",
    "--file-storage-path",
    "--log-requests-target",
    "--crash-dump-folder",
    "--export-metrics-to-file",
    "--export-metrics-to-file-dir",
    "--debug-tensor-dump-*",
    "--msprobe-dump-config",
    "--modelopt-*",
    "--decrypted-*",
    "--delete-ckpt-after-loading",
    "--pdmux-config-path",
    "--kt-weight-path",
    "--ple-offload-dir",
    "--spec-trace-dir",
    "--kv-events-config",
    "--load-publish-endpoint",
    "--remote-instance-*",
    "--engine-info-bootstrap-port",
    "--modelexpress-config",
    "--weight-cache-*",
    "--decoupled-spec-*",
    # weaken security
    "--api-key",  # would stand in the list of processes
    "--admin-api-key",
    "--ssl-*",
    "--enable-ssl-refresh",
    "--trust-request-chat-template",
    "--trust-mm-content-hashes",
)

DENIED_ENV = (
    "SGLANG_EXTERNAL_*",
    "SGLANG_PLUGINS",
    "SGLANG_HTTP_SERVER_APP_PATH",
    "SGLANG_TEST_*",
    "SGLANG_DIAG_*",
    "SGLANG_*DIR",
    "SGLANG_*HEALTH*",
    "SGLANG_HOST_IP",
    "SGLANG_PORT",
    "SGL_FORCE_SHUTDOWN",
    "TRITON_*",
    "TORCHINDUCTOR_*",
    "TORCH_EXTENSIONS_DIR",
)


class SGLang(ServingEngine):
    """SGLang, the OpenAI-compatible server."""

    name = "sglang"
    image = "lmsysorg/sglang:v0.5.23"
    command = ("python3", "-m", "sglang.launch_server")
    user = 1000
    ports = (Port("http", 30000),)
    # It generates a token, or sees others being generated: 503 while loading, when the scheduler is dead, and from
    # SIGTERM on, after which it answers what it has taken, however long that takes.
    startup = readiness = liveness = Endpoint("http", "/health")
    metrics = Metrics(
        endpoint=Endpoint("http", "/metrics"),
        running="sglang:num_running_reqs",
        waiting="sglang:num_queue_reqs",
        kv_cache_usage="sglang:token_usage",
        ttft="sglang:time_to_first_token_seconds",
        tpot="sglang:request_time_per_output_token_seconds",
        itl="sglang:inter_token_latency_seconds",
        e2e="sglang:e2e_request_latency_seconds",
        queue_time="sglang:queue_time_seconds",
        succeeded="sglang:num_requests_total",
        # Aborted by their callers too; refused ones among them.
        failed="sglang:num_aborted_requests_total",
        prompt_tokens="sglang:prompt_tokens_total",
        generated_tokens="sglang:generation_tokens_total",
    )
    streamed = ("s3", "gs")  # by the Run:ai streamer of the image, which SGLang takes for such paths by itself
    takes_memory = 0.88  # what it leaves for activations and CUDA graphs depends on the accelerator; about so much
    memory_flag = "--mem-fraction-static"
    batch_flags = ("--chunked-prefill-size", "--max-running-requests")
    api = Api(
        "openai",
        paths=("/v1/", "/generate", "/encode", "/classify", "/tokenize", "/detokenize"),
        closed=("/v1/load_lora_adapter", "/v1/unload_lora_adapter"),
        usage_in_streams=True,
    )
    sources = ("hf", "s3", "gs", "pvc", "oci")
    adapter_sources = adapters.SOURCES
    rules = Rules(RESERVED, DENIED, frozenset({"--log-requests"}))
    denied_env = DENIED_ENV
    multi_node = True

    def operator_args(self, launch: Launch) -> list[str]:
        model, pipeline = launch.revision.model, parallel.stages(launch, PIPELINE)
        args = [
            f"--model-path={launch.source.location}",
            f"--served-model-name={launch.served_name}",
            "--host=0.0.0.0",
            "--port=30000",
            f"--tp-size={launch.revision.accelerator.count // pipeline}",
            *([f"--pp-size={pipeline}"] if launch.nodes > 1 else []),
            "--enable-metrics",
        ]
        if model.revision is not None:
            args.append(f"--revision={model.revision}")
        if model.max_model_len is not None:
            args.append(f"--context-length={model.max_model_len}")
        if model.quantization == "fp8":
            # Quantizes a 16-bit checkpoint while loading. The other methods are properties of a checkpoint, which
            # names them itself.
            args.append("--quantization=fp8")
        args += self.batch_args(launch)
        if model.adapters:
            args += ["--enable-lora", f"--max-loras-per-batch={adapters.in_a_batch(model)}"]
            args += ["--lora-paths", *adapters.words(model)]
        return args

    def group_args(self, launch: Launch) -> list[str]:
        """What tells the nodes of a replica apart. All but the first serve nothing but their health."""
        return [
            f"--nnodes={launch.nodes}",
            f"--node-rank={WORKER_INDEX}",
            f"--dist-init-addr={LEADER_ADDRESS}:{RENDEZVOUS_PORT}",
        ]

    def operator_env(self, launch: Launch) -> list[dict[str, Any]]:
        return [
            *environment.at_home(CACHE_PATH, "sglang"),
            *environment.torch_caches(CACHE_PATH),
            variable("SGLANG_CACHE_DIR", f"{CACHE_PATH}/sglang"),
            variable("SGLANG_DG_CACHE_DIR", f"{CACHE_PATH}/deep_gemm"),
            variable("FLASHINFER_WORKSPACE_BASE", CACHE_PATH),
        ]

    def own_obstacle(self, launch: Launch) -> Obstacle | None:
        model = launch.revision.model
        named = [("spec.model.name", model.name or "")]
        named += [(f"spec.model.adapters[{index}].name", adapter.name) for index, adapter in enumerate(model.adapters)]
        for field, name in named:
            if ":" in name:
                return Obstacle(
                    Reason.INVALID_SPEC,
                    f"{field}: sglang takes what follows a ':' for the name of an adapter; leave it out of {name!r}",
                )
        return parallel.uneven(launch, PIPELINE)
