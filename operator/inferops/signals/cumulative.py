"""Counters that only grow -> what was counted between two moments, safe against counters that begin anew.

A source tells, again and again, what each replica has counted since it began. What is new each time is added up, and
the sums are kept as samples, one at the most for a whole second, which is shown once it has passed and does not change
then. So what was counted in (a, b] and in (b, c] is what was counted in (a, c].
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from inferops.api.rollout import Metric
from inferops.signals.counters import Counters

METRICS: tuple[Metric, ...] = ("errorRate", "ttft", "tpot")
SAMPLES = 32  # of one source and service; of the older half, some are left out
REPLICAS = 2000  # of one service that are remembered, those that are gone among them
TELLERS = 64  # of one service
SECOND = timedelta(seconds=1)


class Tally(NamedTuple):
    """What a replica has counted. Each number only grows by itself: of a pair that is told at two moments, `good` and
    `bad` stay what they say, as `bad` and `total` would not."""

    good: tuple[int, int, int] = (0, 0, 0)  # by METRICS
    bad: tuple[int, int, int] = (0, 0, 0)
    requests: int = 0

    def __bool__(self) -> bool:
        return any(self.flat())

    def flat(self) -> tuple[int, ...]:
        return (*self.good, *self.bad, self.requests)

    def less(self, other: Tally) -> Tally:
        """What was counted since `other`."""
        return unflat(mine - its for mine, its in zip(self.flat(), other.flat(), strict=True))


NOTHING = Tally()


def unflat(numbers: Iterable[float]) -> Tally:
    """The reverse of `Tally.flat`."""
    a, b, c, d, e, f, requests = map(int, numbers)
    return Tally((a, b, c), (d, e, f), requests)


@dataclass(frozen=True, slots=True)
class Sample:
    """What was counted up to and including a moment, by pod, since the first sample."""

    at: datetime
    totals: Mapping[str, Tally]

    def since(self, earlier: Sample) -> dict[str, Tally]:
        """What was counted after `earlier`, by pod."""
        return {pod: total.less(earlier.totals.get(pod, NOTHING)) for pod, total in self.totals.items()}


@dataclass(slots=True)
class Sums:
    """What one source tells of one service. Times must not go backwards."""

    complete: bool = False  # whether a replica that a teller did not tell of before has counted all since then
    dropped: int = 0  # replicas for which there was no room
    _totals: dict[str, Tally] = field(default_factory=dict[str, Tally])
    _last: dict[str, dict[str, Counters]] = field(default_factory=dict[str, dict[str, Counters]])  # by teller and pod
    _samples: list[Sample] = field(default_factory=list[Sample])
    _open: datetime | None = None  # second that is still to pass, in which something was taken in
    _asked: set[datetime] = field(default_factory=set[datetime])  # where the last window began and ended
    _changed: bool = True  # whether the totals are others than those of the last sample

    def take(
        self, at: datetime, teller: str, told: Mapping[str, Tally], epochs: Mapping[str, int] | None = None
    ) -> None:
        """Take in what a teller has told at a moment, by pod. What it tells first is where it is counted from.

        `epochs`: how often each pod's counters have begun anew. A source that looks at them through others, as
        Prometheus does, may tell old values after new ones: counters that go down have begun anew only where an epoch
        says so. Without epochs a teller counts by itself, and what goes down has begun anew.
        """
        second = at.replace(microsecond=0)
        self._close(at)
        if not self._samples:
            self._append(Sample(second, dict.fromkeys(told, NOTHING)))
        self._open = self._open or second + SECOND
        known = self._last.get(teller)
        first = known is None
        if known is None:
            known = self._last[teller] = {}
            for oldest in list(self._last)[:-TELLERS]:
                del self._last[oldest]
        for pod, tally in told.items():
            epoch = epochs.get(pod, 0) if epochs is not None else 0
            last = known.get(pod)
            if last is not None:
                told_now = tally.flat()
                gained = last.counted(told_now) if epochs is None else last.seen(told_now, epoch, at.timestamp())
                self._add(pod, unflat(gained))
            elif pod in self._totals or len(self._totals) < REPLICAS:
                known[pod] = Counters(tally.flat(), epoch)
                self._add(pod, tally if self.complete and not first else NOTHING)
            else:
                self.dropped += 1

    def begin_anew(self) -> None:
        """What is told next is not comparable with what was told before: it is where counting goes on from."""
        self._last.clear()

    def total(self) -> Mapping[str, Tally]:
        """What was counted since the first word, by pod."""
        return self._totals

    def between(
        self, since: datetime | None, now: datetime, until: datetime | None = None
    ) -> tuple[Sample, Sample] | None:
        """The first sample that is not before `since`, and the last one; None: nothing was ever told.

        Both are the same where nothing is newer. `until`: up to when the source is known to have told all there was.
        """
        self._close(now)
        if not self._samples:
            return None
        told = min(now, until).replace(microsecond=0) if until is not None else None
        if told is not None and told > self._samples[-1].at:
            self._append(Sample(told, self._samples[-1].totals))
        last = self._samples[-1]
        first = next((each for each in self._samples if since is None or each.at >= since), last)
        self._asked = {first.at, last.at}
        return first, last

    def _add(self, pod: str, gained: Tally) -> None:
        before = self._totals.get(pod)
        if before is None or gained:
            total = zip((before or NOTHING).flat(), gained.flat(), strict=True)
            self._totals[pod] = unflat(was + more for was, more in total)
            self._changed = True

    def _close(self, now: datetime) -> None:
        """Make a sample of the second that was open, once it has passed."""
        if self._open is None or self._open > now:
            return
        same = self._samples and not self._changed
        self._append(Sample(self._open, self._samples[-1].totals if same else dict(self._totals)))
        self._open, self._changed = None, False

    def _append(self, sample: Sample) -> None:
        self._samples.append(sample)
        if len(self._samples) > SAMPLES:
            old = self._samples[1 : SAMPLES // 2]
            self._samples[1 : SAMPLES // 2] = [each for n, each in enumerate(old) if n % 2 or each.at in self._asked]
