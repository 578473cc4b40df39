"""Where other clusters do not answer: who is asked next, what comes back, and that nothing is passed on twice."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from inferops.gateway.proxy.watch import Watch
from unit.gateway.clusters import HERE, THERE, arrivals, at, clusters, configured, neighbours, pool_of, sent
from unit.gateway.engines import (
    COUNTS,
    DONE,
    STREAM,
    STREAMED,
    Does,
    Engine,
    Seen,
    breaks_off,
    chunk,
    engines,
    error,
    hangs,
    says,
    streams,
    token,
)
from unit.gateway.fronted import KEY, gateway
from unit.gateway.test_attempts import free_port
from unit.waiting import until

SHORT = at(queue_timeout=0.3)


async def test_one_that_refuses_is_passed_over_and_the_next_one_answers() -> None:
    async with clusters(at(), at(asleep="stopped"), at(Engine(says(200, THERE)))) as (own, refuses, answers):
        for _ in range(3):
            answer, body = await own.post()
            assert (answer.status, json.loads(body)) == (200, THERE)
            assert answer.headers["Inferops-Cluster"] == "c1"
        assert sent(own) == {("c0", "refused"): 1, ("c1", "answered"): 3}
        assert (arrivals(refuses), arrivals(answers)) == (0, 3)
        own.clock.added += 40.0
        await own.post()
        assert sent(own) == {("c0", "refused"): 2, ("c1", "answered"): 4}


async def test_what_nobody_takes_comes_back_and_waits_in_its_place() -> None:
    here = Engine(says(200, HERE))
    async with engines(here), clusters(at(), at(asleep="stopped")) as (own, other):
        pool = pool_of(own)
        first = asyncio.create_task(own.post())
        await until(lambda: sent(own) == {("c0", "refused"): 1} and pool.waiting)
        second = asyncio.create_task(own.post())
        await until(lambda: pool.waiting >= 2)
        configured(own, at(here).backend(spillover=neighbours(other.url)))
        assert [json.loads(body) for _, body in await asyncio.gather(first, second)] == [HERE, HERE]
        assert (arrivals(own), arrivals(other)) == (2, 0)
        assert [record.spilled for record in own.log.records] == ["", ""]


async def test_nothing_is_passed_on_twice() -> None:
    async with clusters(SHORT, SHORT) as (one, other):
        configured(other, SHORT.backend(spillover=neighbours(one.url)))
        answer, body = await one.post()
        assert (answer.status, error(body)["code"]) == (503, "queue_timeout")
        assert sent(other) == {}, "it may not go on from there, and not back either"
        assert {record.error for record in other.log.records} == {"wait_too_long"}
        assert (arrivals(one), arrivals(other)) == (1, 0)
        assert 1 <= len(other.log.records) <= 8
        load = other.parts.meters.services[KEY].load
        assert (load.judged, load.missed) == (len(other.log.records),) * 2, "its replicas do not carry it"


async def test_a_gateway_that_is_its_own_neighbour_asks_itself_at_the_most() -> None:
    async with gateway(SHORT.backend()) as own:
        configured(own, SHORT.backend(spillover=neighbours(own.url)))
        answer, _ = await own.post()
        assert answer.status == 503
        assert [record.received for record in own.log.records].count(False) == 1
        assert len(own.log.records) <= 8


async def test_whoever_says_so_is_not_passed_on() -> None:
    there = Engine()
    async with clusters(at(queue_timeout=5.0), at(there)) as (own, _):
        for value in ("1", "1; wait=0", "nonsense", "1; wait=nan; left=-1"):
            answer, body = await own.post(X_Inferops_Spilled=value)
            assert (answer.status, error(body)["code"]) == (503, "wait_too_long")
            assert "Retry-After" in answer.headers
        assert (there.seen, arrivals(own)) == ([], 0)


async def test_where_no_replica_will_come_another_cluster_is_woken() -> None:
    there = Engine(says(200, THERE))
    async with engines(there), clusters(at(asleep="stopped"), at(queue_timeout=60.0)) as (own, other):
        asking = asyncio.create_task(own.post())
        await until(lambda: pool_of(other).waiting)
        configured(other, at(there).backend())
        answer, body = await asking
        assert (answer.status, json.loads(body)) == (200, THERE)
        assert (arrivals(own), arrivals(other)) == (0, 1)


async def test_a_request_that_was_passed_on_must_end_in_the_time_it_has_left() -> None:
    there = Engine(hangs)
    async with clusters(at(request_timeout=30.0), at(there)) as (own, other):
        asking = asyncio.create_task(own.post())
        await until(lambda: there.seen)
        (deadline,) = other.parts.deadlines._running
        assert deadline.at <= own.clock() + 30.0
        own.clock.added += 31
        own.parts.deadlines.check()
        answer, body = await asking
        assert (answer.status, error(body)["code"]) == (504, "request_timeout")
        await there.left.wait()


async def test_a_dead_cluster_costs_one_request_a_try() -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    async with clusters(at(), dead, at(Engine(says(200, THERE)))) as (own, _):
        for _ in range(4):
            assert json.loads((await own.post())[1]) == THERE
        assert sent(own) == {("c0", "unreachable"): 1, ("c1", "answered"): 4}
        own.clock.added += 1.1
        for _ in range(4):
            await own.post()
        assert sent(own)["c0", "unreachable"] == 2
        own.clock.added += 1.1  # the second time it is left alone for longer
        await own.post()
        assert sent(own)["c0", "unreachable"] == 2


async def test_one_that_hangs_loses_its_requests_to_others() -> None:
    """It takes connections and requests, and says nothing: not even whether it lives."""
    hung, there = Engine(hangs), Engine(says(200, THERE))
    async with clusters(at(), hung, at(there)) as (own, _):
        asking = asyncio.create_task(own.post())
        await until(lambda: hung.seen)
        watch = Watch(own.fleet, own.upstream, own.clock, limit=0.2)
        watch.look()
        assert not watch._tasks, "it has not been silent for long"
        own.clock.added += 3.0
        watch.look()
        answer, body = await asking
        assert (answer.status, json.loads(body)) == (200, THERE)
        assert [seen.target for seen in hung.seen] == ["/services/chat/llama/v1/chat/completions", "/v2/health/live"]
        assert sent(own) == {("c0", "unreachable"): 1, ("c1", "answered"): 1}
        await own.post()
        assert sent(own) == {("c0", "unreachable"): 1, ("c1", "answered"): 2}


async def test_a_stream_from_one_that_hangs_ends_with_an_error() -> None:
    begun = Engine(streams_there(token("a"), hangs), hangs)
    async with (
        clusters(at(), begun) as (own,),
        own.session.post(own.url + "/v1/chat/completions", json=STREAMED) as answer,
    ):
        assert await answer.content.readany() == token("a")
        own.clock.added += 3.0
        watch = Watch(own.fleet, own.upstream, own.clock, limit=0.2)
        watch.look()
        body = await answer.content.read()
        assert error(body.removeprefix(b"data: "))["code"] == "request_hung"
        assert sent(own) == {("c0", "broken"): 1}


async def test_one_that_is_slow_is_left_alone() -> None:
    go_on = asyncio.Event()

    async def slow(seen: Seen) -> None:
        await go_on.wait()
        await says(200, THERE)(seen)

    there = Engine(slow)
    async with clusters(at(), at(there)) as (own, _):
        asking = asyncio.create_task(own.post())
        await until(lambda: there.seen)
        watch = Watch(own.fleet, own.upstream, own.clock, limit=60.0)
        for _ in range(3):
            own.clock.added += 4.0
            watch.look()
            (task,) = watch._tasks
            await task
        go_on.set()
        answer, _ = await asking
        assert (answer.status, sent(own)) == (200, {("c0", "answered"): 1})


def streams_there(piece: bytes, then: Does) -> Does:
    """Streams as another gateway does that passes a replica's answer on."""

    async def does(seen: Seen) -> None:
        await seen.send(STREAM.replace(b"\r\n", b"\r\ninferops-revision: aaa\r\n", 1) + chunk(piece))
        await then(seen)

    return does


