"""Which replica gets a request: the one with the fewest in flight, or the one that knows its session.

As the gateway does it: equals take turns, and a session goes to the first replica on a hash ring that has no more
than 5/4 of its fair share (consistent hashing with bounded loads; Mirrokni, Thorup and Zadimoghaddam, 2016).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from struct import unpack

from inferops.simulate.fleet.replica import Replica

SLACK = (5, 4)
POINTS = 64  # of a replica on the ring


class Balance:
    """The replicas that take requests, by their requests in flight. No operation's time grows with their number."""

    __slots__ = ("_levels", "_ring", "least", "size", "total")

    def __init__(self) -> None:
        self.size = 0
        self.total = 0  # requests in flight
        self.least = 0  # of any replica
        self._levels: list[dict[Replica, None]] = [{}, {}]
        self._ring: tuple[list[int], list[Replica]] | None = None  # places in order, and who is there

    def add(self, replica: Replica) -> None:
        """It takes requests from now on; it has none."""
        self._levels[0][replica] = None
        self.least = 0
        self.size += 1
        self._ring = None

    def remove(self, replica: Replica) -> None:
        """It takes none any more."""
        del self._levels[replica.in_flight][replica]
        self.total -= replica.in_flight
        self.size -= 1
        self._ring = None
        if not self._levels[self.least]:
            self.least = next((load for load, level in enumerate(self._levels) if level), 0)

    def pick(self) -> Replica:
        """The least loaded; there has to be one."""
        return next(iter(self._levels[self.least]))

    def pick_for(self, session: int, limit: float) -> Replica:
        """The replica of a session as far as its load allows, below `limit`; there has to be one below that."""
        places, owners = self._ring or self._drawn()
        bound: float = -(-SLACK[0] * (self.total + 1) // (SLACK[1] * self.size))
        if limit < bound:
            bound = limit
        start = bisect_left(places, _place(session))
        for at in range(start - len(owners), start):  # once around: below 0 it counts from the end
            if owners[at].in_flight < bound:
                return owners[at]
        return self.pick()

    def load(self, replica: Replica) -> None:
        """One request more."""
        levels, count = self._levels, replica.in_flight
        level = levels[count]
        del level[replica]
        replica.in_flight = count + 1
        if count + 2 > len(levels):
            levels.append({})
        levels[count + 1][replica] = None
        self.total += 1
        if count == self.least and not level:
            self.least = count + 1

    def unload(self, replica: Replica) -> None:
        """One less."""
        levels, count = self._levels, replica.in_flight
        del levels[count][replica]
        replica.in_flight = count = count - 1
        levels[count][replica] = None
        self.total -= 1
        if count < self.least:
            self.least = count

    def _drawn(self) -> tuple[list[int], list[Replica]]:
        """The ring, of those there are now; each comes as often as it has points."""
        replicas = [replica for level in self._levels for replica in level]
        ring = sorted((at, replica.number, replica) for replica in replicas for at in _places(replica.number))
        self._ring = [at for at, _, _ in ring], [replica for _, _, replica in ring]
        return self._ring


@lru_cache(2**16)
def _place(session: int) -> int:
    """Where a session is on the ring: 64 bits."""
    return int.from_bytes(blake2b(b"%d" % session, digest_size=8).digest(), "big")


def _places(number: int) -> Iterator[int]:
    """Those of a replica, which follow from its number alone."""
    for part in range(POINTS // 8):
        yield from unpack(">8Q", blake2b(b"%d#%d" % (number, part), digest_size=64).digest())
