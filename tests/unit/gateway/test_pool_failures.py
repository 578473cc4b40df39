"""One service: what a failing replica costs, and how it comes back."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from inferops.gateway.balance.outcome import NoOther, Outcome, QueueTimeout
from inferops.gateway.balance.pool import Pool
from unit.gateway.pools import backend, fails, pool_of, revision, take, turn, waits
from unit.kube.virtualtime import now, run

OK, FAILED, UNREACHABLE, REFUSED = Outcome.OK, Outcome.FAILED, Outcome.UNREACHABLE, Outcome.REFUSED
THREE = revision("v1", 100, "a", "b", "c")


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
