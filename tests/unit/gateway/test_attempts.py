"""Where an engine fails: what is tried again, what the client gets, and that nothing hangs."""

import asyncio
import json
import socket
from collections import Counter

import aiohttp
import pytest

from inferops.gateway.deadlines import Why
from inferops.gateway.outcome import Outcome
from inferops.gateway.table import Replica, Revision, Table
from inferops.runtimes import ENGINES
from unit.gateway.engines import (
    CHAT,
    COUNTS,
    DONE,
    KEY,
    STREAM,
    Engine,
    babbles,
    backend,
    breaks_off,
    chunk,
    engines,
    event,
    gateway,
    hangs,
    in_turn,
    resets,
    says,
    serving,
    streams,
    token,
)

STREAMED = {**CHAT, "stream": True}


def error(body):
    return json.loads(body)["error"]


def outcomes(running):
    """Of all attempts, with how many there were."""
    counted = Counter()
    for series in running.parts.meters.replicas.values():
        counted.update(series.attempts)
        assert series.in_flight == 0
    return {outcome: count for outcome, count in counted.items() if count}


def events(body):
    """The data of each event, JSON undone."""
    data = [part.removeprefix(b"data: ") for part in body.split(b"\n\n") if part]
    return [each if each == b"[DONE]" else json.loads(each) for each in data]


def texts(body):
    return [each["choices"][0]["delta"]["content"] for each in events(body) if each.get("choices")]


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
async def test_another_replica_is_asked(case, does, outcome):
    shared = in_turn(does, says(200, {"id": "saved"}))
    one, other = Engine(shared), Engine(shared)
    async with serving(one, other) as running:
        answer, body = await running.post()
        record = running.log.records[-1]
        assert outcomes(running) == {outcome: 1, Outcome.OK: 1}
    assert (answer.status, json.loads(body)["id"]) == (200, "saved")
    assert len(one.seen) == len(other.seen) == 1
    assert one.seen[0].body == other.seen[0].body
    assert (record.attempts, record.status, record.error) == (2, 200, "")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


async def test_another_replica_is_asked_where_there_is_no_connection():
    engine = Engine()
    async with engines(engine):
        nobody = Replica("nobody", f"127.0.0.1:{free_port()}")
        there = backend(engine)
        replicas = (nobody, *there.revisions[0].replicas)
        async with gateway(backend(engine, revisions=(Revision("aaa", 100, replicas),))) as running:
            for number in range(4):
                answer, _ = await running.post({**CHAT, "prompt_cache_key": str(number)})
                assert answer.status == 200
            tried = outcomes(running)
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
async def test_what_the_client_gets_where_no_replica_does_better(case, does, status, code):
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
async def test_what_is_the_requests_fault_is_not_tried_again(status):
    replicas = [Engine(says(status, {"error": {"message": "no"}})) for _ in range(2)]
    async with serving(*replicas) as running:
        answer, body = await running.post()
        assert outcomes(running) == {Outcome.CLIENT: 1}
    assert (answer.status, error(body)) == (status, {"message": "no"})
    assert sum(len(engine.seen) for engine in replicas) == 1


async def test_what_changes_something_is_not_tried_again():
    replicas = [Engine(says(500, {})) for _ in range(2)]
    async with (
        serving(*replicas) as running,
        running.session.delete(running.url + "/v1/responses/7", headers={"Host": "llama.chat"}) as answer,
    ):
        assert answer.status == 500
    assert sum(len(engine.seen) for engine in replicas) == 1


async def test_the_only_replica_s_answer_stands():
    engine = Engine(says(503, {"error": {"code": "full"}}, retry_after="7"))
    async with serving(engine) as running:
        answer, body = await running.post()
    assert (answer.status, answer.headers["Retry-After"], error(body)["code"]) == (503, "7", "full")
    assert len(engine.seen) == 1


async def test_an_outage_does_not_multiply_requests():
    replicas = [Engine(says(500, {})) for _ in range(2)]
    async with serving(*replicas) as running:
        for _ in range(40):
            await running.post()
    assert sum(len(engine.seen) for engine in replicas) <= 40 * 1.2 + 5


async def test_a_request_without_a_replica():
    async with gateway(backend(asleep="stopped by its owner", revisions=())) as running:
        answer, body = await running.post()
        refused = running.parts.meters.services[KEY].refused
    assert (answer.status, error(body)["code"], error(body)["type"]) == (503, "service_asleep", "service_unavailable")
    assert "stopped by its owner" in error(body)["message"]
    assert int(answer.headers["Retry-After"]) >= 1
    assert refused == {(503, "service_asleep"): 1}


async def test_a_full_room():
    async with gateway(backend(revisions=(), max_queue=0)) as running:
        answer, body = await running.post()
    assert (answer.status, error(body)["code"], error(body)["type"]) == (429, "queue_full", "rate_limit_error")
    assert "Retry-After" in answer.headers


