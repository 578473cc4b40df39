"""Windows between samples: what follows on one another adds up, and memory is bounded."""

from __future__ import annotations

from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.signals.samples import SPACING, SPAN, Samples
from inferops.signals.totals import NONE, Totals


def some(arrivals: int) -> Totals:
    return NONE._replace(arrivals=arrivals, busy=arrivals / 2)


def test_from_a_sample_to_the_newest() -> None:
    samples = Samples()
    for second in (100, 105, 110, 115):
        samples.add(second, some(2 * second))
    assert samples.since(110) == (110, 115, some(10))
    assert samples.since(109.9) == (105, 115, some(20)), "the newest that is not after it"
    assert samples.since(1) == samples.since(None) == (100, 115, some(30))
    assert samples.since(115) == samples.since(999) == (115, 115, NONE), "nothing is newer"
    assert samples.between(104, 110) == some(20)


def test_what_is_not_newer_counts_for_the_same_moment_until_somebody_goes_on_from_it() -> None:
    samples = Samples()
    for at, arrivals in ((10, 1), (10, 5), (20, 8), (20, 9), (19, 10)):
        samples.add(at, some(arrivals))
    assert samples.since(None) == (10, 20, some(9)), "all since the first word"
    samples.add(20, some(12))
    assert samples.since(20) == (20, 20, NONE)
    samples.add(30, some(12))
    assert samples.since(20) == (20, 30, some(2)), "nothing is lost"


@pytest.mark.parametrize("every", [0.1, 1.0, 5.0, 15.0])
@pytest.mark.parametrize("looks", [1, 3, 1000])
def test_memory_is_bounded(every: float, looks: int) -> None:
    samples = Samples()
    for number in range(int(1200 / every)):
        samples.add(number * every, some(number))
        if number % looks == 0:
            begin, end, _ = samples.since(None)
            assert end - begin <= SPAN + 2 * SPACING + every
    assert len(samples) <= 2 * SPAN / SPACING + 5
    for moment in range(1200 - int(SPAN) + 20, 1190):
        assert moment - samples.since(moment)[0] <= max(SPACING, every) + every


steps = st.lists(st.tuples(st.floats(0.05, 30), st.integers(0, 50), st.booleans()), min_size=1, max_size=120)


@given(steps)
def test_consecutive_windows_are_the_whole_one(played: list[tuple[float, int, bool]]) -> None:
    """Whoever goes on from where it was told up to counts everything once, whatever comes between."""
    samples, at, total = Samples(), 0.0, 0
    samples.add(at, NONE)
    until, pieces = 0.0, NONE
    for seconds, more, looks in played:
        at, total = at + seconds, total + more
        samples.add(at, some(total))
        if looks:
            begin, end, counted = samples.since(until)
            assert begin == until or until < at - SPAN, "exactly from there, while it is remembered"
            assert min(counted) >= 0
            if begin != until:
                return
            until, pieces = end, Totals._make(map(add, pieces, counted))
    begin, _, counted = samples.since(until)
    if begin == until:
        assert Totals._make(map(add, pieces, counted)) == some(total)
