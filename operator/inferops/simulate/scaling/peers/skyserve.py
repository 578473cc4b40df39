"""The rule of SkyServe: requests a second over the last minute, divided by the target, every 20 s.

More is asked for once 5 minutes of looks in a row wanted more, fewer after 20 minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from inferops.simulate.scaling.peers.goals import PeerGoals
from inferops.simulate.scaling.peers.signals import Mean, rate
from inferops.simulate.scaling.policy import Seen

INTERVAL = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """A replica_policy."""

    target: float  # requests a second, a replica; there is no default
    window: float = 60.0  # seconds
    up_delay: float = 300.0
    down_delay: float = 1200.0
    lowest: int = 1


def defaults(goals: PeerGoals) -> Settings:
    """The target is what a replica carries."""
    return Settings(target=goals.capacity)


def sensible(goals: PeerGoals) -> Settings:
    return Settings(target=0.7 * goals.capacity, up_delay=60.0)


def grid(goals: PeerGoals) -> list[Settings]:
    return [
        replace(Settings(target=share * goals.capacity), window=window, up_delay=up, down_delay=down)
        for share in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
        for window, up in ((60.0, 20.0), (60.0, 60.0), (300.0, 20.0))
        for down in (600.0, 1200.0)
    ]


class SkyServe:
    """The autoscaler of one service."""

    name = "skyserve"
    every = INTERVAL

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mean = Mean(settings.window, INTERVAL)
        self._up = max(1, int(settings.up_delay / INTERVAL))
        self._down = max(1, int(settings.down_delay / INTERVAL))
        self._count = 0  # looks in a row that wanted more; below 0: fewer

    def look(self, seen: Seen) -> int:
        """Replicas by the rule."""
        now = seen.wanted
        wanted = max(ceil(self._mean.add(rate(seen)) / self._settings.target), self._settings.lowest)
        if not now:
            return wanted
        if wanted > now:
            self._count = max(self._count, 0) + 1
            due = self._count >= self._up
        elif wanted < now:
            self._count = min(self._count, 0) - 1
            due = -self._count >= self._down
        else:
            due = True
        if not due:
            return now
        self._count = 0
        return wanted
