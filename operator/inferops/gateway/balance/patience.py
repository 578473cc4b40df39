"""When a request that got no replica should come again: an honest guess from what was seen, in whole seconds."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

SHORTEST, LONGEST = 1, 120  # seconds
UNKNOWN_LOAD = 10.0  # seconds, while no replica was ever seen to come
RECENT = 0.1  # the share of the newest in the mean service time


class Patience:
    """What was seen of one service."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._service: float | None = None  # mean seconds of a request at its replica
        self._load: float | None = None  # seconds from the first request at zero to the first replica, last time
        self._since: float | None = None  # when that first request came, while there is no replica

    def served(self, seconds: float) -> None:
        """A request was answered after so long."""
        mean = self._service
        self._service = seconds if mean is None else mean + RECENT * (seconds - mean)

    @property
    def service(self) -> float:
        """Mean seconds of a request at its replica of late; 0 while none has ended."""
        return self._service or 0.0

    def asked_at_zero(self) -> None:
        """A request came while there is no replica."""
        if self._since is None:
            self._since = self._clock()

    def replica_came(self) -> None:
        """There is a replica again."""
        if self._since is not None:
            self._load, self._since = self._clock() - self._since, None

    def until_served(self, queued: int, at_once: int) -> int:
        """How long so many that wait will take, of which so many are answered at once."""
        return _whole(queued * (self._service or 0.0) / max(at_once, 1))

    def until_replica(self) -> int:
        """How long until the first replica comes."""
        return _whole(self.coming())

    def coming(self) -> float:
        """The same in seconds, as they are."""
        if self._load is None:
            return UNKNOWN_LOAD
        left = self._load - (self._clock() - self._since if self._since is not None else 0.0)
        return left if left > 0 else UNKNOWN_LOAD


def _whole(seconds: float) -> int:
    return min(max(ceil(seconds), SHORTEST), LONGEST)
