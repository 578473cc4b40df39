"""What rules measure of a service, and windows over what they measured.

All signals are sums over the replicas, as a query over their metrics gives them. A rule looks at equal intervals, so a
window is a number of looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

from inferops.simulate.scaling.policy import Seen

Signal = Literal["in_flight", "waiting", "kv", "rate"]


def in_flight(seen: Seen) -> float:
    """Requests anywhere: in the gateway, in engines' queues, in their batches."""
    return seen.waiting + seen.running


def _waiting(seen: Seen) -> float:
    return seen.waiting


def _kv(seen: Seen) -> float:
    return seen.kv * seen.ready


def rate(seen: Seen) -> float:
    """Requests a second since the last look."""
    return seen.arrivals / (seen.now - seen.since) if seen.now > seen.since else 0.0


MEASURES: dict[Signal, Callable[[Seen], float]] = {
    "in_flight": in_flight,
    "waiting": _waiting,
    "kv": _kv,
    "rate": rate,
}


def looks(window: float, every: float) -> int:
    """Looks within a window of so many seconds, at least one."""
    return max(1, round(window / every))


class Mean:
    """The mean of the last values: of those that there are, or as if there had been zeros before."""

    __slots__ = ("_sum", "_values")

    def __init__(self, window: float, every: float, zeros: bool = False) -> None:
        count = looks(window, every)
        self._values: deque[float] = deque([0.0] * count if zeros else (), maxlen=count)
        self._sum = 0.0

    def add(self, value: float) -> float:
        """The mean with this value."""
        values = self._values
        if len(values) == values.maxlen:
            self._sum -= values[0]
        values.append(value)
        self._sum += value
        return max(self._sum, 0.0) / len(values)


class Extreme:
    """The highest of the last values, or their lowest. `window` 0: the last value itself."""

    __slots__ = ("_count", "_looks", "_sign", "_values")

    def __init__(self, window: float, every: float, lowest: bool = False) -> None:
        self._looks = looks(window, every) + (window > 0)
        self._sign = -1 if lowest else 1
        self._count = 0
        self._values: deque[tuple[int, int]] = deque()  # (look, value) of those that no later one exceeds, falling

    def add(self, value: int) -> int:
        """The extreme with this value."""
        values, value = self._values, self._sign * value
        self._count += 1
        while values and values[-1][1] <= value:
            values.pop()
        values.append((self._count, value))
        if values[0][0] <= self._count - self._looks:
            values.popleft()
        return self._sign * values[0][1]
