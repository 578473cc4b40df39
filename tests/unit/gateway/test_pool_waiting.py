"""One service: who waits how long, and what those are told who wait in vain."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from inferops.gateway.balance.outcome import Asleep, NoReplica, Outcome, QueueFull, QueueTimeout, Withdrawn
from unit.gateway.pools import backend, pool_of, revision, take, turn, waits
from unit.kube.virtualtime import now, run

OK, FAILED = Outcome.OK, Outcome.FAILED
THREE = revision("v1", 100, "a", "b", "c")


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
