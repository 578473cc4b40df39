"""The scheduler of an engine: who waits, who runs, and what of whom an iteration computes.

That of current engines: decodes first, then prefills in chunks up to a budget of tokens, then the head of the waiting
queue; when the KV cache is full the newest request is preempted and computed again later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from collections.abc import Sequence as Keys
from itertools import count
from math import inf
from typing import Any

from inferops.simulate.decodes import Decodes
from inferops.simulate.kv import KvCache
from inferops.simulate.sequence import NONE, Sequence, State

WAITING, PREFILL, DECODE, FINISHED, ABORTED = State

Part = tuple[Sequence, int, int]  # of a prompt: whose, how many tokens, those before them


class Scheduler:
    """The requests of one engine. An iteration is `_gather`, its time, and `_settle`."""

    __slots__ = (
        "_budget",
        "_decodes",
        "_most",
        "_orders",
        "_prefilling",
        "_queued",
        "_running",
        "_waiting",
        "kv",
        "now",
    )

    def __init__(self, kv: KvCache[Any], max_num_seqs: int, token_budget: int, block_size: int) -> None:
        """Raises `ValueError` when `token_budget` is below `max_num_seqs`: some decodes would never be served."""
        if token_budget < max_num_seqs:
            raise ValueError(f"token_budget ({token_budget}) must be at least max_num_seqs ({max_num_seqs})")
        self.kv = kv
        self.now = -inf  # the end of the last iteration
        self._most = max_num_seqs
        self._budget = token_budget
        self._waiting: deque[Sequence] = deque()
        self._running: dict[Sequence, None] = {}  # in order of admission
        self._prefilling: list[Sequence] = []  # those of them with a part of their prompts computed
        self._decodes = Decodes(block_size)
        self._orders = count()
        self._queued = 0.0  # when requests left the queue, less when they came, summed up

    def _gather(self) -> tuple[list[Part], list[Sequence], list[Sequence]]:
        """What the next iteration computes of prompts, who begins to run with it, and who was preempted for it."""
        chunks: list[Part] = []
        preempted: list[Sequence] = []
        while self._crowded():
            preempted.append(self._preempt_newest())
        budget = self._budget - self._decodes.number
        for seq in tuple(self._prefilling):
            if budget and seq.state is PREFILL:
                budget -= self._prefill(seq, budget, chunks, preempted)
        return chunks, [] if preempted else self._admit(chunks, budget), preempted

    def _prefill(self, seq: Sequence, budget: int, chunks: list[Part], preempted: list[Sequence]) -> int:
        """Compute more of a prompt, and say how much: nothing where `seq` has to make room itself."""
        before = seq._computed
        chunk = min(seq.prompt + seq._produced - before, budget)
        blocks = self._blocks(before + chunk) - self._blocks(before)
        while seq.state is PREFILL and not self._room_for(blocks):
            preempted.append(self._preempt_newest())  # never one that has its chunk: those are older
        if seq.state is not PREFILL:
            return 0
        self.kv.used += blocks
        if self.kv.idle:
            self._make_way()
        seq._computed = before + chunk
        chunks.append((seq, chunk, before))
        return chunk

    def _admit(self, chunks: list[Part], budget: int) -> list[Sequence]:
        """Let waiting requests run, first come first served, while tokens, places and blocks last."""
        admitted: list[Sequence] = []
        waiting, running, now, kv, block = self._waiting, self._running, self.now, self.kv, self._decodes.block
        while waiting and budget > 0 and len(running) < self._most:
            seq = waiting[0]
            total = seq.prompt + seq._produced
            found = before = 0
            if seq.prefix:  # the last token is always computed: the result is the first token of the answer
                found = min(kv.cached(seq.prefix), (total - 1) // block)
                before = found * block
            chunk = total - before if total - before <= budget else budget
            # It takes blocks as it computes, but comes in only when there are enough for all of it: else it would
            # be preempted half-way, again and again.
            if not self._room_for(-(-(total - before) // block), seq.prefix, found):
                break
            waiting.popleft()
            self._queued += now
            if seq.prefix:
                seq._held = kv.hold(seq.prefix, found) if found else []
                seq._shared = found
            kv.used += -(-chunk // block)
            if kv.idle and waiting:  # without a next one, it is soon enough at the end of the iteration
                self._make_way()
            seq.state, seq.order, seq._computed = PREFILL, next(self._orders), before + chunk
            running[seq] = None
            if before + chunk < total:
                self._prefilling.append(seq)
            chunks.append((seq, chunk, before))
            budget -= chunk
            if seq.scheduled is None:
                seq.scheduled, seq.cached = now, before
                admitted.append(seq)
        return admitted

    def _settle(self, chunks: Iterable[Part]) -> list[Sequence]:
        """End an iteration at `now`: who has all tokens leaves and is returned, whose prompt is computed decodes."""
        if self.kv.idle:
            self._make_way()
        now, decodes = self.now, self._decodes
        finished = decodes.ended() if decodes.ends and decodes.ends[0][0] <= decodes.tick else []
        for seq in finished:
            self._leave(seq)
            seq.state, seq.finished = FINISHED, now
        for seq, chunk, before in chunks:
            if before + chunk < seq.prompt + seq._produced:
                continue
            if self._prefilling and seq in self._prefilling:
                self._prefilling.remove(seq)
            if seq.prefix:
                seq._shared += self.kv.publish(seq.prefix, seq._shared, seq._held)
            seq._produced += 1
            if seq.first_token is None:
                seq.first_token = now
            if seq._produced < seq.output:
                self.kv.used -= -(-seq._computed // decodes.block) - seq._shared
                decodes.join(seq)
            else:
                self._leave(seq)
                seq.state, seq.finished = FINISHED, now
                finished.append(seq)
        return finished

    def _preempt_newest(self) -> Sequence:
        """Put the newest request back to the head of the queue; all it computed is computed again."""
        seq = next(reversed(self._running))
        self._leave(seq)
        seq.state = WAITING
        seq.preemptions += 1
        self._waiting.appendleft(seq)
        self._queued -= self.now
        return seq

    def _leave(self, seq: Sequence) -> None:
        """Take `seq` out of the running set and give its blocks back."""
        del self._running[seq]
        if seq.state is DECODE:
            self._decodes.leave(seq)
        else:
            if self._prefilling and seq in self._prefilling:
                self._prefilling.remove(seq)
            self.kv.used -= self._blocks(seq._computed) - seq._shared
        if seq._shared:
            self.kv.give_back(seq.prefix, seq._held)
            seq._shared, seq._held = 0, NONE
        seq._computed = 0

    def _make_way(self) -> None:
        """Forget prefixes that nobody holds as far as others need their blocks."""
        kv, decodes = self.kv, self._decodes
        most = decodes.number + decodes.tokens // decodes.block - decodes.shared  # that is `most(0)`, without the call
        if kv.used + kv.idle + most > kv.blocks:
            free = kv.blocks - kv.used - decodes.blocks()
            if free < kv.idle:
                kv.evict(free)

    def _room_for(self, blocks: int, prefix: Keys[int] = (), found: int = 0) -> bool:
        """Whether there are so many blocks, beside those that decodes need next; cached ones are not used up for it."""
        kv, decodes = self.kv, self._decodes
        if kv.used + blocks + found + decodes.most(1) <= kv.blocks:
            return True
        return blocks + kv.idle_of(prefix, found) + decodes.needed() <= self._free()

    def _crowded(self) -> bool:
        """Whether the decodes find no room for their next tokens."""
        kv, decodes = self.kv, self._decodes
        return kv.used + decodes.most(1) > kv.blocks and decodes.needed() > self._free()

    def _used(self) -> int:
        return self.kv.used + self._decodes.blocks()

    def _free(self) -> int:
        """Blocks that a request can have now, those of idle prefixes included."""
        return self.kv.blocks - self.kv.used - self._decodes.blocks()

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self._decodes.block)
