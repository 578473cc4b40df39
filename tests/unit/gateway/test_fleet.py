"""All services together: live state survives new tables, and news of who waits reaches the operator."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from inferops.gateway.balance.outcome import Outcome, QueueFull, Withdrawn
from inferops.gateway.table import ServiceKey, Table
from unit.gateway.pools import KEY, backend, fleet_of, revision, take
from unit.kube.virtualtime import now, run

V1 = revision("v1", 100, "a")
OTHER = ServiceKey("chat", "other")


def test_a_new_table_keeps_what_is_there() -> None:
    async def scene() -> None:
        fleet = fleet_of(now, backend(V1))
        pool = fleet.pool(KEY)
        assert pool is not None
        lease = await take(pool)
        fleet.update(Table([backend(V1, queue_timeout=5.0), backend(V1, key=OTHER)]))
        assert fleet.pool(KEY) is pool
        assert (pool.in_flight, pool.backend.queue_timeout) == (1, 5.0)
        assert {each.backend.key for each in fleet.pools()} == {KEY, OTHER}
        lease.done(Outcome.OK)

    run(scene())


def test_a_service_that_goes_away_lets_its_requests_end_and_is_forgotten() -> None:
    async def scene() -> None:
        fleet = fleet_of(now, backend(V1, max_concurrency=1))
        pool = fleet.pool(KEY)
        assert pool is not None
        lease, waiting = await take(pool), asyncio.create_task(take(pool))
        await asyncio.sleep(0)
        fleet.update(Table([]))
        with pytest.raises(Withdrawn):
            await waiting
        assert fleet.pool(KEY) is None
        assert not lease.lost
        assert list(fleet.watched()) == [pool]  # should its replica hang, the request must not
        lease.done(Outcome.OK)
        assert list(fleet.watched()) == []

    run(scene())


def test_a_service_of_the_same_name_begins_anew() -> None:
    async def scene() -> None:
        fleet = fleet_of(now, backend(V1))
        before = fleet.pool(KEY)
        fleet.update(Table([]))
        fleet.update(Table([backend(V1)]))
        pool = fleet.pool(KEY)
        assert pool is not None
        assert pool is not before
        (await take(pool)).done(Outcome.OK)

    run(scene())


def test_the_first_who_waits_and_the_last_are_told() -> None:
    async def scene() -> None:
        fleet = fleet_of(now, backend(replace(V1, replicas=())), backend(V1, key=OTHER))
        told: list[tuple[ServiceKey, int]] = []

        def tell(key: ServiceKey) -> None:
            pool = fleet.pool(key)
            assert pool is not None
            told.append((key, pool.waiting))

        fleet.on_demand = tell
        pool = fleet.pool(KEY)
        assert pool is not None
        waiting = [asyncio.create_task(take(pool)) for _ in range(3)]
        await asyncio.sleep(0)
        assert told == [(KEY, 1)]
        fleet.update(Table([backend(V1), backend(V1, key=OTHER)]))
        assert told == [(KEY, 1), (KEY, 0)]
        await asyncio.gather(*waiting)

    run(scene())


def test_another_gateway_halves_what_this_one_may_hold() -> None:
    async def scene() -> None:
        fleet = fleet_of(now, backend(V1, max_concurrency=4, max_queue=0))
        pool = fleet.pool(KEY)
        assert pool is not None
        held = [await take(pool) for _ in range(4)]
        fleet.update(fleet.table, peers=2)
        assert fleet.peers == 2
        for lease in held[:2]:
            lease.done(Outcome.OK)
        with pytest.raises(QueueFull):
            await take(pool)
        fleet.update(fleet.table)
        assert fleet.peers == 2
        held[2].done(Outcome.OK)
        await take(pool)

    run(scene())


def test_a_service_that_is_new_has_been_idle_since_it_is_known() -> None:
    async def scene() -> None:
        fleet = fleet_of(now, backend(V1))
        await asyncio.sleep(100)
        fleet.update(Table([backend(V1), backend(V1, key=OTHER)]))
        assert {pool.backend.key: pool.idle(now()) for pool in fleet.pools()} == {KEY: 100, OTHER: 0}

    run(scene())
