"""A hash ring: which replica a key belongs to, and which ones come after it.

Every replica has POINTS points on the ring, which follow from its name alone, so all gateways have the same ring
whatever order they learned the replicas in. A replica that comes or goes changes the owner of its own share of keys
and of no other.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from struct import unpack

POINTS = 64  # of a replica: its share of the keys is then right to about an eighth
_OWNER_BITS = 16
_OWNER = (1 << _OWNER_BITS) - 1


class Ring:
    """The ring of some names, at most 65,536 of them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = sorted(names)
        # Place and owner in one number: 8 bytes a point, where a list of pairs would take 150.
        self._points = array("Q", sorted(self._marks()))

    def walk(self, key: bytes) -> Iterator[str]:
        """The owners of the points from the key's place on, once around; a name comes as often as it has points."""
        place = int.from_bytes(blake2b(key, digest_size=8).digest(), "big")
        points, names = self._points, self._names
        start = bisect_left(points, place)
        for at in range(start, len(points)):
            yield names[points[at] & _OWNER]
        for at in range(start):
            yield names[points[at] & _OWNER]

    def _marks(self) -> Iterator[int]:
        for owner, name in enumerate(self._names):
            for place in _places(name):
                yield place & ~_OWNER | owner


def _places(name: str) -> Iterator[int]:
    """64-bit places of a name."""
    for number in range(POINTS // 8):
        yield from unpack(">8Q", blake2b(f"{name}#{number}".encode(), digest_size=64).digest())
