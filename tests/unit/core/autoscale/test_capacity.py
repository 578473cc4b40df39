"""What a replica carries, learned from misses; and what to plan with, learned from how far plans were missed."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.core.autoscale.capacity import DOWN, MOST_BINS, UP, Capacity, begin, learn, plan


def served(carries: float, jumpy: float, attainment: float = 0.99, knee: float = 5.0) -> tuple[Capacity, float]:
    """After days in which replicas got what was planned, times a lognormal of that width; and what was missed in
    their second half."""
    random, known, now, bad, all_ = Random(1), begin(Capacity(), knee), 0.0, 0.0, 0.0
    for look in range(9000):
        now += 60.0
        known = plan(known, now, attainment)
        assert known.planned is not None
        rate = known.planned * random.lognormvariate(0.0, jumpy)
        missed = min(1.0, max(0.0, rate / carries - 1.0) * 4)
        known = learn(known, rate, 600, 600 * missed, 600, clean=True)
        if look > 4500:
            bad, all_ = bad + 600 * missed, all_ + 600
    return known, bad / all_


@pytest.mark.parametrize("attainment", [0.95, 0.99, 0.999])
def test_the_objective_is_met_and_not_exceeded_by_much(attainment: float) -> None:
    _, missed = served(8.0, 0.2, attainment)
    assert 0.3 * (1 - attainment) < missed < 2.0 * (1 - attainment)  # bins blur the rarest


def test_a_jumpy_service_keeps_more_room() -> None:
    (calm, _), (jumpy, _) = served(8.0, 0.05), served(8.0, 0.3)
    assert calm.planned is not None and jumpy.planned is not None
    assert calm.planned > 1.3 * jumpy.planned
    assert calm.carries == pytest.approx(8.0, rel=0.12)
    assert jumpy.carries == pytest.approx(8.0, rel=0.12)


@pytest.mark.parametrize("knee", [2.0, 30.0])
def test_a_wrong_word_of_sizing_is_outgrown(knee: float) -> None:
    known, _ = served(8.0, 0.15, knee=knee)
    assert known.carries == pytest.approx(8.0, rel=0.15)


def test_without_sizing_it_begins_with_what_was_served() -> None:
    known = begin(Capacity(), None)
    assert known.planned is None
    known = learn(known, 2.0, 30, 0, 30, clean=True)
    assert known.knee == pytest.approx(3.0) and known.planned is not None and known.planned < 2.0


def test_a_shock_is_no_lesson_for_plans() -> None:
    known = begin(Capacity(), 5.0)
    assert known.planned is not None
    shocked = learn(known, 4 * known.planned, 1000, 900, 1000, clean=True)
    assert not shocked.loads and shocked.misses


def test_what_is_unclean_teaches_nothing_of_a_replica() -> None:
    known = learn(begin(Capacity(), 5.0), 3.0, 1000, 900, 1000, clean=False)
    assert not known.misses and known.loads


rows = st.tuples(st.floats(0, 1e4), st.integers(0, 10_000), st.floats(0, 1), st.booleans())


@settings(max_examples=50, deadline=None)
@given(st.lists(rows, max_size=60), st.one_of(st.none(), st.floats(0.01, 1000)), st.floats(0.5, 0.9999))
def test_plans_stay_bounded(told: list[tuple[float, int, float, bool]], knee: float | None, attainment: float) -> None:
    known, now = begin(Capacity(), knee), 0.0
    for rate, judged, share, clean in told:
        now += 400.0
        before = known.planned
        known = plan(known, now, attainment)
        if before is not None and known.planned is not None:
            assert DOWN * before * 0.999 <= known.planned <= UP * before * 1.001
        known = learn(known, rate, judged, share * judged, judged, clean=clean)
        assert len(known.misses) <= MOST_BINS
        assert known.planned is None or known.planned > 0
