"""What differs between the simulated servers: the command line, the ports, the API, the way they end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from inferops.simulate.facts import GIB, AcceleratorSpec
from inferops.simulate.model import DoesNotFit
from inferops.simulate.server import argv_triton, argv_vllm
from inferops.simulate.server.api_triton import TritonApi
from inferops.simulate.server.api_vllm import VllmApi
from inferops.simulate.server.failures import StartFailure
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


class VllmRuntime:
    """`vllm serve`. The port opens when the model is loaded; /health is 200 until the process ends."""

    startup_seconds = 20.0  # profiling and CUDA graphs
    closes_at_once = False
    timeout_code = 0

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], accelerator: AcceleratorSpec, present: int) -> None:
        self._options = argv_vllm.parse_vllm(argv, env)
        self._deployment = argv_vllm.deployment_of(self._options, accelerator, present)
        self._context = argv_vllm.max_model_len(self._options, self._deployment.model, env)
        self.endpoints: tuple[Endpoint, ...] = (Endpoint("http", self._options.host, self._options.port),)
        self.weights = self._deployment.weights
        self.drain_seconds = self._options.shutdown_timeout

    def build(self, now: Callable[[], float], scale: float) -> Built:
        """The API on its model. Raises `StartFailure` when weights or context do not fit the memory."""
        try:
            tokens = self._deployment.kv_tokens()
        except DoesNotFit as error:
            raise StartFailure(f"torch.OutOfMemoryError: CUDA out of memory: {error}.") from None
        if tokens < self._context:
            raise StartFailure(
                f"ValueError: max seq len {self._context} needs more KV cache than there is memory for: it holds "
                f"{tokens} tokens. Decrease max_model_len or increase gpu_memory_utilization."
            )
        api = VllmApi(self._options, self._deployment, self._context, now, scale)

        def drain() -> None:
            api.draining = True

        model = self._deployment.model
        guess = ", a guess from the name" if model.guessed else ""
        log = (
            f"simulated model: {model.name}, {model.params / 1e9:.3g}B parameters{guess}, "
            f"on {self._deployment.accelerators}x {self._deployment.accelerator.name}",
            f"Model loading took {self.weights / GIB:.2f} GiB memory",
            f"GPU KV cache size: {tokens:,} tokens",
            f"Maximum concurrency for {self._context:,} tokens per request: {tokens / self._context:.2f}x",
        )
        return Built({"http": api.app()}, [api.pace], drain, log)


class TritonRuntime:
    """`tritonserver`. Its ports open when all models are loaded: it starts the endpoints after the repository.

    gRPC is not simulated.
    """

    startup_seconds = 5.0
    closes_at_once = True
    timeout_code = 1

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], accelerator: AcceleratorSpec, present: int) -> None:
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


RUNTIMES: Mapping[str, Callable[[Sequence[str], Mapping[str, str], AcceleratorSpec, int], Runtime]] = {
    "vllm": VllmRuntime,
    "triton": TritonRuntime,
}
