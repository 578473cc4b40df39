"""What an engine for language models does, as its command line says it; and the replica that follows from it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import NoReturn

from inferops.simulate.facts import AcceleratorSpec, ModelFacts, model_facts, weight_bytes
from inferops.simulate.model import Deployment
from inferops.simulate.server.failures import StartFailure


@dataclass(frozen=True, slots=True)
class LlmOptions:
    """What of a command line matters to the simulated engine. Left out: as vLLM does it."""

    model: str
    names: tuple[str, ...]  # by which requests call the model; the first one is in the metrics
    host: str
    port: int
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    max_model_len: int | None = None  # tokens; None: what the model was made for
    max_num_seqs: int = 256
    token_budget: int = 8192
    utilization: float = 0.92
    quantization: str | None = None
    dtype: str = "auto"
    kv_cache_dtype: str = "auto"
    block_size: int = 16
    prefix_caching: bool = True
    shutdown_timeout: float = 0.0  # seconds
    max_queued_requests: int | None = None
    max_queued_tokens: int | None = None
    api_keys: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()  # LoRA adapters, by name
    nodes: int = 1  # that the replica spans; the others have as many accelerators
    headless: bool = False  # one that holds a part of the model and serves nothing


class Refusing(argparse.ArgumentParser):
    """A parser whose refusal ends the server with code 2."""

    def error(self, message: str) -> NoReturn:
        raise StartFailure(f"{self.format_usage()}{self.prog}: error: {message}", code=2)


def deployment_of(options: LlmOptions, accelerator: AcceleratorSpec, present: int) -> Deployment:
    """The replica that `options` describe on `present` accelerators. Raises `StartFailure` as the engine would."""
    facts = _facts(options)
    wanted = options.tensor_parallel * options.pipeline_parallel
    if facts.heads % options.tensor_parallel and not facts.guessed:
        raise StartFailure(
            f"ValueError: Total number of attention heads ({facts.heads}) must be divisible by tensor parallel size "
            f"({options.tensor_parallel})."
        )
    if wanted > present * options.nodes:
        raise StartFailure(
            f"ValueError: World size ({wanted}) is larger than the number of available GPUs ({present}) in this node: "
            f"--tensor-parallel-size {options.tensor_parallel} --pipeline-parallel-size {options.pipeline_parallel}."
        )
    if not 0 < options.utilization <= 1:
        raise StartFailure(f"ValueError: gpu_memory_utilization ({options.utilization}) must lie between 0 and 1.")
    if options.token_budget < options.max_num_seqs:
        raise StartFailure(
            f"ValueError: max_num_batched_tokens ({options.token_budget}) must be greater than or equal to "
            f"max_num_seqs ({options.max_num_seqs})."
        )
    return Deployment(
        model=facts,
        accelerator=accelerator,
        tensor_parallel=options.tensor_parallel,
        pipeline_parallel=options.pipeline_parallel,
        weight_bytes=weight_bytes(options.model, options.quantization, options.dtype),
        kv_bytes=1.0 if options.kv_cache_dtype.startswith("fp8") else 2.0,
        utilization=options.utilization,
    )


def positive(text: str) -> int:
    """A whole number of 1 and more, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} must be at least 1")
    return value


def _facts(options: LlmOptions) -> ModelFacts:
    """Facts by the model's name; when that is a bare path, by one of the names it is served by."""
    found = [model_facts(name) for name in (options.model, *options.names)]
    return next((facts for facts in found if not facts.guessed), found[0])
