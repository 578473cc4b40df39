"""The rule of AIBrix's own autoscaler (APA), as it is and corrected.

The mean metric of the pods that tell, over a window, is compared with the target; beyond the tolerance the number of
*asked-for* replicas is multiplied by the ratio. While replicas start, those that tell are as busy as before, so each
look multiplies again. On the way down it takes the lowest recommendation of the last 5 minutes, which is the reverse of
what an HPA does. Corrected, the ratio multiplies the replicas that are ready, and down takes the highest.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from math import ceil, floor

from inferops.simulate.scaling.peers.goals import PeerGoals
from inferops.simulate.scaling.peers.signals import MEASURES, Mean, Signal, looks
from inferops.simulate.scaling.policy import Seen

RESYNC = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """A PodAutoscaler with the strategy APA."""

    target: float = 0.5  # of the signal, a pod; the KV cache's as its examples have it
    signal: Signal = "kv"
    window: float = 180.0  # seconds over which it is averaged
    tolerance: float = 0.1
    up_rate: float = 2.0  # times the replicas, at most, in one look
    down_rate: float = 2.0
    down_window: float = 300.0  # seconds
    corrected: bool = False
    all_tell: bool = False  # whether it holds still until every pod tells, as its earlier versions did


def defaults(goals: PeerGoals) -> Settings:
    return Settings()


def sensible(goals: PeerGoals) -> Settings:
    return Settings(target=0.6 * goals.concurrency, signal="in_flight", window=60.0)


def grid(goals: PeerGoals) -> list[Settings]:
    found = [
        replace(Settings(), signal="in_flight", target=share * goals.concurrency, window=window, down_window=down)
        for share in (0.3, 0.4, 0.5, 0.6, 0.7, 0.85)
        for window in (60.0, 180.0)
        for down in (300.0, 900.0)
    ]
    return found + [replace(Settings(), target=share) for share in (0.1, 0.2, 0.3)]


def corrected(settings: Settings) -> Settings:
    return replace(settings, corrected=True)


class Apa:
    """One PodAutoscaler."""

    every = RESYNC

    def __init__(self, settings: Settings) -> None:
        self.name = "aibrix-corrected" if settings.corrected else "aibrix"
        self._settings = settings
        self._measure = MEASURES[settings.signal]
        self._mean = Mean(settings.window, RESYNC)
        self._past: deque[int] = deque(maxlen=looks(settings.down_window, RESYNC))

    def look(self, seen: Seen) -> int:
        """Replicas by the rule. At 0 it is disabled."""
        if not seen.ready or (self._settings.all_tell and seen.starting):
            return seen.wanted
        ratio = self._mean.add(self._measure(seen) / seen.ready) / self._settings.target
        wanted = max(self._asked(ratio, seen), 1)
        self._past.append(wanted)
        if wanted >= seen.wanted:
            return wanted
        return max(self._past) if self._settings.corrected else min(self._past)

    def _asked(self, ratio: float, seen: Seen) -> int:
        settings = self._settings
        pods = seen.ready if settings.corrected else seen.wanted
        if ratio > 1 + settings.tolerance:
            wanted = min(ceil(pods * ratio), ceil(pods * settings.up_rate))
            return max(wanted, seen.wanted) if settings.corrected else wanted
        if ratio < 1 - settings.tolerance:
            return max(ceil(pods * ratio), floor(pods / settings.down_rate))
        return seen.wanted
