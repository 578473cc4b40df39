"""What a recommendation is made from and what it says: goals, the fleet as it is, and the numbers behind a decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from inferops.core.load import Load

Mode = Literal["auto", "queueDepth", "latency"]
Reason = Literal[
    "Start",  # nothing was counted yet
    "Steady",
    "Demand",  # what is asked for now
    "Forecast",  # what will be asked for once a replica that is begun now is ready
    "Queue",  # what waits
    "Latency",  # the SLO is missed
    "Idle",  # fewer do
    "Held",  # fewer would do, and it is too early to be sure
    "NoSignals",  # nobody tells
    "Minimum",
    "Maximum",
    "StepLimit",  # the user's limits of a step
]


class StepLimit(NamedTuple):
    """By how much replicas may change within a period. The larger of both bounds holds; neither: no limit."""

    period: float  # seconds
    replicas: int | None = None
    percent: int | None = None  # of those at the period's beginning


@dataclass(frozen=True, slots=True)
class Goals:
    """What the user asks for."""

    mode: Mode
    lowest: int
    highest: int
    queue_depth: int = 4  # requests that may wait for one replica
    ttft: float | None = None  # seconds
    tpot: float | None = None  # seconds
    attainment: float = 0.99  # share of requests that are to meet both
    most: int | None = None  # requests at once that a replica is sent at most
    up: StepLimit | None = None
    down: StepLimit | None = None
    settle: float | None = None  # seconds for which fewer must have been enough; None: by the learned cold start


@dataclass(frozen=True, slots=True)
class Seed:
    """What sizing reckons that a replica carries, before anything was measured."""

    concurrency: int  # requests at once within the SLO
    ttft: float  # mean seconds at that concurrency
    tpot: float
    output_tokens: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """The replicas as they are."""

    wanted: int  # as decided last
    ready: int
    starting: int = 0  # made and not ready yet, those without a node among them
    homeless: int = 0  # those for which the scheduler finds no node
    started: tuple[float, ...] = ()  # seconds from creation to ready, of those that became so since the last look
    kind: str = ""  # what they run: capacity learned of another kind is not believed
    settled: bool = True  # no rollout is under way, so that what is counted is of one kind


@dataclass(frozen=True, slots=True)
class Signals:
    """What is known at one look."""

    load: Load | None  # since the last look; None: nobody tells
    fleet: Fleet
    seed: Seed | None = None
    why: str = ""  # why nobody tells


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a recommendation was reckoned from. None: not known."""

    arrivals: float | None = None  # requests a second, with those that another cluster answers
    forecast: float | None = None  # requests a second when a replica that is begun now is ready
    capacity: float | None = None  # requests a second of one replica within the SLO
    utilization: float | None = None  # share of the capacity that is planned to be used
    cold_start: float | None = None  # seconds
    attainment: float | None = None  # share of requests that met the SLO of late
    waiting: int = 0