async def breaks_off_there(seen: Seen) -> None:
    """As a gateway's connection ends that was passing a replica's answer on."""
    await seen.send(b"HTTP/1.1 200 OK\r\ninferops-revision: aaa\r\ncontent-length: 100\r\n\r\n{")
    seen.writer.close()


@pytest.mark.parametrize(
    ("case", "does", "result"),
    [
        ("a proxy's error", says(502, {"error": "bad gateway"}), "failed"),
        ("no gateway of ours", says(200, {"id": "a web page"}), "failed"),
        ("no such service there", says(404, {"error": {"code": "service_not_found"}}), "failed"),
        ("no room", says(503, {"error": {}}, retry_after="2"), "refused"),
        ("no room for anybody", says(429, {"error": {}}), "refused"),
        ("limits of this client", says(429, {"error": {"code": "rate_limit_exceeded"}}), "denied"),
        ("another key is asked for", says(401, {"error": {}}), "denied"),
        ("a replica fails", says(500, {"error": {}}, inferops_revision="aaa"), "failed"),
        ("a replica is full", says(503, {"error": {}}, inferops_revision="aaa"), "refused"),
        ("the answer breaks off", breaks_off, "failed"),
        ("a replica's answer breaks off", breaks_off_there, "failed"),
        ("a stream that ends before it began", streams(), "failed"),
    ],
)
async def test_what_is_no_answer(case: str, does: Any, result: str) -> None:
    async with clusters(at(), Engine(does), at(Engine(says(200, THERE)))) as (own, _):
        answer, body = await own.post()
        assert (answer.status, json.loads(body)) == (200, THERE), case
        assert sent(own) == {("c0", result): 1, ("c1", "answered"): 1}
        assert answer.headers["Inferops-Cluster"] == "c1"
        assert own.log.records[-1].status == 200


