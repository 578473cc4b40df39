"""Forecasts: which one is believed, and what a step does."""

from __future__ import annotations

from math import pi, sin
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.core.autoscale.forecast import DAY, FORECASTS, MOST, REMEMBERED, Outlook, observe

LOOK = 15.0


def watch(rates: list[float], horizon: float, begin: Outlook | None = None) -> tuple[Outlook, list[float]]:
    outlook, said, now = begin or Outlook(), [], 0.0
    for rate in rates:
        now += LOOK
        outlook, forecast = observe(outlook, now, LOOK, rate, horizon)
        said.append(forecast)
    return outlook, said


def error(rates: list[float], said: list[float], horizon: float) -> float:
    ahead = int(horizon / LOOK)
    pairs = list(zip(said, rates[ahead:], strict=False))[len(rates) // 2 :]
    return sum(abs(forecast - came) / came for forecast, came in pairs) / len(pairs)


def test_a_steady_rate_is_foreseen() -> None:
    _, said = watch([5.0] * 200, 180.0)
    assert said[-1] == pytest.approx(5.0)


def test_the_first_look_counts_for_no_more_than_its_time() -> None:
    outlook, _ = observe(Outlook(), 1.0, 3.0, 0.0, 60.0)
    outlook, _ = observe(outlook, 10.0, 9.0, 8.0, 60.0)
    assert outlook.minute == pytest.approx(6.0, rel=0.001)
    assert (*outlook.means, *outlook.slow) == pytest.approx((6.0,) * 6, rel=0.001)


def test_a_ramp_is_foreseen_by_its_trend() -> None:
    rates = [2.0 + 0.01 * look for look in range(2000)]
    outlook, said = watch(rates, 600.0)
    assert outlook.believed % 2 == 1  # one with a trend
    assert error(rates, said, 600.0) < 0.01


def calm_and_rise(times: int, after: float) -> list[float]:
    """Hours of calm with hardly any noise, at the end of each of which the rate rises by half within five minutes, and
    goes on for as long at `after` times that pace."""
    random, rates = Random(5), list[float]()
    for _ in range(times):
        up = [100.0 + 2.5 * look for look in range(20)]
        rates += [100.0] * 200 + up + [up[-1] + after * 2.5 * look for look in range(20)]
    return [max(rate, 20.0) * random.lognormvariate(0.0, 0.01) for rate in rates]


def test_a_rise_out_of_calm_is_followed_at_once() -> None:
    rates = calm_and_rise(1, 1.0)
    outlook, said = watch(rates, 120.0)
    _, plain = watch(rates, 120.0, Outlook(rising=(0.0, 1.0)))
    assert said[:200] == plain[:200]
    assert said[210] > 1.15 * plain[210]  # two minutes and a half after it began
    assert said[214] > 0.9 * rates[222]  # of what came two minutes later
    assert outlook.rising[1] <= outlook.rising[0]


def test_rises_that_fall_again_are_not_followed_for_long() -> None:
    rates = calm_and_rise(8, -2.0)
    outlook, said = watch(rates, 300.0)
    _, plain = watch(rates, 300.0, Outlook(rising=(0.0, 1.0)))
    assert outlook.rising[1] > outlook.rising[0]
    assert said[-240:] == plain[-240:]


def test_noise_is_not_followed() -> None:
    random = Random(3)
    rates = [max(0.1, random.gauss(20.0, 6.0)) for _ in range(2000)]
    _, said = watch(rates, 600.0)
    late = said[1000:]
    assert max(late) < 26.0 and min(late) > 14.0


def test_a_day_is_foreseen_by_the_one_before() -> None:
    looks = int(3 * DAY / LOOK)
    rates = [30.0 + 25.0 * sin(2 * pi * look * LOOK / 14400.0) for look in range(looks)]  # up and down in four hours
    outlook, said = watch(rates, 1200.0)
    assert outlook.believed == FORECASTS - 1
    assert error(rates, said, 1200.0) < 0.1


def test_a_step_is_believed_in_the_second_look() -> None:
    _, said = watch([4.0] * 100 + [40.0] * 2, 180.0)
    assert said[-2] < 20.0
    assert said[-1] == pytest.approx(40.0, rel=0.001)


def test_steps_are_seen_after_other_steps() -> None:
    ups_and_downs = [rate for _ in range(4) for rate in [2.0] * 20 + [20.0] * 20]
    _, said = watch([*ups_and_downs, *[2.0] * 40, 20.0, 20.0], 180.0)
    assert said[-1] == pytest.approx(20.0, rel=0.1)


def test_a_spike_of_one_look_is_no_step() -> None:
    _, said = watch([4.0] * 100 + [40.0, 4.0], 180.0)
    assert said[-1] < 16.0


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=200), st.floats(5, 1800))
def test_forecasts_are_bounded_and_so_is_what_is_remembered(rates: list[float], horizon: float) -> None:
    outlook, said = watch(rates, horizon)
    assert all(0 <= forecast <= MOST * max(rates) * 1.0001 for forecast in said)
    assert len(outlook.pending) <= REMEMBERED
    assert len(outlook.day) == 96
