"""The time of day by which the operator decides: without steps, and the same on all replicas.

Times in the status outlive the process, so they are times of day. But a machine's clock may be wrong, and may be set:
by an hour forward, and every deadline would be over, every member silent for too long, what is kept warm due to go. So
it is the API server's clock that counts, which tells the time in each of its answers; from one answer to the next the
monotonic clock goes on; and where the two part, the API server's is followed at a tenth of the pace of time. A deadline
of half an hour then lasts between 27 and 34 minutes, whatever is done to clocks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

log = logging.getLogger(__name__)

PACE = 0.1  # seconds that are made up for in each second
STEP = 5.0  # seconds; by less, clocks differ


class SteadyClock:
    """Tells the time of day in Unix seconds. The first time that it is asked it believes `reference` at once."""

    def __init__(
        self, reference: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._reference, self._monotonic = reference, monotonic
        self._last: tuple[float, float] | None = None  # what was told, and when by the monotonic clock
        self._apart = False

    def time(self) -> float:
        """Unix seconds, never fewer than the last time."""
        at, true = self._monotonic(), self._reference()
        if self._last is None:
            self._last = true, at
            return true
        told, before = self._last
        passed = at - before
        behind = true - (told + passed)
        self._tell(behind)
        told += passed + min(max(behind, -PACE * passed), PACE * passed)
        self._last = told, at
        return told

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)

    def _tell(self, behind: float) -> None:
        """Once for each step."""
        apart = abs(behind) > STEP
        if apart and not self._apart:
            way = "forward" if behind > 0 else "back"
            log.warning("the API server's clock went %s by %.0f s; it is followed slowly", way, abs(behind))
        self._apart = apart


class Told:
    """What time it is by the API server, from the `Date` of its answers; before the first, by this machine."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._ahead: float | None = None  # of the monotonic clock

    def heard(self, date: float) -> None:
        """An answer of this `date`, in Unix seconds, came just now. It names a second that has begun."""
        ahead = date - self._monotonic()
        if self._ahead is None or abs(ahead + 0.5 - self._ahead) > 1.5:
            self._ahead = ahead + 0.5
        else:
            self._ahead = max(self._ahead, ahead)

    def time(self) -> float:
        """Unix seconds."""
        return self._wall() if self._ahead is None else self._monotonic() + self._ahead
