"""How much of a replica to plan with, by how bursty the load is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log2
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.core.autoscale.misses import OCTAVE, rate_of
from inferops.core.autoscale.staffing import (
    CLASSES,
    DEAREST,
    HIGHEST,
    LOWEST,
    REACH,
    Loads,
    aged,
    counted,
    kinds,
    least,
    plans,
    total,
)

CALM, WILD = 1 / 16, 1 / 2  # burstiness of the second and the fifth class
TOP = 0.0


def cliff(place: float) -> float:
    """Nothing is missed below the top's rate, all at half an octave above it."""
    return min(max(place / (OCTAVE / 2), 0.0), 1.0)


def gentle(place: float) -> float:
    return 0.01 * exp(place / 4) if place < 0 else min(0.01 * exp(place / 4), 1.0)


def loads(widths: dict[float, float], requests: int = 4000) -> Loads:
    """Of each burstiness so many requests, at lognormal rates of that width about the plan."""
    random, made = Random(1), dict[int, dict[int, float]]()
    found: Loads = made
    for burst, width in widths.items():
        for _ in range(requests):
            load = random.gauss(0.0, width) / 0.6931 * OCTAVE
            if load < HIGHEST:
                found = counted(found, burst, load, 1.0)
    return found


def expected(known: Loads, misses: Callable[[float], float], planned: Sequence[float]) -> float:
    missed = sum(n * misses(planned[kind] + at) for kind, bins in known.items() for at, n in bins.items())
    return missed / total(known)


@pytest.mark.parametrize("misses", [cliff, gentle])
@pytest.mark.parametrize("allowed", [0.05, 0.01, 0.002])
def test_no_more_is_missed_than_allowed_and_nearly_that(misses: Callable[[float], float], allowed: float) -> None:
    known = loads({CALM: 0.05, WILD: 0.3})
    found = plans(known, misses, 8.0, allowed)
    assert 0.6 * allowed < expected(known, misses, found) <= 1.05 * allowed


def test_bursty_hours_keep_more_room_than_calm_ones() -> None:
    found = plans(loads({CALM: 0.05, WILD: 0.3}), cliff, TOP, 0.01)
    assert found[1] >= found[4] + 3


def test_it_costs_less_than_the_same_plan_for_all() -> None:
    known = loads({CALM: 0.03, WILD: 0.3})
    found = plans(known, gentle, 16.0, 0.005)
    even = max(each / 4 for each in range(-4 * REACH, 64) if expected(known, gentle, [each / 4] * CLASSES) <= 0.005)

    def cost(planned: Sequence[float]) -> float:
        return sum(sum(bins.values()) / rate_of(planned[kind]) for kind, bins in known.items()) / total(known)

    assert cost(found) < 0.985 * cost([even] * CLASSES)


def test_a_class_that_was_never_seen_is_planned_as_the_nearest() -> None:
    found = plans(loads({CALM: 0.05, WILD: 0.3}), cliff, TOP, 0.01)
    assert found[0] == found[1] and found[5] == found[4]
    assert found[2] == found[1] and found[3] == found[4]


def test_what_cannot_be_had_is_not_paid_for() -> None:
    """A tenth is missed at any rate: eight times the replicas would change nothing."""
    found = plans(loads({CALM: 0.05}), lambda place: 0.1 + 0.9 * cliff(place), TOP, 0.001)
    assert found[1] >= TOP - 6


def test_the_top_holds() -> None:
    assert max(plans(loads({CALM: 0.05}), lambda place: 0.0, TOP, 0.01)) == TOP


def test_classes_share_what_is_between_them() -> None:
    assert kinds(CALM) == ((1, 1.0), (2, 0.0))
    (low, part), (high, rest) = kinds(CALM * 2**0.25)
    assert (low, high) == (1, 2) and part == pytest.approx(0.75) and rest == pytest.approx(0.25)
    assert kinds(0.0) == ((0, 1.0), (1, 0.0)) and kinds(99.0) == ((CLASSES - 2, 0.0), (CLASSES - 1, 1.0))


def test_what_is_old_counts_less_and_is_forgotten() -> None:
    known = loads({CALM: 0.05})
    assert total(aged(known, 0.5)) == pytest.approx(total(known) / 2, rel=0.02)
    assert aged(known, 1e-9) == {}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(-99, HIGHEST, exclude_max=True), st.floats(1, 1e6)), min_size=1),
    st.floats(1e-6, 0.5),
    st.floats(0.5, 40),
)
def test_plans_are_bounded(seen: list[tuple[float, float, float]], allowed: float, steep: float) -> None:
    known: Loads = {}
    for burst, load, requests in seen:
        known = counted(known, burst, load, requests)
    assert total(known) == pytest.approx(sum(requests for *_, requests in seen))
    assert all(LOWEST <= at <= HIGHEST for bins in known.values() for at in bins)
    found = plans(known, lambda place: 1 / (1 + exp(-min(place / steep, 50.0))) if place > -500 else 0.0, TOP, allowed)
    assert len(found) == CLASSES and all(TOP - REACH <= each <= TOP for each in found)
    assert log2(rate_of(OCTAVE)) == 1


def test_the_price_of_a_miss_is_the_least_that_is_enough_and_never_beyond_the_dearest() -> None:
    assert least(lambda price: price >= 40.0, 0.01) == pytest.approx(40.0, rel=0.01)
    assert least(lambda price: False, 0.01) == pytest.approx(DEAREST / 0.01)
