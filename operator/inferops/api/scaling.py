"""ScalingSpec: how many replicas a service has, and who decides it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from inferops.api.base import Model
from inferops.api.checks import Matching, Rule
from inferops.api.formats import Duration, Name, PositiveDuration

Cron = Annotated[
    str,
    Field(max_length=100),
    Matching(
        "^[-0-9A-Za-z*/,#?]+( [-0-9A-Za-z*/,#?]+){4}$",
        "must be a cron expression of five fields, for example 0 8 * * 1-5",
    ),
]
TimeZone = Annotated[
    str,
    Field(max_length=64),
    Matching("^[A-Za-z][-+A-Za-z0-9_]*(/[-+A-Za-z0-9_]+){0,2}$", "must be a time zone, for example Europe/Berlin"),
]


class ScheduleWindow(Model):
    """A window of time in which at least so many replicas are kept."""

    name: Name | None = Field(default=None, description="Its name, as the status tells of it.")
    cron: Cron = Field(description="When it begins, five fields: minute, hour, day of month, month, day of week.")
    duration: PositiveDuration = Field(description="How long it lasts, for example 10h.")
    time_zone: TimeZone = Field(default="UTC", description="The time zone of `cron`.")
    min_replicas: int = Field(ge=0, le=1000, description="Never fewer replicas than this while it lasts.")


class StepLimitSpec(Model):
    """By how much replicas may change within a period; the larger of both bounds holds."""

    rules = (
        Rule(
            cel="has(self.replicas) || has(self.percent)",
            holds=lambda self: self.replicas is not None or self.percent is not None,
            field="replicas",
            message="give replicas, percent or both, for example percent: 100; or leave the limit out",
        ),
    )
    replicas: Annotated[int, Field(ge=1, le=1000)] | None = Field(default=None, description="So many replicas.")
    percent: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="So many percent of those at the period's beginning, at least one replica."
    )
    period: PositiveDuration = Field(default="1m", description="The period.")


class ScaleDownSpec(Model):
    """How replicas are taken away."""

    limit: StepLimitSpec = Field(
        default_factory=lambda: StepLimitSpec(percent=25, period="1m"), description="By how much at most."
    )
    after: Duration | None = Field(
        default=None,
        description="For how long fewer replicas must have been enough; left out: auto waits for 2m to 1h, by what "
        "would have cost least, the other modes for 5m.",
    )


class ScalingSpec(Model):
    """How many replicas, and who decides it."""

    rules = (
        Rule(
            cel="!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            holds=lambda self: self.max_replicas is None or self.min_replicas <= self.max_replicas,
            field="maxReplicas",
            message="must be at least scaling.minReplicas; raise maxReplicas or lower minReplicas",
        ),
        Rule(
            cel="!has(self.replicas) || !has(self.maxReplicas) || self.replicas <= self.maxReplicas",
            holds=lambda self: self.replicas is None or self.max_replicas is None or self.replicas <= self.max_replicas,
            field="replicas",
            message="must not exceed scaling.maxReplicas; lower replicas or raise maxReplicas",
        ),
        Rule(
            cel="self.mode != 'schedule' || size(self.schedule) > 0",
            holds=lambda self: self.mode != "schedule" or bool(self.schedule),
            field="schedule",
            message="mode schedule needs at least one window, for example "
            "{cron: '0 8 * * 1-5', duration: 10h, minReplicas: 4}; add one or choose another mode",
        ),
        Rule(
            cel="!has(self.maxReplicas) || self.schedule.all(w, w.minReplicas <= self.maxReplicas)",
            holds=lambda self: (
                self.max_replicas is None or all(w.min_replicas <= self.max_replicas for w in self.schedule)
            ),
            field="schedule",
            message="a window's minReplicas exceeds scaling.maxReplicas; lower it or raise maxReplicas",
        ),
    )
    mode: Literal["auto", "queueDepth", "latency", "fixed", "schedule", "external"] = Field(
        default="auto",
        description="Who decides the number of replicas between minReplicas and maxReplicas: auto (what is asked for, "
        "forecast over the time that a replica needs to start, and what one carries within the SLO, both learned), "
        "queueDepth or latency (plain targets), fixed (scaling.replicas), schedule (its windows alone), or external "
        "(an HPA or KEDA on the scale subresource).",
    )
    replicas: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None,
        description="Replicas wanted now: no other number is chosen while it is set. Set through the scale subresource "
        "(kubectl scale, an HPA, KEDA); left out: as the mode decides. An HPA rests until it has a first value above "
        "0.",
    )
    min_replicas: int = Field(default=1, ge=0, le=1000, description="Never fewer replicas than this.")
    max_replicas: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="Never more replicas than this; left out: minReplicas, or what a window of the schedule has, so "
        "that no cost surprises.",
    )
    queue_depth: int = Field(
        default=4, ge=1, le=100_000, description="Requests that may wait for one replica before another is added."
    )
    schedule: list[ScheduleWindow] = Field(
        default_factory=list,
        max_length=16,
        description="Windows with a minimum of their own, in every mode but fixed and external.",
    )
    scale_up: StepLimitSpec | None = Field(
        default=None, description="By how much replicas are added at most; left out: as many as are needed at once."
    )
    scale_down: ScaleDownSpec = Field(default_factory=ScaleDownSpec, description="How replicas are taken away.")
    scale_to_zero_after: Duration | None = Field(
        default=None, description="Without a request for so long, go to zero replicas; left out: never."
    )
