"""The command line of `tritonserver`: what it means for the simulated server, and what the real one refuses."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from inferops.core.facts import Layers, ModelFacts
from inferops.core.replica import Replica
from inferops.simulate.facts import Named, model_named, params_in
from inferops.simulate.model import CPU, Accelerator, Deployment
from inferops.simulate.server.failures import StartFailure

# With a value, accepted and without effect.
_VALUES = """
allow-cpu-metrics allow-gpu-metrics allow-grpc allow-sagemaker allow-vertex-ai backend-config backend-directory
buffer-manager-thread-count cache-config cache-directory cuda-memory-pool-byte-size cuda-virtual-address-size
disable-auto-complete-config enable-peer-access exit-on-error grpc-address grpc-header-forward-pattern
grpc-infer-allocation-pool-size grpc-infer-thread-count grpc-keepalive-time grpc-keepalive-timeout
grpc-max-connection-age grpc-port grpc-restricted-protocol grpc-use-ssl grpc-use-ssl-mutual host-policy
http-header-forward-pattern http-restricted-api http-thread-count id log-error log-file log-format log-info
log-verbose log-warning metrics-interval-ms min-supported-compute-capability model-load-gpu-limit
model-load-retry-count model-load-thread-count model-namespacing pinned-memory-pool-byte-size rate-limit
rate-limit-resource repoagent-directory repository-poll-secs response-cache-byte-size reuse-grpc-port reuse-http-port
strict-model-config strict-readiness trace-config vertex-ai-port
"""
VALUES = tuple(_VALUES.split())
MEMORY_SHARE = 0.9
# A vision model or an encoder. Its inputs may be as long as it likes: it looks at a part of them at a time.
SMALL_MODEL = ModelFacts(
    name="small",
    architecture="",
    params=25e6,
    active_params=25e6,
    expert_params=0.0,
    embedding_params=0.0,
    experts=0,
    experts_per_token=0,
    hidden=768,
    intermediate=3072,
    vocabulary=1,
    heads=12,
    context=2**20,
    layers=(Layers(12, window=512),),
    decoder=False,
)
MAX_BATCH = 8  # of a model that is no language model; a configuration on disk is not read
LANGUAGE_MODEL_BATCH = 256


@dataclass(frozen=True, slots=True)
class TritonOptions:
    """What the server does, as its command line says it."""

    models: tuple[str, ...]
    http_address: str
    http_port: int
    metrics_address: str
    metrics_port: int
    metrics: bool
    summaries: bool
    exit_timeout: float  # seconds


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise StartFailure(f"{self.format_usage()}error: {message}")


def parse_triton(argv: Sequence[str]) -> TritonOptions:
    """Read `argv`, with or without `tritonserver` and the entry point before it. Raises `StartFailure`."""
    start = next((place + 1 for place, word in enumerate(argv) if word.rsplit("/", 1)[-1] == "tritonserver"), 0)
    found = _parser().parse_args(argv[start:])
    if not found.model_repository:
        raise StartFailure("error: creating server: Invalid argument - --model-repository must be specified")
    return TritonOptions(
        models=_models(found.model_repository, found.load_model, found.model_control_mode == "explicit"),
        http_address=found.http_address,
        http_port=found.http_port,
        metrics_address=found.metrics_address or found.http_address,
        metrics_port=found.metrics_port,
        metrics=_true(found.allow_metrics),
        summaries="summary_latencies=true" in found.metrics_config,
        exit_timeout=found.exit_timeout_secs,
    )


def is_language_model(name: str) -> bool:
    """Whether `name` names a language model: one that is known, or a size as in "-7b"."""
    return model_of(name).facts.decoder


def model_of(name: str) -> Named:
    """The model of that name; a small one where it is neither known nor states a size."""
    named = model_named(name)
    return Named(SMALL_MODEL, guessed=True) if named.guessed and params_in(name) is None else named


def deployment_of(name: str, accelerator: Accelerator, present: int) -> Deployment:
    """The model `name` on the accelerators there are, on the CPU where there is none: a language model over all of
    them where its heads divide by their number, any other on one."""
    chosen, named = accelerator if present else CPU, model_of(name)
    facts = named.facts
    spread = present if facts.decoder and present > 0 and facts.heads % present == 0 else 1
    replica = Replica(facts, chosen.spec, tensor_parallel=spread, utilization=MEMORY_SHARE)
    return Deployment(replica, chosen.name, facts.context, guessed=named.guessed)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tritonserver", usage="tritonserver [options]", allow_abbrev=False, add_help=False)
    parser.add_argument("--model-repository", "--model-store", action="append", default=[])
    parser.add_argument("--load-model", action="append", default=[])
    parser.add_argument("--model-control-mode", choices=("none", "poll", "explicit"), default="none")
    parser.add_argument("--http-address", default="0.0.0.0")
    parser.add_argument("--http-port", type=int, default=8000)
    parser.add_argument("--allow-http", nargs="?", const="true", default="true")
    parser.add_argument("--metrics-address")
    parser.add_argument("--metrics-port", type=int, default=8002)
    parser.add_argument("--allow-metrics", nargs="?", const="true", default="true")
    parser.add_argument("--metrics-config", action="append", default=[])
    parser.add_argument("--exit-timeout-secs", type=float, default=30.0)
    for name in VALUES:
        parser.add_argument(f"--{name}", nargs="?", const="true", action="append")
    return parser


def _models(repositories: Sequence[str], asked: Sequence[str], explicit: bool) -> tuple[str, ...]:
    """Names of the models that are served.

    Those of --load-model in explicit mode. Else the folders of the repositories that are there; a repository
    that is not, since nothing is really loaded, counts as one model named like the last element of its path.
    """
    if explicit and "*" not in asked:
        return tuple(dict.fromkeys(asked))
    names: list[str] = []
    for repository in repositories:
        path = Path(repository)
        found = sorted(entry.name for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []
        names += found or [repository.rstrip("/").rsplit("/", 1)[-1] or "model"]
    return tuple(dict.fromkeys(names))


def _true(text: str) -> bool:
    return text.lower() in ("true", "1", "on")
