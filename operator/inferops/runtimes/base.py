"""The contract of a serving engine: everything that rendering, scaling and analysis need to know of one.

An engine is data and three functions (arguments, environment, own checks); the pod around it is the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.base import Toleration
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.core.engine import Obstacle
from inferops.core.revision import RevisionSpec
from inferops.runtimes import adapters, arguments, checks, environment
from inferops.runtimes.arguments import BadArgument, Rules
from inferops.runtimes.sources import Source, source_of

CACHE_PATH = "/cache"
LEADER_ADDRESS = "$(LWS_LEADER_ADDRESS)"
WORKER_INDEX = "$(LWS_WORKER_INDEX)"  # 0: the leader


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the container, by the name that Services and probes use."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path on one of the container's ports."""

    port: str
    path: str


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where an engine's metrics are and what they are called. None: the engine has no such metric.

    Gauges count requests, `kv_cache_usage` is a share from 0 to 1. Histograms are in seconds; an engine without
    them may have counters of microseconds, from which no more than a mean can be told.
    """

    endpoint: Endpoint
    running: str | None = None
    waiting: str | None = None
    kv_cache_usage: str | None = None
    ttft: str | None = None
    tpot: str | None = None
    itl: str | None = None
    e2e: str | None = None
    queue_time: str | None = None
    e2e_microseconds: str | None = None
    queue_microseconds: str | None = None
    succeeded: str | None = None  # counters of requests
    failed: str | None = None
    rejected: str | None = None  # for want of room in the queue
    prompt_tokens: str | None = None  # counters of tokens
    generated_tokens: str | None = None


@dataclass(frozen=True, slots=True)
class Api:
    """What of an engine's HTTP API requests may reach from outside, and how it speaks.

    Everything else stays closed: what changes the engine (loading models, sleeping) or tells of it (metrics).
    """

    dialect: Literal["openai", "open-inference", "other"]
    paths: tuple[str, ...]  # that are open, with what is below them where they end with "/"
    closed: tuple[str, ...] = ()  # that are not, though they stand below one of `paths`; `*` stands for any text
    usage_in_streams: bool = False  # whether a stream ends with its token counts where `stream_options` asks for it

    def allows(self, path: str) -> bool:
        """Whether a request may go to `path`, which is decoded and holds neither `..` nor empty segments."""
        opened = any(path.startswith(open_) if open_.endswith("/") else path == open_ for open_ in self.paths)
        return opened and not any(fnmatchcase(path.rstrip("/"), closed) for closed in self.closed)


@dataclass(frozen=True, slots=True)
class Launch:
    """One replica to start: everything that an engine's command line depends on."""

    service: str  # name of the InferenceService
    revision: RevisionSpec
    runtime: ServingRuntimeSpec
    accelerator: AcceleratorSpec
    worker: bool = False  # of a replica on several nodes, one that takes no requests itself
    zoned: bool = True  # whether nodes tell their zones
    claimed: bool = False  # whether its accelerators come by a ResourceClaim
    tolerations: tuple[Toleration, ...] = ()  # further ones of its pods
    known_as: str = ""  # the name by which requests know the service, where it is another

    @property
    def served_name(self) -> str:
        """The model's name, as requests have it."""
        return self.revision.model.name or self.known_as or self.service

    @property
    def nodes(self) -> int:
        """Nodes that the replica spans."""
        return self.revision.accelerator.nodes

    @property
    def source(self) -> Source:
        return source_of(self.revision.model)

    @property
    def given_args(self) -> list[str]:
        """The admin's arguments and then the user's, of which the later win."""
        return [*self.runtime.args, *self.revision.runtime.args]


