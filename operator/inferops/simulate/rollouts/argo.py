"""The rule of Argo Rollouts with background analysis, as its controllers have it (analysis/analysis.go).

Steps follow each other by the clock. An AnalysisRun measures each metric once an interval; a metric whose failed
measurements exceed failureLimit fails the run, which aborts the rollout at once. Without traffic a rate is NaN, which
fails its condition unless that says otherwise. Once the steps are over, the rollout is promoted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from inferops.simulate.rollouts.peers import CALIBRATED_SUCCESS, SUCCESS, Recorded, due
from inferops.simulate.rollouts.rules import Wanted, sized
from inferops.simulate.rollouts.traffic import Service, World


@dataclass(frozen=True, slots=True)
class Strategy:
    """Steps of a Rollout and its AnalysisTemplate."""

    steps: tuple[tuple[int, float], ...]  # weight, and seconds of the pause after it
    interval: float
    failure_limit: int = 0  # the default
    nan_passes: bool = False  # whether the conditions say isNaN(result) || …
    success: float = SUCCESS


# The steps and the interval of its documentation's example, with what is the default where the example is silent.
DEFAULTS = Strategy(tuple((weight, 600.0) for weight in (20, 40, 60, 80)), interval=300.0)
# Our steps, with the example's failureLimit.
SENSIBLE = Strategy(((5, 120.0), (25, 300.0), (50, 300.0)), interval=60.0, failure_limit=3, nan_passes=True)
CALIBRATED = replace(SENSIBLE, success=CALIBRATED_SUCCESS)


@dataclass(slots=True)
class Argo:
    """One rollout by it."""

    service: Service
    strategy: Strategy = DEFAULTS
    failures: dict[str, int] = field(default_factory=lambda: {"success": 0, "p99": 0})
    recorded: Recorded = field(default_factory=Recorded)

    @property
    def compares(self) -> bool:
        """It knows the canary alone."""
        return False

    def look(self, world: World) -> Wanted:
        """Measure when an interval is over, and be on the step that the clock says."""
        self.recorded.record(world.canary)
        if due(world, self.strategy.interval):
            self._measure()
            if max(self.failures.values()) > self.strategy.failure_limit:
                return Wanted(0, 0, self.service.replicas, "rolled back")
        ends = 0.0
        for weight, pause in self.strategy.steps:
            ends += pause
            if world.time < ends:
                return Wanted(weight, sized(self.service, weight), self.service.replicas)
        return Wanted(100, self.service.replicas, 0, "promoted")

    def _measure(self) -> None:
        measured = self.recorded.over(self.strategy.interval, self.strategy.success)
        self._count("success", measured.success)
        self._count("p99", measured.fast)

    def _count(self, metric: str, holds: bool | None) -> None:
        if not (self.strategy.nan_passes if holds is None else holds):
            self.failures[metric] += 1