async def test_the_requests_own_fault_is_an_answer() -> None:
    async with clusters(at(), at(Engine(says(422, {"error": {"message": "no"}})))) as (own, _):
        answer, body = await own.post()
        assert (answer.status, error(body)) == (422, {"message": "no"})
        assert sent(own) == {("c0", "answered"): 1}
        assert own.parts.meters.services[KEY].refused == {}


async def test_what_may_have_broken_two_replicas_gets_no_third() -> None:
    bad = [Engine(says(500, {"error": {}}, inferops_revision="aaa")) for _ in range(3)]
    async with clusters(at(), *bad) as (own,):
        answer, body = await own.post()
        assert (answer.status, error(body)["code"]) == (502, "upstream_error")
        assert [len(engine.seen) for engine in bad] == [1, 1, 0]


async def test_what_has_broken_two_replicas_here_stays_here() -> None:
    bad, there = [Engine(says(500, {"error": {}})) for _ in range(3)], Engine()
    async with clusters(at(*bad), at(there)) as (own, _):
        answer, _ = await own.post()
        assert (answer.status, there.seen) == (500, [])


async def test_what_changes_something_is_not_passed_on() -> None:
    there = Engine()
    async with (
        clusters(at(queue_timeout=0.1), at(there)) as (own, _),
        own.session.delete(own.url + "/services/chat/llama/v1/responses/7") as answer,
    ):
        assert (answer.status, there.seen) == (503, [])


async def test_a_stream_that_breaks_is_not_begun_anew() -> None:
    async def cut(seen: Seen) -> None:
        seen.writer.transport.abort()

    spare = Engine()
    async with clusters(at(), at(Engine(streams(token("a"), then=cut))), at(spare)) as (own, _, _):
        answer, body = await own.post(STREAMED)
        assert answer.status == 200
        assert body.startswith(token("a"))
        assert b'"error"' in body.removeprefix(token("a"))
        assert (sent(own), spare.seen) == ({("c0", "broken"): 1}, [])


async def test_a_client_that_goes_away_takes_its_request_along() -> None:
    there = Engine(hangs)
    async with clusters(at(), at(there)) as (own, _):
        asking = asyncio.create_task(own.post())
        await until(lambda: there.seen)
        asking.cancel()
        await there.left.wait()
        record = await own.log.next()
        assert (record.status, record.spilled, pool_of(own).waiting) == (499, "c0", 0)
        assert sent(own) == {("c0", "gone"): 1}


async def test_a_client_that_goes_away_with_its_whole_stream_was_answered() -> None:
    there = Engine(streams(token("a"), COUNTS, DONE, then=hangs))
    async with clusters(at(), at(there)) as (own, _):
        await own.stream_and_leave()
        await there.left.wait()
        record = await own.log.next()
        assert (record.status, record.spilled, record.broken) == (200, "c0", False)
        assert sent(own) == {("c0", "answered"): 1}