class ServingEngine(ABC):
    """One serving engine. Its subclasses hold the facts."""

    name: str
    image: str  # by version, never latest
    command: tuple[str, ...]
    user: int  # uid and gid of the container
    ports: tuple[Port, ...]
    startup: Endpoint
    readiness: Endpoint
    liveness: Endpoint
    metrics: Metrics
    api: Api
    sources: tuple[str, ...]
    rules: Rules
    denied_env: tuple[str, ...]
    multi_node: bool = False  # whether one replica may span nodes; then `group_args` says how
    amd_image: str | None = None  # for accelerators of AMD
    drain_flag: str | None = None  # takes the seconds of the drain; None: it drains until its grace period ends
    takes_memory: float | None = None  # share of the accelerator's memory; None: it serves other than language models
    memory_flag: str | None = None  # by which the user sets that share
    swallows: bool = False  # whether a flag without its value takes the next flag for it; then the user's stand last
    batch_flags: tuple[str, str] | None = None  # that limit the tokens of a step and the sequences at once
    streamed: tuple[str, ...] = ()  # sources from which weights go to the GPU without a copy on disk
    adapter_sources: tuple[str, ...] = ()  # of LoRA adapters; empty: it serves none
    parallel: bool = True  # whether the processes of one replica share a model among accelerators

    @abstractmethod
    def operator_args(self, launch: Launch) -> list[str]:
        """The arguments that the operator sets; they stand last, where the last of two wins."""

    @abstractmethod
    def operator_env(self, launch: Launch) -> list[dict[str, Any]]:
        """The engine's environment: caches, home."""

    def group_args(self, launch: Launch) -> list[str]:
        """The arguments by which the processes of a replica on several nodes find each other; they stand last.

        Kubernetes puts in LEADER_ADDRESS and WORKER_INDEX, which LeaderWorkerSet gives to every container.
        """
        return []

    @property
    def http_alone(self) -> bool:
        """Whether all of its requests are HTTP, so that the built-in gateway can take them."""
        return {port.name for port in self.ports} <= {"http", "metrics"}

    def image_for(self, launch: Launch) -> str | None:
        """The image where the ServingRuntime names none; None: there is none for this accelerator."""
        return self.image if launch.accelerator.vendor == "nvidia" else self.amd_image

    def source(self, launch: Launch) -> Source:
        """What the pod mounts and sets to reach the model and its adapters."""
        return adapters.mounted(launch.revision.model, launch.source)

    def annotations(self, launch: Launch) -> dict[str, str]:
        """Annotations of the pod that the engine reads through a volume."""
        return {}

    def memory_share(self, runtime: ServingRuntimeSpec, args: Sequence[str]) -> float | None:
        """Share of the accelerators' memory that it takes, given the user's `args`; None: it cannot be sized."""
        if self.takes_memory is None or self.memory_flag is None:
            return self.takes_memory
        try:
            flags = arguments.flags_of([*runtime.args, *args])
            given = [flag.values[0] for flag in flags if flag.name == self.memory_flag and flag.values]
            share = float(given[-1]) if given else self.takes_memory
        except (BadArgument, ValueError):
            return self.takes_memory  # refused elsewhere
        return share if 0 < share <= 1 else self.takes_memory

    def batch_args(self, launch: Launch) -> list[str]:
        """The limits that sizing reckons with, where they are not the engine's own; the user's win."""
        batch = launch.revision.batch
        if batch is None or self.batch_flags is None:
            return []
        given = {flag.name for flag in arguments.flags_of(launch.given_args)}
        limits = zip(self.batch_flags, (batch.tokens, batch.sequences), strict=True)
        return [f"{flag}={limit}" for flag, limit in limits if flag.replace("_", "-") not in given]

    def positional(self, launch: Launch) -> list[str]:
        """Arguments without a flag, which stand first."""
        return []

    def rules_for(self, launch: Launch) -> Rules:
        """Which flags may not stand in the arguments of `launch`."""
        if launch.source.scheme not in self.streamed:
            return self.rules
        return replace(self.rules, reserved={**self.rules.reserved, "--load-format": ""})

    def own_obstacle(self, launch: Launch) -> Obstacle | None:
        """What else keeps this engine from serving."""
        return None

    def args(self, launch: Launch) -> list[str]:
        """The container's arguments as Kubernetes takes them."""
        given, own = launch.given_args, self.operator_args(launch)
        words = [*self.positional(launch), *([*own, *given] if self.swallows else [*given, *own])]
        group = self.group_args(launch) if launch.nodes > 1 else []
        return [*map(arguments.literal, words), *group]

    def env(self, launch: Launch) -> list[dict[str, Any]]:
        """The container's environment, each name once. The admin's win over the engine's, the user's over both."""
        return environment.merged(
            self.operator_env(launch),
            self.source(launch).env,
            environment.rendered(launch.runtime.env),
            environment.rendered(launch.revision.runtime.env),
        )

    def obstacle(
        self, revision: RevisionSpec, runtime: ServingRuntimeSpec, accelerator: AcceleratorSpec
    ) -> Obstacle | None:
        """Why this engine cannot serve `revision`, or None: the first failure of the checks below."""
        launch = Launch("", revision, runtime, accelerator)
        return next((found for check in checks.CHECKS if (found := check(self, launch)) is not None), None)
