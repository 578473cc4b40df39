"""The other clusters of one service, nearest first, and which of them are not asked for a while. Pure: the time is an
argument.

One that has no room rests for a moment, longer from time to time while it has none: its load changes by the second. One
that cannot be reached, or answers as no gateway of ours does, is out as a replica would be (`breaker`): for a back-off
up to half a minute, after which one request tries it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from enum import StrEnum

from inferops.gateway.balance.breaker import Breaker, Cause
from inferops.gateway.table import Cluster

REST = 0.5  # seconds, the first; twice as long each time that it is refused again
REST_MAX = 4.0
ASKED_FOR = 30.0  # seconds of rest at the most that a cluster's Retry-After is granted


class Result(StrEnum):
    """How a request to another cluster ended."""

    ANSWERED = "answered"  # by a replica there; be it that the request was at fault
    REFUSED = "refused"  # there is no room
    DENIED = "denied"  # this one request: by its client's key or limits, or its size
    FAILED = "failed"  # an error, or no answer of a gateway
    UNREACHABLE = "unreachable"  # no connection, or it was lost before the answer
    BROKEN = "broken"  # the answer broke off after its client had some of it
    GONE = "gone"  # its client went away, or its time was over


CAUSES = {Result.FAILED: Cause.ERRORS, Result.UNREACHABLE: Cause.UNREACHABLE}


class Target:
    """One of them, as this gateway has come to know it."""

    __slots__ = ("asked", "breaker", "cluster", "held", "quiet", "refusals", "rests", "rests_since")

    def __init__(self, cluster: Cluster, jitter: Callable[[], float]) -> None:
        self.cluster = cluster
        self.breaker = Breaker(jitter)
        self.held: set[Try] = set()
        self.quiet = 0.0  # since when those that it holds have seen nothing of it
        self.asked = False  # whether it lives
        self.refusals = 0  # in a row
        self.rests = self.rests_since = float("-inf")  # until when, and since when

    def give_up(self, now: float) -> None:
        """It hangs: none of its requests waits for it any longer."""
        self.breaker.open(Cause.HUNG, now)
        for each in list(self.held):
            each.lost()

    def ready(self, now: float) -> bool:
        """Whether it may be asked."""
        return now >= self.rests and (self.breaker.cause is None or self.breaker.due(now))


class Try:
    """One request to a target, for which `lost` is called where that hangs. It must be given back with `done`."""

    __slots__ = ("_began", "_epoch", "_target", "lost")

    def __init__(self, target: Target, now: float, lost: Callable[[], None] = lambda: None) -> None:
        self._target, self._began, self.lost = target, now, lost
        if not target.held:
            target.quiet = now
        target.held.add(self)
        self._epoch = target.breaker.epoch
        if target.breaker.cause is not None:
            target.breaker.trial = True

    def progress(self, now: float) -> None:
        """Bytes of an answer came: the target lives."""
        self._target.quiet = now

    def taken(self, now: float) -> None:
        """A replica there has begun to answer."""
        self._target.quiet = now
        self._judge(Result.ANSWERED, now, 0.0)

    def done(self, result: Result, now: float, rest: float = 0.0) -> None:
        """It ended. `rest`: seconds for which the target asked to be left alone."""
        self._target.held.discard(self)
        self._judge(result, now, rest)

    def _judge(self, result: Result, now: float, rest: float) -> None:
        target, breaker = self._target, self._target.breaker
        if result in CAUSES:
            if self._epoch == breaker.epoch:
                breaker.open(CAUSES[result], now)
            return
        if result is Result.REFUSED and self._began >= target.rests_since:  # else it says nothing new
            pause = min(REST * 2.0 ** min(target.refusals, 10), REST_MAX)
            target.refusals += 1
            target.rests, target.rests_since = now + max(pause, min(rest, ASKED_FOR)), now
        elif result is Result.ANSWERED:
            target.refusals = 0
        if breaker.cause is not None and self._epoch == breaker.epoch:
            if result is Result.GONE:
                breaker.trial = False
            else:
                breaker.answered(now)


class Targets:
    """Those of one service."""

    def __init__(self, clusters: Iterable[Cluster], jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._targets: dict[Cluster, Target] = {}
        self.update(clusters)

    def __iter__(self) -> Iterator[Target]:
        return iter(self._targets.values())

    def update(self, clusters: Iterable[Cluster]) -> None:
        """These are the clusters from now on, nearest first. What is known of those that stay is kept."""
        known = self._targets
        self._targets = {each: known.get(each) or Target(each, self._jitter) for each in clusters}

    def next(self, exclude: Collection[str], now: float) -> Target | None:
        """The nearest that may be asked, but for those of these names."""
        for target in self._targets.values():
            if target.cluster.name not in exclude and target.ready(now):
                return target
        return None
