"""Continuous batching: the scheduler of an engine in time. No clock and no randomness: the caller says when it is.

There are two ways to run it, which serve alike. In real time, `add` and `step`: one iteration, and all that is to be
told of it. In virtual time, `put` and `advance`: from one change of the batch to the next, be they many iterations
apart, and only who has finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as Keys
from math import ceil, inf, sqrt
from typing import Any

from inferops.simulate.kv import BlockCache, KvCache
from inferops.simulate.scheduler import ABORTED, DECODE, PREFILL, WAITING, Part, Scheduler
from inferops.simulate.sequence import Sequence, Step, TooLarge
from inferops.simulate.timing import Chunk, IterationTime


class Batch(Scheduler):
    """The batching of one engine."""

    __slots__ = ("_ahead", "_blocked", "_done", "_first", "_full", "_growth", "_linear", "_timing", "due")

    def __init__(
        self,
        timing: IterationTime,
        kv_tokens: int,
        *,
        max_num_seqs: int = 256,
        token_budget: int = 8192,
        block_size: int = 16,
        cache: Callable[[int], KvCache[Any]] = BlockCache,
    ) -> None:
        """`cache` makes the KV cache, given its blocks: a `RunCache` where all prefixes are runs.

        Raises `ValueError` when `token_budget` is below `max_num_seqs`: some decodes would never be served.
        """
        super().__init__(cache(kv_tokens // block_size), max_num_seqs, token_budget, block_size)
        self.due = inf  # when `advance` is to be called next; inf: when something was put
        self._timing = timing
        self._linear = timing.linear()
        self._ahead = 0  # iterations until `due` that nothing but an arrival changes
        self._first = self._growth = 0.0  # seconds of the first of them, and by how much each next one is longer
        self._done: list[Sequence] = []  # who will have finished at `due`, where it is known
        self._blocked = False  # nothing that waits can come in before something ends
        self._full = False  # the decodes may find no room for their next tokens

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
        return self._used() / self.kv.blocks if self.kv.blocks else 0.0

    def produced(self, seq: Sequence) -> int:
        """Tokens that `seq` has produced."""
        return seq._produced + (self._decodes.tick - seq._since if seq.state is DECODE else 0)

    def queued(self, now: float) -> float:
        """Request-seconds that were spent in the queue until `now`."""
        return self._queued + len(self._waiting) * now

    def held(self) -> Iterator[Sequence]:
        """The requests that have not ended: those whose end is known to come at `due` among them."""
        yield from self._done
        yield from self._running
        yield from self._waiting

    def fits(self, prompt: int, output: int) -> bool:
        """Whether a request could be held at least alone."""
        return self._blocks(prompt + output - 1) <= self.kv.blocks

    def add(self, prompt: int, output: int, now: float, prefix: Keys[int] = ()) -> Sequence:
        """Queue a request of `prompt` tokens that will produce `output` tokens; both are at least 1.

        Raises `TooLarge` when it could not be held even alone.
        """
        seq = self.made(prompt, output, now, prefix)
        self._waiting.append(seq)
        self._queued -= now
        return seq

    def made(self, prompt: int, output: int, now: float, prefix: Keys[int] = ()) -> Sequence:
        """A request that arrives now, for `put`. Both lengths are at least 1.

        Raises `TooLarge` when it could not be held even alone.
        """
        if prompt < 1 or output < 1:
            raise ValueError(f"a request has at least one token of prompt ({prompt}) and of output ({output})")
        if not self.fits(prompt, output):
            raise TooLarge(
                f"the request needs {prompt + output - 1} tokens of KV cache, "
                f"which holds {self.kv.blocks * self._decodes.block}"
            )
        return Sequence(prompt, output, now, prefix[: prompt // self._decodes.block])

    def abort(self, seq: Sequence) -> None:
        """Forget `seq`, wherever it is, between two steps; nothing happens when it has ended."""
        if seq.state is WAITING:
            self._waiting.remove(seq)
            self._queued += self.now
        elif seq in self._running:
            self._leave(seq)
        else:
            return
        seq.state = ABORTED

    def slow(self, factor: float) -> None:
        """Take so many times as long for each iteration from now on."""
        self._timing = self._timing.slowed(factor)
        self._linear = self._timing.linear()

    def step(self, now: float) -> Step | None:
        """Run one iteration from `now` on; None when there is nothing to run.

        Raises `ValueError` when `now` lies before the end of the last step.
        """
        if now < self.now:
            raise ValueError(f"now ({now}) lies before the end of the last step ({self.now})")
        if not self._running and not self._waiting:
            return None
        self.now = now
        decodes = self._decodes
        chunks, admitted, preempted = self._gather()
        running, decoded = len(self._running), decodes.number
        self.now += self._seconds(chunks)
        decodes.run(1)
        blocks = self._used()
        finished = self._settle(chunks)
        complete = [seq for seq, _, _ in chunks if seq.state is not PREFILL]
        return Step(
            start=now,
            end=self.now,
            prefilled=sum(chunk for _, chunk, _ in chunks),
            decoded=decoded,
            produced=decoded + len(complete),
            running=running,
            kv_blocks=blocks,
            admitted=tuple(admitted),
            preempted=tuple(preempted),
            first_tokens=tuple(seq for seq in complete if seq.first_token == self.now),
            finished=tuple(finished),
        )

    def put(self, seq: Sequence, now: float) -> None:
        """Queue `seq`, which `fits`, between two calls of `advance`. `due` may be earlier with that."""
        waiting = self._waiting
        waiting.append(seq)
        self._queued -= now
        if self._blocked or len(waiting) > 1:
            return  # it comes in with, or after, those that wait already
        if now <= self.now:
            self.due, self._ahead = self.now, 0
        elif self.due == inf:
            self.due = self.now = now
        else:
            self._cut(now)

    def advance(self) -> list[Sequence]:
        """Run from `due` on, to where the batch changes next. Returns who has finished at `due`."""
        finished, self._blocked = self._done, False
        decodes = self._decodes
        if self._ahead:
            self.now = self.due
            decodes.run(self._ahead)
            self._ahead = 0
            finished = self._settle(())
        elif finished:
            self._done = []
        chunks: list[Part] = []
        preempted: list[Sequence] = []
        if self._waiting or self._prefilling or self._full:
            chunks, _, preempted = self._gather()
            if chunks:
                self.now += self._seconds(chunks)
                decodes.run(1)
                self._done = self._settle(chunks)
        if self._done or self._prefilling or (self._waiting and (chunks or not decodes.number)):
            self.due = self.now
        elif decodes.number:
            self._look_ahead(1 if preempted and not chunks else inf)
        else:
            self.due = inf
        return finished

    def _look_ahead(self, most: float) -> None:
        """Foresee how long the batch stays as it is, if nothing arrives: at most so many iterations."""
        decodes = self._decodes
        number, tokens = decodes.number, decodes.tokens
        self._blocked = bool(self._waiting) and most > 1
        if self._linear:
            fixed, per_decode, kv, _, _, _ = self._linear
            first, growth = fixed + number * per_decode + tokens * kv, number * kv
        else:
            first = self._timing.of(number, tokens)
            growth, steady = self._timing.growth(number, tokens)
            most = min(most, steady)
        ahead = decodes.left()
        if ahead > most:
            ahead = int(most)
        self._full = self.kv.used + decodes.most(ahead) > self.kv.blocks
        if self._full:
            ahead = min(ahead, decodes.iterations_in(self._free()))  # 0: somebody has to make room first
        self._ahead, self._first, self._growth = ahead, first, growth
        self.due = self.now + ahead * first + growth * ahead * (ahead - 1) / 2

    def _seconds(self, chunks: list[Part]) -> float:
        """How long an iteration takes."""
        number, tokens = self._decodes.number, self._decodes.tokens
        if self._linear is None:
            return self._timing.of(number, tokens, [Chunk(chunk, before) for _, chunk, before in chunks])
        fixed, per_decode, kv, prompts, per_token, seen = self._linear
        seconds = fixed + number * per_decode + tokens * kv
        if chunks:
            seconds += prompts
            for _, chunk, before in chunks:
                seconds += chunk * (per_token + seen * (before + chunk / 2))
        return seconds

    def _cut(self, now: float) -> None:
        """End the iterations ahead with the one that reaches `now`."""
        first, growth = self._first, self._growth
        half = first - growth / 2  # k * half + k * k * growth / 2 = gap
        gap = now - self.now
        ahead = ceil(2 * gap / (sqrt(half * half + 2 * growth * gap) + half))
        if ahead < self._ahead:
            self._ahead = ahead
            self.due = self.now + ahead * first + growth * ahead * (ahead - 1) / 2
