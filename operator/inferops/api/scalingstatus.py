"""ScalingStatus: how many replicas were decided on and from which numbers, and what was learned."""

from __future__ import annotations

from pydantic import Field

from inferops.api.base import Model


class ScalingStatus(Model):
    """The numbers behind status.desiredReplicas, as they were when it was last decided anew or they had changed much.

    Rounded: a load that stays the same writes nothing.
    """

    mode: str = Field(default="", max_length=16, description="The mode that decided.")
    reason: str = Field(default="", max_length=32, description="Why so many replicas, in a word.")
    message: str = Field(default="", max_length=1024, description="Why so many replicas.")
    arrivals_per_second: str = Field(default="", max_length=16, description="Requests a second.")
    forecast_per_second: str = Field(
        default="", max_length=16, description="Requests a second at the time when a replica begun now would be ready."
    )
    capacity_per_second: str = Field(
        default="", max_length=16, description="Requests a second of one replica within the SLO, as learned."
    )
    utilization: str = Field(
        default="", max_length=16, description="Share of that capacity that is planned to be used."
    )
    cold_start: str = Field(
        default="", max_length=32, description="Time from a replica's creation until it is ready, as learned."
    )
    attainment: str = Field(default="", max_length=16, description="Share of requests that met the SLO of late.")
    last_scale_time: str = Field(
        default="", max_length=32, description="When the number of replicas was last changed by load."
    )
    learned: str = Field(default="", max_length=4096, description="What was learned, for the operator's next start.")
