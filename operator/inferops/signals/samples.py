"""What adds up, at moments of the last ten minutes: from any of them to now, what was counted between.

Numbers lie side by side, since a thousand services have a hundred samples each.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from operator import sub

from inferops.signals.totals import FIELDS, Totals

SPACING = 5.0  # seconds between two samples that stay
SPAN = 600.0  # seconds for which they do


class Samples:
    """Of one service by the word of one source, the oldest first. Times are Unix seconds, and only grow."""

    __slots__ = ("_numbers", "_shown", "_times")

    def __init__(self) -> None:
        self._times = array("d")
        self._numbers = array("d")
        self._shown = 0.0  # the newest one that somebody has gone by

    def __len__(self) -> int:
        return len(self._times)

    @property
    def first(self) -> float:
        """When the oldest one is of."""
        return self._times[0]

    @property
    def last(self) -> float:
        return self._times[-1]

    def add(self, at: float, totals: Totals) -> None:
        """What adds up to so much by now. What is not newer than the newest one is put in its place, unless that is the
        first one or somebody goes on from it; then the next one has it."""
        if self._times and at <= self._times[-1]:
            if len(self._times) > 1 and self._times[-1] != self._shown:
                self._numbers[-FIELDS:] = array("d", totals)
            return
        self._times.append(at)
        self._numbers.extend(totals)
        self._thin(len(self._times) - 2)
        self._thin(len(self._times) - 3)
        while len(self._times) > 2 and self._times[1] <= at - SPAN:
            self._drop(0)

    def since(self, moment: float | None) -> tuple[float, float, Totals]:
        """From when to when, and what was counted between: from the newest sample that is not after `moment`, else from
        the first one, to the newest one of all. Asked again with its end, it goes on from there."""
        place = 0 if moment is None else max(bisect_right(self._times, moment) - 1, 0)
        self._shown = self._times[-1]
        return self._times[place], self._times[-1], self._between(place, len(self._times) - 1)

    def between(self, begin: float, end: float) -> Totals:
        """What was counted between two moments, as near as samples are to them."""
        first, last = (max(bisect_right(self._times, moment) - 1, 0) for moment in (begin, end))
        return self._between(first, last)

    def _between(self, first: int, last: int) -> Totals:
        return Totals._make(map(sub, self._at(last), self._at(first)))

    def _at(self, place: int) -> array[float]:
        return self._numbers[place * FIELDS : (place + 1) * FIELDS]

    def _thin(self, place: int) -> None:
        """Drop a sample whose neighbours are near, unless somebody goes on from it."""
        if place < 1 or self._times[place] == self._shown:
            return
        if self._times[place + 1] - self._times[place - 1] < SPACING:
            self._drop(place)

    def _drop(self, place: int) -> None:
        del self._times[place]
        del self._numbers[place * FIELDS : (place + 1) * FIELDS]
