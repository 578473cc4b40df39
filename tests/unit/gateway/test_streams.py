"""Streams: passed on while they come, and never left to hang when an engine, a client or the time ends them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from inferops.gateway.balance.lease import Lease
from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.proxy.deadlines import Why
from inferops.runtimes import ENGINES
from unit.gateway.engines import (
    COUNTS,
    DONE,
    STREAM,
    STREAMED,
    Engine,
    chunk,
    event,
    hangs,
    resets,
    says,
    streams,
    token,
)
from unit.gateway.fronted import KEY, serving
from unit.waiting import until


def events(body):
    """The data of each event, JSON undone."""
    return [json.loads(part.removeprefix(b"data: ")) for part in body.split(b"\n\n") if part]


def texts(body):
    return [each["choices"][0]["delta"]["content"] for each in events(body) if each.get("choices")]


async def test_a_stream_passes_while_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    lives = []
    monkeypatch.setattr(Lease, "progress", lambda lease: lives.append(lease))
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
            before = len(lives)
            go_on.set()
            rest = await answer.content.read()
            assert 0 < before < len(lives)
        record = await running.log.next()
    assert json.loads(engine.seen[0].body) == {**STREAMED, "stream_options": {"include_usage": True}}
    assert rest == token("b") + DONE  # without the counts that the client did not ask for
    assert (record.tokens_in, record.tokens_out, record.stream, record.broken) == (7, 2, True, False)
    assert (record.status, record.sent) == (200, len(first + rest))
    assert 0 < record.first <= record.duration
    assert running.parts.meters.series(KEY, "aaa", "llama-0").gaps >= 1


async def test_a_client_that_asks_for_counts_gets_them() -> None:
    body = {**STREAMED, "stream_options": {"include_usage": True}}
    engine = Engine(streams(token("a"), COUNTS, DONE))
    async with serving(engine) as running:
        _, answer = await running.post(body)
    assert json.loads(engine.seen[0].body) == body
    assert answer == token("a") + COUNTS + DONE


async def test_an_engine_that_knows_no_counts_is_not_asked_for_them() -> None:
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
async def test_a_stream_that_breaks_says_so(case: str, does: Any) -> None:
    replicas = [Engine(does) for _ in range(2)]
    async with serving(*replicas) as running:
        answer, body = await running.post(STREAMED)
        record = await running.log.next()
        assert running.outcomes() == {Outcome.FAILED: 1}
    assert answer.status == 200
    told = events(body)
    assert texts(body) == ["a"]
    assert (told[-1]["error"]["type"], told[-1]["error"]["code"]) == ("upstream_error", "upstream_error")
    assert (record.broken, record.error, record.attempts) == (True, "upstream_error", 1)
    assert sum(len(engine.seen) for engine in replicas) == 1


async def test_an_engine_that_ends_a_stream_with_an_error() -> None:
    failure = event({"error": {"message": "out of memory", "type": "InternalServerError", "code": 500}})
    async with serving(Engine(streams(token("a"), failure, DONE))) as running:
        _, body = await running.post(STREAMED)
        record = await running.log.next()
    assert body == token("a") + failure + DONE
    assert (record.broken, record.error) == (True, "upstream_error")


@pytest.mark.parametrize(("why", "code"), [(Why.HUNG, "request_hung"), (Why.ENDING, "request_ending")])
async def test_a_stream_that_is_cut_off_says_so(why: Any, code: str) -> None:
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


async def test_a_client_that_leaves_a_stream_closes_it_at_the_engine() -> None:
    engine = Engine(streams(token("a"), then=hangs))
    async with serving(engine) as running:
        async with running.session.post(running.url + "/v1/chat/completions", json=STREAMED) as answer:
            await answer.content.readany()
            answer.close()
        await engine.left.wait()
        record = await running.log.next()
    assert (record.status, record.broken) == (499, False)


async def test_a_client_that_leaves_once_it_has_the_whole_answer_was_served() -> None:
    """Many read no further than `[DONE]`, and close before the engine has ended the response."""
    engine = Engine(streams(token("a"), COUNTS, DONE, then=hangs))
    async with serving(engine) as running:
        await running.stream_and_leave()
        await engine.left.wait()
        record = await running.log.next()
        assert running.outcomes() == {Outcome.OK: 1}
    assert (record.status, record.broken, record.error, record.tokens_out) == (200, False, "", 2)


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


async def test_a_slow_client_slows_the_engine_down_and_loses_nothing() -> None:
    flood = Flood(400)
    async with serving(Engine(flood)) as running:
        reader, writer = await asking(running, b"1.0")
        await flood.stalls()
        assert flood.sent < 400
        answer = await reader.read()
        writer.close()
    assert answer.partition(b"\r\n\r\n")[2] == flood.piece * 400 + DONE


async def test_a_client_that_takes_nothing_is_cut_off_in_time() -> None:
    flood = Flood(1_000_000)
    engine = Engine(flood)
    async with serving(engine, request_timeout=60.0) as running:
        _, writer = await asking(running, b"1.1")
        await flood.stalls()
        running.clock.added += 61
        running.parts.deadlines.check()
        await engine.left.wait()
        record = await running.log.next()
        writer.close()
    assert (record.status, record.broken, record.error) == (200, True, "request_timeout")


async def test_what_flows_in_another_form_is_not_held_back() -> None:
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


async def test_who_asked_before_is_told_with_the_answer() -> None:
    go_on = asyncio.Event()

    async def waits(seen):
        await go_on.wait()
        await says()(seen)

    engine = Engine(waits)
    async with serving(engine) as running:
        waiting = asyncio.create_task(running.post())
        await until(lambda: engine.seen)
        running.handler.draining = True
        go_on.set()
        assert (await waiting)[0].headers["Connection"] == "close"


async def test_an_end_in_sight_is_told() -> None:
    async with serving(Engine(says(), streams(token("a"), DONE), says())) as running:
        running.handler.draining = True
        assert (await running.post())[0].headers["Connection"] == "close"
        assert (await running.post(STREAMED))[0].headers["Connection"] == "close"
        assert (await running.get("/v1/models"))[0].headers["Connection"] == "close"
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port.number)
        writer.write(b"GET /v1/responses/7 HTTP/1.1\r\nHost: llama.chat\r\n\r\n")
        assert b"\r\nConnection: close\r\n" in await reader.read()  # to the end: it is closed
        writer.close()


async def test_a_connection_whose_client_was_not_told_of_the_end_takes_one_more_request() -> None:
    go_on = asyncio.Event()

    async def rest(seen):
        await go_on.wait()
        await seen.send(chunk(DONE) + b"0\r\n\r\n")

    async with serving(Engine(streams(token("a"), then=rest))) as running:
        reader, writer = await asking(running, b"1.1")
        assert b"\r\nConnection: close" not in await reader.readuntil(b"\r\n\r\n")
        running.handler.draining = True
        go_on.set()
        assert DONE in await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"\r\nConnection: close" in await reader.read()
        writer.close()