async def test_requests_wait_for_the_first_replica():
    engine = Engine()
    async with engines(engine), gateway(backend(revisions=())) as running:
        waiting = [asyncio.create_task(running.post()) for _ in range(5)]
        pool = running.fleet.pool(KEY)
        while pool.waiting < 5:
            await asyncio.sleep(0)
        running.fleet.update(Table([backend(engine)]))
        assert [answer.status for answer, _ in await asyncio.gather(*waiting)] == [200] * 5
        assert all(record.queued > 0 for record in running.log.records)


async def test_a_replica_that_hangs_loses_its_requests_to_others():
    shared = in_turn(hangs, says(200, {"id": "saved"}))
    one, other = Engine(shared), Engine(shared)
    async with serving(one, other) as running:
        asking = asyncio.create_task(running.post())
        while not (one.seen or other.seen):
            await asyncio.sleep(0)
        (lease,) = [lease for member in running.fleet.pool(KEY).members() for lease in member.held]
        lease.lose()
        answer, body = await asking
    assert (answer.status, json.loads(body)["id"]) == (200, "saved")


async def test_a_request_that_takes_too_long():
    engine = Engine(hangs)
    async with serving(engine, request_timeout=60.0) as running:
        asking = asyncio.create_task(running.post())
        while not engine.seen:
            await asyncio.sleep(0)
        running.clock.added += 61
        running.parts.deadlines.check()
        answer, body = await asking
        await engine.left.wait()
    assert (answer.status, error(body)["type"], error(body)["code"]) == (504, "timeout_error", "request_timeout")
    assert "requestTimeout" in error(body)["message"]
    assert len(engine.seen) == 1


async def test_a_client_that_goes_away_takes_its_request_along():
    engine = Engine(hangs)
    async with serving(engine) as running:
        asking = asyncio.create_task(running.post())
        while not engine.seen:
            await asyncio.sleep(0)
        asking.cancel()
        await engine.left.wait()
        record = await running.log.next()
        assert (running.fleet.pool(KEY).in_flight, outcomes(running)) == (0, {Outcome.GONE: 1})
    assert (record.status, record.error) == (499, "client_gone")


async def test_a_large_answer_is_passed_on_before_it_is_whole():
    size = 9 << 20
    engine = Engine(says(200, b"x" * size))
    async with serving(engine) as running:
        answer, body = await running.post()
        record = await running.log.next()
    assert (answer.status, len(body), record.sent) == (200, size, size)


async def test_a_large_answer_that_breaks_off_does_not_look_whole():
    async def does(seen):
        await seen.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n")
        await seen.send(b"x" * (9 << 20))
        await breaks_off(seen)

    async with serving(Engine(does)) as running:
        with pytest.raises(aiohttp.ClientPayloadError):
            await running.post()
        record = await running.log.next()
    assert (record.broken, record.error) == (True, "upstream_error")


async def test_a_stream_passes_while_it_comes():
    go_on = asyncio.Event()

    async def does(seen):
        await streams(token("a"), then=waits)(seen)

    async def waits(seen):
        await go_on.wait()
        for piece in (token("b"), COUNTS, DONE):
            await seen.send(chunk(piece))
        await seen.send(b"0\r\n\r\n")

    engine = Engine(does)
    async with serving(engine) as running:
        async with running.session.post(running.url + "/v1/chat/completions", json=STREAMED) as answer:
            assert (answer.status, answer.headers["X-Accel-Buffering"]) == (200, "no")
            first = await answer.content.readany()
            assert texts(first) == ["a"]
            go_on.set()
            rest = await answer.content.read()
        record = await running.log.next()
    assert json.loads(engine.seen[0].body) == {**STREAMED, "stream_options": {"include_usage": True}}
    assert rest == token("b") + DONE  # without the counts that the client did not ask for
    assert (record.tokens_in, record.tokens_out, record.stream, record.broken) == (7, 2, True, False)
    assert (record.status, record.sent) == (200, len(first + rest))
    assert 0 < record.first <= record.duration
    assert running.parts.meters.series(KEY, "aaa", "llama-0").gaps >= 1


async def test_a_client_that_asks_for_counts_gets_them():
    body = {**STREAMED, "stream_options": {"include_usage": True}}
    engine = Engine(streams(token("a"), COUNTS, DONE))
    async with serving(engine) as running:
        _, answer = await running.post(body)
    assert json.loads(engine.seen[0].body) == body
    assert answer == token("a") + COUNTS + DONE


async def test_an_engine_that_knows_no_counts_is_not_asked_for_them():
    engine = Engine(streams(token("a")))
    async with serving(engine, api=ENGINES["text-embeddings-inference"].api) as running:
        _, answer = await running.post(STREAMED)
    assert json.loads(engine.seen[0].body) == STREAMED
    assert answer == token("a")  # and is not expected to end with [DONE] either


