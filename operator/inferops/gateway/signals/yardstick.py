"""What is slow for a service that has no SLO: what the slowest of its requests took before there was a canary.

Two revisions can be compared only by a limit that is the same for both, and that neither moves. So it is taken from
the revision that has most of the requests, and stays for as long as the same revisions are there. Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from math import exp, log

LOWEST, HIGHEST = 0.001, 600.0  # seconds
STEP = 1.12  # from one bound to the next
BOUNDS = round(log(HIGHEST / LOWEST) / log(STEP)) + 1
SHARE = 0.025  # of requests that take longer: the fewer, the sooner it is shown that no more do
LEAST = 400  # requests of which that can be told
MOST = 10_000.0  # after which those of long ago count less and less


class Yardstick:
    """One latency of one service."""

    __slots__ = ("_counts", "_limit", "_revisions", "_total")

    def __init__(self) -> None:
        self._counts: list[float] = []  # by BOUNDS, once there is anything to count
        self._total = 0.0
        self._revisions: frozenset[str] = frozenset()
        self._limit: float | None = None

    def observe(self, seconds: float) -> None:
        """A request of the revision that has most of them."""
        self._counts = self._counts or [0.0] * BOUNDS
        place = round(log(max(seconds, LOWEST) / LOWEST) / log(STEP) + 0.5)
        self._counts[min(place, BOUNDS - 1)] += 1
        self._total += 1
        if self._total >= MOST:
            self._counts = [count / 2 for count in self._counts]
            self._total /= 2

    def limit(self, revisions: Collection[str]) -> float | None:
        """Seconds beyond which a request is slow, where these revisions are compared; None: too little is known, or
        there is nothing to compare."""
        there = frozenset(revisions)
        if there != self._revisions:
            self._revisions, self._limit = there, None
        if len(there) > 1 and self._limit is None and self._total >= LEAST:
            self._limit = self._usual()
        return self._limit

    def _usual(self) -> float:
        """The lowest bound that at most SHARE of the requests exceeded."""
        above = 0.0
        for place in reversed(range(BOUNDS)):
            above += self._counts[place]
            if above > SHARE * self._total:
                return LOWEST * exp(place * log(STEP))
        return LOWEST
