"""Flagger's rule, as its controller has it in version 1.44 (pkg/controller/scheduler.go).

Once an interval: where failed checks have reached the threshold, roll back; else check the metrics over their interval.
A failed check, and one without values, is counted and holds the weight; counts are never taken back. A passed check
adds stepWeight, or promotes where maxWeight was reached. The canary has all its replicas from the start.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from inferops.simulate.rollouts.peers import CALIBRATED_SUCCESS, SUCCESS, Recorded, due
from inferops.simulate.rollouts.rules import Wanted
from inferops.simulate.rollouts.traffic import Service, World


@dataclass(frozen=True, slots=True)
class Analysis:
    """spec.analysis of a Canary; the metrics' interval is 1m, its default."""

    threshold: int = 1  # the default
    interval: float = 60.0  # the default
    step_weight: int = 10  # as in its tutorials
    max_weight: int = 50
    success: float = SUCCESS


DEFAULTS = Analysis()
SENSIBLE = Analysis(threshold=5, step_weight=5)  # the threshold of its tutorials, and about as long as our steps
CALIBRATED = replace(SENSIBLE, success=CALIBRATED_SUCCESS)


@dataclass(slots=True)
class Flagger:
    """One rollout by it."""

    service: Service
    analysis: Analysis = DEFAULTS
    weight: int = 0
    failed: int = 0
    recorded: Recorded = field(default_factory=Recorded)

    @property
    def compares(self) -> bool:
        """It knows the canary alone."""
        return False

    def look(self, world: World) -> Wanted:
        """Once an interval, and as before in between."""
        if world.time == 0:
            self.weight = self.analysis.step_weight
        else:
            self.recorded.record(world.canary)
        if due(world, self.analysis.interval):
            return self._check()
        return self._wanted()

    def _check(self) -> Wanted:
        if self.failed >= self.analysis.threshold:
            return Wanted(0, 0, self.service.replicas, "rolled back")
        if not self._passed():
            self.failed += 1
        elif self.weight >= self.analysis.max_weight:
            return Wanted(100, self.service.replicas, 0, "promoted")
        else:
            self.weight = min(100, self.weight + self.analysis.step_weight)
        return self._wanted()

    def _passed(self) -> bool:
        measured = self.recorded.over(60.0, self.analysis.success)
        return bool(measured.success and measured.fast)

    def _wanted(self) -> Wanted:
        return Wanted(self.weight, self.service.replicas, self.service.replicas)
