"""Which other clusters are asked: the nearest that may, and those that did not answer not for a while."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.balance.targets import ASKED_FOR, REST_MAX, Result, Target, Targets, Try
from inferops.gateway.proxy import hop
from inferops.gateway.proxy.hop import Hop
from inferops.gateway.table import Cluster

EU, US, ASIA = (Cluster(name, f"http://{name}") for name in ("eu", "us", "asia"))


def targets() -> Targets:
    return Targets((EU, US, ASIA), lambda: 0.0)


def ended(target: Target | None, result: Result, now: float, rest: float = 0.0) -> None:
    assert target is not None
    Try(target, now).done(result, now, rest)


def name(found: Target | None) -> str | None:
    return found.cluster.name if found is not None else None


def test_the_nearest_first() -> None:
    found = targets()
    assert name(found.next((), 0.0)) == "eu"
    assert name(found.next({"eu"}, 0.0)) == "us"
    assert name(found.next({"eu", "us", "asia"}, 0.0)) is None


def test_one_without_room_rests_and_longer_each_time() -> None:
    found, now, rests = targets(), 0.0, list[float]()
    for _ in range(6):
        ended(found.next((), now), Result.REFUSED, now)
        began = now
        while name(found.next((), now)) != "eu":
            now += 0.125
        rests.append(now - began)
    assert rests == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    ended(found.next((), now), Result.ANSWERED, now)
    ended(found.next((), now), Result.REFUSED, now)
    assert name(found.next((), now + 0.5)) == "eu", "it had room meanwhile"


def test_many_refusals_at_once_are_one() -> None:
    found = targets()
    (eu, *_) = found
    tries = [Try(eu, 0.0) for _ in range(50)]
    for each in tries:
        each.done(Result.REFUSED, 0.25)
    assert not eu.ready(0.7)
    assert eu.ready(0.75)


@given(st.floats(0.0, 1e6))
def test_it_is_left_alone_for_as_long_as_it_asks_within_reason(rest: float) -> None:
    found = targets()
    ended(found.next((), 0.0), Result.REFUSED, 0.0, rest)
    (eu, *_) = found
    assert eu.rests == max(0.5, min(rest, ASKED_FOR))


def test_one_that_fails_is_tried_by_one_request() -> None:
    found = targets()
    ended(found.next((), 0.0), Result.UNREACHABLE, 0.0)
    assert name(found.next((), 0.7)) == "us"
    eu = found.next((), 1.0)
    assert name(eu) == "eu"
    assert eu is not None
    trial = Try(eu, 1.0)
    assert name(found.next((), 1.0)) == "us"
    trial.done(Result.GONE, 1.5)
    assert name(found.next((), 1.5)) == "eu", "its client went away, which says nothing"
    ended(eu, Result.ANSWERED, 1.6)
    assert name(found.next((), 1.6)) == "eu"


def test_who_was_sent_before_it_failed_says_nothing_new() -> None:
    (eu, *_) = targets()
    early, late = Try(eu, 0.0), Try(eu, 0.0)
    early.done(Result.UNREACHABLE, 5.0)
    until = eu.breaker.until
    late.done(Result.UNREACHABLE, 5.5)
    assert eu.breaker.until == until


def test_what_is_known_of_those_that_stay_is_kept() -> None:
    found = targets()
    ended(found.next((), 0.0), Result.FAILED, 0.0)
    found.update((US, EU))
    assert name(found.next((), 0.0)) == "us"
    assert name(found.next({"us"}, 0.0)) is None
    found.update((Cluster("eu", "http://elsewhere"),))
    assert name(found.next((), 0.0)) == "eu", "at another address it is another one"


@given(st.lists(st.tuples(st.floats(0.0, 40.0), st.sampled_from(list(Result)), st.floats(0.0, 60.0)), max_size=60))
def test_none_is_given_up_for_ever(steps: list[tuple[float, Result, float]]) -> None:
    found, now = targets(), 0.0
    for passed, result, rest in steps:
        now += passed
        target = found.next((), now)
        if target is None:
            continue
        assert target.ready(now)
        ended(target, result, now, rest)
    assert name(found.next((), now + max(ASKED_FOR, REST_MAX, 30.0))) == "eu"


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.booleans())
def test_what_one_gateway_says_another_reads(wait: float, left: float, stay: bool) -> None:
    line = hop.line(Hop(wait, left, stay)).decode()
    header, _, value = line.strip().partition(": ")
    assert (header, line.count("\r\n")) == (hop.HEADER, 1)
    read = hop.read(value)
    assert read.wait is not None and read.left is not None
    assert abs(read.wait - wait) <= 0.001 and abs(read.left - left) <= 0.001
    assert read.stay is stay


@given(st.text(max_size=300))
def test_nothing_that_a_client_says_is_more_than_seconds(value: str) -> None:
    for number in hop.read(value)[:2]:
        assert number is None or 0 <= number < float("inf")
