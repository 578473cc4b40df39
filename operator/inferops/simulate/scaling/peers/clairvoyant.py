"""A bound that no rule reaches: replicas for the demand that will come, asked for one cold start before it does."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from inferops.simulate.scaling.policy import Seen


@dataclass(frozen=True, slots=True)
class Settings:
    """The demand as it will be, and how full replicas are planned to be."""

    demand: Sequence[float]  # requests a second, by steps from the run's beginning
    step: float  # seconds
    cold: float  # seconds from a replica's creation until it serves
    capacity: float  # requests a second, of one replica within the SLO
    load: float  # share of the capacity
    every: float = 10.0  # seconds
    lowest: int = 1


class Clairvoyant:
    """It has at each moment what the demand between now and one cold start later needs at the most."""

    name = "clairvoyant"

    def __init__(self, settings: Settings) -> None:
        if not settings.demand:
            raise ValueError("demand: there is none; give requests a second by steps from the run's beginning")
        self.every = settings.every
        each = settings.capacity * settings.load
        needed = [max(ceil(rate / each - 1e-9), settings.lowest) for rate in settings.demand]
        self._times, self._wanted = _ahead(needed, ceil((settings.cold + settings.every) / settings.step))
        self._step = settings.step

    def look(self, seen: Seen) -> int:
        """Replicas by what will come."""
        return self._wanted[bisect_right(self._times, seen.now / self._step) - 1]


def _ahead(needed: Sequence[int], steps: int) -> tuple[list[int], list[int]]:
    """The highest of each step and the `steps` after it, as the steps at which it changes and the values from there."""
    best: deque[int] = deque()  # steps whose need is above that of all later ones in sight
    found = [0] * len(needed)
    for at in range(len(needed) - 1, -1, -1):
        while best and needed[best[-1]] <= needed[at]:
            best.pop()
        best.append(at)
        while best[0] > at + steps:
            best.popleft()
        found[at] = needed[best[0]]
    changes = [at for at in range(len(found)) if at == 0 or found[at] != found[at - 1]]
    return changes, [found[at] for at in changes]
