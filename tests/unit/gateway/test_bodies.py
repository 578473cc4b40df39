"""Bodies on their way to an engine: bounded in size and time, and read only where they must be."""

from __future__ import annotations

import asyncio
import json

from inferops.runtimes import ENGINES
from unit.gateway.engines import CHAT, Engine, error, says
from unit.gateway.fronted import serving
from unit.waiting import until

TRITON = ENGINES["triton"].api


async def test_the_body_is_bounded() -> None:
    engine = Engine()
    async with serving(engine) as running:
        running.handler.bodies.largest = 1000
        answer, content = await running.post(b"x" * 1001)
        assert (answer.status, error(content)["code"]) == (413, "request_too_large")

        reader, writer = await asyncio.open_connection("127.0.0.1", running.port.number)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n{")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413 ")  # before it was sent
        writer.close()

        async def pieces():
            for _ in range(300):
                yield b"x" * 1000

        async with running.session.post(running.url + "/v1/completions", data=pieces()) as answer:
            assert answer.status == 413
    assert not engine.seen


async def test_all_bodies_together_are_bounded() -> None:
    go_on = asyncio.Event()

    async def waits(seen):
        await go_on.wait()
        await says()(seen)

    engine, large = Engine(waits), json.dumps({**CHAT, "user": "x" * 600}).encode()
    async with serving(engine) as running:
        bodies = running.handler.bodies
        bodies.most = 1000
        first = asyncio.create_task(running.post(large))
        await until(lambda: engine.seen)
        assert bodies.held == len(large)
        answer, content = await running.post(large)
        assert (answer.status, answer.headers["Retry-After"], error(content)["code"]) == (503, "1", "gateway_full")
        go_on.set()
        assert (await first)[0].status == 200
        assert (await running.post(large))[0].status == 200
        assert bodies.held == 0


async def test_a_body_that_ends_too_early_holds_nothing() -> None:
    async with serving(Engine()) as running:
        _, writer = await asyncio.open_connection("127.0.0.1", running.port.number)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n" + b"x" * 500)
        await until(lambda: running.handler.bodies.held)
        writer.close()
        record = await running.log.next()
        assert (record.status, running.handler.bodies.held) == (499, 0)


async def test_an_engine_that_answers_before_it_has_the_body() -> None:
    engine = Engine(says(413, {"error": {"message": "too long"}}), patient=False)
    async with serving(engine) as running:
        answer, _ = await running.post(json.dumps({**CHAT, "user": "x" * (16 << 20)}).encode())
        assert answer.status == 413
        assert len(running.upstream) == 0  # the connection is of no more use


async def test_a_body_that_does_not_arrive() -> None:
    async with serving(Engine()) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port.number)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        await until(lambda: len(running.parts.deadlines))
        running.clock.added += 301
        running.parts.deadlines.check()
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in head


async def test_a_client_that_waits_for_leave_to_send_its_body() -> None:
    engine = Engine()
    async with serving(engine) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port.number)
        body = json.dumps(CHAT).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(body))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
    assert engine.seen[0].body == body
    assert engine.seen[0].header("Expect") is None


async def test_a_model_in_a_form() -> None:
    engine = Engine()
    form = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nllama\r\n--b--\r\n'
    async with serving(engine) as running:
        answer, _ = await running.post(form, "/v1/audio/transcriptions", Content_Type="multipart/form-data; boundary=b")
    assert (answer.status, engine.seen[0].body) == (200, form)


async def test_bodies_of_other_apis_pass_unread() -> None:
    engine, tensors = Engine(), b"\x00\xff" * 1000
    async with serving(engine, api=TRITON, names=("llama",)) as running:
        answer, _ = await running.post(
            tensors, "/v2/models/llama/infer", Inference_Header_Content_Length="10", Accept_Encoding="gzip"
        )
        assert answer.status == 200
        answer, content = await running.post(tensors, "/v2/models/other/infer")
        assert (answer.status, list(json.loads(content))) == (404, ["error"])
        assert "does not exist" in error(content)
    seen = engine.seen[0]
    assert (seen.target, seen.body, seen.header("Accept-Encoding")) == ("/v2/models/llama/infer", tensors, "gzip")
