"""The rule of Knative's autoscaler (KPA): concurrency over a stable and a panic window, every 2 s.

Both means are divided by the target. Where the panic window asks for twice the ready pods, the rule panics: it takes
the higher of both, and nothing is removed until a stable window has passed without cause. Pods are compared with those
that are *ready*, so a service that starts slowly stays in panic for as long as it starts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor, inf

from inferops.simulate.scaling.peers.goals import PeerGoals
from inferops.simulate.scaling.peers.signals import Extreme, Mean, in_flight
from inferops.simulate.scaling.policy import Seen

TICK = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """config-autoscaler and the annotations of a revision."""

    target: float = 100.0  # requests in flight, a pod
    utilization: float = 0.7  # of the target
    stable: float = 60.0  # seconds
    panic: float = 0.1  # of the stable window
    panic_threshold: float = 2.0  # times the ready pods
    up_rate: float = 1000.0  # times the ready pods, at most
    down_rate: float = 2.0
    down_delay: float = 0.0  # seconds; the highest of it
    lowest: int = 1  # min-scale; 0 allows for zero
    grace: float = 30.0  # seconds from idle to zero, at least
    deadline: float = 600.0  # seconds for the first pod to become ready


def defaults(goals: PeerGoals) -> Settings:
    return Settings()


def sensible(goals: PeerGoals) -> Settings:
    return Settings(target=goals.concurrency, down_delay=300.0)


def grid(goals: PeerGoals) -> list[Settings]:
    """Targets around what a replica carries, with longer windows and delays, and with the panic turned off."""
    base = Settings(target=goals.concurrency)
    found = [
        replace(base, utilization=share, down_delay=delay)
        for share in (0.4, 0.5, 0.6, 0.7, 0.85, 1.0)
        for delay in (0.0, 600.0)
    ]
    return found + [
        replace(base, utilization=share, stable=stable, down_delay=600.0, panic_threshold=10.0)
        for share in (0.3, 0.4, 0.5, 0.6, 0.7, 0.85)
        for stable in (60.0, 180.0)
    ]


class Kpa:
    """The autoscaler of one revision."""

    name = "kpa"
    every = TICK

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._target = settings.target * settings.utilization
        self._stable = Mean(settings.stable, TICK)
        self._panic = Mean(settings.stable * settings.panic, TICK)
        self._delay = Extreme(settings.down_delay, TICK)
        self._panicked = -inf  # when there was last cause to
        self._most = 0  # pods of this panic; 0: there is none
        self._idle = inf  # since when nothing is wanted
        self._woken = 0.0  # when the first pod was asked for
        self._began = False

    def look(self, seen: Seen) -> int:
        """Replicas by the rule."""
        settings, ready = self._settings, max(1, seen.ready)
        load = in_flight(seen)
        if not self._began:
            self._begin(seen)
        most, least = ceil(settings.up_rate * ready), floor(ready / settings.down_rate)
        stable = min(max(ceil(self._stable.add(load) / self._target), least), most)
        asked = ceil(self._panic.add(load) / self._target)
        wanted = self._delay.add(self._panicking(stable, min(max(asked, least), most), asked / ready, seen.now))
        if settings.lowest:
            return max(wanted, settings.lowest)
        return self._to_zero(wanted, seen)

    def _begin(self, seen: Seen) -> None:
        """It begins in a panic where there are pods, since it knows nothing of what was before."""
        self._began = True
        if seen.ready > 1:
            self._panicked, self._most = seen.now, seen.ready

    def _panicking(self, stable: int, panic: int, over: float, now: float) -> int:
        """What is wanted, which does not fall in a panic."""
        if over >= self._settings.panic_threshold:
            self._panicked = now
        elif now - self._panicked > self._settings.stable:
            self._most = 0
            return stable
        self._most = max(self._most, stable, panic)
        return self._most

    def _to_zero(self, wanted: int, seen: Seen) -> int:
        """The last pod goes after the grace period; one that never became ready goes at its deadline."""
        if wanted:
            self._idle = inf
            if not seen.wanted:
                self._woken = seen.now
            late = not seen.ready and seen.wanted and seen.now - self._woken > self._settings.deadline
            return 0 if late else wanted
        if not seen.ready and seen.wanted:
            return seen.wanted  # it is still being activated
        self._idle = min(self._idle, seen.now)
        return 0 if seen.now - self._idle >= self._settings.grace else min(1, seen.wanted)
