"""What one source has told of the requests of one service, and the windows that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from inferops.api.rollout import Metric
from inferops.core.observation import PodView
from inferops.core.signal import Count, ReplicaCounts, Source, Window
from inferops.signals.cumulative import METRICS, Sums, Tally
from inferops.signals.reading import Reading

STALE = timedelta(seconds=15)  # after which a source that does not answer has told nothing

Limits = Mapping[Metric, float | None]  # what the SLO allows; None: it says nothing of that


@dataclass(slots=True)
class Told:
    """What one source told of one service."""

    sums: Sums
    revisions: dict[str, str] = field(default_factory=dict[str, str])  # hashes by pod
    metrics: frozenset[Metric] = frozenset()  # that it can tell of
    bounds: tuple[float | None, float | None] = (None, None)  # beyond which requests were too slow, where it says
    in_flight: Mapping[str, int] = field(default_factory=dict[str, int])
    heard: datetime | None = None  # when it answered last
    why: str = ""  # it does not

    def take(self, now: datetime, source: Source, answer: Reading | str, pods: Mapping[str, PodView]) -> None:
        """Take in what it said when it was asked: what `pods` have counted, or why it does not know."""
        if isinstance(answer, str):
            self.why = answer if self.heard is None or now - self.heard > STALE else ""
            return
        if answer.bounds != self.bounds:  # other requests count as too slow than before
            self.sums.begin_anew()
        self.sums.take(now, source, answer.tallies, {pod: view.restarts for pod, view in pods.items()})
        self.name({pod: view.revision for pod, view in pods.items()})
        self.metrics, self.bounds, self.in_flight = answer.metrics, answer.bounds, answer.in_flight
        self.heard, self.why = now, ""

    def name(self, revisions: Mapping[str, str]) -> None:
        """Remember whose replicas those are that are counted."""
        counted = self.sums.total()
        for pod, revision in revisions.items():
            if pod in counted:
                self.revisions.setdefault(pod, revision)

    def fresh(self, now: datetime) -> bool:
        """Whether what it told holds."""
        return self.heard is not None and not self.why and now - self.heard <= STALE

    def judged(self) -> frozenset[Metric]:
        """Metrics by which it has judged any request. Without an SLO a gateway judges latencies by what is usual."""
        totals = list(self.sums.total().values())
        return frozenset(
            metric
            for place, metric in enumerate(METRICS)
            if any(total.good[place] + total.bad[place] > 0 for total in totals)
        )

    def counted(self) -> int:
        """Of how many revisions it has counted requests."""
        return len({self.revisions.get(pod) for pod, total in self.sums.total().items() if total} - {None})

    def window(
        self, source: Source, since: datetime | None, now: datetime, there: Mapping[str, PodView]
    ) -> Window | None:
        """What was counted after `since`, of replicas that are there or have counted something; None: it told nothing.

        What a gateway does not mention had no requests; of the others, what they said last is all that is known.
        """
        pair = self.sums.between(since, now, now if source == "gateway" else None)
        if pair is None:
            return None
        first, last = pair
        replicas = tuple(
            ReplicaCounts(pod, self.revisions[pod], self._counts(gained), gained.requests)
            for pod, gained in sorted(last.since(first).items())
            if pod in self.revisions and (gained or pod in there)
        )
        return Window(first.at, last.at, source, replicas, dict(self.in_flight))

    def unknown(self, source: Source, limits: Limits) -> str:
        """Which metrics it cannot tell of, though there is a limit for them."""
        missing = [metric for metric in METRICS if limits[metric] is not None and metric not in self.metrics]
        names = {"gateway": "the gateways do", "prometheus": "Prometheus does", "pods": "the pods' metrics do"}
        return f"{names[source]} not tell of {', '.join(missing)}" if missing else ""

    def _counts(self, gained: Tally) -> dict[Metric, Count]:
        return {
            metric: Count(bad, good + bad)
            for metric, good, bad in zip(METRICS, gained.good, gained.bad, strict=True)
            if metric in self.metrics
        }
