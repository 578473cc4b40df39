"""One service: who gets which revision and which replica."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.balance.fleet import Fleet
from inferops.gateway.balance.lease import Lease
from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.table import Table
from unit.gateway.pools import backend, fails, owner, pool_of, revision, take, turn, waits
from unit.kube.virtualtime import now, run

OK, UNREACHABLE = Outcome.OK, Outcome.UNREACHABLE
THREE = revision("v1", 100, "a", "b", "c")
KEYS = [f"prefix-{number}".encode() for number in range(600)]


def test_the_least_loaded_is_asked_and_equals_take_turns() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(THREE))
        held = [await take(pool) for _ in range(3)]
        assert sorted(lease.replica.name for lease in held) == ["a", "b", "c"]
        held[1].done(OK)
        assert (await take(pool)).replica is held[1].replica
        for lease in held:
            lease.done(OK)  # the second time for one of them, which does not count
        assert pool.in_flight == 1

    run(scene())


def test_without_load_all_take_turns() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(THREE))
        names = []
        for _ in range(9):
            lease = await take(pool)
            names.append(lease.replica.name)
            lease.done(OK)
        assert Counter(names) == {"a": 3, "b": 3, "c": 3}

    run(scene())


def test_gateways_do_not_all_begin_with_the_same_replica() -> None:
    async def scene() -> None:
        firsts = []
        for start in (0.0, 0.4, 0.9):
            fleet = Fleet(now, jitter=lambda start=start: start)
            fleet.update(Table([backend(THREE)]))
            for pool in fleet.pools():
                firsts.append((await take(pool)).replica.name)
        assert firsts == ["a", "b", "c"]

    run(scene())


def test_a_key_stays_where_it_is_and_moves_only_with_its_replica() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(THREE))
        before = {key: await owner(pool, key) for key in KEYS}
        assert {key: await owner(pool, key) for key in KEYS} == before
        pool.update(backend(revision("v1", 100, "a", "b")), 1)
        left = {key: await owner(pool, key) for key in KEYS}
        assert {key for key in KEYS if left[key] != before[key]} == {key for key in KEYS if before[key] == "c"}
        pool.update(backend(THREE), 1)
        assert {key: await owner(pool, key) for key in KEYS} == before

    run(scene())


def test_every_gateway_sends_a_key_to_the_same_replica() -> None:
    async def scene() -> None:
        here = pool_of(now, backend(THREE))
        there = pool_of(now, backend(revision("v1", 100, "c", "a", "b")))
        assert [await owner(here, key) for key in KEYS] == [await owner(there, key) for key in KEYS]

    run(scene())


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=150), st.integers(1, 7))
def test_no_replica_gets_more_than_its_bounded_share(acts: list[tuple[int, bool]], count: int) -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, *(f"r{number}" for number in range(count)))))
        held: list[Lease] = []
        for key, ends in acts:
            if ends and held:
                held.pop(key % len(held)).done(OK)
            lease = await take(pool, affinity=bytes([key]))
            held.append(lease)
            assert lease.member.in_flight <= ceil(1.25 * len(held) / count)
            assert pool.in_flight == len(held) == sum(member.in_flight for member in pool.members())

    run(scene())


def test_a_hot_key_spills_to_the_next_on_its_way_and_no_further() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, *"abcdefgh")))
        counts = Counter([(await take(pool, affinity=b"hot")).replica.name for _ in range(40)])
        assert len(counts) < 8
        assert max(counts.values()) <= ceil(1.25 * 40 / 8)

    run(scene())


def test_a_session_is_a_key_where_there_is_no_other() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(THREE))
        names = []
        for _ in range(5):
            lease = await take(pool, session="user-1")
            names.append(lease.replica.name)
            lease.done(OK)
        assert len(set(names)) == 1

    run(scene())


def test_what_was_asked_already_is_passed_over() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(THREE))
        for wishes in ({"affinity": b"key"}, {"session": "user"}, {}):
            assert (await take(pool, exclude=["a", "b"], **wishes)).replica.name == "c"
            assert (await take(pool, exclude=("a", "a", "b", "gone"), **wishes)).replica.name == "c"

    run(scene())


def test_weights_share_out_requests_and_move_sessions_one_way_only() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 95, "a"), revision("v2", 5, "b")))
        counts: Counter[str] = Counter()
        for _ in range(20_000):
            lease = await take(pool)
            counts[lease.revision.hash] += 1
            lease.done(OK)
        assert abs(counts["v2"] - 1000) <= 5
        was: set[str] = set()
        for weight in (5, 25, 50, 100):
            pool.update(backend(revision("v1", 100 - weight, "a"), revision("v2", weight, "b")), 1)
            moved = set()
            for number in range(400):
                lease = await take(pool, session=f"user-{number}")
                moved |= {f"user-{number}"} if lease.revision.hash == "v2" else set()
                lease.done(OK)
            assert was <= moved
            assert abs(len(moved) - 4 * weight) <= 20
            was = moved

    run(scene())


@pytest.mark.parametrize("wishes", [{}, {"session": "user-1"}, {"affinity": b"key"}])
def test_a_canary_that_cannot_answer_leaves_its_share_to_the_others(wishes: dict[str, object]) -> None:
    async def scene() -> None:
        both = backend(revision("v1", 50, "a"), revision("v2", 50, "b"))
        for pool in (pool_of(now, backend(revision("v1", 50, "a"), revision("v2", 50))), pool_of(now, both)):
            if len(list(pool.members())) == 2:
                await fails(pool, "b", UNREACHABLE)
            for _ in range(20):
                assert (await take(pool, **wishes)).revision.hash == "v1"

    run(scene())


def test_weight_0_answers_only_while_nothing_of_a_weight_is_there() -> None:
    async def scene() -> None:
        old, new = revision("v1", 0, "a"), revision("v2", 100, "b")
        pool = pool_of(now, backend(old, replace(new, replicas=())))
        assert (await take(pool)).revision.hash == "v1"
        pool.update(backend(old, new), 1)
        assert {(await take(pool)).revision.hash for _ in range(20)} == {"v2"}
        await fails(pool, "b", UNREACHABLE)
        waiting = waits(pool)
        await turn()
        assert pool.waiting == 1  # it is there, though it must not be asked: no traffic goes back by itself
        waiting.cancel()
        await turn()

    run(scene())
