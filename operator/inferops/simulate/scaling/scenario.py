"""A simulated service: who asks, what serves, how long replicas take to start, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from inferops.simulate.timing import IterationTime


class Request(NamedTuple):
    """One request of a trace."""

    time: float  # seconds since the run's beginning; never below the one before it
    prompt: int  # tokens, at least 1
    output: int  # tokens, at least 1
    session: int = 0  # requests of one session share the beginning of their prompts; 0: of none
    shared: int = 0  # tokens of the prompt that the session's other requests begin with


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """One replica."""

    timing: IterationTime
    kv_tokens: int
    max_num_seqs: int = 256
    token_budget: int = 8192
    block_size: int = 16


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Seconds from a replica's creation until it answers, in parts. Each is drawn anew with `spread`."""

    schedule: float = 2.0
    pull: float = 20.0  # once a node; afterwards its image is there
    load: float = 120.0  # weights into memory
    warm: float = 30.0  # compiling, capturing graphs
    spread: float = 0.1  # coefficient of variation of each part (lognormal)
    node: float = 120.0  # a node that has to be provisioned first


@dataclass(frozen=True, slots=True)
class ClusterFigures:
    """GPUs in one cluster."""

    name: str = "local"
    replicas: int = 1000  # that its nodes there already have room for
    provisioned: int = 0  # further ones, on nodes that an autoscaler adds
    delay: float = 0.0  # seconds a request takes longer there and back
    price: float = 0.0  # US dollars an hour of one replica


@dataclass(frozen=True, slots=True)
class Outage:
    """Something that breaks."""

    at: float
    kind: str  # "replica": one dies; "cluster": one is gone; "metrics": rules see nothing
    seconds: float = 0.0  # of a cluster or of metrics; a replica is made anew at once
    cluster: str = "local"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything of a run but its rule."""

    requests: Iterable[Request]
    engine: EngineFigures
    ttft: float  # SLO in seconds, from arrival at the gateway
    tpot: float  # SLO in seconds
    begin: int = 1  # replicas, ready
    lowest: int = 1
    highest: int = 1000
    cold: ColdStart = field(default_factory=ColdStart)
    clusters: tuple[ClusterFigures, ...] = (ClusterFigures(),)
    outages: tuple[Outage, ...] = ()
    max_concurrency: int | None = None  # requests at once that the gateway sends to one replica; more wait in it
    max_queue: int = 10_000  # requests that wait in the gateway; more are turned away
    queue_timeout: float = 60.0  # seconds; then they are turned away
    zero_after: float | None = None  # without a request for so long: to zero; the first request wakes it
    gpus: int = 1  # of one replica
    seed: int = 0
    horizon: float | None = None  # seconds; None: until the last request has ended


class Point(NamedTuple):
    """The service over one interval of a timeline, up to `time`."""

    time: float
    arrivals: float  # requests a second
    wanted: int
    ready: int
    starting: int
    waiting: int
    running: int
    judged: int
    missed: int


@dataclass(slots=True)
class Result:
    """What came of a run. What did not end within it, or was turned away, has missed the SLO."""

    policy: str
    seconds: float
    requests: int = 0
    met: int = 0
    refused: int = 0
    unfinished: int = 0
    ttft: dict[str, float] = field(default_factory=dict)  # seconds by "p50", "p90", "p95", "p99", "mean"
    tpot: dict[str, float] = field(default_factory=dict)
    replica_hours: float = 0.0  # from a replica's creation to the end of its drain
    gpu_hours: float = 0.0
    cost: float = 0.0  # US dollars
    changes: int = 0  # of the number of replicas
    turns: int = 0  # of their direction
    timeline: list[Point] = field(default_factory=list)

    @property
    def attainment(self) -> float:
        """Share of requests that met the SLO, 0..1."""
        return self.met / self.requests if self.requests else 1.0
