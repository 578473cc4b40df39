"""The blocks of a KV cache: who holds how many, and which prefixes are still there for the next request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence


class KvCache:
    """A fixed number of blocks. Private ones belong to one request; shared ones hold a prefix, by reference count.

    A prefix that nobody holds any more stays, counted as free, until its block is needed: least recently used first.
    """

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self._private = 0
        self._held: dict[int, int] = {}  # block key -> requests that hold it
        self._idle: OrderedDict[int, None] = OrderedDict()

    @property
    def used(self) -> int:
        """Blocks that requests hold."""
        return self._private + len(self._held)

    @property
    def free(self) -> int:
        """Blocks that a request can have now, those of idle prefixes included."""
        return self.blocks - self.used

    def take(self, blocks: int) -> None:
        """Give out `blocks` private blocks; the caller has checked `free`."""
        self._private += blocks
        self._evict()

    def give_back(self, private: int, shared: Iterable[int]) -> None:
        """Take back what a request held. The end of its prefix is forgotten before the beginning."""
        self._private -= private
        for key in reversed(tuple(shared)):
            self._held[key] -= 1
            if self._held[key] == 0:
                del self._held[key]
                self._idle[key] = None

    def cached(self, prefix: Sequence[int]) -> int:
        """How many blocks at the beginning of `prefix` are there."""
        for count, key in enumerate(prefix):
            if key not in self._held and key not in self._idle:
                return count
        return len(prefix)

    def idle(self, prefix: Iterable[int]) -> int:
        """How many blocks of `prefix` would stop being free if they were held."""
        return sum(key in self._idle for key in prefix)

    def hold(self, prefix: Iterable[int]) -> None:
        """Hold blocks that are cached; the caller has checked `cached` and `free`."""
        for key in prefix:
            self._idle.pop(key, None)
            self._held[key] = self._held.get(key, 0) + 1

    def publish(self, prefix: Iterable[int]) -> list[int]:
        """Turn private blocks that now hold `prefix` into shared ones. Returns the keys that became shared.

        A key that another request published meanwhile is left out: that block stays a private copy.
        """
        new = [key for key in prefix if key not in self._held and key not in self._idle]
        for key in new:
            self._held[key] = 1
        self._private -= len(new)
        return new

    def _evict(self) -> None:
        while len(self._idle) > self.free:
            self._idle.popitem(last=False)
