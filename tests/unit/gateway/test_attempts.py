"""Where an engine fails: what is tried again, what the client gets, and that nothing hangs."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from typing import Any

import aiohttp
import pytest

from inferops.gateway.balance.lease import Lease
from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.balance.pool import Pool
from inferops.gateway.table import Replica, Revision, Table
from unit.gateway.engines import (
    CHAT,
    COUNTS,
    DONE,
    STREAMED,
    Engine,
    Seen,
    babbles,
    breaks_off,
    engines,
    error,
    hangs,
    in_turn,
    resets,
    says,
    streams,
    token,
)
from unit.gateway.fronted import KEY, backend, gateway, serving
from unit.waiting import until


@pytest.mark.parametrize(
    ("case", "does", "outcome"),
    [
        ("500", says(500, {"error": {}}), Outcome.FAILED),
        ("502", says(502, {"error": {}}), Outcome.FAILED),
        ("504", says(504, {"error": {}}), Outcome.FAILED),
        ("503: it is full", says(503, {"error": {}}), Outcome.REFUSED),
        ("429: it is full", says(429, {"error": {}}), Outcome.REFUSED),
        ("the connection is reset", resets, Outcome.UNREACHABLE),
        ("what comes is no HTTP", babbles, Outcome.FAILED),
        ("the answer ends in its middle", breaks_off, Outcome.FAILED),
        ("a stream ends before it began", streams(then=resets), Outcome.FAILED),
        ("a stream without anything", streams(), Outcome.FAILED),
    ],
)
async def test_another_replica_is_asked(case: str, does: Any, outcome: Any) -> None:
    shared = in_turn(does, says(200, {"id": "saved"}))
    one, other = Engine(shared), Engine(shared)
    async with serving(one, other) as running:
        answer, body = await running.post()
        record = running.log.records[-1]
        assert running.outcomes() == {outcome: 1, Outcome.OK: 1}
    assert (answer.status, json.loads(body)["id"]) == (200, "saved")
    assert len(one.seen) == len(other.seen) == 1
    assert one.seen[0].body == other.seen[0].body
    assert (record.attempts, record.status, record.error) == (2, 200, "")


async def test_what_another_replica_took_is_not_this_ones_time() -> None:
    failed = 0.0

    async def fails(seen: Seen) -> None:
        nonlocal failed
        failed = time.monotonic()
        await says(500, {"error": {}})(seen)

    shared = in_turn(fails, streams(token("a"), DONE))
    async with serving(Engine(shared), Engine(shared)) as running:
        await running.post(STREAMED)
        record = running.log.records[-1]
    assert record.attempts == 2
    assert record.first is not None
    assert failed <= record.arrived + record.asked <= record.arrived + record.first


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


async def test_another_replica_is_asked_where_there_is_no_connection() -> None:
    engine = Engine()
    async with engines(engine):
        nobody = Replica("nobody", f"127.0.0.1:{free_port()}")
        there = backend(engine)
        replicas = (nobody, *there.revisions[0].replicas)
        async with gateway(backend(engine, revisions=(Revision("aaa", 100, replicas),))) as running:
            for number in range(4):
                answer, _ = await running.post({**CHAT, "prompt_cache_key": str(number)})
                assert answer.status == 200
            tried = running.outcomes()
            assert tried.pop(Outcome.OK) == 4
            assert set(tried) == {Outcome.UNREACHABLE}


@pytest.mark.parametrize(
    ("case", "does", "status", "code"),
    [
        ("its own words, where it said any", says(500, {"error": {"code": "cuda"}}), 500, "cuda"),
        ("full", says(503, {"error": {"code": "full"}}), 503, "full"),
        ("ours, where it said nothing", resets, 502, "upstream_error"),
        ("ours, where it broke off", breaks_off, 502, "upstream_error"),
    ],
)
async def test_what_the_client_gets_where_no_replica_does_better(case: str, does: Any, status: int, code: str) -> None:
    replicas = [Engine(does) for _ in range(4)]
    async with serving(*replicas) as running:
        answer, body = await running.post()
        record = running.log.records[-1]
    assert (answer.status, error(body)["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/json"
    assert (record.status, record.sent, record.first) == (status, len(body), None)
    assert record.error == ("engine_full" if status == 503 else "upstream_error")
    assert answer.headers.get("Retry-After") == (None if status == 500 else "1")
    asked = sum(len(engine.seen) for engine in replicas)
    assert asked == (3 if status == 503 else 2)  # what may have broken two replicas gets no third


@pytest.mark.parametrize("status", [400, 401, 404, 422, 501])
async def test_what_is_the_requests_fault_is_not_tried_again(status: int) -> None:
    replicas = [Engine(says(status, {"error": {"message": "no"}})) for _ in range(2)]
    async with serving(*replicas) as running:
        answer, body = await running.post()
        assert running.outcomes() == {Outcome.CLIENT: 1}
    assert (answer.status, error(body)) == (status, {"message": "no"})
    assert sum(len(engine.seen) for engine in replicas) == 1


async def test_what_changes_something_is_not_tried_again() -> None:
    replicas = [Engine(says(500, {})) for _ in range(2)]
    async with (
        serving(*replicas) as running,
        running.session.delete(running.url + "/v1/responses/7", headers={"Host": "llama.chat"}) as answer,
    ):
        assert answer.status == 500
    assert sum(len(engine.seen) for engine in replicas) == 1


async def test_the_only_replica_s_answer_stands() -> None:
    engine = Engine(says(503, {"error": {"code": "full"}}, retry_after="7"))
    async with serving(engine) as running:
        answer, body = await running.post()
    assert (answer.status, answer.headers["Retry-After"], error(body)["code"]) == (503, "7", "full")
    assert len(engine.seen) == 1


async def test_an_outage_does_not_multiply_requests() -> None:
    replicas = [Engine(says(500, {})) for _ in range(2)]
    async with serving(*replicas) as running:
        for _ in range(40):
            await running.post()
    assert sum(len(engine.seen) for engine in replicas) <= 40 * 1.2 + 5


async def test_a_request_without_a_replica() -> None:
    async with gateway(backend(asleep="stopped by its owner", revisions=())) as running:
        answer, body = await running.post()
        refused = running.parts.meters.services[KEY].refused
    assert (answer.status, error(body)["code"], error(body)["type"]) == (503, "service_asleep", "service_unavailable")
    assert "stopped by its owner" in error(body)["message"]
    assert int(answer.headers["Retry-After"]) >= 1
    assert refused == {(503, "service_asleep"): 1}


async def test_a_full_room() -> None:
    async with gateway(backend(revisions=(), max_queue=0)) as running:
        answer, body = await running.post()
    assert (answer.status, error(body)["code"], error(body)["type"]) == (429, "queue_full", "rate_limit_error")
    assert "Retry-After" in answer.headers


async def test_requests_wait_for_the_first_replica() -> None:
    engine = Engine()
    async with engines(engine), gateway(backend(revisions=())) as running:
        waiting = [asyncio.create_task(running.post()) for _ in range(5)]
        pool = running.fleet.pool(KEY)
        await until(lambda: pool.waiting >= 5)
        running.fleet.update(Table([backend(engine)]))
        assert [answer.status for answer, _ in await asyncio.gather(*waiting)] == [200] * 5
        assert all(record.queued > 0 for record in running.log.records)


async def test_a_replica_that_hangs_loses_its_requests_to_others() -> None:
    shared = in_turn(hangs, says(200, {"id": "saved"}))
    one, other = Engine(shared), Engine(shared)
    async with serving(one, other) as running:
        asking = asyncio.create_task(running.post())
        await until(lambda: one.seen or other.seen)
        (lease,) = [lease for member in running.fleet.pool(KEY).members() for lease in member.held]
        lease.lose()
        answer, body = await asking
    assert (answer.status, json.loads(body)["id"]) == (200, "saved")


async def test_a_request_that_takes_too_long() -> None:
    engine = Engine(hangs)
    async with serving(engine, request_timeout=60.0) as running:
        asking = asyncio.create_task(running.post())
        await until(lambda: engine.seen)
        running.clock.added += 61
        running.parts.deadlines.check()
        answer, body = await asking
        await engine.left.wait()
    assert (answer.status, error(body)["type"], error(body)["code"]) == (504, "timeout_error", "request_timeout")
    assert "requestTimeout" in error(body)["message"]
    assert len(engine.seen) == 1


async def test_a_client_that_goes_away_takes_its_request_along() -> None:
    engine = Engine(hangs)
    async with serving(engine) as running:
        asking = asyncio.create_task(running.post())
        await until(lambda: engine.seen)
        asking.cancel()
        await engine.left.wait()
        record = await running.log.next()
        assert (running.fleet.pool(KEY).in_flight, running.outcomes()) == (0, {Outcome.GONE: 1})
    assert (record.status, record.error) == (499, "client_gone")


async def test_a_large_answer_is_passed_on_before_it_is_whole() -> None:
    size = 9 << 20
    engine = Engine(says(200, b"x" * size))
    async with serving(engine) as running:
        answer, body = await running.post()
        record = await running.log.next()
    assert (answer.status, len(body), record.sent) == (200, size, size)


async def test_a_large_answer_that_breaks_off_does_not_look_whole() -> None:
    async def does(seen):
        await seen.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n")
        await seen.send(b"x" * (9 << 20))
        await breaks_off(seen)

    async with serving(Engine(does)) as running:
        with pytest.raises(aiohttp.ClientPayloadError):
            await running.post()
        record = await running.log.next()
    assert (record.broken, record.error) == (True, "upstream_error")


async def test_the_pool_is_told_how_attempts_go(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    for name in ("progress", "done"):
        real = getattr(Lease, name)

        def spied(lease, *outcome, name=name, real=real):
            told.append(outcome[0] if outcome else name)
            real(lease, *outcome)

        monkeypatch.setattr(Lease, name, spied)
    shared = in_turn(resets, says(), streams(token("a"), COUNTS + DONE))
    async with serving(Engine(shared), Engine(shared)) as running:
        await running.post()
        assert told == [Outcome.UNREACHABLE, "progress", Outcome.OK]
        told.clear()
        await running.post(STREAMED)
    assert told[0] == "progress"
    assert told[-1] is Outcome.OK


async def test_the_wait_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    real, waits = Pool.acquire, []

    async def acquire(pool, *, waited, **wishes):
        waits.append(waited)
        lease = await real(pool, waited=waited, **wishes)
        lease.queued = 3.0
        return lease

    monkeypatch.setattr(Pool, "acquire", acquire)
    shared = in_turn(resets, says())
    async with serving(Engine(shared), Engine(shared)) as running:
        await running.post()
        assert running.log.records[-1].queued == 6.0
    assert waits == [0.0, 3.0]


async def test_who_waited_in_vain_is_told_of_with_the_wait() -> None:
    async with gateway(backend(queue_timeout=0.05)) as running:
        answer, body = await running.post()
        assert (answer.status, error(body)["code"]) == (503, "queue_timeout")
        record = await running.log.next()
    assert 0.05 <= record.queued <= record.duration
