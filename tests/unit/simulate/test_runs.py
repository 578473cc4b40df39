"""The cache of runs does what a block by block cache does: same blocks found, held and forgotten, in the same order."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from inferops.simulate.batching import Batch
from inferops.simulate.fleet import replica, run
from inferops.simulate.kv import BlockCache, KvCache
from inferops.simulate.runs import RunCache
from inferops.simulate.scaling.scenario import Request
from inferops.simulate.sequence import State, Step
from inferops.simulate.timing import IterationTime
from unit.simulate.fleet.services import ENGINE, Told, scenario

BLOCKS = 60
FAR = 1000  # between the keys of two runs


def prefix(session: int, blocks: int) -> range:
    return range(session * FAR, session * FAR + blocks)


def holders(cache: RunCache) -> dict[int, int]:
    """By key, as a block by block cache has them."""
    return {
        stretch.key + block: stretch.holders
        for stretches in cache._runs.values()
        for stretch in stretches
        for block in range(stretch.first, stretch.end)
    }


def idle(cache: RunCache) -> list[int]:
    """Keys in the order in which they will be forgotten."""
    return [stretch.key + block for stretch in cache._idle for block in reversed(range(stretch.first, stretch.end))]


def same(runs: RunCache, blocks: BlockCache) -> None:
    assert (runs.used, runs.idle, idle(runs)) == (blocks.used, blocks.idle, list(blocks._idle))
    assert runs.idle == len(blocks._idle) and holders(runs) == blocks._holders
    for key, stretches in runs._runs.items():
        ends = [(stretch.first, stretch.end) for stretch in stretches]
        assert stretches and all(stretch.key == key for stretch in stretches)
        assert ends == sorted(ends) and all(first < end for first, end in ends)
        assert all(end <= first for (_, end), (first, _) in pairwise(ends)), "none lies in another"


class Pair:
    """Both caches, and what requests hold of each. Whatever is asked, both have to say the same."""

    def __init__(self) -> None:
        self.caches: tuple[RunCache, BlockCache] = (RunCache(BLOCKS), BlockCache(BLOCKS))
        self.requests: list[tuple[range, int, tuple[list[Any], list[Any]]]] = []  # prefix, blocks held, which

    def asked(self, question: Callable[[KvCache[Any], int], Any]) -> Any:
        runs, blocks = (question(cache, number) for number, cache in enumerate(self.caches))
        assert runs == blocks
        return runs

    def admit(self, session: int, length: int, most: int) -> None:
        """A request comes in; of what is cached it can use `most` blocks at most."""
        keys = prefix(session, length)
        found = min(self.asked(lambda cache, _: cache.cached(keys)), most)
        self.asked(lambda cache, _: cache.idle_of(keys, found))
        runs, blocks = (cache.hold(keys, found) if found else [] for cache in self.caches)
        self.requests.append((keys, found, (runs, blocks)))

    def publish(self, which: int) -> None:
        keys, count, held = self.requests[which]
        new = self.asked(lambda cache, number: cache.publish(keys, count, held[number]))
        for cache in self.caches:
            cache.used += new  # these were private before, which is the caller's to count
        self.requests[which] = (keys, len(keys), held)

    def end(self, which: int) -> None:
        keys, _, held = self.requests.pop(which)
        for cache, each in zip(self.caches, held, strict=True):
            if each:
                cache.give_back(keys, each)


OPERATION = st.one_of(
    st.tuples(st.just("admit"), st.integers(1, 3), st.integers(1, 20), st.integers(0, 20)),
    st.tuples(st.sampled_from(["publish", "end"]), st.integers(0, 9)),
    st.tuples(st.just("evict"), st.integers(0, 30)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(OPERATION, max_size=60))
@example(  # both compute the same at a time, and the one that shared its beginning ends first
    [
        ("admit", 1, 6, 0),
        ("admit", 1, 9, 0),
        ("publish", 0),
        ("publish", 1),
        ("end", 0),
        ("evict", 4),
        ("admit", 1, 9, 9),
    ]
)
@example(  # a request holds two parts of a run, between which is its own copy of a block
    [("admit", 1, 2, 0), ("publish", 0), ("admit", 1, 3, 1), ("publish", 1)]
)
@example(  # one that has nothing to publish any more leaves nothing behind
    [("admit", 1, 1, 0), ("admit", 1, 1, 0), ("publish", 0), ("end", 0), ("publish", 0), ("evict", 1), ("publish", 0)]
)
def test_it_finds_holds_and_forgets_what_a_block_by_block_cache_does(operations):
    pair = Pair()
    for name, *given_ in operations:
        if name == "admit":
            pair.admit(*given_)
        elif name == "evict":
            for cache in pair.caches:
                cache.evict(max(0, cache.idle - given_[0]))
        elif pair.requests:
            getattr(pair, name)(given_[0] % len(pair.requests))
        same(*pair.caches)
    while pair.requests:
        pair.end(-1)
        same(*pair.caches)
    assert pair.caches[0].used == 0


def test_a_conversation_is_one_stretch_however_long_it_is():
    cache = RunCache(10_000)
    for turn in range(1, 50):
        keys = prefix(7, 20 * turn)
        assert cache.cached(keys) == 20 * (turn - 1)
        held = cache.hold(keys, 20 * (turn - 1)) if turn > 1 else []
        cache.used += cache.publish(keys, 20 * (turn - 1), held)
        cache.give_back(keys, held)
        assert [(stretch.first, stretch.end) for stretch in cache._runs[keys.start]] == [(0, 20 * turn)]
    assert (cache.used, cache.idle) == (0, 980)


REQUEST = st.tuples(
    st.integers(0, 40),  # ms since the one before
    st.integers(1, 300),  # tokens
    st.integers(1, 200),
    st.integers(0, 2),  # session; 0: none
    st.integers(0, 300),  # tokens of the prompt that the session shares
)


def served(make: Callable[[int], KvCache[Any]], loads: list[tuple[int, ...]], aborted: frozenset[int]) -> Any:
    """Everything that can be seen of an engine with few blocks: its steps, and the cache after each."""
    engine = Batch(IterationTime(0.007, 2.5e-5), 40 * 16, max_num_seqs=4, token_budget=64, cache=make)
    now, seen, requests = 0.0, [], []

    def step() -> bool:
        nonlocal now
        done = engine.step(now)
        if done is None:
            return False
        now = done.end
        found = idle(engine.kv) if isinstance(engine.kv, RunCache) else list(engine.kv._idle)
        numbers = {seq: number for number, seq in enumerate(requests)}
        seen.append((*figures(done), [numbers[seq] for seq in done.preempted], engine.kv.used, found))
        return True

    for number, (gap, prompt, output, session, shared) in enumerate(loads):
        until = now + gap / 1000
        while now < until and step():
            pass
        now = max(now, until)
        keys = prefix(session, min(shared, prompt) // 16) if session else ()
        requests.append(engine.add(prompt, output, now, keys))
        if number in aborted:
            engine.abort(requests[number // 2])
    while step():
        pass
    assert all(seq.state in (State.FINISHED, State.ABORTED) for seq in requests) and engine.kv.used == 0
    return seen, [(seq.cached, seq.preemptions, seq.first_token, seq.finished) for seq in requests]


def figures(step: Step) -> tuple[float, ...]:
    return step.start, step.end, step.prefilled, step.decoded, step.produced, step.running, step.kv_blocks


@settings(max_examples=150, deadline=None)
@given(st.lists(REQUEST, min_size=1, max_size=12), st.frozensets(st.integers(0, 11), max_size=3))
def test_an_engine_with_it_takes_the_same_steps(loads, aborted):
    assert served(RunCache, loads, aborted) == served(BlockCache, loads, aborted)


def test_a_service_with_it_comes_to_the_same_end(monkeypatch):
    requests = [
        Request(0.35 * number, 600 + 331 * (number // 9 % 9), 120, 1 + number % 9, 500 + 331 * (number // 9 % 9))
        for number in range(400)
    ]
    small = type(ENGINE)(ENGINE.timing, 12_000)

    def result() -> Any:
        return run(scenario(requests, engine=small), Told(2))

    found = result()
    monkeypatch.setattr(replica, "RunCache", BlockCache)
    assert found == result()
    monkeypatch.setattr(replica, "RunCache", lambda blocks: BlockCache(10 * blocks))
    assert found != result(), "the cache was too small for all of it"
