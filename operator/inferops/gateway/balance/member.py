"""The live state of one replica, and the members of a revision ordered by their load."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from math import inf
from typing import Protocol

from inferops.gateway.balance.breaker import Breaker
from inferops.gateway.table import Replica


class Held(Protocol):
    """What a member knows of a request that it answers."""

    def lose(self) -> None:
        """The replica is judged hung: give up."""


class Member:
    """One replica as this gateway has come to know it."""

    __slots__ = ("breaker", "held", "in_flight", "probing", "quiet", "replica", "revision", "unanswered")

    def __init__(self, replica: Replica, revision: str, jitter: Callable[[], float]) -> None:
        self.replica = replica
        self.revision = revision
        self.breaker = Breaker(jitter)
        self.in_flight = 0
        self.held: set[Held] = set()
        self.quiet = inf  # since when it owes a sign of life; inf: it owes none
        self.unanswered = False  # whether its last attempt ended without an answer
        self.probing = False

    def lives(self, now: float) -> None:
        """It showed a sign of life."""
        self.quiet = now if self.in_flight else inf


class Balance:
    """Members by requests in flight; all operations take a time that does not grow with their number."""

    def __init__(self) -> None:
        self.size = 0
        self.total = 0  # requests in flight
        self.least = 0  # of any member
        self._levels: dict[int, OrderedDict[Member, None]] = {}

    def __contains__(self, member: Member) -> bool:
        return member in self._levels.get(member.in_flight, ())

    def __iter__(self) -> Iterator[Member]:
        """From the least loaded on, equals in rotation."""
        for level in sorted(self._levels):
            yield from self._levels[level]

    def add(self, member: Member) -> None:
        self._put(member)
        self.size += 1
        self.total += member.in_flight

    def remove(self, member: Member) -> None:
        self._drop(member)
        self.size -= 1
        self.total -= member.in_flight

    def load(self, member: Member, change: int) -> None:
        """Change the requests in flight of a member."""
        self._drop(member, change)
        member.in_flight += change
        self.total += change
        self._put(member)

    def pick(self, exclude: Collection[str]) -> Member | None:
        """The least loaded that is not excluded; of equals the one whose load changed longest ago."""
        if not self.size:
            return None
        if not exclude:
            return next(iter(self._levels[self.least]))
        return next((member for member in self if member.replica.name not in exclude), None)

    def _put(self, member: Member) -> None:
        count = member.in_flight
        level = self._levels.get(count)
        if level is None:
            level = self._levels[count] = OrderedDict()
        level[member] = None
        if count < self.least or self.size == 0:
            self.least = count

    def _drop(self, member: Member, change: int = 0) -> None:
        """`change`: where its load goes from here, which tells the least load without a search."""
        count = member.in_flight
        level = self._levels[count]
        del level[member]
        if level:
            return
        del self._levels[count]
        if count == self.least:
            self.least = count + change if change else min(self._levels, default=0)
