"""What a pool knows of the requests that other clusters may answer: which clusters, who is there, and who should go."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from inferops.gateway.balance import spill
from inferops.gateway.balance.lease import Lease
from inferops.gateway.balance.outcome import TooLong
from inferops.gateway.balance.room import Look
from inferops.gateway.balance.spill import Firsts, Here, Lately, Turn
from inferops.gateway.balance.targets import Targets
from inferops.gateway.table import Cluster

LOOK = (0.05, 0.5)  # seconds, at the least and the most, until who waits looks whether another cluster may answer


class Overflow:
    """Of one service. `refused` makes the exception for a request that should not wait here, given why."""

    def __init__(
        self, clock: Callable[[], float], jitter: Callable[[], float], refused: Callable[[spill.Why], TooLong]
    ) -> None:
        self.targets: Targets | None = None  # None: there are none
        self.away = 0  # requests that another cluster is asked to answer, and that may come back
        self.passed = 0  # requests that another cluster has begun to answer, all in all
        self._answered = Lately()
        self._firsts: Firsts | None = None  # counted once anybody goes by it
        self._clock, self._jitter, self._refused = clock, jitter, refused

    def update(self, clusters: Iterable[Cluster]) -> None:
        """These are the other clusters from now on, nearest first."""
        found = tuple(clusters)
        if found and self.targets is not None:
            self.targets.update(found)
        else:
            self.targets = Targets(found, self._jitter) if found else None

    @property
    def until(self) -> float:
        """When there is nothing to tell of those that were answered, if no more are."""
        return self._answered.until

    def answered(self, now: float) -> None:
        """Another cluster answers a request."""
        self._answered.add(now)
        self.passed += 1

    def lately(self, now: float) -> int:
        """How many requests other clusters have begun to answer in the last seconds."""
        return self._answered.count(now) if self.targets is not None else 0

    def given(self, lease: Lease, stream: bool) -> Lease:
        """Mind a request that gets a replica. `stream`: its first token will show."""
        if stream and self._firsts is not None:
            lease.await_first(self._firsts)
        return lease

    def mind(self, turn: Turn, waited: float, replicas: int) -> None:
        """Raises TooLong where a request would wait in an engine for longer than it should."""
        if self._firsts is None:
            self._firsts = Firsts()
        if engine := self._firsts.expected(replicas, self._clock()):
            self.consider(turn, waited, Here(replicas, engine=engine))

    def consider(self, turn: Turn, waited: float, here: Here) -> None:
        """Raises TooLong where a request should not wait, or not any more."""
        why = spill.why(here, turn.allowed, waited)
        if why is not None and turn.elsewhere():
            raise self._refused(why)

    def look(self, turn: Turn, since: float, here: Callable[[], Here]) -> Look:
        """By which a request that came at `since` sees, while it waits, that it should not any more."""

        def why() -> TooLong | None:
            try:
                self.consider(turn, self._clock() - since, here())
            except TooLong as error:
                turn.placed = True
                return error
            return None

        first = turn.allowed - (self._clock() - since)
        return Look(min(max(first, LOOK[0]), LOOK[1]), LOOK[1], why)
