"""The rule of KubeAI: the mean of the active requests over 10 minutes, divided by the target, every 10 s.

The window begins with zeros. Fewer replicas are taken once so many intervals in a row asked for fewer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from inferops.simulate.scaling.peers.goals import PeerGoals
from inferops.simulate.scaling.peers.signals import Mean, in_flight
from inferops.simulate.scaling.policy import Seen

INTERVAL = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """A Model and the system's modelAutoscaling."""

    target: float = 100.0  # targetRequests
    window: float = 600.0  # seconds
    down_delay: float = 30.0  # seconds
    lowest: int = 1


def defaults(goals: PeerGoals) -> Settings:
    return Settings()


def sensible(goals: PeerGoals) -> Settings:
    return Settings(target=0.6 * goals.concurrency, window=120.0, down_delay=300.0)


def grid(goals: PeerGoals) -> list[Settings]:
    return [
        replace(Settings(), target=share * goals.concurrency, window=window, down_delay=delay)
        for share in (0.25, 0.35, 0.45, 0.55, 0.65, 0.8)
        for window in (60.0, 180.0, 600.0)
        for delay in (30.0, 600.0)
    ]


class KubeAi:
    """The autoscaler of one Model."""

    name = "kubeai"
    every = INTERVAL

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mean = Mean(settings.window, INTERVAL, zeros=True)
        self._enough = ceil(settings.down_delay / INTERVAL)
        self._fewer = 0  # intervals in a row that asked for fewer

    def look(self, seen: Seen) -> int:
        """Replicas by the rule."""
        settings, load = self._settings, in_flight(seen)
        wanted = max(ceil(self._mean.add(load) / settings.target), settings.lowest)
        if not seen.wanted and load:
            return max(1, wanted)  # its proxy wakes a model on the first request
        if wanted >= seen.wanted:
            self._fewer = 0
        elif self._fewer < self._enough:
            self._fewer += 1
            return seen.wanted
        return wanted
