"""The rule of the Kubernetes HorizontalPodAutoscaler v2.

Of a metric of pods it compares the mean of those that tell with the target and, before it adds, counts those that do
not tell yet as 0; before it removes, as the target. Of an external metric (AverageValue) it divides the sum by the
target. Changes within the tolerance are left alone; up goes 100 % or 4 pods in 15 s, whichever is more; down goes to
the highest recommendation of the last 5 minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from inferops.simulate.scaling.peers.goals import PeerGoals
from inferops.simulate.scaling.peers.signals import MEASURES, Extreme, Mean, Signal
from inferops.simulate.scaling.policy import Seen

SYNC = 15.0  # seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """An HPA on one metric."""

    target: float  # of the metric, a pod; there is no default
    signal: Signal = "in_flight"
    external: bool = True  # AverageValue of a sum, else the mean of the pods that tell
    window: float = 0.0  # seconds over which the metric is averaged; 0: as scraped last
    tolerance: float = 0.1
    up_percent: float = 100.0  # in one sync
    up_pods: int = 4
    up_window: float = 0.0  # seconds; up goes to the lowest recommendation of it
    down_window: float = 300.0  # seconds; down goes to the highest recommendation of it


def defaults(goals: PeerGoals) -> Settings:
    """The target is what a replica carries; all else is as Kubernetes has it."""
    return Settings(target=goals.concurrency)


def sensible(goals: PeerGoals) -> Settings:
    return Settings(target=0.6 * goals.concurrency, window=60.0)


def grid(goals: PeerGoals) -> list[Settings]:
    """Targets around what a replica carries, of requests in flight and of their rate, and of the KV cache."""
    base = Settings(target=1.0)
    carried: dict[Signal, float] = {"in_flight": goals.concurrency, "rate": goals.capacity}
    found = [
        replace(base, signal=signal, target=share * most, window=60.0, down_window=down)
        for signal, most in carried.items()
        for share in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
        for down in (300.0, 900.0)
    ]
    found += [replace(base, signal="kv", target=share, external=False) for share in (0.1, 0.2, 0.3, 0.5)]
    return found + [replace(base, target=share * goals.concurrency) for share in (0.4, 0.7, 1.0)]


class Hpa:
    """One HPA."""

    name = "hpa"
    every = SYNC

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._measure = MEASURES[settings.signal]
        self._mean = Mean(settings.window, SYNC)
        self._highest = Extreme(settings.down_window, SYNC)
        self._lowest = Extreme(settings.up_window, SYNC, lowest=True)
        self._began = False

    def look(self, seen: Seen) -> int:
        """Replicas by the rule. At 0 it rests, as a HorizontalPodAutoscaler does."""
        if not seen.wanted:
            return 0
        total = self._mean.add(self._measure(seen))
        wanted = self._external(total, seen) if self._settings.external else self._of_pods(total, seen)
        return self._stabilized(wanted, seen.wanted)

    def _external(self, total: float, seen: Seen) -> int:
        target = self._settings.target
        ratio = total / (target * seen.wanted)
        return seen.wanted if abs(ratio - 1.0) <= self._settings.tolerance else ceil(total / target)

    def _of_pods(self, total: float, seen: Seen) -> int:
        target, ready = self._settings.target, seen.ready
        if not ready:
            return seen.wanted
        ratio = total / ready / target
        if not seen.starting:
            return seen.wanted if abs(ratio - 1.0) <= self._settings.tolerance else ceil(ratio * ready)
        pods = ready + seen.starting
        told = total + (seen.starting * target if ratio < 1.0 else 0.0)
        again = told / pods / target
        if abs(again - 1.0) <= self._settings.tolerance or (ratio < 1.0) != (again < 1.0):
            return seen.wanted
        return ceil(again * pods)

    def _stabilized(self, wanted: int, now: int) -> int:
        if not self._began:  # what it finds counts as recommended
            self._began = True
            self._lowest.add(now)
            self._highest.add(now)
        low, high = self._lowest.add(wanted), self._highest.add(wanted)
        if now < low:
            limit = max(ceil(now * (1 + self._settings.up_percent / 100)), now + self._settings.up_pods)
            return min(low, limit)
        return min(now, high)
