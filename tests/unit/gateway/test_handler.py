"""A request from its arrival to its end, where all goes well or the request itself is at fault."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from inferops.gateway.table import ServiceKey
from inferops.runtimes import ENGINES
from unit.gateway.engines import CHAT, USAGE, Engine, engines, error, says
from unit.gateway.fronted import OPENAI, backend, gateway, serving

TRITON = ENGINES["triton"].api


async def test_an_answer_is_passed_on_and_told_of() -> None:
    engine = Engine(says(200, {"id": "chatcmpl-1", "usage": USAGE}, x_engine="yes"))
    async with serving(engine) as running:
        answer, body = await running.post(X_Request_Id="abc-1")
        record = await running.log.next()
    assert (answer.status, json.loads(body)["id"]) == (200, "chatcmpl-1")
    assert answer.headers["X-Engine"] == "yes"
    assert (answer.headers["X-Request-Id"], answer.headers["Inferops-Revision"]) == ("abc-1", "aaa")
    assert (engine.seen[0].target, json.loads(engine.seen[0].body)) == ("/v1/chat/completions", CHAT)
    assert (record.key, record.model, record.revision, record.replica) == (("chat", "llama"), "llama", "aaa", "llama-0")
    assert (record.status, record.attempts, record.error, record.sent) == (200, 1, "", len(body))
    assert (record.tokens_in, record.tokens_out, record.stream) == (7, 2, False)
    assert 0 <= record.first <= record.duration


async def test_a_connection_to_an_engine_is_kept() -> None:
    engine = Engine()
    async with serving(engine) as running:
        for _ in range(3):
            assert (await running.post())[0].status == 200
        assert engine.connections == len(running.upstream) == 1
        running.clock.added += 4
        running.upstream.sweep()
        await engine.left.wait()
        assert (await running.post())[0].status == 200
    assert engine.connections == 2


async def test_an_engine_that_closes_after_each_answer() -> None:
    engine = Engine(says(connection="close"))
    async with serving(engine) as running:
        for _ in range(2):
            answer, _ = await running.post()
            assert answer.headers.get("Connection") is None
    assert engine.connections == 2


HEADERS = {
    "Authorization": "Bearer of-the-engine",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "Tracestate": "vendor=1",
    "Connection": "keep-alive, X-Private",
    "X-Private": "1",
    "TE": "trailers",
    "Proxy-Authorization": "Basic eDp5",
    "Keep-Alive": "timeout=5",
    "Accept-Encoding": "gzip",
    "Host": "llama.chat.svc",
}


async def test_headers_on_the_way_to_the_engine() -> None:
    engine = Engine()
    async with serving(engine) as running:
        await running.post(**HEADERS)
        record = await running.log.next()
    seen = engine.seen[0]
    assert {name: seen.header(name) for name in ("Authorization", "Traceparent", "Tracestate", "Content-Type")} == {
        "Authorization": HEADERS["Authorization"],
        "Traceparent": HEADERS["Traceparent"],
        "Tracestate": HEADERS["Tracestate"],
        "Content-Type": "application/json",
    }
    for name in ("X-Private", "TE", "Proxy-Authorization", "Keep-Alive", "Connection", "Accept-Encoding"):
        assert seen.header(name) is None, name
    assert seen.header("Host") == engine.address
    assert seen.header("X-Forwarded-For") == "203.0.113.9, 127.0.0.1"
    assert (seen.header("X-Forwarded-Proto"), seen.header("X-Forwarded-Host")) == ("https", "llama.chat.svc")
    assert seen.header("X-Request-Id") == record.request_id
    assert record.trace == "0af7651916cd43dd8448eb211c80319c"
    assert len(seen.headers) == len({name.lower() for name, _ in seen.headers})


@pytest.mark.parametrize("given", ["", "a b", "é", "x" * 129, 'a"b'])
async def test_ids_that_are_not_fit_for_logs_are_replaced(given: str) -> None:
    engine = Engine()
    async with serving(engine) as running:
        answer, _ = await running.post(X_Request_Id=given)
    made = answer.headers["X-Request-Id"]
    assert made not in (given, "")
    assert engine.seen[0].header("X-Request-Id") == made
    assert len(made) == 32


async def test_no_answer_tells_the_address_of_a_replica() -> None:
    engine = Engine()
    async with serving(engine, api=ENGINES["bentoml"].api) as running:
        engine._script = [says(307, b"", location=f"http://{engine.address}/summarize", server="uvicorn")]
        async with running.session.post(
            running.url + "/", headers={"Host": "llama.chat"}, allow_redirects=False
        ) as answer:
            assert (answer.status, answer.headers["Location"]) == (307, "/summarize")
            assert engine.address not in str(answer.headers)
            assert answer.headers["Server"] == "inferops"


@pytest.mark.parametrize(
    ("case", "body", "headers", "status", "code"),
    [
        ("no JSON", b"{", {}, 400, "invalid_json"),
        ("no model", {"messages": []}, {}, 400, "invalid_request_error"),
        ("an unknown model", {"model": "gpt-4"}, {}, 404, "model_not_found"),
        (
            "a compressed body",
            gzip.compress(b"{}", mtime=0),
            {"Content-Encoding": "gzip"},
            415,
            "invalid_request_error",
        ),
    ],
)
async def test_requests_at_fault(case: str, body: Any, headers: Any, status: int, code: str) -> None:
    engine = Engine()
    async with serving(engine) as running:
        answer, content = await running.post(body, **headers)
        record = await running.log.next()
        told = error(content)
    assert (answer.status, told["code"], told["type"]) == (status, code, "invalid_request_error")
    assert answer.headers["Content-Type"] == "application/json"
    assert (record.status, record.error, record.attempts, record.key) == (status, code, 0, None)
    assert not engine.seen


async def test_paths_out_of_the_api_are_refused() -> None:
    engine = Engine()
    async with serving(engine) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port.number)
        for target in (b"/v1/../metrics", b"/v1/%2e%2e/metrics", b"/v1/%252e%252e/metrics", b"/metrics"):
            writer.write(b"GET %b HTTP/1.1\r\nHost: llama.chat\r\n\r\n" % target)
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert head.split(b" ")[1] in (b"400", b"404"), target
            assert error(await reader.readexactly(size))["type"] == "invalid_request_error"
        writer.close()
    assert not engine.seen


async def test_what_is_no_http_is_refused_and_not_told_in_logs(caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine()
    async with serving(engine) as running:
        for head in (b"secret", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b", b"GET / HTTP/1.1\r\nContent-Length: -5"):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port.number)
            writer.write(head + b"\r\n\r\n")
            assert (await reader.read()).split(b" ")[1] == b"400"
            writer.close()
    assert not caplog.records
    assert not engine.seen


async def test_a_client_of_http_1_0() -> None:
    engine = Engine()
    async with serving(engine) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port.number)
        writer.write(b"GET /v1/responses/7?full=1 HTTP/1.0\r\nHost: llama.chat\r\n\r\n")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["usage"] == USAGE
    assert (engine.seen[0].method, engine.seen[0].target) == ("GET", "/v1/responses/7?full=1")


async def test_an_answer_without_a_body() -> None:
    async with serving(Engine(says(204, b""))) as running:
        async with running.session.delete(running.url + "/v1/responses/7", headers={"Host": "llama.chat"}) as answer:
            assert (answer.status, await answer.read()) == (204, b"")
        async with running.session.head(running.url + "/v1/models") as answer:
            assert answer.status == 200


async def test_the_gateways_own_health() -> None:
    async with serving(Engine()) as running:
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert (await running.get(path))[0].status == 200
        assert not running.log.records


async def test_a_path_names_a_service() -> None:
    engine = Engine()
    async with serving(engine) as running:
        answer, _ = await running.post({"prompt": "a"}, "/services/chat/llama/v1/completions?x=%20")
    assert (answer.status, engine.seen[0].target) == (200, "/v1/completions?x=%20")


async def test_what_is_asked_before_there_is_a_table() -> None:
    async with serving(Engine()) as running:
        object.__setattr__(running.parts, "loaded", lambda: False)
        answer, content = await running.post()
    assert (answer.status, answer.headers["Retry-After"], error(content)["code"]) == (503, "2", "starting")


@pytest.mark.parametrize(
    ("case", "headers", "fields", "same"),
    [
        ("by a key of the prompt's cache", {}, {"prompt_cache_key": "k"}, True),
        ("by the session", {"X-Session": "s"}, {}, True),
        ("by the start of the prompt", {}, {}, False),
    ],
)
async def test_what_keeps_requests_on_one_replica(case: str, headers: Any, fields: Any, same: Any) -> None:
    replicas = [Engine() for _ in range(4)]
    async with serving(*replicas, session_header="X-Session") as running:
        for number in range(12):
            body = {**CHAT, "messages": [{"role": "user", "content": f"Hello {number}"}], **fields}
            assert (await running.post(body, **headers))[0].status == 200
    assert (sum(bool(engine.seen) for engine in replicas) == 1) is same


async def test_meters_count_each_request_once() -> None:
    engine = Engine()
    async with serving(engine) as running:
        for body in (CHAT, {"model": "gpt-4"}):
            await running.post(body)
        meters = running.parts.meters
        service, series = (
            meters.services[("chat", "llama")],
            meters.series(ServiceKey("chat", "llama"), "aaa", "llama-0"),
        )
        nobody = meters.services[("", "")]
    assert (service.arrivals, service.ended, series.codes[200], series.in_flight) == (1, 1, 1, 0)
    assert (series.tokens_in, series.tokens_out) == (7, 2)
    assert (nobody.arrivals, nobody.ended, nobody.refused) == (1, 1, {(404, "model_not_found"): 1})


async def test_a_fault_of_ours_is_answered_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Engine()) as running:
        monkeypatch.setattr(running.fleet, "pool", None)
        answer, content = await running.post()
    assert (answer.status, error(content)["type"]) == (500, "server_error")
    assert "TypeError" in caplog.text


async def test_a_service_with_several_names_and_closed_paths() -> None:
    engine = Engine()
    async with engines(engine), gateway(backend(engine, names=("llama", "tuned"), api=OPENAI)) as running:
        assert (await running.post({"model": "tuned"}))[0].status == 200
        assert running.log.records[-1].model == "tuned"
        answer, _ = await running.post({"model": "tuned"}, "/v1/load_lora_adapter")
        assert answer.status == 404
    assert len(engine.seen) == 1
