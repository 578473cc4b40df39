"""What an engine for language models does, as its command line says it; and the replica that follows from it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import NoReturn

from inferops.core.facts import Precision
from inferops.core.memory import Limits, usual_limits
from inferops.core.replica import Replica
from inferops.simulate.facts import Named, model_named, precision_asked
from inferops.simulate.model import Accelerator, Deployment
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
    max_num_seqs: int | None = None  # None: by the accelerator, as sizing reckons
    token_budget: int | None = None  # of one iteration; likewise
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


def deployment_of(options: LlmOptions, accelerator: Accelerator, present: int) -> Deployment:
    """The replica that `options` describe on `present` accelerators. Raises `StartFailure` as the engine would."""
    named = _named(options)
    facts, limits = named.facts, limits_of(options, accelerator)
    wanted = options.tensor_parallel * options.pipeline_parallel
    if facts.heads % options.tensor_parallel and not named.guessed:
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
    if limits.tokens < limits.sequences:
        raise StartFailure(
            f"ValueError: max_num_batched_tokens ({limits.tokens}) must be greater than or equal to "
            f"max_num_seqs ({limits.sequences})."
        )
    replica = Replica(
        facts,
        accelerator.spec,
        options.tensor_parallel,
        options.pipeline_parallel,
        precision=precision_asked(facts, options.quantization, options.dtype),
        kv_precision=Precision.FP8 if options.kv_cache_dtype.startswith("fp8") else Precision.BF16,
        utilization=options.utilization,
    )
    context = options.max_model_len or facts.context
    return Deployment(replica, accelerator.name, context, limits=limits, guessed=named.guessed)


def limits_of(options: LlmOptions, accelerator: Accelerator) -> Limits:
    """How much the engine batches: what it is told, else what is usual on the accelerator."""
    usual, tokens, sequences = usual_limits(accelerator.spec), options.token_budget, options.max_num_seqs
    return Limits(
        tokens=tokens or max(usual.tokens, sequences or 0),
        sequences=sequences or min(usual.sequences, tokens or usual.tokens),
    )


def positive(text: str) -> int:
    """A whole number of 1 and more, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} must be at least 1")
    return value


def _named(options: LlmOptions) -> Named:
    """The model by its name; when that is a bare path, by one of the names it is served by."""
    found = [model_named(name) for name in (options.model, *options.names)]
    return next((named for named in found if not named.guessed), found[0])
