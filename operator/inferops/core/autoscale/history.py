"""What a service's scaling remembers from one look to the next.

Tuples rather than frozen dataclasses: a look replaces parts of it a dozen times, for each service of a fleet, and
`_replace` takes a sixth of the time of `dataclasses.replace`.
"""

from __future__ import annotations

from typing import NamedTuple

from inferops.core.autoscale.capacity import Capacity
from inferops.core.autoscale.forecast import Outlook

COLD_START = 180.0  # seconds, before any replica was seen to start
LONGEST = 1800.0  # seconds of a cold start; longer ones waited for GPUs
STARTS = 8  # that are remembered


class History(NamedTuple):
    """As left by the last look; `History()` before the first. Times are Unix seconds."""

    looked: float | None = None
    begun: float | None = None  # what the first look of all since then counted up to; None: nobody tells
    outlook: Outlook = Outlook()
    capacity: Capacity = Capacity()
    kind: str = ""  # what the capacity is of
    starts: tuple[float, ...] = ()  # seconds that the last replicas took to start
    needs: tuple[tuple[float, float], ...] = ()  # (time, replicas needed), the highest of each short while
    changes: tuple[tuple[float, int], ...] = ()  # (time, replicas from then on), the oldest first
    tokens: float | None = None  # of work a request, of late
    usual_tokens: float | None = None  # over a day
    strained: float | None = None  # since when more miss the SLO than usual
    peak: float = 0.0  # requests a second of one replica: the highest of late, to which misses are put down
    late: float = 0.0  # share of requests that missed the SLO, of the last minutes
    judged: float = 0.0  # requests judged by the SLO, and missed, forgetting by half in an hour
    missed: float = 0.0
    calm: float = 0.0  # most requests at a replica at once that made nobody wait
    crowd: float = 0.0  # fewest that did; 0: none yet

    @property
    def cold_start(self) -> float:
        """Seconds from a replica's creation until it is ready: what three of four do not exceed."""
        if not self.starts:
            return COLD_START
        return sorted(self.starts)[(3 * len(self.starts)) // 4 if len(self.starts) > 1 else 0]
