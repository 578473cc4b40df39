"""Text Embeddings Inference: `text-embeddings-router`, embeddings and rerankers on port 8080. Facts as of TEI 1.9."""

from __future__ import annotations

import re
from typing import Any

from inferops.api.conditions import Reason
from inferops.core.engine import Obstacle
from inferops.runtimes import environment
from inferops.runtimes.arguments import Rules
from inferops.runtimes.base import CACHE_PATH, Api, Endpoint, Launch, Metrics, Port, ServingEngine
from inferops.runtimes.environment import variable

VERSION = "1.9.3"
REPOSITORY = "ghcr.io/huggingface/text-embeddings-inference"

# The project publishes an image a compute capability. Here by the GPUs, as the names of Accelerators tell them; the
# first that matches. None: there is no image.
ARCHITECTURES: tuple[tuple[str, str | None], ...] = (
    ("gh200|gb200|gb300", None),  # of ARM nodes
    ("b300", None),
    ("b200", "100-"),
    ("rtx-?pro-?[0-9]{4}|rtx-?50[0-9]0", "120-"),
    ("h100|h200|h800|h20", "hopper-"),
    ("l4|l40|l40s|rtx-?40[0-9]0|rtx-?6000-ada", "89-"),
    ("a10|a10g|a16|a40|a2|rtx-?a[0-9]000|rtx-?30[0-9]0", "86-"),
    ("a100|a30|a800", ""),
    ("t4|rtx-?20[0-9]0", "turing-"),
)
ANY = "cuda-"  # holds most of them, and finds out at start which one it needs

RESERVED = {
    "--model-id": "spec.model.uri",
    "--revision": "spec.model.revision",
    "--served-model-name": "spec.model.name",
    "--hf-token": "spec.model.credentialsSecret",
    "--hf-api-token": "spec.model.credentialsSecret",
    "--huggingface-hub-cache": "",
    "--hostname": "",
    "--port": "",
    "--prometheus-port": "",
    "--uds-path": "",
}

DENIED = (
    "--api-key",  # would stand in the list of processes
)

INSTEAD = {"--api-key": "set API_KEY in spec.runtime.env by valueFromSecret"}

# It reads every flag from a variable too.
DENIED_ENV = (
    "MODEL_ID",
    "REVISION",
    "SERVED_MODEL_NAME",
    "HF_API_TOKEN",
    "HOSTNAME",
    "PORT",
    "PROMETHEUS_PORT",
    "UDS_PATH",
)


class TextEmbeddingsInference(ServingEngine):
    """Text Embeddings Inference, which embeds, reranks and classifies, with an OpenAI-compatible /v1/embeddings."""

    name = "text-embeddings-inference"
    image = f"{REPOSITORY}:{ANY}{VERSION}"
    # It picks the CUDA libraries that the driver needs; there is no shell after it.
    command = ("/entrypoint.sh",)
    user = 1000
    ports = (Port("http", 8080),)
    # The port opens when the model is loaded and warm. From SIGTERM on new connections are refused, the others finish.
    startup = readiness = liveness = Endpoint("http", "/health")
    metrics = Metrics(
        endpoint=Endpoint("http", "/metrics"),
        waiting="te_queue_size",
        e2e="te_request_duration",
        queue_time="te_request_queue_duration",
        succeeded="te_request_success",
        failed="te_request_failure",  # refused ones among them, with err="overloaded"
    )
    takes_memory = 0.9
    api = Api(
        "openai",
        paths=("/v1/", "/embed", "/embed_all", "/embed_sparse", "/predict", "/rerank", "/similarity", "/tokenize"),
    )
    sources = ("hf", "pvc", "oci")
    parallel = False
    rules = Rules(RESERVED, DENIED, frozenset(), INSTEAD)
    denied_env = DENIED_ENV

    def image_for(self, launch: Launch) -> str | None:
        if launch.accelerator.vendor != "nvidia":
            return None
        architecture = architecture_of(launch.revision.accelerator.type)
        return None if architecture is None else f"{REPOSITORY}:{architecture}{VERSION}"

    def operator_args(self, launch: Launch) -> list[str]:
        model = launch.revision.model
        args = [
            f"--model-id={launch.source.location}",
            f"--served-model-name={launch.served_name}",
            # Else the pod's name, which the variable HOSTNAME holds.
            "--hostname=0.0.0.0",
            "--port=8080",
            "--prometheus-port=9000",
        ]
        if model.revision is not None:
            args.append(f"--revision={model.revision}")
        return args

    def operator_env(self, launch: Launch) -> list[dict[str, Any]]:
        return [
            *environment.at_home(CACHE_PATH, "tei"),
            variable("HUGGINGFACE_HUB_CACHE", f"{CACHE_PATH}/huggingface/hub"),
            # Some clouds mount the driver there; the entry point tells the linker so as root only.
            variable("LD_LIBRARY_PATH", "/usr/local/nvidia/lib64:/usr/local/cuda/lib64"),
        ]

    def own_obstacle(self, launch: Launch) -> Obstacle | None:
        model = launch.revision.model
        for field, value in (("quantization", model.quantization), ("maxModelLen", model.max_model_len)):
            if value is not None:
                return Obstacle(
                    Reason.INVALID_SPEC,
                    f"spec.model.{field}: text-embeddings-inference takes it from the model; remove it",
                )
        return None


def architecture_of(accelerator: str) -> str | None:
    """The beginning of the image's tag for an Accelerator of that name; None: there is none."""
    name = accelerator.lower()
    for pattern, tag in ARCHITECTURES:
        if re.search(rf"(^|-)({pattern})(?=$|-)", name):
            return tag
    return ANY
