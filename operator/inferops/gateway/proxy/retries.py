"""When a request is sent to another replica: told by a few rules and a budget, so that an outage is not multiplied."""

from __future__ import annotations

from collections.abc import Callable

from inferops.gateway.balance.outcome import Outcome

ATTEMPTS = 3  # at most, of one request
BROKEN = 2  # replicas that one request may break: a third it does not get
SHARE = 0.2  # retries, of the requests of late
FEW = 5.0  # retries beside those, so that a quiet service has some
HALF_LIFE = 10.0  # seconds after which a request, or a retry, counts half
FAILED = frozenset((Outcome.FAILED, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.TIMEOUT))
REPEATABLE = frozenset(("GET", "HEAD", "OPTIONS", "POST"))  # of POST: inference changes nothing


class Budget:
    """Of one service: how many retries its requests of late allow."""

    __slots__ = ("_at", "_clock", "_requests", "_retries")

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` tells monotonic seconds."""
        self._clock = clock
        self._at = clock()
        self._requests = 0.0
        self._retries = 0.0

    def request(self) -> None:
        """A request came."""
        self._age()
        self._requests += 1

    def take(self) -> bool:
        """Whether one more retry may be; it counts then."""
        self._age()
        if self._retries + 1 > SHARE * self._requests + FEW:
            return False
        self._retries += 1
        return True

    def _age(self) -> None:
        passed = self._clock() - self._at
        if passed >= 1:  # by whole seconds, which is near enough
            self._at += passed
            left = 0.5 ** (passed / HALF_LIFE)
            self._requests *= left
            self._retries *= left


class Tries:
    """The attempts of one request."""

    __slots__ = ("asked", "broken", "count")

    def __init__(self) -> None:
        self.count = 0
        self.broken = 0  # replicas that failed while they had the request
        self.asked: set[str] = set()  # replicas, by name

    def failed(self, replica: str, outcome: Outcome, reached: bool) -> None:
        """An attempt ended without an answer for the client. `reached`: whether the replica may have the request."""
        self.count += 1
        self.asked.add(replica)
        if reached and outcome is not Outcome.REFUSED:
            self.broken += 1

    def again(self, method: str, outcome: Outcome, reached: bool, budget: Budget) -> bool:
        """Whether another replica may be asked. What never reached a replica multiplies nothing, and costs nothing."""
        if outcome not in FAILED or self.count >= ATTEMPTS or self.broken >= BROKEN:
            return False
        return not reached or (method in REPEATABLE and budget.take())
