"""What is to happen when: the events of a simulation in the order of their times, and as put among equals."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any

Action = Callable[[float, Any], None]


class Agenda:
    """A heap of events. `entries` is open to those who cannot afford a call."""

    __slots__ = ("entries", "order")

    def __init__(self) -> None:
        self.entries: list[tuple[float, int, Action, Any]] = []
        self.order = count()

    def put(self, time: float, action: Action, what: object = None) -> None:
        """Call `action(time, what)` at `time`."""
        heappush(self.entries, (time, next(self.order), action, what))

    def next(self) -> float:
        """Let the earliest happen, and say when it did. There has to be one."""
        time, _, action, what = heappop(self.entries)
        action(time, what)
        return time
