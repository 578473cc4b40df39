"""Rates by client: never more than allowed, never less than promised, and told as OpenAI's headers tell it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.access.limits import IDLE, SWEEP, Limiter, span
from inferops.gateway.table import Limits, ServiceKey

KEY = ServiceKey("chat", "llama")
steps = st.lists(st.floats(0, 40), min_size=1, max_size=60)  # seconds between requests


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def limiter() -> tuple[Limiter, Clock]:
    clock = Clock()
    return Limiter(clock), clock


def test_without_limits_all_go_on_and_nothing_is_remembered() -> None:
    limits, _ = limiter()
    for _ in range(1000):
        verdict = limits.admit(KEY, "a", Limits(), 1)
        assert verdict.allowed and not verdict.headers and not verdict.retry_after
    assert len(limits) == 0


def test_a_minutes_worth_at_once_then_one_by_one() -> None:
    limits, clock = limiter()
    allowed = [limits.admit(KEY, "a", Limits(60), 1).allowed for _ in range(61)]
    assert allowed == [True] * 60 + [False]
    clock.now += 1
    assert [limits.admit(KEY, "a", Limits(60), 1).allowed for _ in range(2)] == [True, False]


def test_clients_and_services_have_their_own() -> None:
    limits, _ = limiter()
    assert limits.admit(KEY, "a", Limits(1), 1).allowed
    assert not limits.admit(KEY, "a", Limits(1), 1).allowed
    assert limits.admit(KEY, "b", Limits(1), 1).allowed
    assert limits.admit(ServiceKey("chat", "other"), "a", Limits(1), 1).allowed


@given(st.integers(1, 600), st.integers(1, 5), steps)
def test_never_more_than_the_rate_and_the_burst(limit: int, share: int, pauses: list[float]) -> None:
    """Over any window, by any gateway: what comes back in it and what a full bucket holds."""
    limits, clock = limiter()
    burst, rate = max(1.0, limit / share), limit / share / 60
    admitted: list[float] = []
    for pause in pauses:
        clock.now += pause
        for _ in range(20):
            if limits.admit(KEY, "a", Limits(limit), share).allowed:
                admitted.append(clock.now)
    for first, start in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= burst + rate * (admitted[last] - start) + 1e-3


@given(st.integers(1, 600), st.integers(1, 5), steps)
def test_who_waits_as_told_is_admitted_and_not_much_before(limit: int, share: int, pauses: list[float]) -> None:
    limits, clock = limiter()
    for pause in pauses:
        clock.now += pause
        verdict = limits.admit(KEY, "a", Limits(limit), share)
        if verdict.allowed:
            assert verdict.retry_after == 0
            continue
        assert 0 < verdict.retry_after <= 60 * share / limit + 1e-6
        clock.now += verdict.retry_after * 0.99
        assert not limits.admit(KEY, "a", Limits(limit), share).allowed
        clock.now += verdict.retry_after * 0.01 + 1e-6
        assert limits.admit(KEY, "a", Limits(limit), share).allowed


@given(st.lists(st.tuples(st.floats(0, 90), st.integers(0, 5000)), min_size=1, max_size=40), st.integers(1, 3))
def test_tokens_are_paid_afterwards_and_a_debt_is_worked_off(used: list[tuple[float, int]], share: int) -> None:
    """Admitted while there is a token; all that is spent is burst, time and the last answer's overrun."""
    limits, clock = limiter()
    limit, started, spent = Limits(tokens_per_minute=6000), clock.now, 0
    for pause, tokens in used:
        clock.now += pause
        if limits.admit(KEY, "a", limit, share).allowed:
            assert spent < 6000 / share * (1 + (clock.now - started) / 60) + 1e-3
            limits.spend(KEY, "a", tokens)
            spent += tokens


