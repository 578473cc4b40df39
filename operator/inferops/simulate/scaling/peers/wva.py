"""The rule of llm-d's Workload Variant Autoscaler, its saturation analyzer v1: one replica at a time, every 30 s.

Spare KV cache and spare queue of the replicas that are not saturated are compared with two triggers: too little of
either adds one; if it were still enough after one replica's load went to the others, one is removed. While replicas
start, nothing is decided. Replicas are alike here, so all of them are saturated or none; with all saturated nothing
is spare. The HPA that carries its number out delays it by its own windows, which are 0 here unless given.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from inferops.simulate.scaling.peers.goals import PeerGoals
from inferops.simulate.scaling.peers.signals import Extreme, looks
from inferops.simulate.scaling.policy import Seen

LOOP = 30.0  # seconds
PEAKS = 60.0  # seconds of which the highest KV use and queue are taken


@dataclass(frozen=True, slots=True)
class Settings:
    """saturation-scaling-config."""

    kv_threshold: float = 0.80  # above it a replica is saturated
    queue_threshold: float = 5.0  # requests
    kv_spare: float = 0.10  # below it one is added
    queue_spare: float = 3.0
    window: float = 0.0  # seconds, both ways, of the HPA that carries its number out


def defaults(goals: PeerGoals) -> Settings:
    return Settings()


def sensible(goals: PeerGoals) -> Settings:
    return Settings(queue_threshold=3.0, queue_spare=2.5)


def grid(goals: PeerGoals) -> list[Settings]:
    """KV thresholds down to what bites before the SLO does, and queues that are hardly begun."""
    return [
        Settings(kv_threshold=kv, kv_spare=share * kv, queue_threshold=queue, queue_spare=spare * queue)
        for kv in (0.15, 0.25, 0.4, 0.8)
        for share in (0.125, 0.4)
        for queue, spare in ((5.0, 0.6), (2.0, 0.75), (1.0, 0.9))
    ]


def delayed(settings: Settings, window: float) -> Settings:
    """With an HPA that stabilizes over so many seconds."""
    return replace(settings, window=window)


class Wva:
    """The autoscaler of one variant."""

    name = "wva"
    every = LOOP

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        count = looks(PEAKS, LOOP)
        self._kv: deque[float] = deque(maxlen=count)
        self._queue: deque[float] = deque(maxlen=count)
        self._lowest = Extreme(settings.window, LOOP, lowest=True)
        self._highest = Extreme(settings.window, LOOP)

    def look(self, seen: Seen) -> int:
        """Replicas by the rule."""
        if not seen.ready:
            return seen.wanted
        self._kv.append(seen.kv)
        self._queue.append(seen.waiting / seen.ready)
        wanted = seen.wanted if seen.ready != seen.wanted else seen.ready + self._step(seen.ready)
        low, high = self._lowest.add(wanted), self._highest.add(wanted)
        return low if low > seen.wanted else min(seen.wanted, high)

    def _step(self, ready: int) -> int:
        """One more, one fewer or none."""
        settings = self._settings
        kv, queue = max(self._kv), max(self._queue)
        if kv >= settings.kv_threshold or queue >= settings.queue_threshold or self._short(kv, queue):
            return 1
        if ready < 2:
            return 0
        more = ready / (ready - 1)
        return 0 if self._short(kv * more, queue * more) else -1

    def _short(self, kv: float, queue: float) -> bool:
        """Whether too little is spare."""
        settings = self._settings
        return settings.kv_threshold - kv < settings.kv_spare or settings.queue_threshold - queue < settings.queue_spare
