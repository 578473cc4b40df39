"""One service: replicas that come and go, and that nothing is lost whatever happens."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from inferops.gateway.balance.lease import Lease
from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.balance.pool import Pool
from unit.gateway.pools import backend, fails, pool_of, revision, take, turn, waits
from unit.kube.virtualtime import now, run

OK, UNREACHABLE = Outcome.OK, Outcome.UNREACHABLE
THREE = revision("v1", 100, "a", "b", "c")


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


TWICE_GONE = [
    *(("ask", None, None), ("table", {"a"}, 0), ("table", set[str](), 0)),
    *(("ask", None, None), ("table", {"a"}, 0), ("table", set[str](), 0)),
]


@example(TWICE_GONE, None)
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
