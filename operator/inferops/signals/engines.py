"""What a service's engines count of themselves -> what was asked of the service, added up over its pods.

An engine does not tell how many requests came: those that ended and those that are there do. Nor does it tell for how
long they were there: of short ones the time of those that ended says so, of long ones what is there at two moments,
taken to have changed evenly between. Which of them missed both parts of an SLO is not known either: between two moments
the part counts that more of them missed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import inf
from operator import add
from typing import NamedTuple

from inferops.runtimes.base import Metrics
from inferops.signals.counters import Counters
from inferops.signals.reading import COUNT, SUM, Reading, Readout, judged, spent
from inferops.signals.totals import NONE, Totals

PODS = 2000  # of one service that are remembered, those that are gone among them


class Served(NamedTuple):
    """What one engine has counted since it began."""

    came: float = 0
    ended: float = 0
    refused: float = 0  # for want of room in its queue
    tokens_in: float = 0
    tokens_out: float = 0
    ttft: float = 0.0  # seconds, of all requests together
    firsts: float = 0
    tpot: float = 0.0
    paced: float = 0
    spent: float = 0.0  # seconds of requests that ended
    first_good: float = 0  # requests within the SLO, and beyond it
    first_bad: float = 0
    pace_good: float = 0
    pace_bad: float = 0


JUDGED = Served._fields.index("first_good")  # what depends on the SLO begins there


@dataclass(slots=True)
class _Pod:
    """What one pod told last."""

    counters: Counters
    there: int
    at: float
    each: float = inf  # seconds that requests take, which ended of late


class EngineSums:
    """Of one service by the word of one source. Times are seconds, and only grow."""

    __slots__ = ("_bounds", "_known", "_old", "total")

    def __init__(self) -> None:
        self.total = NONE  # since the first word of each
        self._known: dict[str, _Pod] = {}
        self._old: frozenset[str] | None = None  # pods that were there when the first of them told
        self._bounds: tuple[float | None, float | None] = (None, None)

    def take(self, at: float, reading: Reading, metrics: Metrics, there: Mapping[str, int]) -> None:
        """Take in what pods tell. `there`: how often each one that is there has begun anew.

        A pod's first word is where it is counted from, unless it came since the first of all."""
        if self._old is None:
            self._old = frozenset(there)
        anew = reading.bounds != self._bounds
        self._bounds = reading.bounds
        for name, readout in reading.readouts.items():
            told, epoch = served(readout, metrics, reading.bounds), there.get(name, 0)
            pod = self._known.get(name)
            if pod is None:
                if len(self._known) >= PODS:
                    self._forget(there)
                begin = Counters(told if name in self._old else Served(), epoch)
                pod = self._known[name] = _Pod(begin, readout.there, at)
            elif anew:  # other requests count as too slow than before
                pod.counters.numbers = (*pod.counters.numbers[:JUDGED], *told[JUDGED:])
            gained = Served._make(pod.counters.seen(told, epoch, at))
            self._add(gained, _busy(pod, gained, readout.there, at, metrics), metrics)
            pod.there, pod.at = readout.there, at

    def _add(self, gained: Served, busy: float, metrics: Metrics) -> None:
        told = metrics.prompt_tokens is not None and metrics.generated_tokens is not None
        first, pace = gained.first_good + gained.first_bad, gained.pace_good + gained.pace_bad
        slow = max(gained.first_bad, gained.pace_bad)
        seen = max(slow, first if self._bounds[0] is not None else pace)
        more = Totals(
            gained.came,
            gained.ended,
            busy,
            0.0,
            gained.tokens_in,
            gained.tokens_out,
            gained.ended if told else 0,
            gained.ttft,
            gained.firsts,
            gained.tpot,
            gained.paced,
            gained.refused + seen,
            gained.refused + slow,
        )
        self.total = Totals._make(map(add, self.total, more))

    def _forget(self, there: Collection[str]) -> None:
        """Pods that are gone make room."""
        for name in [name for name in self._known if name not in there]:
            del self._known[name]


def _busy(pod: _Pod, gained: Served, there: int, at: float, metrics: Metrics) -> float:
    """Request-seconds since a pod told last."""
    if metrics.running is None:
        return gained.spent
    level, seconds = (pod.there + there) / 2 * (at - pod.at), at - pod.at
    if gained.ended and gained.spent:
        pod.each = gained.spent / gained.ended
    share = seconds / (seconds + pod.each)
    return share * gained.spent + (1 - share) * level if seconds > 0 else 0.0


def served(readout: Readout, metrics: Metrics, bounds: tuple[float | None, float | None]) -> Served:
    """What one engine has counted; too slow is beyond `bounds`."""

    def number(name: str | None, ending: str = "") -> float:
        return readout.numbers.get(f"{name}{ending}", 0.0) if name is not None else 0.0

    ended = readout.good + readout.bad + readout.others - readout.refused
    refused = readout.refused + number(metrics.rejected)
    unit = 1e-6 if metrics.e2e_microseconds is not None else 1.0
    (first_good, first_bad), (pace_good, pace_bad) = map(judged, (readout.ttft, readout.tpot), bounds)
    return Served(
        ended + refused + readout.there,
        ended,
        refused,
        number(metrics.prompt_tokens),
        number(metrics.generated_tokens),
        number(metrics.ttft, SUM),
        number(metrics.ttft, COUNT),
        number(metrics.tpot, SUM),
        number(metrics.tpot, COUNT),
        number(spent(metrics)) * unit,
        first_good,
        first_bad,
        pace_good,
        pace_bad,
    )