@pytest.mark.parametrize(
    ("case", "does"),
    [
        ("it is reset", streams(token("a"), then=resets)),
        ("it is reset in an event", streams(token("a"), b'data: {"choices"', then=resets)),
        ("it ends too early", streams(token("a"))),
        ("it ends in an event", streams(token("a"), b'data: {"choices"')),
    ],
)
async def test_a_stream_that_breaks_says_so(case, does):
    replicas = [Engine(does) for _ in range(2)]
    async with serving(*replicas) as running:
        answer, body = await running.post(STREAMED)
        record = await running.log.next()
        assert outcomes(running) == {Outcome.FAILED: 1}
    assert answer.status == 200
    told = events(body)
    assert texts(body) == ["a"]
    assert (told[-1]["error"]["type"], told[-1]["error"]["code"]) == ("upstream_error", "upstream_error")
    assert (record.broken, record.error, record.attempts) == (True, "upstream_error", 1)
    assert sum(len(engine.seen) for engine in replicas) == 1


async def test_an_engine_that_ends_a_stream_with_an_error():
    failure = event({"error": {"message": "out of memory", "type": "InternalServerError", "code": 500}})
    async with serving(Engine(streams(token("a"), failure, DONE))) as running:
        _, body = await running.post(STREAMED)
        record = await running.log.next()
    assert body == token("a") + failure + DONE
    assert (record.broken, record.error) == (True, "upstream_error")


@pytest.mark.parametrize(("why", "code"), [(Why.HUNG, "request_hung"), (Why.ENDING, "request_ending")])
async def test_a_stream_that_is_cut_off_says_so(why, code):
    engine = Engine(streams(token("a"), then=hangs))
    async with serving(engine) as running:
        async with running.session.post(running.url + "/v1/chat/completions", json=STREAMED) as answer:
            await answer.content.readany()
            running.parts.deadlines.expire_all(why)
            rest = await answer.content.read()
        record = await running.log.next()
        await engine.left.wait()
    assert events(rest)[-1]["error"]["code"] == code
    assert (record.broken, record.error) == (True, code)


async def test_a_client_that_leaves_a_stream_closes_it_at_the_engine():
    engine = Engine(streams(token("a"), then=hangs))
    async with serving(engine) as running:
        async with running.session.post(running.url + "/v1/chat/completions", json=STREAMED) as answer:
            await answer.content.readany()
            answer.close()
        await engine.left.wait()
        record = await running.log.next()
    assert (record.status, record.broken) == (499, False)


class Flood:
    """A stream that is larger than all buffers on its way."""

    def __init__(self, pieces):
        self.piece = token("x" * 60_000)
        self.pieces, self.sent = pieces, 0

    async def __call__(self, seen):
        await seen.send(STREAM)
        while self.sent < self.pieces:
            await seen.send(chunk(self.piece))
            self.sent += 1
        await seen.send(chunk(DONE) + b"0\r\n\r\n")

    async def stalls(self):
        """Wait until nothing moves any more."""
        before = -1
        while not 0 < self.sent == before:
            before = self.sent
            await asyncio.sleep(0.05)


async def asking(running, version):
    """A client that asks for a stream, and reads when it is told to."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port.number, limit=1 << 16)
    body = json.dumps(STREAMED).encode()
    head = b"POST /v1/chat/completions HTTP/%b\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    writer.write(head % (version, len(body)) + body)
    return reader, writer


async def test_a_slow_client_slows_the_engine_down_and_loses_nothing():
    flood = Flood(400)
    async with serving(Engine(flood)) as running:
        reader, writer = await asking(running, b"1.0")
        await flood.stalls()
        assert flood.sent < 400
        answer = await reader.read()
        writer.close()
    assert answer.partition(b"\r\n\r\n")[2] == flood.piece * 400 + DONE


async def test_a_client_that_takes_nothing_is_cut_off_in_time():
    flood = Flood(1_000_000)
    engine = Engine(flood)
    async with serving(engine, request_timeout=60.0) as running:
        _, writer = await asking(running, b"1.1")
        await flood.stalls()
        running.clock.added += 61
        while len(running.parts.deadlines):
            running.parts.deadlines.check()
            await asyncio.sleep(0)
        await engine.left.wait()
        record = await running.log.next()
        writer.close()
    assert (record.status, record.broken, record.error) == (200, True, "request_timeout")


async def test_what_flows_in_another_form_is_not_held_back():
    go_on = asyncio.Event()

    async def does(seen):
        await seen.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"a")
        )
        await go_on.wait()
        await seen.send(chunk(b"b") + b"0\r\n\r\n")

    async with (
        serving(Engine(does), api=ENGINES["bentoml"].api) as running,
        running.session.post(running.url + "/generate", data=b"x", headers={"Host": "llama.chat"}) as answer,
    ):
        assert await answer.content.readany() == b"a"
        go_on.set()
        assert await answer.content.read() == b"b"


async def test_an_end_in_sight_is_told():
    async with serving(Engine(says(), streams(token("a"), DONE))) as running:
        running.handler.draining = True
        assert (await running.post())[0].headers["Connection"] == "close"
        assert (await running.post(STREAMED))[0].headers["Connection"] == "close"
        assert (await running.get("/v1/models"))[0].headers["Connection"] == "close"
