"""Requests drawn from rates keep rate, variation and gaps, and are the same each time; what is done to traces holds."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from statistics import fmean, pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.simulate.scaling.scenario import Request
from inferops.simulate.traces import shape
from inferops.simulate.traces.lines import BadTrace
from inferops.simulate.traces.rates import Step
from inferops.simulate.traces.renewal import arrivals, pieces
from inferops.simulate.traces.sizes import Lognormal, Sampled, sampled
from inferops.simulate.traces.traffic import Shaping, drawn, replayed

STEPS = st.lists(
    st.builds(
        Step,
        st.floats(1, 100),
        st.one_of(st.just(0.0), st.floats(0.01, 5)),
        st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0.1, 4)),
    ),
    min_size=1,
    max_size=8,
)
SIZES = Lognormal(100, 20)


@given(STEPS, st.integers(0, 99))
def test_arrivals_are_in_order_within_the_steps_and_never_in_a_gap(steps: list[Step], seed: int) -> None:
    times = list(arrivals(steps, Random(seed)))
    assert times == sorted(times)
    begin = 0.0
    for step in steps:
        mine = [time for time in times if begin + 1e-6 < time < begin + step.seconds - 1e-6]
        assert step.rate > 0 or not mine
        begin += step.seconds
    assert all(0 <= time <= begin * (1 + 1e-9) for time in times)


@given(STEPS)
def test_even_gaps_give_as_many_as_the_rates_say(steps: list[Step]) -> None:
    even = [step._replace(cv=0.0) for step in steps]
    expected = sum(piece.requests for piece in pieces(even))
    assert abs(len(list(arrivals(even, Random(1)))) - expected) <= 1 + 1e-6 * expected


@pytest.mark.parametrize("cv", [0.5, 1.0, 2.0])
def test_rate_and_variation_are_those_asked_for(cv: float) -> None:
    times = list(arrivals([Step(20_000, 1.0, cv)], Random(3)))
    gaps = [after - before for before, after in pairwise(times)]
    assert len(times) / 20_000 == pytest.approx(1, abs=0.06)
    assert pstdev(gaps) / fmean(gaps) == pytest.approx(cv, rel=0.06)


def test_the_rate_goes_from_middle_to_middle() -> None:
    times = list(arrivals([Step(100, 10.0, 0.0), Step(100, 30.0, 0.0)], Random(0)))
    counts = [sum(begin <= time < begin + 50 for time in times) for begin in (0, 50, 100, 150)]
    assert counts == pytest.approx([500, 750, 1250, 1500], abs=2)


def test_the_first_arrival_does_not_mark_the_beginning() -> None:
    """Longer gaps are met more often: of even gaps half a gap is left in the mean, of wide ones (1 + cv²) / 2."""
    for cv, left in ((0.0, 0.5), (1.0, 1.0), (2.0, 2.5)):
        firsts = [next(arrivals([Step(1000, 1.0, cv)], Random(seed))) for seed in range(3000)]
        assert fmean(firsts) == pytest.approx(left, rel=0.1)


def test_sizes_have_the_means_that_are_given() -> None:
    random = Random(5)
    pairs = [Lognormal(1000, 50).draw(random) for _ in range(20_000)]
    assert fmean(prompt for prompt, _ in pairs) == pytest.approx(1000, rel=0.03)
    assert fmean(output for _, output in pairs) == pytest.approx(50, rel=0.03)
    assert min(min(pair) for pair in pairs) >= 1
    assert Lognormal(7, 3, cv=0).draw(random) == (7, 3)


def test_sizes_of_a_trace_stay_pairs() -> None:
    sizes = sampled((Request(0.0, at, 2 * at) for at in range(1, 50)), Random(0))
    assert all(output == 2 * prompt for prompt, output in (sizes.draw(Random(seed)) for seed in range(99)))
    with pytest.raises(ValueError, match="no requests"):
        sampled([], Random(0))


def test_of_a_long_trace_all_parts_are_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferops.simulate.traces.sizes.KEPT", 200)
    found = sampled((Request(0.0, at, 1) for at in range(1, 10_001)), Random(2))
    assert isinstance(found, Sampled) and len(found.pairs) == 200
    assert fmean(prompt for prompt, _ in found.pairs) == pytest.approx(5000, rel=0.15)


def test_the_same_seed_draws_the_same_however_often() -> None:
    steps = [Step(500, 2.0, 1.5)]
    traffic = drawn(steps, SIZES, Shaping(), 7)
    assert list(traffic) == list(traffic) == list(drawn(steps, SIZES, Shaping(), 7))
    assert list(traffic) != list(drawn(steps, SIZES, Shaping(), 8))


def test_speed_keeps_the_number_and_scale_the_time() -> None:
    steps = [Step(5000, 2.0)]
    plain, fast, many = (
        list(drawn(steps, SIZES, shaping, 1)) for shaping in (Shaping(), Shaping(speed=4), Shaping(scale=0.25))
    )
    assert len(fast) == pytest.approx(len(plain), rel=0.05) and fast[-1].time == pytest.approx(1250, rel=0.02)
    assert len(many) == pytest.approx(len(plain) / 4, rel=0.1) and many[-1].time == pytest.approx(5000, rel=0.02)


TRACE = [Request(100.0 + at, 10 + at, 5, session=1, shared=3) for at in range(2000)]


def replay(shaping: Shaping, **more: object) -> list[Request]:
    return list(replayed(lambda: iter(TRACE), "trace.csv", shaping, 3, **more))  # type: ignore[arg-type]


def test_a_trace_begins_at_0_and_keeps_all_else() -> None:
    found = replay(Shaping())
    assert [each.time for each in found] == [float(at) for at in range(2000)]
    assert found[5] == Request(5.0, 15, 5, 1, 3)


@settings(max_examples=25)
@given(st.floats(0.1, 4))
def test_more_or_fewer_of_a_trace_stay_in_order(scale: float) -> None:
    found = replay(Shaping(scale=scale))
    assert [each.time for each in found] == sorted(each.time for each in found)
    assert abs(len(found) - 2000 * scale) < 200
    assert sum(each.session for each in found) <= 2000  # a copy is no turn of the same conversation


def test_faster_shorter_and_within_the_context() -> None:
    found = replay(Shaping(speed=10, duration=50, context=100))
    assert found[1].time == pytest.approx(0.1) and len(found) == 500
    assert all(each.prompt + each.output <= 100 for each in found)
    assert found[3] == Request(pytest.approx(0.3), 13, 5, 1, 3)


def test_a_prompt_longer_than_the_context_leaves_room_for_a_token() -> None:
    (found,) = shape.within(iter([Request(0.0, 500, 50, 1, 300)]), 100)
    assert found == Request(0.0, 99, 1, 1, 99)


def test_other_sizes_end_what_was_known_of_sessions() -> None:
    found = replay(Shaping(), sizes=Lognormal(50, 9, cv=0))
    assert set(found) == {Request(float(at), 50, 9) for at in range(2000)}


def test_out_of_order_or_empty_is_told() -> None:
    backwards = [Request(5.0, 1, 1), Request(4.0, 1, 1)]
    with pytest.raises(BadTrace, match=r"trace.csv: request 2 comes before .* sort the file by time"):
        list(replayed(lambda: iter(backwards), "trace.csv", Shaping(), 0))
    with pytest.raises(BadTrace, match=r"trace.csv: there are no requests in it"):
        list(replayed(lambda: iter([]), "trace.csv", Shaping(), 0))
