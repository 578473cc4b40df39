"""The blocks of a KV cache: who holds how many, and which prefixes are still there for the next request.

What decoding requests hold changes with every iteration, and is reckoned by `decodes.Decodes` when it is asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence


class KvCache:
    """A fixed number of blocks. Private ones belong to one request; shared ones hold a prefix, by reference count.

    A prefix that nobody holds any more stays, counted as free, until its block is needed: least recently used first.
    """

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.used = 0  # blocks that requests hold, but for those that decodes hold alone
        self.idle: OrderedDict[int, None] = OrderedDict()  # blocks of prefixes that nobody holds, by key
        self._holders: dict[int, int] = {}  # of every block that is there for a prefix: how many requests hold it

    def give_back(self, private: int, shared: Sequence[int]) -> None:
        """Take back what a request held. The end of its prefix is forgotten before the beginning."""
        self.used -= private
        holders, idle = self._holders, self.idle
        for key in reversed(shared):
            holders[key] = left = holders[key] - 1
            if not left:
                idle[key] = None
                self.used -= 1

    def cached(self, prefix: Sequence[int]) -> int:
        """How many blocks at the beginning of `prefix` are there."""
        holders = self._holders
        for count, key in enumerate(prefix):
            if key not in holders:
                return count
        return len(prefix)

    def idle_of(self, prefix: Iterable[int]) -> int:
        """How many blocks of `prefix` would stop being free if they were held."""
        return sum(map(self.idle.__contains__, prefix))

    def hold(self, prefix: Iterable[int]) -> None:
        """Hold blocks that are cached; the caller has checked that they are, and that there is room."""
        holders, idle = self._holders, self.idle
        for key in prefix:
            held = holders[key]
            if not held:
                del idle[key]
                self.used += 1
            holders[key] = held + 1

    def publish(self, prefix: Iterable[int]) -> list[int]:
        """Turn private blocks that now hold `prefix` into shared ones. Returns the keys that became shared.

        A key that another request published meanwhile is left out: that block stays a private copy.
        """
        holders = self._holders
        new = [key for key in prefix if key not in holders]
        for key in new:
            holders[key] = 1
        return new

    def evict(self, free: int) -> None:
        """Forget idle prefixes until they take no more than `free` blocks."""
        for _ in range(len(self.idle) - free):
            key, _ = self.idle.popitem(last=False)
            del self._holders[key]
