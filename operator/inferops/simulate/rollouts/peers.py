"""What both peers look at: the canary's success rate and the 99th percentile of its times, over some minutes.

Neither compares with stable by itself: thresholds are absolute and chosen by people. These suit the service simulated
here as well as such thresholds can: 99 % of requests succeed where 99.5 % usually do, and the 99th percentile is within
a quarter more than what it usually is. Calibrated ones were found by trying until harmless versions were rolled back
about as seldom as our alpha asks, which takes hundreds of rollouts. Quantiles are exact, while a histogram's are
interpolated.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from inferops.simulate.rollouts.traffic import TICK, Replica, World

SUCCESS = 0.99  # share of requests that must succeed
CALIBRATED_SUCCESS = 0.985
QUANTILE = 0.99  # of the times that is judged


@dataclass(frozen=True, slots=True)
class Measured:
    """What a query over the last minutes says."""

    success: bool | None  # whether enough requests succeeded; None: there were none, and the rate is NaN
    fast: bool | None  # whether the quantile of the times is within its limit


@dataclass(slots=True)
class Recorded:
    """What the canary did lately: requests, how many failed, and how many were beyond the limit, by tick."""

    ticks: deque[tuple[int, int, int]] = field(default_factory=deque[tuple[int, int, int]])

    def record(self, replicas: list[Replica]) -> None:
        """The last tick."""
        self.ticks.append(
            (
                sum(replica.requests for replica in replicas),
                sum(replica.failed for replica in replicas),
                sum(replica.slow for replica in replicas),
            )
        )

    def over(self, seconds: float, success: float) -> Measured:
        """What the last so many seconds say, of which `success` is the share of requests that must succeed."""
        last = list(self.ticks)[-round(seconds / TICK) :]
        requests, failed, slow = (sum(column) for column in zip(*last, strict=True)) if last else (0, 0, 0)
        measured = requests - failed
        return Measured(
            success=measured >= success * requests if requests else None,
            fast=slow <= (1 - QUANTILE) * measured if measured else None,
        )


def due(world: World, every: float) -> bool:
    """Whether so many seconds have passed again."""
    return world.time > 0 and world.time % every < TICK / 2