def test_a_debt_refuses_until_it_is_paid() -> None:
    limits, clock = limiter()
    limit = Limits(tokens_per_minute=60)
    assert limits.admit(KEY, "a", limit, 1).allowed
    limits.spend(KEY, "a", 180)
    verdict = limits.admit(KEY, "a", limit, 1)
    assert not verdict.allowed
    assert verdict.retry_after == pytest.approx(121)
    assert verdict.headers["x-ratelimit-remaining-tokens"] == "0"
    clock.now += 121
    assert limits.admit(KEY, "a", limit, 1).allowed


def test_a_request_refused_for_its_tokens_costs_no_request() -> None:
    limits, clock = limiter()
    limit = Limits(10, 60)
    assert limits.admit(KEY, "a", limit, 1).allowed
    limits.spend(KEY, "a", 600)
    for _ in range(20):
        assert limits.admit(KEY, "a", limit, 1).headers["x-ratelimit-remaining-requests"] == "9"
    clock.now += 600
    assert limits.admit(KEY, "a", limit, 1).allowed


def test_headers_speak_of_all_gateways_together() -> None:
    limits, _ = limiter()
    limits.admit(KEY, "a", Limits(120, 6000), 2)
    limits.spend(KEY, "a", 1000)
    assert limits.admit(KEY, "a", Limits(120, 6000), 2).headers == {
        "x-ratelimit-limit-requests": "120",
        "x-ratelimit-remaining-requests": "116",
        "x-ratelimit-reset-requests": "2s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "4000",
        "x-ratelimit-reset-tokens": "20s",
    }


def test_limits_of_one_kind_are_told_of_that_kind() -> None:
    limits, _ = limiter()
    assert not any("tokens" in name for name in limits.admit(KEY, "a", Limits(10), 1).headers)
    assert not any("requests" in name for name in limits.admit(KEY, "b", Limits(None, 10), 1).headers)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0169, "17ms"),
        (0.9999, "1s"),
        (1.25, "1.25s"),
        (59.9999, "1m0s"),
        (360, "6m0s"),
        (3661.5, "61m1.5s"),
    ],
)
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_other_limits_hold_at_once_and_give_nothing_away() -> None:
    limits, clock = limiter()
    for _ in range(60):
        limits.admit(KEY, "a", Limits(60), 1)
    assert not limits.admit(KEY, "a", Limits(600), 1).allowed, "a larger bucket does not come full"
    clock.now += 3600
    limits.admit(KEY, "a", Limits(600), 1)
    assert limits.admit(KEY, "a", Limits(600), 10).headers["x-ratelimit-remaining-requests"] == "590"
    assert [limits.admit(KEY, "a", Limits(60), 10).allowed for _ in range(7)] == [True] * 6 + [False]


def test_the_clock_standing_still_or_going_back_fills_nothing() -> None:
    limits, clock = limiter()
    assert limits.admit(KEY, "a", Limits(1), 1).allowed
    clock.now -= 500
    assert not limits.admit(KEY, "a", Limits(1), 1).allowed
    clock.now += 500
    assert not limits.admit(KEY, "a", Limits(1), 1).allowed


def test_the_idle_are_forgotten_and_debts_are_not() -> None:
    limits, clock = limiter()
    for number in range(1000):
        limits.admit(KEY, f"client-{number}", Limits(60, 60), 1)
    limits.spend(KEY, "client-7", 1_000_000)
    clock.now += IDLE + SWEEP
    limits.admit(KEY, "new", Limits(60, 60), 1)
    assert len(limits) == 2
    assert not limits.admit(KEY, "client-7", Limits(60, 60), 1).allowed


def test_memory_stays_bounded_as_clients_come_and_go() -> None:
    limits, clock = limiter()
    largest = 0
    for number in range(20_000):
        clock.now += 10
        limits.admit(KEY, f"client-{number}", Limits(60), 1)
        largest = max(largest, len(limits))
    assert largest <= (IDLE + SWEEP) / 10 + 2


def test_tokens_of_strangers_are_nobodys() -> None:
    limits, _ = limiter()
    limits.spend(KEY, "a", 100)
    assert limits.admit(KEY, "a", Limits(5), 1).allowed
    limits.spend(KEY, "a", 100)
    assert len(limits) == 1
