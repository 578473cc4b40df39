"""What differs between the simulated servers: the command line, the ports, the API, the way they end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from inferops.core.memory import GIB
from inferops.simulate.model import Accelerator, Deployment, DoesNotFit
from inferops.simulate.server import argv_tei, argv_triton, argv_vllm
from inferops.simulate.server.api_bento import BentoApi, parse_bento
from inferops.simulate.server.api_openai import OpenAiApi
from inferops.simulate.server.api_others import SglangApi, TensorRtLlmApi
from inferops.simulate.server.api_tei import TeiApi
from inferops.simulate.server.api_triton import TritonApi
from inferops.simulate.server.api_vllm import VllmApi
from inferops.simulate.server.argv_sglang import parse_sglang
from inferops.simulate.server.argv_trtllm import parse_trtllm
from inferops.simulate.server.failures import StartFailure
from inferops.simulate.server.options import LlmOptions, deployment_of
from inferops.simulate.server.pace import Pace


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A port that the server listens on once it has loaded."""

    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Built:
    """A server that has loaded its models."""

    apps: Mapping[str, web.Application]  # by the name of the endpoint
    paces: Sequence[Pace]
    drain: Callable[[], None]  # refuse new requests from now on
    log: Sequence[str]


class Runtime(Protocol):
    """A server that has read its command line. Making one raises `StartFailure`."""

    endpoints: tuple[Endpoint, ...]
    weights: float  # bytes to load
    drain_seconds: float  # that requests in flight get after SIGTERM
    startup_seconds: float  # beside the load
    closes_at_once: bool  # whether SIGTERM closes the ports, or they stay open until the end
    timeout_code: int  # exit code when that time is not enough

    def build(self, now: Callable[[], float], scale: float) -> Built:
        """The server with its models loaded. Raises `StartFailure` when they do not fit."""


class LanguageModelRuntime:
    """An engine for language models: its command line, its API, the way it starts and ends."""

    parse: Callable[[Sequence[str], Mapping[str, str]], LlmOptions]
    api: Callable[[LlmOptions, Deployment, int, Callable[[], float], float], OpenAiApi]
    startup_seconds = 20.0  # profiling and CUDA graphs
    closes_at_once = False
    timeout_code = 0

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], accelerator: Accelerator, present: int) -> None:
        self._options = options = type(self).parse(argv, env)
        self._deployment = deployment_of(options, accelerator, present)
        self._context = self.context(env)
        listens = () if options.headless else (Endpoint("http", options.host, options.port),)
        self.endpoints: tuple[Endpoint, ...] = listens
        self.weights = self._deployment.weights / options.nodes
        self.drain_seconds = 0.0 if options.headless else options.shutdown_timeout

    def context(self, env: Mapping[str, str]) -> int:
        """Tokens of the longest prompt and answer."""
        return self._deployment.context

    def fitting(self, tokens: int) -> int:
        """The longest context on a KV cache of `tokens`. Raises `StartFailure` where the engine would not start."""
        return min(self._context, tokens)

    def build(self, now: Callable[[], float], scale: float) -> Built:
        """The API on its model. Raises `StartFailure` when weights or context do not fit the memory."""
        try:
            tokens = self._deployment.kv_tokens()
        except DoesNotFit as error:
            raise StartFailure(f"torch.OutOfMemoryError: CUDA out of memory: {error}.") from None
        context = self.fitting(tokens)
        api = type(self).api(self._options, self._deployment, context, now, scale)

        def drain() -> None:
            api.draining = True

        replica = self._deployment.replica
        guess = ", a guess from the name" if self._deployment.guessed else ""
        log = (
            f"simulated model: {replica.facts.name}, {replica.facts.params / 1e9:.3g}B parameters{guess}, "
            f"on {replica.accelerators}x {self._deployment.accelerator}",
            f"Model loading took {self.weights / GIB:.2f} GiB memory",
            f"GPU KV cache size: {tokens:,} tokens",
            f"Maximum concurrency for {context:,} tokens per request: {tokens / context:.2f}x",
        )
        return Built({"http": api.app()}, [api.pace], drain, log)


class VllmRuntime(LanguageModelRuntime):
    """`vllm serve`. The port opens when the model is loaded; /health is 200 until the process ends."""

    parse = staticmethod(argv_vllm.parse_vllm)
    api = VllmApi

    def context(self, env: Mapping[str, str]) -> int:
        """Tokens of the longest prompt and answer."""
        return argv_vllm.max_model_len(self._options, self._deployment, env)

    def fitting(self, tokens: int) -> int:
        """The longest context on a KV cache of `tokens`."""
        if tokens < self._context:
            raise StartFailure(
                f"ValueError: max seq len {self._context} needs more KV cache than there is memory for: it holds "
                f"{tokens} tokens. Decrease max_model_len or increase gpu_memory_utilization."
            )
        return self._context


