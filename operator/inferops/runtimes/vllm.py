"""vLLM: `vllm serve MODEL`, the OpenAI API on port 8000. Facts as of vLLM 0.32."""

from __future__ import annotations

from typing import Any

from inferops.api.inferenceservice import ModelSpec
from inferops.core.engine import Obstacle
from inferops.runtimes import adapters, parallel
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

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # of --max-lora-rank
PIPELINE = "--pipeline-parallel-size"

RESERVED = {
    "--model": "spec.model.uri",
    "--model-tag": "spec.model.uri",
    "--revision": "spec.model.revision",
    "--served-model-name": "spec.model.name",
    "--max-model-len": "spec.model.maxModelLen",
    "--quantization": "spec.model.quantization",
    "--hf-token": "spec.model.credentialsSecret",
    "--enable-lora": "spec.model.adapters",
    "--lora-modules": "spec.model.adapters",
    "--max-lora-rank": "spec.model.adapters",
    "--max-loras": "spec.model.adapters",
    "--max-cpu-loras": "spec.model.adapters",
    "--tensor-parallel-size": "count of spec.accelerators",
    "--prefill-context-parallel-size": "",
    # A replica is one process group; more of them are more replicas.
    "--data-parallel-*": "spec.scaling.minReplicas",
    "--nnodes": "nodes of spec.accelerators",
    "--node-rank": "",
    "--master-addr": "",
    "--master-port": "",
    "--headless": "",
    "--host": "",
    "--port": "",
    "--uds": "",
    "--grpc": "",
    "--root-path": "",
    "--download-dir": "",
    "--shutdown-timeout": "drain of the ServingRuntime",
    # Scaling and rollouts read the metrics.
    "--disable-log-stats": "",
}

# --hf-overrides is not among them: whoever chooses the model's repository chooses its config.json anyway.
DENIED = (
    # load code
    "--trust-remote-code",
    "--middleware",
    "--tool-parser-plugin",
    "--reasoning-parser-plugin",
    "--structured-outputs-config",  # holds reasoning_parser_plugin
    "--io-processor-plugin",
    "--logits-processors",
    "--logits-processor-pattern",
    "--worker-cls",
    "--worker-extension-cls",
    "--scheduler-cls",
    "--distributed-executor-backend",
    "--compilation-config",  # names a backend to import
    "--kv-transfer-config",  # names a module to import and opens ports
    "--ec-transfer-config",
    "--weight-transfer-config",
    "--tool-server",
    # read or write files
    "--config",
    "--log-config-file",  # names classes to make, too
    "--chat-template",
    "--allowed-local-media-path",
    "--profiler-config",
    # weaken security
    "--trust-request-chat-template",
    "--enable-prompt-embeds",
    "--enable-mm-embeds",
    "--api-key",  # would stand in the list of processes
    "--ssl-*",
    "--enable-ssl-refresh",
)

INSTEAD = {
    "--api-key": "set VLLM_API_KEY in spec.runtime.env by valueFromSecret",
    "--compilation-config": "use --optimization-level, --cudagraph-capture-sizes or --enforce-eager",
}

DENIED_ENV = (
    "VLLM_PLUGINS",
    "VLLM_ALLOW_*",
    "VLLM_SERVER_DEV_MODE",
    "VLLM_LOGGING_CONFIG_PATH",
    "VLLM_NCCL_SO_PATH",
    "VLLM_CUDART_SO_PATH",
    "VLLM_CONFIG_ROOT",
    "VLLM_ASSETS_CACHE",
    "VLLM_RPC_BASE_PATH",
    "VLLM_HOST_IP",
    "VLLM_PORT",
    "TRITON_*",
    "TORCHINDUCTOR_*",
    "TORCH_EXTENSIONS_DIR",
)


