"""Which share of requests misses the SLO at a rate."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.core.autoscale.misses import MOST_BINS, OCTAVE, Bins, Curve, booked, place_of, proven, rate_of


def of(*seen: tuple[float, float, float]) -> Bins:
    """Rates, requests and the share of them that missed."""
    bins: Bins = {}
    for rate, judged, share in seen:
        bins = booked(bins, rate, judged, share * judged)
    return bins


def test_what_was_seen_is_found() -> None:
    curve = Curve(of((4.0, 1e5, 0.0), (8.0, 1e5, 0.02), (16.0, 1e5, 0.5)), knee=30.0)
    for rate, share in ((4.0, 0.0), (8.0, 0.02), (16.0, 0.5)):
        assert curve.at(place_of(rate)) == pytest.approx(share, abs=0.001)


def test_noise_at_a_low_rate_is_averaged_with_what_speaks_against_it() -> None:
    """Not passed on to all higher rates, which would make one bad quarter of an hour the capacity of days."""
    curve = Curve(of((4.0, 1000, 0.05), (4.0 * rate_of(1), 9000, 0.0), (8.0, 1000, 0.2)), knee=30.0)
    assert curve.at(place_of(4.0 * rate_of(1))) == pytest.approx(0.0045, rel=0.1)


def test_the_word_of_sizing_holds_until_there_is_more() -> None:
    assert Curve({}, knee=10.0).highest(0.01, around=3.0) == pytest.approx(10.0, rel=0.4)
    assert Curve(of((10.0, 20, 0.0)), knee=5.0).highest(0.01, around=5.0) < 8.0
    assert Curve(of((10.0, 1e5, 0.0)), knee=5.0).highest(0.01, around=5.0) == pytest.approx(10.0, rel=0.05)


def test_what_was_proven_ends_with_the_first_rate_that_missed() -> None:
    bins = of((2.0, 1000, 0.0), (4.0, 1000, 0.005), (8.0, 1000, 0.05), (16.0, 1000, 0.0), (5.0, 20, 1.0))
    assert proven(bins, 0.01) == 4.0
    assert proven({}, 0.01) == 0.0


def test_old_requests_make_room_for_new_ones() -> None:
    bins = of((4.0, 1e9, 0.0), (4.0, 1e6, 0.5))
    assert Curve(bins, knee=4.0).at(place_of(4.0)) > 0.2


rows = st.tuples(st.floats(0.001, 1e4), st.floats(1, 1e6), st.floats(0, 1))


@settings(max_examples=60, deadline=None)
@given(st.lists(rows, max_size=80), st.floats(0.01, 1000), st.floats(0.0005, 0.5))
def test_more_load_is_never_served_better(seen: list[tuple[float, float, float]], knee: float, allowed: float) -> None:
    bins = of(*seen)
    assert len(bins) <= MOST_BINS
    curve = Curve(bins, knee)
    shares = [curve.at(place / 2) for place in range(-20 * OCTAVE, 30 * OCTAVE)]
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1
    highest = curve.highest(allowed, around=knee)
    assert curve.at(place_of(highest)) <= allowed or highest <= 2**-4 * knee * 1.01
