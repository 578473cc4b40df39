"""What is known of a replica when somebody sets up a rule for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PeerGoals:
    """One replica's figures within its SLO, as a load test tells them, and the bounds of the service."""

    capacity: float  # requests a second
    concurrency: float  # requests in flight at that rate
    ttft: float  # SLO in seconds
    tpot: float  # SLO in seconds
    highest: int  # replicas

    def __post_init__(self) -> None:
        for field in ("capacity", "concurrency", "ttft", "tpot", "highest"):
            if not getattr(self, field) > 0:
                raise ValueError(f"{field}: {getattr(self, field)} is not above 0; give what one replica does")
