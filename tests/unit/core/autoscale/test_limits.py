"""Limits of steps, and for how long fewer must have been enough."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferops.core.autoscale import limits
from inferops.core.autoscale.terms import StepLimit


def test_the_larger_bound_holds() -> None:
    assert limits.most(StepLimit(60.0, 4, 100), ((0.0, 2),), 2, 100.0) == 6
    assert limits.most(StepLimit(60.0, 4, 100), ((0.0, 10),), 10, 100.0) == 20
    assert limits.least(StepLimit(60.0, None, 25), ((0.0, 10),), 10, 100.0) == 7
    assert limits.least(StepLimit(60.0, None, 25), ((0.0, 1),), 1, 100.0) == 0
    assert limits.most(None, (), 2, 0.0) is None


def test_a_period_counts_what_was_done_in_it() -> None:
    changes = ((0.0, 10), (50.0, 8))
    assert limits.least(StepLimit(60.0, None, 25), changes, 8, 59.0) == 7  # of ten
    assert limits.least(StepLimit(60.0, None, 25), changes, 8, 111.0) == 6  # of eight


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200), st.floats(15, 3600))
def test_the_highest_need_of_the_window_is_remembered(values: list[float], window: float) -> None:
    needs: limits.Needs = ()
    for look, need in enumerate(values):
        needs = limits.needed(needs, need, look * 15.0, window)
    within = [need for look, need in enumerate(values) if look * 15.0 > (len(values) - 1) * 15.0 - window]
    assert max(need for _, need in needs) >= max(within)
    assert len(needs) <= limits.MOST_SLOTS + 4


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200))
def test_changes_are_bounded(numbers: list[int]) -> None:
    changes: limits.Changes = ()
    for at, number in enumerate(numbers):
        changes = limits.changed(changes, number, float(at))
    assert len(changes) <= limits.REMEMBERED
    assert changes[-1][1] == numbers[-1]
