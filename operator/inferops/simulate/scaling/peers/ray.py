"""The rule of Ray Serve: ongoing requests over a look-back of 30 s, divided by the target.

More is asked for after 30 s in a row of wanting more, fewer after 10 minutes of wanting fewer. Its loop runs every
0.1 s on metrics of every 10 s; here it runs every 5 s, which its delays are multiples of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from inferops.simulate.scaling.peers.goals import PeerGoals
from inferops.simulate.scaling.peers.signals import Mean, in_flight
from inferops.simulate.scaling.policy import Seen

LOOP = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """An autoscaling_config."""

    target: float = 2.0  # target_ongoing_requests
    look_back: float = 30.0  # seconds
    up_delay: float = 30.0
    down_delay: float = 600.0
    up_factor: float = 1.0  # of the difference
    down_factor: float = 1.0
    lowest: int = 1


def defaults(goals: PeerGoals) -> Settings:
    return Settings()


def sensible(goals: PeerGoals) -> Settings:
    return Settings(target=0.6 * goals.concurrency)


def grid(goals: PeerGoals) -> list[Settings]:
    return [
        replace(Settings(), target=share * goals.concurrency, look_back=back, up_delay=up, down_delay=down)
        for share in (0.25, 0.35, 0.45, 0.55, 0.65, 0.8)
        for back, up in ((30.0, 0.0), (30.0, 30.0), (120.0, 0.0))
        for down in (300.0, 900.0)
    ]


class RayServe:
    """The autoscaling of one deployment."""

    name = "ray"
    every = LOOP

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mean = Mean(settings.look_back, LOOP)
        self._up = int(settings.up_delay / LOOP)
        self._down = int(settings.down_delay / LOOP)
        self._count = 0  # looks in a row that wanted more; below 0: fewer

    def look(self, seen: Seen) -> int:
        """Replicas by the rule."""
        settings, now = self._settings, seen.wanted
        mean = self._mean.add(in_flight(seen))
        if not seen.ready:
            return max(ceil(settings.up_factor), now) if mean else now
        wanted = max(self._scaled(mean / settings.target, seen.ready), settings.lowest)
        if wanted > now:
            self._count = max(self._count, 0) + 1
            due = self._count > self._up
        elif wanted < now:
            self._count = min(self._count, 0) - 1
            due = self._count < -self._down
            wanted = wanted if now == 1 else max(1, wanted)
        else:
            self._count = 0
            return now
        if not due:
            return now
        self._count = 0
        return wanted

    def _scaled(self, wanted: float, ready: int) -> int:
        """A share of the way to what is wanted; at least one step down."""
        factor = self._settings.up_factor if wanted > ready else self._settings.down_factor
        scaled = ceil(ready + factor * (wanted - ready))
        return scaled - 1 if scaled == ready and ceil(wanted) < ready else scaled
