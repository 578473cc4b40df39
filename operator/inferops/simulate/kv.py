"""The blocks of a KV cache: who holds how many, and which prefixes are still there for the next request.

What decoding requests hold changes with every iteration, and is reckoned by `decodes.Decodes` when it is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence as Keys
from typing import Any, Generic, TypeVar

Prefix = TypeVar("Prefix", bound=Keys[int])


class KvCache(ABC, Generic[Prefix]):
    """A fixed number of blocks. Private ones belong to one request; shared ones hold a prefix, by reference count.

    A prefix that nobody holds any more stays, counted as free, until its block is needed: least recently used first.
    What a request holds of prefixes is told in the cache's own terms, which are its own matter.
    """

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.used = 0  # blocks that requests hold, but for those that decodes hold alone
        self.idle = 0  # blocks of prefixes that nobody holds

    @abstractmethod
    def cached(self, prefix: Prefix) -> int:
        """How many blocks at the beginning of `prefix`, which has one at least, are there."""

    @abstractmethod
    def idle_of(self, prefix: Prefix, blocks: int) -> int:
        """How many of the first `blocks` of `prefix`, which are cached, would stop being free if they were held."""

    @abstractmethod
    def hold(self, prefix: Prefix, blocks: int) -> list[Any]:
        """Hold the first `blocks` of `prefix`; the caller has checked that they are cached, and that there is room."""

    @abstractmethod
    def publish(self, prefix: Prefix, blocks: int, held: list[Any]) -> int:
        """Share the private blocks with the rest of `prefix`, whose first `blocks` are held already. Returns how many.

        One that another request shares meanwhile is left out: that block stays a private copy. `held` grows by them.
        """

    @abstractmethod
    def give_back(self, prefix: Prefix, held: list[Any]) -> None:
        """Let go of what is held of `prefix`. Its end is to be forgotten before its beginning."""

    @abstractmethod
    def evict(self, free: int) -> None:
        """Forget idle prefixes, which take more, until they take `free` blocks."""


class BlockCache(KvCache[Keys[int]]):
    """Prefixes of any keys, block by block: they may part anywhere. What is held are keys."""

    def __init__(self, blocks: int) -> None:
        super().__init__(blocks)
        self._idle: OrderedDict[int, None] = OrderedDict()  # keys of blocks that nobody holds
        self._holders: dict[int, int] = {}  # of every block that is there for a prefix: how many requests hold it

    def cached(self, prefix: Keys[int]) -> int:
        holders = self._holders
        for count, key in enumerate(prefix):
            if key not in holders:
                return count
        return len(prefix)

    def idle_of(self, prefix: Keys[int], blocks: int) -> int:
        return sum(map(self._idle.__contains__, prefix[:blocks]))

    def hold(self, prefix: Keys[int], blocks: int) -> list[int]:
        holders, idle, found = self._holders, self._idle, list(prefix[:blocks])
        for key in found:
            held = holders[key]
            if not held:
                del idle[key]
                self.used += 1
            holders[key] = held + 1
        self.idle = len(idle)
        return found

    def publish(self, prefix: Keys[int], blocks: int, held: list[int]) -> int:
        holders = self._holders
        new = [key for key in prefix[blocks:] if key not in holders]
        for key in new:
            holders[key] = 1
        held += new
        return len(new)

    def give_back(self, prefix: Keys[int], held: list[int]) -> None:
        holders, idle = self._holders, self._idle
        for key in reversed(held):
            holders[key] = left = holders[key] - 1
            if not left:
                idle[key] = None
                self.used -= 1
        self.idle = len(idle)

    def evict(self, free: int) -> None:
        for _ in range(self.idle - free):
            key, _ = self._idle.popitem(last=False)
            del self._holders[key]
        self.idle = free
