"""When a request goes to another cluster: never while it is its turn here soon enough."""

from __future__ import annotations

import asyncio
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.gateway.balance import spill
from inferops.gateway.balance.lease import Lease
from inferops.gateway.balance.outcome import Outcome, TooLong
from inferops.gateway.balance.pool import Pool
from inferops.gateway.balance.spill import HOLD, Firsts, Here, Lately, Turn, Why
from inferops.gateway.table import Cluster
from unit.gateway.pools import backend, pool_of, revision

times = st.floats(0.0, 1e4)
NEAR = (Cluster("eu", "http://eu"),)


@pytest.mark.parametrize(
    ("ttft", "queue_timeout", "expected"),
    [(0.8, 30.0, 0.8), (None, 30.0, 3.0), (60.0, 30.0, 15.0), (0.8, 0.0, 0.0), (None, 0.0, 0.0)],
)
def test_what_is_allowed(ttft: float | None, queue_timeout: float, expected: float) -> None:
    service = backend(ttft=ttft, queue_timeout=queue_timeout)
    assert spill.allowed(service) == pytest.approx(expected)
    assert spill.allowed_to_guest(service, None, stay=False) == pytest.approx(expected / 2)
    assert spill.allowed_to_guest(service, None, stay=True) == queue_timeout


@given(times, st.booleans(), times, st.none() | times)
def test_a_guest_is_allowed_no_more_than_it_was_granted(
    wait: float, stay: bool, queue_timeout: float, ttft: float | None
) -> None:
    service = backend(ttft=ttft, queue_timeout=queue_timeout)
    found = spill.allowed_to_guest(service, wait, stay)
    assert 0 <= found <= min(wait, queue_timeout)
    assert stay or found <= spill.allowed(service) / 2


@given(st.integers(0, 9), st.floats(0.0, inf), times, times, times)
def test_nobody_goes_while_it_is_their_turn_in_time(
    replicas: int, room: float, engine: float, allowed: float, waited: float
) -> None:
    found = spill.why(Here(replicas, room, engine), allowed, waited)
    if room + engine == 0 or waited + room + engine <= allowed:
        assert found is None
    else:
        assert found is (Why.QUEUE if replicas else Why.NO_REPLICA)
    assert spill.why(Here(replicas, room, engine, full=True), allowed, waited) is Why.FULL


@given(st.integers(0, 500), times, st.integers(0, 500), times)
def test_the_wait_grows_with_those_ahead_and_shrinks_with_places(
    ahead: int, service: float, at_once: int, still: float
) -> None:
    found = spill.room(ahead, service, at_once, still)
    assert found >= still
    assert spill.room(ahead + 1, service, at_once, still) >= found >= spill.room(ahead, service, at_once + 1, still)


def test_what_waits_in_engines_shows_in_the_streams_that_have_not_begun() -> None:
    firsts = Firsts()
    for moment in (10.0, 10.5, 11.0):
        firsts.begin(moment)
    assert firsts.expected(1, 11.0) == pytest.approx(1.0), "they have waited half a second on average: half of it"
    assert firsts.expected(3, 11.0) == 0.0, "each is being worked on"
    firsts.end(10.0)
    firsts.end(10.5)
    assert firsts.expected(1, 60.0) == 0.0
    firsts.end(11.0)
    assert (firsts.count, firsts.expected(0, 60.0)) == (0, 0.0)


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.booleans()), max_size=40))
def test_what_was_lately_is_forgotten(steps: list[tuple[float, bool]]) -> None:
    lately, now, came = Lately(), 100.0, list[float]()
    for passed, comes in steps:
        now += passed
        if comes:
            lately.add(now)
            came.append(now)
        found = lately.count(now)
        assert sum(now - each < HOLD for each in came) <= found <= sum(now - each < 3 * HOLD for each in came)
        assert lately.count(lately.until) == 0


def turn_of(pool: Pool, elsewhere: bool = True) -> Turn:
    return Turn(spill.allowed(pool.backend), lambda: elsewhere)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from(["ask", "end"]), st.floats(0.0, 2.0)), max_size=40),
)
def test_a_replica_with_room_gets_the_request(replicas: int, room: int, steps: list[tuple[str, float]]) -> None:
    """Whatever came before: only where all places are taken does a request go."""

    async def play() -> None:
        now = 50.0
        names = [f"llama-{number}" for number in range(replicas)]
        service = backend(revision("aaa", 100, *names), max_concurrency=room, ttft=0.5, spillover=NEAR)
        pool, held = pool_of(lambda: now, service), list[Lease]()
        for what, passed in steps:
            now += passed
            if what == "end" and held:
                held.pop(0).done(Outcome.OK)
            elif what == "ask":
                free = len(held) < replicas * room
                try:
                    async with asyncio.timeout(0):
                        held.append(await pool.acquire(session=None, affinity=None, turn=turn_of(pool)))
                    assert free
                except (TooLong, TimeoutError):
                    assert not free
        assert pool.waiting == 0

    asyncio.run(play())


def test_where_nobody_can_be_asked_requests_wait_as_ever() -> None:
    async def play() -> None:
        pool = pool_of(lambda: 7.0, backend(ttft=0.5, spillover=NEAR))
        waits = asyncio.create_task(pool.acquire(session=None, affinity=None, turn=turn_of(pool, elsewhere=False)))
        await asyncio.sleep(0)
        assert pool.waiting == 1
        with pytest.raises(TooLong):
            await pool.acquire(session=None, affinity=None, turn=turn_of(pool))
        waits.cancel()

    asyncio.run(play())


def test_who_comes_back_is_before_those_who_came_later() -> None:
    async def play() -> None:
        now = 100.0
        pool, order = pool_of(lambda: now, backend(queue_timeout=600.0, spillover=NEAR)), list[str]()

        async def ask(name: str, waited: float, placed: bool) -> None:
            turn = Turn(1.0, lambda: False, placed)
            lease = await pool.acquire(session=None, affinity=None, waited=waited, turn=turn)
            order.append(name)
            lease.done(Outcome.OK)

        asking = list[asyncio.Task[None]]()
        for name, waited in (("b", 0.0), ("c", 0.0), ("a", 5.0), ("d", 0.0)):
            asking.append(asyncio.create_task(ask(name, waited, waited > 0)))
            await asyncio.sleep(0)
            now += 1.0
        pool.update(backend(revision("aaa", 100, "llama-0"), max_concurrency=1, spillover=NEAR), 1)
        await asyncio.gather(*asking)
        assert order == ["a", "b", "c", "d"]

    asyncio.run(play())


def test_who_had_a_place_finds_it_though_the_room_is_full() -> None:
    async def play() -> None:
        pool = pool_of(lambda: 100.0, backend(max_queue=1, queue_timeout=600.0, spillover=NEAR))
        waits = asyncio.create_task(pool.acquire(session=None, affinity=None))
        await asyncio.sleep(0)
        placed = Turn(1.0, lambda: False, placed=True)
        comes_back = asyncio.create_task(pool.acquire(session=None, affinity=None, waited=5.0, turn=placed))
        await asyncio.sleep(0)
        assert (pool.waiting, comes_back.done()) == (2, False)
        waits.cancel()
        comes_back.cancel()

    asyncio.run(play())