class SglangRuntime(LanguageModelRuntime):
    """`python3 -m sglang.launch_server`. From SIGTERM on /health is 503, and it serves until no request is left."""

    parse = staticmethod(lambda argv, env: parse_sglang(argv))
    api = SglangApi


class TensorRtLlmRuntime(LanguageModelRuntime):
    """`trtllm-serve`. SIGTERM closes the port; what is in flight finishes, however long that takes."""

    parse = staticmethod(lambda argv, env: parse_trtllm(argv))
    api = TensorRtLlmApi
    startup_seconds = 40.0  # and the autotuner
    closes_at_once = True


class TeiRuntime:
    """`text-embeddings-router`. SIGTERM closes the port; what is in flight finishes."""

    startup_seconds = 5.0
    drain_seconds = float("inf")
    closes_at_once = True
    timeout_code = 0

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], accelerator: Accelerator, present: int) -> None:
        self._options = argv_tei.parse_tei(argv)
        self._deployment = argv_tei.deployment_of(self._options, accelerator, present)
        self.endpoints: tuple[Endpoint, ...] = (Endpoint("http", self._options.host, self._options.port),)
        self.weights = self._deployment.weights

    def build(self, now: Callable[[], float], scale: float) -> Built:
        """The API on its model. Raises `StartFailure` when it does not fit."""
        try:
            api = TeiApi(self._options, self._deployment, now, scale)
        except DoesNotFit as error:
            raise StartFailure(
                f"Error: Could not start backend: DriverError(CUDA_ERROR_OUT_OF_MEMORY): {error}"
            ) from None

        def drain() -> None:
            api.draining = True

        return Built({"http": api.app()}, [api.pace], drain, [f"Starting model backend of {self._options.model}"])


class BentoRuntime:
    """`bentoml serve` of a Bento that echoes. SIGTERM closes the port; what is in flight has its time."""

    startup_seconds = 5.0
    weights = 0.0
    closes_at_once = True
    timeout_code = 0

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], accelerator: Accelerator, present: int) -> None:
        options = parse_bento(argv)
        self.endpoints: tuple[Endpoint, ...] = (Endpoint("http", options.host, options.port),)
        self.drain_seconds = options.drain

    def build(self, now: Callable[[], float], scale: float) -> Built:
        """The API."""
        return Built({"http": BentoApi(scale).app()}, [], lambda: None, ["Starting production HTTP BentoServer"])


class TritonRuntime:
    """`tritonserver`. Its ports open when all models are loaded: it starts the endpoints after the repository.

    gRPC is not simulated.
    """

    startup_seconds = 5.0
    closes_at_once = True
    timeout_code = 1

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], accelerator: Accelerator, present: int) -> None:
        self._options = options = argv_triton.parse_triton(argv)
        self._deployments = {name: argv_triton.deployment_of(name, accelerator, present) for name in options.models}
        http = Endpoint("http", options.http_address, options.http_port)
        metrics = Endpoint("metrics", options.metrics_address, options.metrics_port)
        self.endpoints: tuple[Endpoint, ...] = (http, metrics) if options.metrics else (http,)
        self.weights: float = sum(deployment.weights for deployment in self._deployments.values())
        self.drain_seconds = options.exit_timeout

    def build(self, now: Callable[[], float], scale: float) -> Built:
        """The API on its models. Raises `StartFailure` when one does not fit."""
        try:
            for deployment in self._deployments.values():
                deployment.kv_tokens()
        except DoesNotFit as error:
            raise StartFailure(
                f"error: creating server: Internal - failed to load all models: CUDA out of memory: {error}"
            ) from None
        api = TritonApi(self._options, self._deployments, now, scale)

        def drain() -> None:
            api.draining = True

        log = [f"successfully loaded '{name}' version 1 (simulated)" for name in self._deployments]
        paces = [model.pace for model in api.models.values()]
        return Built({"http": api.app(), "metrics": api.metrics_app()}, paces, drain, log)


RUNTIMES: Mapping[str, Callable[[Sequence[str], Mapping[str, str], Accelerator, int], Runtime]] = {
    "vllm": VllmRuntime,
    "sglang": SglangRuntime,
    "tensorrt-llm": TensorRtLlmRuntime,
    "triton": TritonRuntime,
    "onnxruntime": TritonRuntime,
    "text-embeddings-inference": TeiRuntime,
    "bentoml": BentoRuntime,
}
