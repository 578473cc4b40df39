"""The requests of a batch that decode: what each iteration gives them, without touching any of them.

What each has produced follows from the number of iterations since it joined, and the blocks they hold and need follow
from how many are at which place in their last block. So many iterations cost as much as one, exactly.
"""

from __future__ import annotations

from functools import cache
from heapq import heappop, heappush
from operator import mul

from inferops.simulate.sequence import Sequence, State

DECODE = State.DECODE


class Decodes:
    """Requests that decode together, one token each in every iteration."""

    __slots__ = ("_empty", "_phase", "block", "ends", "number", "shared", "tick", "tokens")

    def __init__(self, block: int) -> None:
        self.block = block  # tokens
        self.number = 0  # requests
        self.tokens = 0  # of KV cache that they hold
        self.shared = 0  # of their blocks, those that are shared
        self.tick = 0  # iterations so far
        self._phase = [0] * block  # requests by (tokens - tick) % block: when they need a block
        self._empty = empty_places(block)
        self.ends: list[tuple[int, int, Sequence]] = []  # heap of (iteration, order, request)

    def join(self, seq: Sequence) -> None:
        """`seq`, which is not at its end, decodes from now on."""
        tick, computed = self.tick, seq._computed
        seq.state, seq._since = DECODE, tick
        self.number += 1
        self.tokens += computed
        self._phase[(computed - tick) % self.block] += 1
        self.shared += seq._shared
        heappush(self.ends, (tick + seq.output - seq._produced, seq.order, seq))

    def leave(self, seq: Sequence) -> None:
        """`seq` decodes no more. What it held alone is free with that."""
        grown = self.tick - seq._since
        self._phase[(seq._computed - seq._since) % self.block] -= 1
        self.number -= 1
        self.tokens -= seq._computed + grown
        seq._produced += grown
        self.shared -= seq._shared

    def run(self, iterations: int) -> None:
        """So many iterations are over. None may end before the last of them."""
        self.tick += iterations
        self.tokens += self.number * iterations

    def ended(self) -> list[Sequence]:
        """Those that have produced all their tokens with this iteration. They have to leave."""
        ends, ended = self.ends, []
        while ends and ends[0][0] <= self.tick:
            _, order, seq = heappop(ends)
            if seq.state is DECODE and seq.order == order:  # it may have left
                ended.append(seq)
        return ended

    def left(self) -> int:
        """Iterations until the next one ends. There has to be one."""
        ends = self.ends
        while True:
            tick, order, seq = ends[0]
            if seq.state is DECODE and seq.order == order:
                return tick - self.tick
            heappop(ends)

    def needed(self) -> int:
        """Blocks that they need for the next iteration."""
        return self._phase[-self.tick % self.block]

    def blocks(self) -> int:
        """Blocks that they hold, but for shared ones."""
        empty: int = sum(map(mul, self._phase, self._empty[self.tick % self.block]))  # places in last blocks
        return (self.tokens + empty) // self.block - self.shared

    def most(self, iterations: int) -> int:
        """Blocks that they hold at most after so many iterations, but for shared ones, and quickly told."""
        return self.number + (self.tokens + self.number * iterations) // self.block - self.shared

    def iterations_in(self, free: int) -> int:
        """Iterations that they can run on `free` blocks: each takes one every `block` iterations."""
        rounds, rest = divmod(free, self.number)
        iterations = rounds * self.block
        for tick in range(self.tick, self.tick + self.block):
            rest -= self._phase[-tick % self.block]
            if rest < 0:
                break
            iterations += 1
        return iterations


@cache
def empty_places(block: int) -> tuple[tuple[int, ...], ...]:
    """By iteration and by phase, both modulo `block`: the places that are left in a request's last block."""
    return tuple(tuple(-(phase + tick) % block for phase in range(block)) for tick in range(block))
