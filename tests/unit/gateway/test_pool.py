"""One service: who gets which replica, who waits how long, and what a failing replica costs."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.fleet import Fleet
from inferops.gateway.lease import Lease
from inferops.gateway.outcome import Asleep, NoOther, NoReplica, Outcome, QueueFull, QueueTimeout, Withdrawn
from inferops.gateway.pool import Pool
from inferops.gateway.table import Table
from unit.gateway.pools import backend, pool_of, revision, take
from unit.kube.virtualtime import now, run

OK, FAILED, UNREACHABLE, REFUSED = Outcome.OK, Outcome.FAILED, Outcome.UNREACHABLE, Outcome.REFUSED
THREE = revision("v1", 100, "a", "b", "c")
KEYS = [f"prefix-{number}".encode() for number in range(600)]


async def fails(pool: Pool, name: str, outcome: Outcome = FAILED, times: int = 5) -> None:
    """So many requests at the replica of this name end so."""
    others = {member.replica.name for member in pool.members()} - {name}
    for lease in [await take(pool, exclude=others) for _ in range(times)]:
        lease.done(outcome)


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def waits(pool: Pool, **wishes: object) -> asyncio.Task[Lease]:
    return asyncio.create_task(take(pool, **wishes))


async def owner(pool: Pool, key: bytes) -> str:
    lease = await take(pool, affinity=key)
    lease.done(OK)
    return lease.replica.name


# Which replica


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


# Which revision


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


# Failing replicas


def test_one_that_fails_is_not_asked_until_it_proves_itself_with_one_request() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(THREE))
        await fails(pool, "a")
        assert {(await take(pool)).replica.name for _ in range(20)} == {"b", "c"}
        await asyncio.sleep(1)
        trial = await take(pool)
        assert trial.replica.name == "a"
        assert "a" not in {(await take(pool)).replica.name for _ in range(20)}
        trial.done(OK)
        assert (await take(pool)).replica.name == "a"

    run(scene())


def test_it_is_told_who_is_out_and_who_is_back(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(THREE))
        await fails(pool, "a")
        await asyncio.sleep(1)
        (await take(pool)).done(FAILED)
        await asyncio.sleep(2)
        (await take(pool)).done(OK)

    with caplog.at_level("INFO", "inferops.gateway"):
        run(scene())
    assert caplog.messages == [
        "chat/llama: replica a at a.pods:8000 is not asked any more (errors)",
        "chat/llama: replica a at a.pods:8000 is asked again",
    ]


def test_a_stream_that_begins_is_proof_enough() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(THREE))
        await fails(pool, "a")
        await asyncio.sleep(1)
        trial = await take(pool)
        trial.progress()
        assert [(await take(pool)).replica.name for _ in range(3)].count("a") == 1
        trial.done(FAILED)  # on probation: out again
        assert "a" not in {(await take(pool)).replica.name for _ in range(20)}

    run(scene())


def test_a_trial_keeps_to_the_bound_and_goes_to_those_who_wait_first() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a", "b"), max_concurrency=6))
        stream = await take(pool, exclude={"b"})
        await fails(pool, "a")  # while the stream goes on
        pool.update(backend(revision("v1", 100, "a", "b"), max_concurrency=1), 1)
        await take(pool)
        first = waits(pool)
        await asyncio.sleep(1)
        late = waits(pool)
        await turn()
        assert pool.waiting == 2  # a has its one request still
        pool.update(backend(revision("v1", 100, "a", "b"), max_concurrency=2), 1)
        await turn()
        assert {(await first).replica.name, (await late).replica.name} == {"a", "b"}
        stream.done(OK)

    run(scene())


def test_time_alone_frees_a_trial_for_the_first_in_line() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a", "b"), max_concurrency=5))
        await fails(pool, "a")
        pool.update(backend(revision("v1", 100, "a", "b"), max_concurrency=1), 1)
        await take(pool)
        first = waits(pool)
        await asyncio.sleep(1)
        assert not first.done()
        late = waits(pool)
        assert (await first).replica.name == "a"
        assert not late.done()
        late.cancel()
        await turn()

    run(scene())


@pytest.mark.parametrize(("names", "out"), [("a", 0), ("ab", 1), ("abc", 1), ("abcd", 2), ("abcdefgh", 4)])
def test_errors_take_out_half_of_a_revision_and_no_more(names: str, out: int) -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, *names)))
        leases = [await take(pool) for _ in range(len(names) * 10)]
        for lease in leases:
            lease.done(FAILED)
        assert sum(member.breaker.cause is not None for member in pool.members()) == out

    run(scene())


@pytest.mark.parametrize(("names", "outcome", "bad"), [("abcd", REFUSED, "a"), ("abcd", FAILED, "abc")])
def test_replicas_that_refuse_or_fail_fast_do_not_draw_all_requests(names: str, outcome: Outcome, bad: str) -> None:
    asked: Counter[str] = Counter()

    async def client(pool: Pool) -> None:
        while now() < 20:
            lease = await take(pool)
            asked[lease.replica.name] += 1
            await asyncio.sleep(0.001 if lease.replica.name in bad else 0.1)
            lease.done(outcome if lease.replica.name in bad else OK)

    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, *names)))
        await asyncio.gather(*(client(pool) for _ in range(8)))

    run(scene())
    assert sum(asked[name] for name in bad) < 0.25 * asked.total()


def test_all_that_refuse_are_asked_all_the_same() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(THREE))
        for _ in range(12):
            (await take(pool)).done(REFUSED)
        assert {(await take(pool, exclude={"b"})).replica.name for _ in range(4)} == {"a", "c"}
        assert now() == 0

    run(scene())


def test_one_that_rests_can_go_out() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(THREE))
        refused, *lost = [await take(pool, exclude={"b", "c"}) for _ in range(3)]
        refused.done(REFUSED)
        for lease in lost:
            lease.done(UNREACHABLE)
        await asyncio.sleep(1)
        assert {(await take(pool)).replica.name for _ in range(6)} == {"b", "c"}

    run(scene())


def test_lost_connections_may_take_out_all_and_requests_wait_then() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(THREE))
        for lease in [await take(pool) for _ in range(9)]:
            lease.done(UNREACHABLE)
        began = now()
        with pytest.raises(QueueTimeout):
            await take(pool, waited=20.0)
        assert now() - began == 10

    run(scene())


def test_those_that_are_out_are_asked_again_when_the_good_ones_leave() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, *"abcd")))
        await fails(pool, "a")
        await fails(pool, "b")
        pool.update(backend(revision("v1", 100, "a", "b")), 1)
        assert len({(await take(pool)).replica.name for _ in range(4)}) == 1
        pool.update(backend(revision("v1", 100, "a")), 1)
        assert (await take(pool)).replica.name == "a"

    run(scene())


def test_an_answer_of_the_only_replica_stands() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a")))
        for outcome in (FAILED, REFUSED):
            (await take(pool)).done(outcome)
            with pytest.raises(NoOther):
                await take(pool, exclude={"a"})
        assert now() == 0

    run(scene())


def test_no_answer_of_the_only_replica_is_waited_for() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a")))
        (await take(pool)).done(UNREACHABLE)
        again = await take(pool, exclude={"a"})
        assert (again.replica.name, again.queued) == ("a", 0.25)
        again.done(UNREACHABLE)  # it is out now
        waiting = waits(pool, exclude={"a"})
        await asyncio.sleep(1)
        pool.update(backend(revision("v1", 100, "a", "b")), 1)
        lease = await waiting
        assert (lease.replica.name, lease.queued) == ("b", 1)

    run(scene())


def test_a_retry_waits_no_longer_than_its_request_may() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a")))
        for lease in [await take(pool), await take(pool)]:
            lease.done(UNREACHABLE)
        with pytest.raises(QueueTimeout):
            await take(pool, exclude={"a"}, waited=20.0)
        assert now() == 10

    run(scene())


# Waiting


def test_200_at_zero_are_all_released_when_one_replica_comes() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100)))
        waiting = [waits(pool) for _ in range(200)]
        await asyncio.sleep(12)
        assert pool.waiting == 200
        pool.update(backend(revision("v1", 100, "a")), 1)
        leases = await asyncio.gather(*waiting)
        assert {(lease.replica.name, lease.queued) for lease in leases} == {("a", 12.0)}
        assert (pool.waiting, pool.in_flight, now()) == (0, 200, 12)

    run(scene())


def test_all_are_told_in_time_where_no_replica_comes() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100)))
        said = await asyncio.gather(*(waits(pool) for _ in range(200)), return_exceptions=True)
        assert now() == 30
        assert {type(error) for error in said} == {QueueTimeout}
        assert all(isinstance(error, NoReplica) and error.retry_after == 10 for error in said)

    run(scene())


def test_a_full_room_sends_away_at_once_and_is_shared_out_among_gateways() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100), max_queue=5), peers=2)
        waiting = [waits(pool) for _ in range(3)]
        await turn()
        with pytest.raises(QueueFull) as raised:
            await take(pool)
        assert (raised.value.status, now()) == (429, 0)
        pool.update(backend(revision("v1", 100), max_queue=5), 1)
        waiting += [waits(pool) for _ in range(2)]
        await turn()
        assert pool.waiting == 5
        for task in waiting:
            task.cancel()
        await turn()

    run(scene())


def test_concurrency_is_bounded_shared_out_and_handed_on_in_order() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a", "b"), max_concurrency=3), peers=2)
        held = [await take(pool, affinity=b"key") for _ in range(4)]
        assert Counter(lease.replica.name for lease in held) == {"a": 2, "b": 2}
        first, second = waits(pool), waits(pool)
        await turn()
        held[0].done(OK)
        assert (await first).replica is held[0].replica
        assert not second.done()
        pool.update(pool.backend, 1)  # the other gateway went: three each
        await second
        assert pool.in_flight == 5

    run(scene())


def test_a_canary_that_is_full_leaves_what_is_beyond_to_the_others() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 10, "a", "b"), revision("v2", 90, "c"), max_concurrency=1))
        assert {(await take(pool)).replica.name for _ in range(3)} == {"a", "b", "c"}

    run(scene())


def test_nobody_overtakes_those_who_wait() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a"), max_concurrency=1))
        held = await take(pool)
        first = waits(pool)
        await turn()
        held.done(OK)
        late = waits(pool)  # the place is the first's, though he has not run yet
        await turn()
        assert (first.done(), late.done()) == (True, False)
        late.cancel()
        await turn()

    run(scene())


def test_a_place_handed_to_one_who_just_left_goes_to_the_next() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a"), max_concurrency=1))
        held, first, second = await take(pool), waits(pool), waits(pool)
        await turn()
        held.done(OK)
        first.cancel()
        await second
        assert pool.in_flight == 1

    run(scene())


def test_a_retry_waits_for_another_than_it_was_at_while_there_is_one() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a", "b"), max_concurrency=1))
        held = {lease.replica.name: lease for lease in [await take(pool), await take(pool)]}
        retry, other = waits(pool, exclude={"a"}), waits(pool)
        await turn()
        held["a"].done(FAILED)
        assert (await other).replica.name == "a"
        pool.update(backend(revision("v1", 100, "a"), max_concurrency=1), 1)  # b leaves
        (await other).done(OK)
        assert (await retry).replica.name == "a"

    run(scene())


def test_nobody_waits_where_no_replica_will_come() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100)))
        waiting = waits(pool)
        await turn()
        pool.update(backend(revision("v1", 100), asleep="it was scaled to 0 by hand"), 1)
        for request in (waiting, waits(pool)):
            with pytest.raises(Asleep, match="by hand"):
                await request
        assert now() == 0
        pool.update(backend(THREE, asleep="it was scaled to 0 by hand"), 1)
        assert (await take(pool)).revision.hash == "v1"  # some are there yet

    run(scene())


def test_a_deleted_service_sends_all_away() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100)))
        waiting = waits(pool)
        await turn()
        pool.close()
        for request in (waiting, waits(pool)):
            with pytest.raises(Withdrawn, match="chat/llama was deleted"):
                await request

    run(scene())


def test_no_time_to_wait_is_no_wait() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100), queue_timeout=0.0))
        with pytest.raises(QueueTimeout):
            await take(pool)
        assert now() == 0

    run(scene())


# When to come again


def test_from_zero_it_says_how_long_loading_takes_by_the_last_time() -> None:
    async def scene() -> None:
        empty = backend(revision("v1", 100), max_queue=1)
        pool = pool_of(now, empty)
        first = waits(pool)
        await asyncio.sleep(20)
        pool.update(backend(THREE), 1)
        (await first).done(OK)
        pool.update(empty, 1)
        second = waits(pool)
        await asyncio.sleep(5)
        with pytest.raises(QueueFull) as raised:
            await take(pool)
        assert raised.value.retry_after == 15
        with pytest.raises(QueueTimeout) as raised_late:
            await second
        assert raised_late.value.retry_after == 10  # it is overdue, and nobody knows by how much

    run(scene())


def test_a_full_room_says_how_long_it_takes_to_empty() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a", "b"), max_concurrency=2, max_queue=8))
        for _ in range(3):
            leases = [await take(pool) for _ in range(4)]
            await asyncio.sleep(6)
            for lease in leases:
                lease.done(OK)
        held = [await take(pool) for _ in range(4)]
        waiting = [waits(pool) for _ in range(8)]
        await turn()
        with pytest.raises(QueueFull) as raised:
            await take(pool)
        assert raised.value.retry_after == 12  # 8 requests of 6 s, 4 at once
        for lease in held:
            lease.done(OK)
        for task in waiting:
            task.cancel()
        await turn()

    run(scene())


def test_one_slow_answer_says_little_about_the_next() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a"), max_concurrency=1, max_queue=1))
        for seconds in (2, 2, 2, 22):
            lease = await take(pool)
            await asyncio.sleep(seconds)
            lease.done(OK)
        await take(pool)
        waiting = waits(pool)
        await turn()
        with pytest.raises(QueueFull) as raised:
            await take(pool)
        assert raised.value.retry_after == 4  # 2 + a tenth of 20
        waiting.cancel()
        await turn()

    run(scene())


# Replicas that come and go


def test_what_runs_on_a_replica_that_leaves_goes_on() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a")))
        lease = await take(pool)
        pool.update(backend(revision("v2", 100, "b", "c")), 1)
        pool.update(backend(revision("v2", 100, "b")), 1)
        assert [member.replica.name for member in pool.members()] == ["b", "a"]
        assert {(await take(pool)).replica.name for _ in range(3)} == {"b"}
        assert not lease.lost
        assert pool.in_flight == 4
        lease.done(OK)
        assert [member.replica.name for member in pool.members()] == ["b"]

    run(scene())


def test_a_replica_that_comes_back_is_known_by_name_and_address() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a", "b")))
        leases = [await take(pool) for _ in range(4)]
        pool.update(backend(revision("v1", 100, "b")), 1)
        pool.update(backend(revision("v1", 100, "a", "b")), 1)
        assert sorted(member.in_flight for member in pool.members()) == [2, 2]
        for lease in leases:
            lease.done(OK)
        assert [member.in_flight for member in pool.members()] == [0, 0]

    run(scene())


def test_a_revision_that_comes_back_with_requests_in_flight_goes_on_counting() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a", "b")))
        leases = [await take(pool) for _ in range(4)]
        pool.update(backend(revision("v2", 100, "c")), 1)
        leases[0].done(OK)
        pool.update(backend(revision("v1", 100, "a", "b")), 1)
        for lease in leases:
            lease.done(OK)
        names = [(await take(pool)).replica.name for _ in range(4)]
        assert Counter(names) == {"a": 2, "b": 2}
        assert sorted(member.in_flight for member in pool.members()) == [2, 2]

    run(scene())


def test_a_replica_that_is_told_of_under_another_revision_harms_nothing() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a")))
        lease = await take(pool)
        pool.update(backend(revision("v2", 100, "a")), 1)
        again = await take(pool)
        lease.done(OK)
        again.done(OK)
        assert [(member.revision, member.in_flight) for member in pool.members()] == [("v2", 0)]

    run(scene())


def test_a_new_pod_of_an_old_name_begins_anew() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(revision("v1", 100, "a")))
        await fails(pool, "a", UNREACHABLE)
        moved = replace(revision("v1", 100, "a").replicas[0], address="10.0.0.9:8000")
        pool.update(backend(replace(THREE, replicas=(moved,))), 1)
        assert (await take(pool)).replica == moved

    run(scene())


def test_idle_counts_from_the_last_request() -> None:
    async def scene() -> None:
        pool = pool_of(now, backend(THREE))
        await asyncio.sleep(5)
        assert pool.idle(now()) == 5
        lease = await take(pool)
        await asyncio.sleep(5)
        assert pool.idle(now()) == 0
        lease.done(OK)
        await asyncio.sleep(2)
        assert pool.idle(now()) == 2

    run(scene())


worlds = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from([None, "user-1", "user-2"]), st.sampled_from([None, b"k1", b"k2"])),
        st.tuples(st.just("end"), st.integers(0, 20), st.sampled_from(list(Outcome))),
        st.tuples(st.just("leave"), st.integers(0, 20), st.none()),
        st.tuples(st.just("table"), st.sets(st.sampled_from("abcd")), st.integers(0, 100)),
        st.tuples(st.just("pass"), st.integers(1, 9), st.none()),
    ),
    max_size=50,
)


@given(worlds, st.sampled_from([None, 1, 2]))
def test_whatever_happens_nothing_is_lost(history: list[tuple[str, object, object]], limit: int | None) -> None:
    run(_live(history, limit))


async def _live(history: list[tuple[str, object, object]], limit: int | None) -> None:
    pool = pool_of(now, backend(max_concurrency=limit))
    asked: list[asyncio.Task[Lease]] = []
    for act, one, other in history:
        match act, one, other:
            case "ask", session, affinity:
                asked.append(waits(pool, session=session, affinity=affinity))
            case "end", int(which), Outcome() as outcome:
                if holding := [task for task in asked if task.done() and not task.cancelled() and not task.exception()]:
                    holding[which % len(holding)].result().done(outcome)
            case "leave", int(which), _ if asked:
                asked[which % len(asked)].cancel()
            case "table", set() as names, int(weight):
                canary = [name for name in names if name > "b"]
                stable = [name for name in names if name <= "b"]
                two = (revision("v1", 100 - weight, *stable), revision("v2", weight, *canary))
                some = [each for each in two if each.replicas or weight % 2]  # revisions come and go too
                pool.update(backend(*some, max_concurrency=limit), 1)
            case "pass", int(seconds), _:
                await asyncio.sleep(seconds)
        await turn()
        _check(pool, asked, limit)
    await asyncio.sleep(31)
    assert pool.waiting == 0
    for task in asked:
        if not task.cancelled() and not task.exception():
            task.result().done(OK)
    assert pool.in_flight == 0
    assert all(member.in_flight == 0 and not member.held for member in pool.members())


def _check(pool: Pool, asked: list[asyncio.Task[Lease]], limit: int | None) -> None:
    members = list(pool.members())
    held = [task.result() for task in asked if task.done() and not task.cancelled() and not task.exception()]
    running = [lease for lease in held if not lease.ended]
    assert pool.in_flight == len(running) == sum(member.in_flight for member in members)
    assert pool.waiting == sum(not task.done() for task in asked)
    assert all(member.in_flight <= (limit or len(asked)) for member in members)
    if pool.waiting:  # only while nobody may be asked
        weighted = [each for each in pool.backend.revisions if each.weight and each.replicas]
        serving = weighted or [each for each in pool.backend.revisions if each.replicas]
        open_ = {replica for each in serving for replica in each.replicas}
        free = [m for m in members if m.replica in open_ and m.breaker.cause is None and m.in_flight < (limit or 999)]
        assert not free
