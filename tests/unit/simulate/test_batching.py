"""Continuous batching: what one step does, and what holds whatever arrives."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.simulate.batching import Batch
from inferops.simulate.replay import Arrival, replay
from inferops.simulate.sequence import Sequence, State, Step, TooLarge
from inferops.simulate.timing import IterationTime, Ramp

BLOCK = 16
# Of two kinds of layers, one of which sees no more than 20 tokens: it grows with the context, and then by less.
ATTENTION = (Ramp(5.4e-8), Ramp(2e-6, 20))
BENT = IterationTime(fixed=0.007, per_token=2.5e-5, kv=ATTENTION, seen=ATTENTION)
TIMING = IterationTime(fixed=0.007, per_token=2.5e-5, prompts=1e-3, kv=(Ramp(5.4e-8),), seen=(Ramp(2e-9),))


def batch(*, blocks: int = 1000, seqs: int = 8, budget: int = 8192, timing: IterationTime = TIMING) -> Batch:
    return Batch(timing, blocks * BLOCK, max_num_seqs=seqs, token_budget=budget, block_size=BLOCK)


def run(engine: Batch, now: float = 0.0) -> list[Step]:
    """Every step until nothing is left, at most 100,000."""
    steps: list[Step] = []
    for _ in range(100_000):
        step = engine.step(now)
        if step is None:
            return steps
        steps.append(step)
        now = step.end
    raise AssertionError("the batch does not come to an end")


def test_a_prefill_gives_the_first_token_and_each_decode_one_more():
    engine = batch()
    seq = engine.add(prompt=100, output=3, now=0.0)
    first, second, third = run(engine)
    assert (first.prefilled, first.decoded, first.first_tokens) == (100, 0, (seq,))
    assert (second.prefilled, second.decoded, third.decoded) == (0, 1, 1)
    assert third.finished == (seq,)
    assert seq.first_token == first.end == TIMING.of(0, 0, [(100, 0)])
    assert second.end - second.start == pytest.approx(TIMING.of(1, 100))
    assert third.end - third.start == pytest.approx(TIMING.of(1, 101))


def test_a_long_prompt_is_computed_in_chunks_beside_the_decodes():
    engine = batch(budget=64, seqs=4)
    short = engine.add(prompt=10, output=50, now=0.0)
    engine.add(prompt=200, output=1, now=0.0)
    steps = run(engine)
    assert [step.prefilled for step in steps[:4]] == [64, 63, 63, 20], "one token of the budget is the decode's"
    assert short.first_token == steps[0].end
    assert all(step.decoded == 1 for step in steps[1:])


def test_waiting_requests_are_served_first_come_first_served():
    engine = batch(seqs=1)
    seqs = [engine.add(prompt=10, output=5, now=0.0) for _ in range(4)]
    assert (engine.running, engine.waiting, engine.waiting_tokens) == (0, 4, 40)
    engine.step(0.0)
    assert (engine.running, engine.waiting) == (1, 3)
    run(engine, now=1.0)
    ends = [seq.finished for seq in seqs]
    assert ends == sorted(ends) and len(set(ends)) == 4


def test_a_full_cache_preempts_the_newest_which_finishes_later():
    engine = batch(blocks=10, budget=32)
    old = engine.add(prompt=70, output=60, now=0.0)
    new = engine.add(prompt=70, output=60, now=0.0)
    steps = run(engine)
    (preempting,) = [step for step in steps if step.preempted]
    assert (preempting.preempted, preempting.prefilled) == ((new,), 0), "nothing comes in while something is put out"
    assert (old.preemptions, new.preemptions) == (0, 1)
    assert old.finished < new.finished
    assert sum(step.produced for step in steps) == 120
    assert sum(step.decoded + len(step.first_tokens) for step in steps) == 120 - 1, "a recomputed prefill gave one"


def test_a_request_comes_in_only_when_all_of_its_prompt_fits():
    engine = batch(blocks=10, budget=32)
    old = engine.add(prompt=70, output=10, now=0.0)
    new = engine.add(prompt=100, output=10, now=0.0)
    steps = run(engine)
    assert not any(step.preempted for step in steps)
    assert new.scheduled == old.finished


def test_a_preempted_request_comes_before_those_that_wait():
    engine = batch(blocks=10)
    for _ in range(2):
        engine.add(prompt=70, output=60, now=0.0)
    third = engine.add(prompt=70, output=60, now=0.0)
    (preempted,) = [seq for step in run(engine) for seq in step.preempted]
    assert preempted is not third
    assert preempted.first_token < preempted.finished <= third.scheduled


def test_a_request_larger_than_the_cache_is_refused():
    engine = batch(blocks=10)
    with pytest.raises(TooLarge, match="needs 161 tokens of KV cache, which holds 160"):
        engine.add(prompt=100, output=62, now=0.0)
    engine.add(prompt=100, output=61, now=0.0)
    assert run(engine)[-1].finished


@pytest.mark.parametrize(("prompt", "output"), [(0, 1), (1, 0)])
def test_a_request_without_tokens_is_refused(prompt, output):
    with pytest.raises(ValueError, match="at least one token"):
        batch().add(prompt, output, 0.0)


def test_a_budget_below_the_number_of_requests_is_refused():
    with pytest.raises(ValueError, match=r"token_budget \(4\) must be at least max_num_seqs \(8\)"):
        batch(seqs=8, budget=4)


def test_time_does_not_go_back():
    engine = batch()
    engine.add(prompt=10, output=5, now=0.0)
    step = engine.step(0.0)
    with pytest.raises(ValueError, match="lies before the end of the last step"):
        engine.step(step.end / 2)


def test_a_prefix_served_before_is_not_computed_again():
    engine = batch()
    prefix = tuple(range(6))
    engine.add(prompt=100, output=2, now=0.0, prefix=prefix)
    run(engine)
    same = engine.add(prompt=100, output=2, now=1.0, prefix=prefix)
    other = engine.add(prompt=100, output=2, now=1.0, prefix=(0, 1, 77, 78, 79, 80))
    steps = run(engine, now=1.0)
    assert (same.cached, other.cached) == (96, 32)
    assert steps[0].prefilled == 4 + 68


def test_the_last_token_of_a_cached_prompt_is_computed():
    engine = batch()
    prefix = tuple(range(4))
    engine.add(prompt=64, output=1, now=0.0, prefix=prefix)
    run(engine)
    again = engine.add(prompt=64, output=1, now=1.0, prefix=prefix)
    assert run(engine, now=1.0)[0].prefilled == 16
    assert again.cached == 48


def test_idle_prefixes_make_room_for_new_requests():
    engine = batch(blocks=10)
    first = engine.add(prompt=96, output=1, now=0.0, prefix=tuple(range(6)))
    run(engine)
    engine.add(prompt=100, output=1, now=1.0)
    run(engine, now=1.0)
    again = engine.add(prompt=96, output=1, now=2.0, prefix=tuple(range(6)))
    run(engine, now=2.0)
    assert (first.cached, again.cached) == (0, 48), "half of the prefix was evicted, from its end"
    assert engine.kv_usage == 0


def test_an_aborted_request_gives_back_what_it_held():
    engine = batch()
    running = engine.add(prompt=100, output=500, now=0.0)
    engine.step(0.0)
    waiting = engine.add(prompt=100, output=5, now=0.0)
    engine.abort(waiting)
    engine.abort(running)
    engine.abort(running)
    assert (running.state, waiting.state) == (State.ABORTED, State.ABORTED)
    assert (engine.running, engine.waiting, engine.kv_usage) == (0, 0, 0)
    assert engine.step(1.0) is None


@dataclass(frozen=True)
class Load:
    blocks: int
    seqs: int
    budget: int
    requests: list[tuple[int, int, int, int]]  # gap in ms, prompt, output, family of its prefix (0: none)
    aborted: frozenset[int]


def keys(family: int, prompt: int) -> tuple[int, ...]:
    """The first two blocks are common to a family; the rest depends on the prompt's length."""
    if family == 0:
        return ()
    return tuple(family * 1000 + (i if i < 2 else i * 10 + prompt) for i in range(prompt // BLOCK))


@st.composite
def loads(draw: st.DrawFn) -> Load:
    blocks = draw(st.integers(8, 40))
    seqs = draw(st.integers(1, 6))
    prompt = st.integers(1, blocks * BLOCK // 2)
    output = st.integers(1, blocks * BLOCK // 2)
    request = st.tuples(st.integers(0, 40), prompt, output, st.integers(0, 2))
    return Load(
        blocks=blocks,
        seqs=seqs,
        budget=draw(st.integers(seqs, 128)),
        requests=draw(st.lists(request, min_size=1, max_size=10)),
        aborted=draw(st.frozensets(st.integers(0, 9), max_size=3)),
    )


def checked(engine: Batch, seqs: int, step: Step) -> Step:
    assert step.end > step.start, "time moves forward"
    assert step.running <= seqs and engine.running <= seqs
    assert 0 <= engine._used() <= engine.kv.blocks and step.kv_blocks <= engine.kv.blocks
    assert engine.kv.idle == len(engine.kv._idle) <= engine._free()
    return step


@settings(max_examples=150, deadline=None)
@given(loads())
def test_whatever_arrives_is_served_whole_within_the_limits(load):
    engine = batch(blocks=load.blocks, seqs=load.seqs, budget=load.budget)
    now, served = 0.0, []
    for number, (gap, prompt, output, family) in enumerate(load.requests):
        target = now + gap / 1000
        while now < target and (step := engine.step(now)) is not None:
            now = checked(engine, load.seqs, step).end
        now = max(now, target)
        served.append(engine.add(prompt, output, now, keys(family, prompt)))
        if number in load.aborted:
            engine.abort(served[number // 2])
    while (step := engine.step(now)) is not None:
        now = checked(engine, load.seqs, step).end
    for seq in served:
        if seq.state is State.ABORTED:
            continue
        assert seq.state is State.FINISHED
        assert engine.produced(seq) == seq.output
        assert seq.arrived <= seq.scheduled < seq.first_token <= seq.finished
    assert (engine._used(), engine.running, engine.waiting) == (0, 0, 0)
    assert engine.kv._holders == dict.fromkeys(engine.kv._idle, 0)
    assert engine._decodes._phase == [0] * BLOCK and engine._decodes.tokens == 0


@settings(max_examples=300, deadline=None)
@given(loads(), st.sampled_from([TIMING, BENT]))
def test_going_from_change_to_change_is_the_same_as_one_iteration_at_a_time(load, timing):
    """Replay goes from one change of the batch to the next; the loop below takes each iteration. Both serve alike."""
    at, arrivals = 0.0, []
    for gap, prompt, output, family in load.requests:
        at += gap / 1000
        arrivals.append(Arrival(at, prompt, output, keys(family, prompt)))
    quick = batch(blocks=load.blocks, seqs=load.seqs, budget=load.budget, timing=timing)
    fast = replay(quick, arrivals)

    engine = batch(blocks=load.blocks, seqs=load.seqs, budget=load.budget, timing=timing)
    now, slow = 0.0, []
    for arrival in arrivals:
        while now < arrival.at and (step := engine.step(now)) is not None:
            now = step.end
        now = max(now, arrival.at)
        slow.append(engine.add(arrival.prompt, arrival.output, arrival.at, arrival.prefix))
    run(engine, now)
    assert [times(seq) for seq in fast] == [pytest.approx(times(seq), rel=1e-9, abs=1e-9) for seq in slow]
    assert (quick._used(), list(quick.kv._idle)) == (0, list(engine.kv._idle))


def times(seq: Sequence) -> tuple[float, ...]:
    return (
        seq.scheduled or 0.0,
        seq.first_token or 0.0,
        seq.finished or 0.0,
        float(seq.preemptions),
        float(seq.cached),
    )
