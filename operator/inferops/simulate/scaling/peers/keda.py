"""The rule of KEDA: it takes a workload from 0 to 1 and back by itself, and leaves the rest to an HPA that it makes.

Every 30 s it asks the trigger. Above the activation threshold 0 becomes 1; 5 minutes after the trigger was last active
the workload goes to 0, where that is allowed. In between the HPA divides the same value by the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from inferops.simulate.scaling.peers import hpa
from inferops.simulate.scaling.peers.goals import PeerGoals
from inferops.simulate.scaling.peers.signals import MEASURES, Signal
from inferops.simulate.scaling.policy import Seen


@dataclass(frozen=True, slots=True)
class Settings:
    """A ScaledObject with one trigger."""

    threshold: float  # of the signal, a replica; there is no default
    signal: Signal = "waiting"
    window: float = 0.0  # seconds over which the trigger's query averages
    lowest: int = 1  # minReplicaCount; 0 allows for zero
    activation: float = 0.0  # above which the trigger is active
    poll: float = 30.0  # seconds
    cooldown: float = 300.0  # seconds
    down_window: float = 300.0  # seconds, of the HPA


def defaults(goals: PeerGoals) -> Settings:
    """Five waiting requests a replica, as tutorials for inference have it."""
    return Settings(threshold=5.0)


def sensible(goals: PeerGoals) -> Settings:
    return Settings(threshold=0.6 * goals.concurrency, signal="in_flight", window=60.0)


def grid(goals: PeerGoals) -> list[Settings]:
    """By what waits, and by requests in flight and their rate averaged over a minute or two."""
    base = Settings(threshold=1.0)
    carried: dict[Signal, float] = {"in_flight": goals.concurrency, "rate": goals.capacity}
    found = [
        replace(base, threshold=waiting, down_window=down)
        for waiting in (0.2, 0.5, 1, 2, 5)
        for down in (300.0, 1800.0)
    ]
    return found + [
        replace(base, signal=signal, threshold=share * most, window=window, down_window=600.0)
        for signal, most in carried.items()
        for share in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
        for window in (60.0, 120.0)
    ]


class Keda:
    """One ScaledObject and its HPA."""

    name = "keda"
    every = hpa.SYNC

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._measure = MEASURES[settings.signal]
        inner = hpa.Settings(
            target=settings.threshold,
            signal=settings.signal,
            window=settings.window,
            down_window=settings.down_window,
        )
        self._hpa = hpa.Hpa(inner)
        self._polled = float("-inf")
        self._active = 0.0  # when the trigger was last active

    def look(self, seen: Seen) -> int:
        """Replicas by the rule."""
        if seen.now - self._polled >= self._settings.poll:
            self._polled = seen.now
            if self._measure(seen) > self._settings.activation:
                self._active = seen.now
                if not seen.wanted:
                    return 1
            elif self._settings.lowest == 0 and seen.now - self._active >= self._settings.cooldown:
                return 0
        if not seen.wanted:
            return 0
        return max(self._hpa.look(seen), self._settings.lowest, 1)
