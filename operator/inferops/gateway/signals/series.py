"""What is counted of a service, of a revision and of a replica: plain numbers, and the bounds of histograms."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.signals.load import Load
from inferops.gateway.signals.yardstick import Yardstick

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 10.0)
SLOW = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 600.0)
LONG = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)

ERRORS, TTFT, TPOT = range(3)  # what an SLO is about, as indices of `judged` and `missed`
OBJECTIVES = ("errors", "ttft", "tpot")


class Histogram:
    """Seconds, counted by the first bound that is not below them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last one: beyond all bounds
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class ServiceSeries:
    __slots__ = ("arrivals", "ended", "labels", "load", "received", "refused", "retries", "spilled", "yardsticks")

    def __init__(self, labels: str) -> None:
        self.labels = labels  # as they are told, here and below
        self.arrivals = 0
        self.ended = 0
        self.refused: dict[tuple[int, str], int] = {}  # by status code and reason
        self.retries = 0
        self.spilled: dict[tuple[str, str], int] = {}  # by cluster and result
        self.received = 0  # from gateways of other clusters
        self.load = Load()
        self.yardsticks = (Yardstick(), Yardstick())  # TTFT, TPOT


class RevisionSeries:
    __slots__ = ("duration", "gap", "labels", "queued", "ttft")

    def __init__(self, labels: str) -> None:
        self.labels = labels
        self.queued = Histogram(SLOW)
        self.ttft = Histogram(SLOW)
        self.gap = Histogram(QUICK)
        self.duration = Histogram(LONG)


class ReplicaSeries:
    """Counters and sums only: a service may have a thousand replicas."""

    __slots__ = (
        "attempts",
        "broken",
        "codes",
        "compared",
        "duration",
        "gap",
        "gaps",
        "in_flight",
        "judged",
        "labels",
        "missed",
        "revision",
        "sent",
        "slow",
        "slow_gaps",
        "tokens_in",
        "tokens_out",
        "ttft",
        "ttfts",
    )

    def __init__(self, labels: str, revision: RevisionSeries) -> None:
        self.labels = labels
        self.revision = revision
        self.in_flight = 0
        self.attempts: defaultdict[Outcome, int] = defaultdict(int, {Outcome.OK: 0})
        self.codes: defaultdict[int, int] = defaultdict(int, {200: 0})
        self.broken = 0
        self.sent = 0  # bytes
        self.tokens_in = 0
        self.tokens_out = 0
        self.ttfts = 0
        self.ttft = 0.0  # seconds, of all together, as below
        self.gaps = 0
        self.slow_gaps = 0
        self.gap = 0.0
        self.duration = 0.0
        self.judged = [0, 0, 0]  # by OBJECTIVES
        self.missed = [0, 0, 0]
        self.compared = [0, 0, 0]  # by a yardstick, where there is no SLO
        self.slow = [0, 0, 0]

    def token_gap(self, seconds: float, slow: bool) -> None:
        self.revision.gap.observe(seconds)
        self.gaps += 1
        self.gap += seconds
        if slow:
            self.slow_gaps += 1

    def judge(self, objective: int, missed: bool) -> None:
        self.judged[objective] += 1
        if missed:
            self.missed[objective] += 1

    def compare(self, objective: int, slow: bool) -> None:
        self.compared[objective] += 1
        if slow:
            self.slow[objective] += 1
