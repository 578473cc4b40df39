"""When a replica is taken out, for how long, and what brings it back."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.balance.breaker import BACKOFF_MAX, ENOUGH, FORGIVEN, Breaker, Cause
from inferops.gateway.balance.outcome import Outcome

OK, FAILED, REFUSED, UNREACHABLE = Outcome.OK, Outcome.FAILED, Outcome.REFUSED, Outcome.UNREACHABLE
TIMEOUT, CLIENT, GONE = Outcome.TIMEOUT, Outcome.CLIENT, Outcome.GONE
FAULTLESS = [OK, REFUSED, CLIENT, GONE]


@dataclass
class Replica:
    """A breaker with a clock that is set by hand."""

    may_eject: bool = True
    jitter: float = 0.0
    now: float = 100.0
    breaker: Breaker = field(init=False)

    def __post_init__(self) -> None:
        self.breaker = Breaker(lambda: self.jitter)

    def ends(self, *outcomes: Outcome) -> Cause | None:
        """Attempts that began just now end so."""
        for outcome in outcomes:
            self.breaker.ended(outcome, self.breaker.epoch, self.now, lambda: self.may_eject)
        return self.breaker.cause

    def tries(self, outcome: Outcome) -> Cause | None:
        """A trial ends so, at the end of the back-off."""
        self.now = max(self.now, self.breaker.until)
        assert self.breaker.due(self.now)
        self.breaker.trial = True
        return self.ends(outcome)


@pytest.mark.parametrize(
    ("case", "outcomes", "cause"),
    [
        ("new", [], None),
        ("four failures", [FAILED] * 4, None),
        ("five in a row", [FAILED] * 5, Cause.ERRORS),
        ("an answer in between begins anew", [FAILED] * 4 + [OK] + [FAILED] * 4, None),
        ("so does that of a full engine", [FAILED] * 4 + [REFUSED] + [FAILED] * 4, None),
        ("one that went away says nothing", [FAILED] * 4 + [GONE] + [FAILED], Cause.ERRORS),
        ("timeouts are errors", [TIMEOUT] * 5, Cause.ERRORS),
        ("one lost connection", [UNREACHABLE], None),
        ("two lost connections", [UNREACHABLE] * 2, Cause.UNREACHABLE),
        ("half of many", [OK, FAILED] * (ENOUGH // 2), Cause.ERRORS),
        ("half of few", [OK, FAILED] * (ENOUGH // 2 - 1), None),
        ("a third of many", [OK, OK, FAILED] * 40, None),
        ("a full engine", [REFUSED] * 50, None),
        ("bad requests", [CLIENT] * 50, None),
        ("clients without patience", [GONE] * 50, None),
    ],
)
def test_what_opens(case: str, outcomes: list[Outcome], cause: Cause | None) -> None:
    assert Replica().ends(*outcomes) is cause


def test_old_failures_do_not_count_in_the_share() -> None:
    replica = Replica()
    replica.ends(*[OK, FAILED] * (ENOUGH // 2 - 1))
    replica.now += 10
    assert replica.ends(*[OK, FAILED] * (ENOUGH // 2 - 1)) is None


def test_errors_take_nobody_out_where_too_many_are_but_lost_connections_do() -> None:
    replica = Replica(may_eject=False)
    assert replica.ends(*[FAILED] * 50) is None
    assert replica.ends(UNREACHABLE) is Cause.UNREACHABLE


def test_one_that_was_spared_goes_with_its_next_failure_once_it_may() -> None:
    replica = Replica(may_eject=False)
    replica.ends(*[FAILED] * 5)
    replica.may_eject = True
    assert replica.ends(FAILED) is Cause.ERRORS


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_the_back_off_doubles_up_to_its_longest(jitter: float) -> None:
    replica = Replica(jitter=jitter)
    replica.ends(*[FAILED] * 5)
    waits = []
    for _ in range(8):
        waits.append(replica.breaker.until - replica.now)
        replica.tries(FAILED)
    doubling = [1, 2, 4, 8, 16, BACKOFF_MAX, BACKOFF_MAX, BACKOFF_MAX]
    assert waits == pytest.approx([wait * (0.75 + jitter / 4) for wait in doubling])


def test_it_is_not_asked_before_the_back_off_is_over_and_then_once() -> None:
    replica = Replica()
    replica.ends(*[FAILED] * 5)
    assert not replica.breaker.due(replica.breaker.until - 0.01)
    assert replica.breaker.due(replica.breaker.until)
    replica.breaker.trial = True
    assert not replica.breaker.due(replica.breaker.until + 100)


@pytest.mark.parametrize("outcome", [OK, REFUSED, CLIENT])
def test_an_answer_brings_it_back_on_probation(outcome: Outcome) -> None:
    replica = Replica()
    replica.ends(*[FAILED] * 5)
    assert replica.tries(outcome) is None
    assert replica.ends(FAILED) is Cause.ERRORS
    assert replica.breaker.until - replica.now == pytest.approx(2 * 0.75)  # it did not begin anew


def test_after_probation_it_takes_a_streak_again() -> None:
    replica = Replica()
    replica.ends(*[FAILED] * 5)
    replica.tries(OK)
    assert replica.ends(OK, *[FAILED] * 4) is None


def test_a_trial_whose_client_goes_away_leaves_the_place_to_another() -> None:
    replica = Replica()
    replica.ends(*[FAILED] * 5)
    assert replica.tries(GONE) is Cause.ERRORS
    assert replica.breaker.due(replica.now)


def test_a_long_good_time_makes_the_back_off_short_again() -> None:
    replica = Replica()
    replica.ends(*[FAILED] * 5)
    replica.tries(FAILED)
    replica.tries(OK)
    replica.now += FORGIVEN + 1
    replica.ends(FAILED)
    assert replica.breaker.until - replica.now == pytest.approx(0.75)


def test_attempts_from_before_it_opened_say_nothing_about_it_now() -> None:
    replica = Replica()
    old = replica.breaker.epoch
    replica.ends(*[UNREACHABLE] * 2)
    until = replica.breaker.until
    for outcome in Outcome:
        replica.breaker.ended(outcome, old, replica.now, lambda: True)
    assert (replica.breaker.cause, replica.breaker.until) == (Cause.UNREACHABLE, until)
    replica.now = until
    replica.breaker.answered(replica.now)
    replica.breaker.ended(UNREACHABLE, old, replica.now, lambda: True)
    assert replica.breaker.cause is None


steps = st.lists(st.tuples(st.sampled_from(list(Outcome)), st.floats(0, 40), st.booleans()), max_size=200)


@given(st.lists(st.tuples(st.sampled_from(FAULTLESS), st.floats(0, 5)), max_size=200))
def test_what_is_no_failure_never_opens(history: list[tuple[Outcome, float]]) -> None:
    replica = Replica()
    for outcome, passed in history:
        replica.now += passed
        assert replica.ends(outcome) is None


@given(steps, st.floats(0, 0.999))
def test_it_is_never_out_for_good_nor_for_errors_that_may_not_eject(
    history: list[tuple[Outcome, float, bool]], jitter: float
) -> None:
    replica = Replica(jitter=jitter)
    breaker = replica.breaker
    for outcome, passed, may_eject in history:
        replica.now += passed
        replica.may_eject = may_eject
        before, epoch = breaker.cause, breaker.epoch
        if before is None:
            replica.ends(outcome)
        elif breaker.due(replica.now):
            replica.tries(outcome)
        if breaker.cause is not None:
            assert breaker.until <= replica.now + BACKOFF_MAX
            assert breaker.due(breaker.until)
        if before is None and breaker.cause is Cause.ERRORS:
            assert may_eject
        assert breaker.epoch - epoch in (0, 1)
