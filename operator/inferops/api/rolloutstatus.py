"""The part of an InferenceService's status that tells of its rollout, and all that a rollout must remember."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from inferops.api.base import Model
from inferops.api.checks import Unique
from inferops.api.rollout import Metric

Hash = Annotated[str, Field(max_length=16)]
Time = Annotated[str, Field(max_length=40)]  # RFC 3339; empty: none
Sentence = Annotated[str, Field(max_length=1024)]
Word = Annotated[str, Field(max_length=64)]

Phase = Literal[
    "Idle",
    "WaitingForCapacity",
    "Loading",
    "Warming",
    "Shifting",
    "Observing",
    "Gated",
    "Promoting",
    "Retaining",
    "Succeeded",
    "RollingBack",
    "RolledBack",
]
# Phases by what is going on. Beside these there is RollingBack.
BRINGING_UP: tuple[Phase, ...] = ("WaitingForCapacity", "Loading")
STEPPING: tuple[Phase, ...] = ("Warming", "Shifting", "Observing", "Gated")
UNDER_WAY: tuple[Phase, ...] = (*BRINGING_UP, *STEPPING, "Promoting")
AT_REST: tuple[Phase, ...] = ("Idle", "Retaining", "Succeeded", "RolledBack")
Verdict = Literal["Harm", "NoWorse", "Undecided", "NoData", "NotJudged"]


class Counts(Model):
    """Requests, and how many of them were bad."""

    bad: int = Field(default=0, ge=0, description="Those that failed, or were beyond the SLO.")
    total: int = Field(default=0, ge=0, description="All that were judged.")


class MetricStatus(Model):
    """What one metric tells of the canary beside the stable revision."""

    name: Metric = Field(description="The metric.")
    verdict: Verdict = Field(default="NoData", description="What it tells so far.")
    canary: Counts = Field(default_factory=Counts, description="Of the canary, since the rollout began.")
    stable: Counts = Field(default_factory=Counts, description="Of the stable revision, in the same windows.")
    e_value: float = Field(
        default=1.0, ge=0, description="Evidence that the canary is worse: 100 is as strong as a p-value of 0.01."
    )
    e_no_worse: float = Field(
        default=1.0, ge=0, description="Evidence that it is worse by less than the margin, since this step began."
    )
    dispersion: float = Field(
        default=1.0, ge=1, description="How much more replicas differ than chance allows; evidence counts less by it."
    )
    memory: list[float] = Field(
        default_factory=list, max_length=16, description="What the next look goes on from (core/evidence.py)."
    )
    message: Sentence = Field(default="", description="The same for people.")


class AnalysisStatus(Model):
    """How canary and stable compare."""

    source: Literal["", "gateway", "prometheus", "pods"] = Field(default="", description="Who counted last.")
    until: Time = Field(default="", description="What was counted up to then is judged.")
    verdict: Verdict = Field(default="NoData", description="Of all metrics together.")
    metrics: Annotated[list[MetricStatus], Field(max_length=3), Unique("name")] = Field(
        default_factory=list, description="The metrics."
    )
    message: Sentence = Field(default="", description="Why there is no data, where there is none.")


class GateStatus(Model):
    """A gate that this rollout asked."""

    name: Word = Field(description="The gate.")
    weight: int = Field(default=0, ge=0, le=99, description="Weight at which it is asked; 0: before any request.")
    verdict: Literal["Waiting", "Passed", "Failed"] = Field(default="Waiting", description="What it said.")
    since: Time = Field(default="", description="Since when it is asked.")
    message: Sentence = Field(default="", description="What it said, for people.")


class Rejected(Model):
    """A revision that was rolled back. It is not tried again by itself."""

    hash: Hash = Field(description="Its hash.")
    reason: Word = Field(description="Why, as one word.")
    message: Sentence = Field(default="", description="Why, with the evidence.")
    time: Time = Field(default="", description="When.")


class Ended(Model):
    """A rollout that has ended."""

    revision: Hash = Field(description="Hash of the revision that was rolled out.")
    stable: Hash = Field(default="", description="Hash of the one that it was to replace.")
    outcome: Literal["Promoted", "RolledBack", "Superseded"] = Field(description="How it ended.")
    reason: Word = Field(default="", description="Why, as one word.")
    message: Sentence = Field(default="", description="Why, for people, with the evidence.")
    started: Time = Field(default="", description="When it began.")
    ended: Time = Field(default="", description="When it ended.")


class Clocks(Model):
    """When each part of bringing up the canary's replicas began; empty: it has not, or is over."""

    capacity: Time = Field(default="", description="Waiting for nodes.")
    pull: Time = Field(default="", description="Pulling images and mounting volumes.")
    load: Time = Field(default="", description="Loading the model.")
    warm_up: Time = Field(default="", description="Ready, and warming.")
    stable_down: Time = Field(default="", description="No replica of the stable revision is ready.")


