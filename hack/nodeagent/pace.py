"""How fast kubelet's waits go by: real time, or a stated multiple of it for tests."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

SHORTEST_TIMEOUT = 1.0  # seconds that a probe's request may take whatever the scale: the network is not scaled


@dataclass(frozen=True, slots=True)
class Pace:
    """A scale of 10 makes a wait of 10 s last 1 s: probe periods, back-offs, grace periods and retries.

    Heart beats are not scaled: the controllers that watch them run in real time.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise ValueError(f"time_scale: {self.scale} must be above 0; 1 is real time, 10 ten times as fast")

    def real(self, seconds: float) -> float:
        """Seconds on the clock for `seconds` in the pod's time."""
        return seconds / self.scale

    def timeout(self, seconds: float) -> float:
        """Seconds on the clock for a request's time-out, never so short that a busy machine misses it."""
        return max(self.real(seconds), min(seconds, SHORTEST_TIMEOUT))

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` in the pod's time."""
        await asyncio.sleep(self.real(seconds))


def timestamp() -> str:
    """Now, as a Kubernetes `Time`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp() -> str:
    """Now, as a Kubernetes `MicroTime`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
