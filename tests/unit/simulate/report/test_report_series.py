"""Timelines are brought to pictures without losing time, requests or peaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.simulate.report.plots import rounded, times, values
from inferops.simulate.report.series import end_of, mean, missed, steps
from inferops.simulate.scaling.scenario import Point, Result


def points(gaps: list[float], ready: list[int]) -> list[Point]:
    found, time = [], 0.0
    for gap, each in zip(gaps, ready, strict=False):
        time += gap
        found.append(Point(time, float(each), each, each, 0, 0, 0, 10, each % 7))
    return found


TIMELINES = st.lists(st.tuples(st.floats(0.5, 500), st.integers(0, 50)), min_size=1, max_size=60).map(
    lambda rows: points([gap for gap, _ in rows], [ready for _, ready in rows])
)


@given(TIMELINES, st.integers(1, 40))
def test_means_keep_the_area(timeline: list[Point], bins: int) -> None:
    end = timeline[-1].time
    found = mean(timeline, lambda point: point.ready, end, bins)
    area, before = 0.0, 0.0
    for point in timeline:
        area += point.ready * (point.time - before)
        before = point.time
    assert sum((each or 0.0) * end / bins for each in found) == pytest.approx(area, rel=1e-6, abs=1e-6)


@given(TIMELINES, st.integers(1, 40))
def test_misses_stay_shares_and_none_is_lost(timeline: list[Point], bins: int) -> None:
    found = missed(timeline, timeline[-1].time, bins)
    assert all(each is None or 0 <= each <= 1 for each in found)
    assert any(each for each in found) == any(point.missed for point in timeline)


@given(TIMELINES, st.integers(1, 40))
def test_steps_keep_the_peak_and_come_in_order(timeline: list[Point], most: int) -> None:
    found = steps(timeline, lambda point: point.ready, timeline[-1].time, most)
    assert len(found) <= most + 1 and found[0][0] == 0.0
    assert [time for time, _ in found] == sorted(time for time, _ in found)
    assert max(value for _, value in found) == max(point.ready for point in timeline)


def test_what_is_not_known_is_none() -> None:
    timeline = points([10.0], [4])
    assert mean(timeline, lambda point: point.ready, 20.0, 2) == [4.0, None]
    assert missed(timeline, 20.0, 2) == [0.4, None]


def test_the_end_is_that_of_the_longest() -> None:
    assert end_of([Result("a", 10.0), Result("b", 5.0, timeline=points([30.0], [1]))]) == 30.0
    assert end_of([]) > 0


@given(st.floats(1e-6, 1e9))
def test_axes_reach_above_the_highest_and_have_few_ticks(most: float) -> None:
    high = rounded(most)
    assert most <= high * (1 + 1e-6) and high <= 2.1 * most
    assert 2 <= len(values(high)) <= 6 and values(high)[-1] <= high * (1 + 1e-6)


@given(st.floats(1, 1e9))
def test_times_are_few_and_within_the_end(end: float) -> None:
    assert 1 <= len(times(end)) <= 10 and times(end)[-1] <= end