class Readiness(Model):
    """How fast it could go back to the revision before."""

    to: Hash = Field(default="", description="The revision it would go back to; empty: there is none.")
    ready: Literal["Instant", "Cold", "Impossible"] = Field(default="Impossible", description="How.")
    seconds: int | None = Field(default=None, ge=0, description="Cold: how long its replicas took to load, if known.")
    message: Sentence = Field(default="", description="The same for people.")


class Pause(Model):
    """Why a rollout rests until somebody acts."""

    since: Time = Field(description="Since when.")
    reason: Word = Field(description="Why, as one word.")
    message: Sentence = Field(default="", description="Why, and how it goes on.")


class RolloutStatus(Model):
    """Where a rollout is, why, and what it goes on from."""

    phase: Phase = Field(default="Idle", description="Where it is.")
    since: Time = Field(default="", description="Since when it is in this phase.")
    started: Time = Field(default="", description="When it began.")
    deadline: Time = Field(default="", description="When it is rolled back unless the phase has ended by then.")
    strategy: Literal["", "surge", "swap", "recreate"] = Field(default="", description="How replicas are exchanged.")
    canary: Hash = Field(default="", description="The revision that is rolled out, or was last.")
    stable: Hash = Field(default="", description="The one that it is compared with.")
    step: int = Field(default=0, ge=0, description="Index of the step that it is on.")
    steps: int = Field(default=0, ge=0, description="How many there are.")
    weight: int = Field(default=0, ge=0, le=100, description="Percentage of requests that the canary is to get.")
    yielded: int = Field(default=0, ge=0, description="Replicas that stable has given up for the canary.")
    skipped: bool = Field(default=False, description="Whether steps and analysis are skipped.")
    urgent: bool = Field(default=False, description="Rolling back: whether no further request may reach the canary.")
    paused: Pause | None = Field(default=None, description="Why it rests; none: it does not.")
    reason: Word = Field(default="", description="Why it is in this phase, as one word.")
    message: Sentence = Field(default="", description="Why, for people.")
    clocks: Clocks = Field(default_factory=Clocks, description="What deadlines are counted from.")
    loaded_in: int | None = Field(default=None, ge=0, description="Seconds that the canary's first replica took.")
    analysis: AnalysisStatus = Field(default_factory=AnalysisStatus, description="How canary and stable compare.")
    gates: Annotated[list[GateStatus], Field(max_length=16)] = Field(
        default_factory=list, description="The gates that were asked."
    )
    rollback: Readiness = Field(default_factory=Readiness, description="How fast it could go back.")
    previous: Hash = Field(default="", description="The revision that is retained.")
    warm_until: Time = Field(default="", description="The previous revision keeps its replicas until then.")
    retained_until: Time = Field(default="", description="The previous revision is kept until then.")
    rejected: Annotated[list[Rejected], Field(max_length=10), Unique("hash")] = Field(
        default_factory=list, description="Revisions that were rolled back, the newest first."
    )
    handled: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=16)] = Field(
        default_factory=list, description="Actions that were carried out; the same one again does nothing."
    )
    history: Annotated[list[Ended], Field(max_length=10)] = Field(
        default_factory=list, description="Rollouts that have ended, the newest first."
    )
