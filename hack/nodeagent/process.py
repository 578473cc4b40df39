"""Runs what a container's command says: a simulated engine where it is one, else a process that does nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nodeagent.status import OUT_OF_MEMORY

KILLED = OUT_OF_MEMORY  # 128 + SIGKILL


@dataclass(frozen=True, slots=True)
class Command:
    """What a container runs, and on what. `load_seconds` None leaves the load time to the engine's own model."""

    image: str
    argv: Sequence[str]
    env: dict[str, str]
    ports: dict[str, int] = field(default_factory=dict)
    accelerator: str | None = None  # a name of the catalogue
    accelerator_count: int = 0
    finite: bool = False  # whether it has to come to an end: an init container, or a pod of a Job
    load_seconds: float | None = None
    time_scale: float = 1.0


class Process(Protocol):
    """A process of a container. A crash and a kill are the same to it: it ends at once with that code."""

    @property
    def exited(self) -> asyncio.Future[int]:
        """Its exit code, once it has ended."""
        ...

    @property
    def log(self) -> Sequence[str]:
        """The lines it wrote."""
        ...

    async def start(self, address: str) -> None:
        """Start it on a pod's address. Raises OSError when it cannot be started."""
        ...

    async def terminate(self) -> None:
        """Send it SIGTERM; it may take its time, `exited` tells."""
        ...

    def crash(self, code: int) -> None:
        """End it at once."""
        ...

    def hang(self) -> None:
        """Let it answer nothing any more, and live on."""
        ...


Launcher = Callable[[Command], Process]

PROGRAMS = {
    "vllm": "vllm",
    "tritonserver": "triton",
    "trtllm-serve": "tensorrt-llm",
    "text-embeddings-router": "text-embeddings-inference",
    "bentoml": "bentoml",
}
MODULES = {"vllm.entrypoints.openai.api_server": "vllm", "sglang.launch_server": "sglang"}  # after python3 -m
IMAGES = {
    "vllm-openai": ("vllm", ["vllm", "serve"]),
    "text-embeddings-inference": ("text-embeddings-inference", ["text-embeddings-router"]),
}


class Idle:
    """A process that does nothing, until it is told to end or, if `finite`, until it has started."""

    def __init__(self, finite: bool = False) -> None:
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.log: list[str] = []
        self._finite = finite
        self._hung = False

    async def start(self, address: str) -> None:
        """Start, and come to a good end at once if `finite`."""
        self.log.append(f"started on {address}")
        if self._finite:
            self.crash(0)

    async def terminate(self) -> None:
        """End well, unless hung."""
        if not self._hung:
            self.crash(0)

    def crash(self, code: int) -> None:
        """End with `code`."""
        if not self.exited.done():
            self.exited.set_result(code)

    def hang(self) -> None:
        """Ignore SIGTERM from now on."""
        self._hung = True


def idle(command: Command) -> Process:
    """A launcher that runs no engine."""
    return Idle(command.finite)


def engine_of(command: Command) -> tuple[str, list[str]] | None:
    """Which engine a command runs, and the whole command line; None when it runs none.

    An image's own entry point counts where the container gives no command, or gives that of an image which starts
    nothing else: vLLM's server image serves, and that of embeddings embeds.
    """
    argv = list(command.argv)
    if argv and argv[0].endswith("/env/docker/entrypoint.sh"):  # as `bentoml containerize` writes it
        return "bentoml", argv[1:]
    if len(argv) > 1 and argv[0].endswith("entrypoint.sh"):  # as NVIDIA's images: it sets up and runs the rest
        argv = argv[1:]
    program = argv[0].rsplit("/", 1)[-1] if argv else ""
    for module, engine in MODULES.items():
        if module in argv:
            return engine, argv
    if program in PROGRAMS:
        return PROGRAMS[program], argv
    if not argv or argv[0].startswith("-"):
        for image, (engine, start) in IMAGES.items():
            if image in command.image:
                return engine, [*start, *argv]
    return None
