"""Continuous batching, iteration by iteration: who waits, who runs, what one step does and how long it takes.

The scheduler of current engines: decodes first, then prefills in chunks up to a budget of tokens, then the
head of the waiting queue; when the KV cache is full the newest request is preempted and computed again later.
No clock and no randomness: the caller says what time it is.

Decoding requests are not touched in an iteration: what each has produced follows from the number of iterations
since it joined, and the blocks they need follow from how many are at which place in their last block. So many
iterations of an unchanged batch can be taken as one step, exactly.
"""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from math import ceil, inf, sqrt

from inferops.simulate.kv import KvCache
from inferops.simulate.sequence import Sequence, State, Step, TooLarge
from inferops.simulate.timing import Chunk, IterationTime


class Batch:
    """The scheduler of one engine."""

    def __init__(
        self,
        timing: IterationTime,
        kv_tokens: int,
        *,
        max_num_seqs: int = 256,
        token_budget: int = 8192,
        block_size: int = 16,
    ) -> None:
        """Raises `ValueError` when `token_budget` is below `max_num_seqs`: some decodes would never be served."""
        if token_budget < max_num_seqs:
            raise ValueError(f"token_budget ({token_budget}) must be at least max_num_seqs ({max_num_seqs})")
        self.kv = KvCache(kv_tokens // block_size)
        self._timing = timing
        self._max_num_seqs = max_num_seqs
        self._budget = token_budget
        self._block = block_size
        self._waiting: deque[Sequence] = deque()
        self._running: dict[Sequence, None] = {}  # in order of admission
        self._prefilling: list[Sequence] = []
        self._tick = 0  # iterations so far
        self._decoding = 0  # requests
        self._decoding_kv = 0  # tokens of KV cache they hold
        self._phase = [0] * block_size  # decoding requests by (tokens - tick) % block: when they need a block
        self._ends: list[tuple[int, int, Sequence]] = []  # heap of (iteration, order, request)
        self._orders = count()
        self._end = -inf

    @property
    def running(self) -> int:
        """Requests in the running set."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @property
    def waiting_tokens(self) -> int:
        """Prompt tokens in the queue."""
        return sum(seq.prompt for seq in self._waiting)

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache that requests hold, 0..1."""
        return self.kv.used / self.kv.blocks if self.kv.blocks else 0.0

    def produced(self, seq: Sequence) -> int:
        """Tokens that `seq` has produced."""
        return seq._produced + (self._tick - seq._since if seq.state is State.DECODE else 0)

    def add(self, prompt: int, output: int, now: float, prefix: tuple[int, ...] = ()) -> Sequence:
        """Queue a request of `prompt` tokens that will produce `output` tokens; both are at least 1.

        Raises `TooLarge` when it could not be held even alone.
        """
        if prompt < 1 or output < 1:
            raise ValueError(f"a request has at least one token of prompt ({prompt}) and of output ({output})")
        if self._blocks(prompt + output - 1) > self.kv.blocks:
            raise TooLarge(
                f"the request needs {prompt + output - 1} tokens of KV cache, "
                f"which holds {self.kv.blocks * self._block}"
            )
        seq = Sequence(prompt, output, now, prefix[: prompt // self._block])
        self._waiting.append(seq)
        return seq

    def abort(self, seq: Sequence) -> None:
        """Forget `seq`, wherever it is; nothing happens when it has ended."""
        if seq.state is State.WAITING:
            self._waiting.remove(seq)
        elif seq in self._running:
            self._leave(seq)
        else:
            return
        seq.state = State.ABORTED

    def slow(self, factor: float) -> None:
        """Take so many times as long for each iteration from now on."""
        self._timing = self._timing.slowed(factor)

    def step(self, now: float, until: float | None = None) -> Step | None:
        """Run one iteration from `now` on; None when there is nothing to run.

        With `until`, an unchanged batch runs on until the iteration that reaches that time. Raises `ValueError`
        when `now` lies before the end of the last step.
        """
        if now < self._end:
            raise ValueError(f"now ({now}) lies before the end of the last step ({self._end})")
        if not self._running and not self._waiting:
            return None
        preempted = self._make_room()
        chunks = self._prefill(preempted)
        admitted = () if preempted else self._admit(chunks, now)
        iterations = self._pass_time(now, None if chunks or preempted else until, chunks)
        running, decoded = len(self._running), self._decoding * iterations
        self._advance(iterations)
        blocks = self.kv.used
        finished = self._finish_decodes()
        joined, first_tokens = self._finish_prefills(finished)
        return Step(
            start=now,
            end=self._end,
            iterations=iterations,
            prefilled=sum(chunks.values()),
            decoded=decoded,
            produced=decoded + joined,
            running=running,
            kv_blocks=blocks,
            admitted=admitted,
            preempted=tuple(preempted),
            first_tokens=first_tokens,
            finished=tuple(finished),
        )

    def _make_room(self) -> list[Sequence]:
        """Preempt the newest requests until every decode has a place for its next token."""
        preempted: list[Sequence] = []
        while self._decode_blocks() > self.kv.free:
            preempted.append(self._preempt_newest())
        return preempted

    def _prefill(self, preempted: list[Sequence]) -> dict[Sequence, int]:
        """Tokens that each request in prefill computes in this iteration. May add to `preempted`."""
        chunks: dict[Sequence, int] = {}
        budget = self._budget - self._decoding
        for seq in tuple(self._prefilling):
            chunk = min(self._total(seq) - seq._computed, budget)
            if chunk == 0 or seq.state is not State.PREFILL:
                continue
            blocks = self._blocks(seq._computed + chunk) - self._blocks(seq._computed)
            while seq.state is State.PREFILL and blocks + self._decode_blocks() > self.kv.free:
                preempted.append(self._preempt_newest())  # never one that has its chunk: those are older
            if seq.state is State.PREFILL:
                self.kv.take(blocks)
                seq._computed += chunk
                chunks[seq] = chunk
                budget -= chunk
        return chunks

    def _admit(self, chunks: dict[Sequence, int], now: float) -> tuple[Sequence, ...]:
        """Let waiting requests run, first come first served, while tokens, places and blocks last."""
        admitted: list[Sequence] = []
        budget = self._budget - self._decoding - sum(chunks.values())
        while self._waiting and budget > 0 and len(self._running) < self._max_num_seqs:
            seq = self._waiting[0]
            # The last token is always computed: its result is the first token of the answer.
            hits = min(self.kv.cached(seq.prefix), (self._total(seq) - 1) // self._block)
            found = seq.prefix[:hits]
            chunk = min(self._total(seq) - hits * self._block, budget)
            # It takes blocks as it computes, but comes in only when there are enough for all of it: else it would
            # be preempted half-way, again and again.
            whole = self._blocks(self._total(seq)) - hits
            if whole + self.kv.idle(found) + self._decode_blocks() > self.kv.free:
                break
            self._waiting.popleft()
            self.kv.hold(found)
            self.kv.take(self._blocks(hits * self._block + chunk) - hits)
            seq.state, seq.order = State.PREFILL, next(self._orders)
            seq._shared, seq._computed = list(found), hits * self._block + chunk
            self._running[seq] = None
            self._prefilling.append(seq)
            chunks[seq] = chunk
            budget -= chunk
            if seq.scheduled is None:
                seq.scheduled, seq.cached = now, hits * self._block
                admitted.append(seq)
        return tuple(admitted)

    def _pass_time(self, now: float, until: float | None, chunks: dict[Sequence, int]) -> int:
        """Set the end of the step. Returns its iterations: one, or with `until` those that reach that time."""
        parts = [Chunk(chunk, seq._computed - chunk) for seq, chunk in chunks.items()]
        first = self._timing.of(self._decoding, self._decoding_kv, parts)
        if until is None:
            self._end = now + first
            return 1
        growth, most = self._timing.growth(self._decoding, self._decoding_kv)
        iterations = self._equal_iterations(until - now, first, growth, most)
        self._end = now + iterations * first + growth * iterations * (iterations - 1) / 2
        return iterations

    def _equal_iterations(self, gap: float, first: float, growth: float, steady: float) -> int:
        """How many iterations the batch runs unchanged: to the first end, to a full KV cache, or over `gap` seconds.

        The first takes `first` seconds and each next one `growth` more, for `steady` iterations.
        """
        if gap <= first:
            return 1
        most = int(max(1, min(self._next_end() - self._tick, self._iterations_in(self.kv.free), steady)))
        if gap == inf:
            return most
        half = first - growth / 2  # k * half + k * k * growth / 2 = gap
        return min(most, ceil(2 * gap / (sqrt(half * half + 2 * growth * gap) + half)))

    def _iterations_in(self, free: int) -> int:
        """Iterations that the decodes can run on `free` blocks: each takes one every `_block` iterations."""
        rounds, rest = divmod(free, self._decoding)
        iterations = rounds * self._block
        for tick in range(self._tick, self._tick + self._block):
            rest -= self._phase[-tick % self._block]
            if rest < 0:
                break
            iterations += 1
        return iterations

    def _advance(self, iterations: int) -> None:
        """Let the decodes produce: take the blocks they need and count the iterations."""
        rounds, rest = divmod(iterations, self._block)
        blocks = rounds * self._decoding
        blocks += sum(self._phase[-tick % self._block] for tick in range(self._tick, self._tick + rest))
        self.kv.take(blocks)
        self._tick += iterations
        self._decoding_kv += self._decoding * iterations

    def _finish_decodes(self) -> list[Sequence]:
        finished: list[Sequence] = []
        while self._next_end() == self._tick:
            seq = heapq.heappop(self._ends)[2]
            self._finish(seq)
            finished.append(seq)
        return finished

    def _finish_prefills(self, finished: list[Sequence]) -> tuple[int, tuple[Sequence, ...]]:
        """Requests whose prefill is complete produce a token and join the decodes, or end.

        Returns how many, and those for which it was the first token: the others had been preempted.
        """
        complete = [seq for seq in self._prefilling if seq._computed == self._total(seq)]
        first: list[Sequence] = []
        for seq in complete:
            self._prefilling.remove(seq)
            seq._shared += self.kv.publish(seq.prefix[len(seq._shared) :])
            self._join(seq)
            if seq.first_token is None:
                seq.first_token = self._end
                first.append(seq)
            if seq._produced == seq.output:
                self._finish(seq)
                finished.append(seq)
        return len(complete), tuple(first)

    def _join(self, seq: Sequence) -> None:
        """Move `seq` from prefill to the decodes, with the token that the prefill produced."""
        seq._produced += 1
        seq.state, seq._since = State.DECODE, self._tick
        self._decoding += 1
        self._decoding_kv += seq._computed
        self._phase[(seq._computed - self._tick) % self._block] += 1
        if seq._produced < seq.output:
            heapq.heappush(self._ends, (self._tick + seq.output - seq._produced, seq.order, seq))

    def _finish(self, seq: Sequence) -> None:
        self._leave(seq)
        seq.state, seq.finished = State.FINISHED, self._end

    def _preempt_newest(self) -> Sequence:
        """Put the newest request back to the head of the queue; all it computed is computed again."""
        seq = next(reversed(self._running))
        self._leave(seq)
        seq.state = State.WAITING
        seq.preemptions += 1
        self._waiting.appendleft(seq)
        return seq

    def _leave(self, seq: Sequence) -> None:
        """Take `seq` out of the running set and give its blocks back."""
        del self._running[seq]
        tokens = seq._computed
        if seq.state is State.DECODE:
            grown = self._tick - seq._since
            self._phase[(seq._computed - seq._since) % self._block] -= 1
            self._decoding -= 1
            tokens += grown
            self._decoding_kv -= tokens
            seq._produced += grown
        elif seq in self._prefilling:
            self._prefilling.remove(seq)
        self.kv.give_back(self._blocks(tokens) - len(seq._shared), seq._shared)
        seq._shared, seq._computed = [], 0

    def _next_end(self) -> int:
        """Iteration at which the next decode ends; -1: none decodes. Entries of requests that left are dropped."""
        while self._ends:
            tick, order, seq = self._ends[0]
            if seq.state is State.DECODE and seq.order == order:
                return tick
            heapq.heappop(self._ends)
        return -1

    def _decode_blocks(self) -> int:
        """Blocks that the decodes need for the next iteration."""
        return self._phase[-self._tick % self._block]

    def _total(self, seq: Sequence) -> int:
        """Tokens that `seq` has to have in the KV cache before it can go on."""
        return seq.prompt + seq._produced

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self._block)
