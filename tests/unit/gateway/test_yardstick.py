"""What is slow for a service without an SLO: the limit is that of the slowest few, and stays while it is needed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.signals.yardstick import BOUNDS, HIGHEST, LEAST, LOWEST, MOST, SHARE, STEP, Yardstick

BOTH = ("old", "new")
LAST = LOWEST * STEP ** (BOUNDS - 1)  # beyond which all count alike
times = st.floats(0.0, 2 * HIGHEST, allow_nan=False)


def observed(*seconds: float) -> Yardstick:
    yardstick = Yardstick()
    for each in seconds:
        yardstick.observe(each)
    return yardstick


def test_one_in_forty_is_slow() -> None:
    chance = random.Random(1)
    took = [chance.lognormvariate(-1.5, 0.5) for _ in range(5000)]
    limit = observed(*took).limit(BOTH)
    assert limit is not None
    assert SHARE / 2 <= sum(each > limit for each in took) / len(took) <= SHARE


def test_too_little_is_known() -> None:
    yardstick = observed(*[0.2] * (LEAST - 1))
    assert yardstick.limit(BOTH) is None
    yardstick.observe(0.2)
    assert yardstick.limit(BOTH) == pytest.approx(0.2, rel=STEP - 1)


def test_there_is_nothing_to_compare() -> None:
    assert observed(*[0.2] * LEAST).limit(["old"]) is None


def test_the_limit_stays_while_the_same_revisions_are_compared() -> None:
    yardstick = observed(*[0.2] * LEAST)
    before = yardstick.limit(BOTH)
    for _ in range(10 * LEAST):
        yardstick.observe(3.0)
    assert yardstick.limit(reversed(BOTH)) == before
    assert yardstick.limit(["new"]) is None
    later = yardstick.limit(("new", "newer"))
    assert later is not None and before is not None and later > 10 * before


def test_what_was_long_ago_counts_less() -> None:
    yardstick = observed(*[0.1] * int(MOST), *[2.0] * int(MOST))
    limit = yardstick.limit(BOTH)
    assert limit is not None and limit > 1.9


@given(st.lists(times, min_size=1, max_size=12))
def test_few_are_slow_and_not_many_fewer(some: list[float]) -> None:
    took = some * LEAST
    limit = observed(*took).limit(BOTH)
    assert limit is not None and LOWEST <= limit <= HIGHEST * STEP
    assert sum(each > limit for each in took if each < LAST) <= SHARE * len(took)
    if limit > LOWEST * STEP:
        assert sum(each > limit / STEP**2 for each in took) > SHARE * len(took)