class VLLM(ServingEngine):
    """vLLM, the OpenAI-compatible server."""

    name = "vllm"
    image = "vllm/vllm-openai:v0.32.0"
    amd_image = "vllm/vllm-openai-rocm:v0.30.0"
    command = ("vllm", "serve")
    user = 2000
    ports = (Port("http", 8000),)
    # The port opens when the model is loaded; from then on /health fails only when the engine is dead.
    startup = readiness = liveness = Endpoint("http", "/health")
    metrics = Metrics(
        endpoint=Endpoint("http", "/metrics"),
        running="vllm:num_requests_running",
        waiting="vllm:num_requests_waiting",
        kv_cache_usage="vllm:kv_cache_usage_perc",
        ttft="vllm:time_to_first_token_seconds",
        tpot="vllm:request_time_per_output_token_seconds",
        itl="vllm:inter_token_latency_seconds",
        e2e="vllm:e2e_request_latency_seconds",
        queue_time="vllm:request_queue_time_seconds",
        # Failed requests are among them, with finished_reason="error"; refused ones only in http_requests_total.
        succeeded="vllm:request_success_total",
        rejected="vllm:admission_rejections_total",
        prompt_tokens="vllm:prompt_tokens_total",
        generated_tokens="vllm:generation_tokens_total",
    )
    api = Api(
        "openai",
        paths=("/v1/", "/tokenize", "/detokenize", "/pooling", "/classify", "/score", "/rerank", "/v2/rerank"),
        closed=("/v1/load_lora_adapter", "/v1/unload_lora_adapter"),
        usage_in_streams=True,
    )
    sources = ("hf", "s3", "gs", "pvc", "oci")
    adapter_sources = adapters.SOURCES
    drain_flag = "--shutdown-timeout"
    rules = Rules(RESERVED, DENIED, frozenset({"--reasoning-parser"}), INSTEAD)
    denied_env = DENIED_ENV
    streamed = ("s3", "gs")
    takes_memory = 0.92
    memory_flag = "--gpu-memory-utilization"
    batch_flags = ("--max-num-batched-tokens", "--max-num-seqs")
    multi_node = True

    def positional(self, launch: Launch) -> list[str]:
        return [launch.source.location]

    def operator_args(self, launch: Launch) -> list[str]:
        model = launch.revision.model
        pipeline = parallel.stages(launch, (PIPELINE,))
        args = [
            "--host=0.0.0.0",
            "--port=8000",
            f"--served-model-name={launch.served_name}",
            f"--tensor-parallel-size={launch.revision.accelerator.count // pipeline}",
            *([f"{PIPELINE}={pipeline}"] if launch.nodes > 1 else []),
            # With its default of 0 vLLM answers the requests in flight with 500 at SIGTERM.
            f"--shutdown-timeout={launch.runtime.drain.timeout_seconds}",
        ]
        if model.revision is not None:
            args.append(f"--revision={model.revision}")
        if model.max_model_len is not None:
            args.append(f"--max-model-len={model.max_model_len}")
        if model.quantization == "fp8":
            # Quantizes a 16-bit checkpoint while loading. The other methods are properties of a checkpoint, which
            # names them itself; a flag would only keep vLLM from taking its fastest kernels for them.
            args.append("--quantization=fp8")
        if launch.source.scheme in self.streamed:
            args.append("--load-format=runai_streamer")
        return [*args, *self.batch_args(launch), *lora_args(model)]

    def group_args(self, launch: Launch) -> list[str]:
        """Processes on all nodes, without Ray. A worker loads its part and serves nothing."""
        return [
            "--distributed-executor-backend=mp",
            f"--nnodes={launch.nodes}",
            f"--node-rank={WORKER_INDEX}",
            f"--master-addr={LEADER_ADDRESS}",
            # A user's number of API servers would end a worker.
            *(["--headless", "--api-server-count=0"] if launch.worker else []),
        ]

    def operator_env(self, launch: Launch) -> list[dict[str, Any]]:
        return [
            variable("HOME", CACHE_PATH),
            # The user id need not stand in the image's passwd; torch asks for a name.
            variable("USER", "vllm"),
            variable("HF_HOME", f"{CACHE_PATH}/huggingface"),
            variable("XDG_CACHE_HOME", f"{CACHE_PATH}/xdg"),
            variable("VLLM_CACHE_ROOT", f"{CACHE_PATH}/vllm"),
            variable("VLLM_CONFIG_ROOT", f"{CACHE_PATH}/vllm-config"),
            variable("DO_NOT_TRACK", "1"),
            variable("TRITON_CACHE_DIR", f"{CACHE_PATH}/triton"),
            variable("TORCHINDUCTOR_CACHE_DIR", f"{CACHE_PATH}/torchinductor"),
            variable("CUDA_CACHE_PATH", f"{CACHE_PATH}/cuda"),
        ]

    def own_obstacle(self, launch: Launch) -> Obstacle | None:
        return parallel.uneven(launch, (PIPELINE,))


def lora_args(model: ModelSpec) -> list[str]:
    """The arguments for the model's adapters, with room for the largest of them."""
    if not model.adapters:
        return []
    rank = max(adapter.rank or 16 for adapter in model.adapters)
    return [
        "--enable-lora",
        f"--max-loras={adapters.in_a_batch(model)}",
        f"--max-cpu-loras={len(model.adapters)}",
        f"--max-lora-rank={next(legal for legal in LORA_RANKS if legal >= rank)}",
        "--lora-modules",
        *adapters.words(model),
    ]
