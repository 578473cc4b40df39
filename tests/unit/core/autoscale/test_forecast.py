"""Signals: what each says of a rate that stays, climbs, jumps, or comes again every day."""

from __future__ import annotations

from math import pi, sin
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.core.autoscale.forecast import DAY, MOST, SIGNALS, Outlook, Signal, observe

LOOK = 15.0
Told = list[dict[Signal, float]]


def watch(rates: list[float], horizon: float) -> tuple[Outlook, Told]:
    outlook, said, now = Outlook(), list[dict[Signal, float]](), 0.0
    for rate in rates:
        now += LOOK
        outlook, signals = observe(outlook, now, LOOK, rate, horizon)
        said.append(dict(zip(SIGNALS, signals, strict=True)))
    return outlook, said


def error(rates: list[float], said: Told, signal: Signal, horizon: float) -> float:
    ahead = int(horizon / LOOK)
    pairs = list(zip(said, rates[ahead:], strict=False))[len(rates) // 2 :]
    return sum(abs(told[signal] - came) / came for told, came in pairs) / len(pairs)


def test_a_steady_rate_is_what_all_say() -> None:
    outlook, said = watch([5.0] * 6000, 180.0)
    assert list(said[-1].values()) == pytest.approx([5.0] * len(SIGNALS))
    assert outlook.rate == pytest.approx(5.0)


def test_the_first_look_counts_for_no_more_than_its_time() -> None:
    outlook, _ = observe(Outlook(), 1.0, 3.0, 0.0, 60.0)
    outlook, _ = observe(outlook, 10.0, 9.0, 8.0, 60.0)
    assert (outlook.mean, outlook.slow) == pytest.approx((6.0, 6.0), rel=0.001)


def test_a_ramp_is_foreseen_by_its_trend() -> None:
    rates = [2.0 + 0.01 * look for look in range(2000)]
    _, said = watch(rates, 600.0)
    assert error(rates, said, "trend", 600.0) < 0.01 < 0.02 < error(rates, said, "mean", 600.0)


def test_a_rise_out_of_calm_is_followed_at_once() -> None:
    random = Random(5)
    rates = [(100.0 + 2.5 * max(look - 200, 0)) * random.lognormvariate(0.0, 0.01) for look in range(240)]
    _, said = watch(rates, 120.0)
    assert max(told["trend"] for told in said[:200]) < 105.0
    assert said[210]["trend"] > 1.05 * said[210]["mean"]  # two minutes and a half after it began
    assert said[214]["trend"] > 0.85 * rates[222]  # of what came two minutes later


def test_a_fall_is_not_foreseen_since_replicas_go_at_once() -> None:
    _, said = watch([100.0] * 100 + [100.0 - look for look in range(60)], 600.0)
    assert all(min(told.values()) == told["mean"] == told["trend"] for told in said)


def test_a_day_is_foreseen_by_the_one_before() -> None:
    looks = int(3 * DAY / LOOK)
    rates = [30.0 + 25.0 * sin(2 * pi * look * LOOK / 14400.0) for look in range(looks)]  # up and down in four hours
    _, said = watch(rates, 1200.0)
    ahead = int(1200.0 / LOOK)
    rising = [look for look in range(looks // 2, looks - ahead) if rates[look + ahead] > 1.3 * rates[look]]
    assert all(told["day"] == told["mean"] for told in said[:5000])  # of the first day nothing was known
    assert sum(said[look]["day"] for look in rising) > 1.25 * sum(said[look]["mean"] for look in rising)


def test_a_step_is_believed_in_the_second_look() -> None:
    _, said = watch([4.0] * 100 + [40.0] * 2, 180.0)
    assert max(said[-2][signal] for signal in ("mean", "height")) < 20.0
    assert list(said[-1].values()) == pytest.approx([40.0] * len(SIGNALS), rel=0.001)


def test_steps_are_seen_after_other_steps() -> None:
    ups_and_downs = [rate for _ in range(4) for rate in [2.0] * 20 + [20.0] * 20]
    _, said = watch([*ups_and_downs, *[2.0] * 40, 20.0, 20.0], 180.0)
    assert said[-1]["mean"] == pytest.approx(20.0, rel=0.1)


def test_a_spike_of_one_look_is_no_step_and_no_height() -> None:
    _, said = watch([4.0] * 100 + [40.0, 4.0], 180.0)
    assert said[-1]["height"] == said[-1]["mean"] < 16.0


def test_a_height_is_what_two_looks_had_at_least() -> None:
    _, said = watch([10.0] * 100 + [12.0, 13.0], 180.0)
    assert said[-1]["height"] == 12.0 > said[-1]["mean"]


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=200), st.floats(5, 1800))
def test_signals_are_bounded_and_none_is_less_than_what_comes(rates: list[float], horizon: float) -> None:
    outlook, said = watch(rates, horizon)
    for told in said:
        assert all(0 <= told["mean"] <= each <= MOST * max(rates) * 1.0001 for each in told.values())
    assert len(outlook.day) == 96


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=40), st.floats(0, 1e3), st.floats(1, 9), st.floats(5, 1800))
def test_more_now_is_no_less_of_any(before: list[float], rate: float, times: float, horizon: float) -> None:
    outlook, _ = watch(before, horizon)
    now = LOOK * (len(before) + 1)
    less, more = (observe(outlook, now, LOOK, each, horizon)[1] for each in (rate, times * rate))
    assert all(one <= other * 1.000001 + 1e-9 for one, other in zip(less, more, strict=True))
