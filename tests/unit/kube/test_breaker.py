"""A member that fails is left alone for pauses that grow, and asked by one at a time until it answers again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.kube.breaker import FAILURES, OPEN, PAUSE_MAX, WAIT_MAX, Breaker, Guarded, judge
from inferops.kube.client import KubeError
from inferops.kube.kinds import INFERENCE_SERVICE, Kind
from inferops.kube.mirror import Mirror
from inferops.kube.owned import Object
from unit.kube.following import Server, thing
from unit.kube.virtualtime import now, run


def half() -> float:
    return 0.5  # pauses are then exactly 1, 2, 4, … seconds


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(jitter=half)
    for _ in range(FAILURES):
        breaker.failed(at)
    return breaker


def error(status: int, retry_after: float | None = None) -> KubeError:
    return KubeError("get Pod", status, "", "", retry_after)


def test_it_opens_after_failures_in_a_row_only():
    breaker = Breaker(jitter=half)
    for _ in range(10):
        breaker.failed(0)
        breaker.failed(0)
        breaker.succeeded()
    assert breaker.allow(0) and breaker.until() is None
    breaker.failed(1)
    breaker.failed(1)
    assert breaker.allow(1)
    breaker.failed(1)
    assert not breaker.allow(1.9) and breaker.until() == 2


def test_one_request_at_a_time_tells_whether_it_is_back():
    breaker = opened()
    assert breaker.allow(1) and not breaker.allow(1) and not breaker.allow(100)
    breaker.failed(100)
    assert breaker.until() == 102 and not breaker.allow(101.9)
    assert not breaker.allow(102, trial=False)  # a watch is none that tells
    assert breaker.allow(102)
    breaker.abandoned()
    assert breaker.allow(102) and not breaker.allow(102)
    breaker.succeeded()
    assert breaker.closed and breaker.allow(102) and breaker.allow(102)


def test_pauses_double_and_begin_anew_after_an_answer():
    breaker, at, pauses = opened(), 0.0, []
    for _ in range(8):
        until = breaker.until()
        assert until is not None
        pauses.append(until - at)
        at = until
        assert breaker.allow(at)
        breaker.failed(at)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    breaker.succeeded()
    for _ in range(FAILURES):
        breaker.failed(at)
    assert breaker.until() == at + 1


def test_what_failed_before_the_pause_began_does_not_lengthen_it():
    breaker = opened()
    breaker.failed(0.5)
    breaker.failed(0.9)
    assert breaker.until() == 1


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=8, max_size=8))
@settings(max_examples=50)
def test_each_pause_is_within_half_of_its_length(chances: list[float]):
    chance = iter(chances)
    breaker, at = Breaker(jitter=lambda: next(chance)), 0.0
    for _ in range(FAILURES):
        breaker.failed(at)
    for attempt in range(7):
        until, length = breaker.until(), min(2.0**attempt, PAUSE_MAX)
        assert until is not None and 0.5 * length <= until - at + 1e-9 and until - at <= 1.5 * length + 1e-9
        at = until
        assert breaker.allow(at)
        breaker.failed(at)


steps = st.lists(
    st.tuples(st.sampled_from(["ask", "succeed", "fail", "wait", "abandon"]), st.floats(0, 20)), max_size=60
)


@given(steps)
@settings(max_examples=100)
def test_never_two_trials_nor_a_request_before_its_time_nor_shut_for_ever(walk: list[tuple[str, float]]):
    breaker, at, trial = Breaker(jitter=half), 0.0, False
    for what, passed in walk:
        at += passed
        held, closed = breaker.until(), breaker.closed
        if what == "ask":
            allowed = breaker.allow(at)
            assert not (allowed and trial and not closed)
            assert not (allowed and held is not None and at < held)
            trial = (trial or allowed) and not closed
        elif what == "wait":
            breaker.wait(at, passed)
        else:
            if what == "fail":
                breaker.failed(at)
            else:
                {"succeed": breaker.succeeded, "abandon": breaker.abandoned}[what]()
            trial = False
    breaker.abandoned()
    assert breaker.allow(at + max(1.5 * PAUSE_MAX, WAIT_MAX))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 429])
def test_answers_that_refuse_are_answers(status: int):
    breaker = opened()
    assert breaker.allow(1)
    judge(breaker, error(status), 1)
    assert breaker.closed and breaker.allow(1)


@pytest.mark.parametrize("status", [0, 500, 503, 504])
def test_silence_and_errors_of_its_own_are_failures(status: int):
    breaker = Breaker(jitter=half)
    for _ in range(FAILURES):
        judge(breaker, error(status), 0)
    assert not breaker.closed


def test_it_is_left_alone_for_as_long_as_it_asks_within_reason():
    breaker = Breaker(jitter=half)
    judge(breaker, error(429, 5), 10)
    breaker.succeeded()  # another request, sent before
    assert breaker.until() == 15 and not breaker.allow(14.9)
    assert breaker.allow(15) and breaker.allow(15) and breaker.until() is None
    judge(breaker, error(429, 1e9), 20)
    assert breaker.until() == 20 + WAIT_MAX


class Member(Server):
    """Counts requests and may take its time over them."""

    def __init__(self, *objects: Object) -> None:
        super().__init__(*objects)
        self.asked: list[float] = []
        self.slow = 0.0

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        self.asked.append(now())
        await asyncio.sleep(self.slow)
        if self.away is not None:
            raise self.away
        return self.objects.get(name)

    async def offers(self, kind: Kind) -> bool:
        return await self.get(kind, "", "") is None


def guarded(play: Callable[[Member, Guarded, Breaker], Coroutine[Any, Any, None]]) -> Member:
    async def main() -> Member:
        member, breaker = Member(thing("a", 1), thing("b", 2)), Breaker(jitter=half)
        await play(member, Guarded(member, breaker), breaker)
        return member

    return run(main())


async def refused(guard: Guarded) -> KubeError:
    with pytest.raises(KubeError) as caught:
        await guard.get(INFERENCE_SERVICE, "chat", "a")
    return caught.value


async def out(member: Member, guard: Guarded) -> None:
    """The member goes, and three requests show it."""
    member.go(error(0))
    for _ in range(FAILURES):
        assert (await refused(guard)).reason != OPEN


def test_nothing_is_sent_while_it_is_open():
    async def play(member: Member, guard: Guarded, breaker: Breaker) -> None:
        await out(member, guard)
        asked = len(member.asked)
        told = await refused(guard)
        assert (told.status, told.reason, told.retry_after) == (0, OPEN, 1.0)
        with pytest.raises(KubeError, match=OPEN):
            await guard.offers(INFERENCE_SERVICE)
        with pytest.raises(KubeError, match=OPEN):
            [page async for page in guard.pages(INFERENCE_SERVICE)]
        with pytest.raises(KubeError, match=OPEN):
            [event async for event in guard.follow(INFERENCE_SERVICE, "", 1, 5)]
        assert len(member.asked) == asked and not member.lists
        member.away = None
        await asyncio.sleep(1)
        with pytest.raises(KubeError, match=OPEN):  # half open, and a watch is not what tells
            [event async for event in guard.follow(INFERENCE_SERVICE, "", 1, 5)]
        assert [page async for page in guard.pages(INFERENCE_SERVICE)] and breaker.closed
        assert await guard.get(INFERENCE_SERVICE, "chat", "nobody") is None
        assert await guard.offers(INFERENCE_SERVICE)

    guarded(play)


def test_many_that_ask_at_once_send_one_request_to_a_member_that_may_be_back():
    async def play(member: Member, guard: Guarded, breaker: Breaker) -> None:
        await out(member, guard)
        await asyncio.sleep(1)
        asked, member.slow, member.away = len(member.asked), 3.0, None
        ends = await asyncio.gather(
            *(guard.get(INFERENCE_SERVICE, "chat", "a") for _ in range(20)), return_exceptions=True
        )
        assert len(member.asked) == asked + 1
        assert sum(isinstance(end, KubeError) for end in ends) == 19 and breaker.closed

    guarded(play)


def test_a_trial_that_is_cancelled_leaves_the_next_one_to_another():
    async def play(member: Member, guard: Guarded, breaker: Breaker) -> None:
        await out(member, guard)
        await asyncio.sleep(1)
        member.slow, member.away = 10.0, None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await guard.get(INFERENCE_SERVICE, "chat", "a")
        assert not breaker.closed
        member.slow = 0.0
        assert await guard.get(INFERENCE_SERVICE, "chat", "a") is not None and breaker.closed

    guarded(play)


def test_requests_from_before_the_pause_fail_without_a_word_on_the_trial():
    async def play(member: Member, guard: Guarded, breaker: Breaker) -> None:
        member.slow = 1.5
        old = asyncio.create_task(refused(guard))
        await asyncio.sleep(0)
        member.slow = 0.0
        await out(member, guard)
        await asyncio.sleep(1)
        member.slow = 5.0
        trial = asyncio.create_task(refused(guard))
        await old
        assert breaker.until() == 1  # still the first pause
        assert (await refused(guard)).reason == OPEN
        await trial
        assert breaker.until() == 6 + 2

    guarded(play)


class Names:
    """Keeps names alone."""

    def __init__(self) -> None:
        self.kept: set[tuple[str, str]] = set()

    def put(self, raw: Object) -> None:
        self.kept.add((raw["metadata"]["namespace"], raw["metadata"]["name"]))

    def remove(self, namespace: str, name: str, version: int) -> None:
        self.kept.discard((namespace, name))

    def names(self) -> set[tuple[str, str]]:
        return self.kept


def test_a_mirror_on_it_asks_a_dead_member_ever_less_and_is_true_soon_after():
    async def play(member: Member, guard: Guarded, breaker: Breaker) -> None:
        names = Names()
        task = asyncio.create_task(Mirror(guard, INFERENCE_SERVICE, names).run())
        await asyncio.sleep(1)
        assert names.kept == {("chat", "a"), ("chat", "b")}
        member.go(error(0))
        await asyncio.sleep(300)
        assert names.kept == {("chat", "a"), ("chat", "b")}
        assert len(member.lists) < 20  # 60 without
        member.away = None
        member.put(thing("c", 0))
        await asyncio.sleep(1.5 * PAUSE_MAX)
        assert ("chat", "c") in names.kept and breaker.closed
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    guarded(play)
