"""A KV cache for prefixes that never part: the longer of two begins with the shorter, as the turns of a conversation.

It does what a block by block cache would, but no operation's time grows with the number of blocks.
"""

from __future__ import annotations

from collections import OrderedDict

from inferops.simulate.kv import KvCache

Held = list[tuple[int, int]]  # from which block of a run to before which other, in their order


class Stretch:
    """Neighbouring blocks of a run that the same number of requests hold. Without any, the last is forgotten first."""

    __slots__ = ("end", "first", "holders", "key")

    def __init__(self, key: int, first: int, end: int, holders: int) -> None:
        self.key = key  # of the run
        self.first = first
        self.end = end  # the first that is not of them any more
        self.holders = holders


class RunCache(KvCache[range]):
    """Prefixes are runs, known by their first keys: two that begin with the same key are alike as far as both go."""

    def __init__(self, blocks: int) -> None:
        super().__init__(blocks)
        self._runs: dict[int, list[Stretch]] = {}  # in order, not overlapping; between two may be blocks that are gone
        self._idle: OrderedDict[Stretch, None] = OrderedDict()  # those that nobody holds

    def cached(self, prefix: range) -> int:
        most, end = len(prefix), 0
        for stretch in self._runs.get(prefix.start, ()):
            if stretch.first != end:
                break
            end = stretch.end
            if end >= most:
                return most
        return end

    def idle_of(self, prefix: range, blocks: int) -> int:
        if not blocks:
            return 0
        idle = 0
        for stretch in self._runs[prefix.start]:
            if stretch.first >= blocks:
                break
            if not stretch.holders:
                idle += min(stretch.end, blocks) - stretch.first
        return idle

    def hold(self, prefix: range, blocks: int) -> Held:
        run, at = self._runs[prefix.start], 0
        while True:
            stretch = run[at]
            if stretch.end > blocks:
                stretch = _parted(run, at, blocks)  # what is left of it keeps its place in the order of eviction
            elif not stretch.holders:
                del self._idle[stretch]
            if not stretch.holders:
                self.used += stretch.end - stretch.first
                self.idle -= stretch.end - stretch.first
            stretch.holders += 1
            if at and run[at - 1].holders == stretch.holders:
                run[at - 1].end = stretch.end
                del run[at]
            else:
                at += 1
            if stretch.end == blocks:
                return [(0, blocks)]

    def publish(self, prefix: range, blocks: int, held: Held) -> int:
        key, most, new = prefix.start, len(prefix), 0
        if blocks >= most:
            return 0
        run = self._runs.setdefault(key, [])
        at = len(run)
        while at and run[at - 1].end > blocks:
            at -= 1
        while blocks < most:
            end = most
            if at < len(run):
                if run[at].first <= blocks:  # it is there
                    blocks = run[at].end
                    at += 1
                    continue
                end = min(run[at].first, most)
            if at and run[at - 1].holders == 1:  # which ends at this block
                run[at - 1].end = end
            else:
                run.insert(at, Stretch(key, blocks, end, 1))
                at += 1
            if held and held[-1][1] == blocks:
                held[-1] = (held[-1][0], end)
            else:
                held.append((blocks, end))
            new += end - blocks
            blocks = end
        return new

    def give_back(self, prefix: range, held: Held) -> None:
        run = self._runs[prefix.start]
        at, stretch = len(run), run[0]
        if 1 == at == stretch.holders == len(held) and held[0] == (0, stretch.end):  # the usual case: all, and alone
            self.used -= stretch.end
            self.idle += stretch.end
            stretch.holders = 0
            self._idle[stretch] = None
            return
        for first, end in reversed(held):
            begin = end
            while begin > first:
                at -= 1
                stretch = run[at]
                if stretch.first >= end:
                    continue
                if stretch.end > end:
                    stretch = _parted(run, at, end)
                if stretch.first < first:
                    _parted(run, at, first)
                    at += 1
                begin = stretch.first
                stretch.holders -= 1
                if not stretch.holders:
                    self.used -= stretch.end - begin
                    self.idle += stretch.end - begin
                    self._idle[stretch] = None
                if at + 1 < len(run):
                    self._join(run, at)

    def evict(self, free: int) -> None:
        surplus, idle = self.idle - free, self._idle
        self.idle = free
        while surplus:
            stretch = next(iter(idle))
            size = stretch.end - stretch.first
            if size > surplus:
                stretch.end -= surplus
                return
            surplus -= size
            del idle[stretch]
            run = self._runs[stretch.key]
            if len(run) == 1:
                del self._runs[stretch.key]
            else:
                run.remove(stretch)

    def _join(self, run: list[Stretch], at: int) -> None:
        """Make a stretch that has just lost a holder one with the next, if they are alike and go together."""
        stretch, after = run[at], run[at + 1]
        if stretch.end != after.first or stretch.holders != after.holders:
            return
        if not stretch.holders:
            order = reversed(self._idle)
            if next(order) is stretch and next(order) is after:  # else others are evicted between them
                del self._idle[stretch]
                after.first = stretch.first
                del run[at]
            return
        stretch.end = after.end
        del run[at + 1]


def _parted(run: list[Stretch], at: int, end: int) -> Stretch:
    """Part a stretch before block `end`. Returns the front, which is new and has its place in `run`."""
    rest = run[at]
    front = Stretch(rest.key, rest.first, end, rest.holders)
    rest.first = end
    run.insert(at, front)
    return front
