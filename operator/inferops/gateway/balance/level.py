"""How many there are of something, and for how long: from requests to request-seconds."""

from __future__ import annotations


class Level:
    """A number that goes up and down, and its integral over time."""

    __slots__ = ("_area", "_count", "_since")

    def __init__(self, now: float) -> None:
        self._area = 0.0
        self._count = 0
        self._since = now

    def move(self, count: int, now: float) -> None:
        """There are so many from now on."""
        self._area += self._count * (now - self._since)
        self._count, self._since = count, now

    def area(self, now: float) -> float:
        """The integral up to now. It never goes down while the clock does not."""
        return self._area + self._count * (now - self._since)
