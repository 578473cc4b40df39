"""A request from its arrival to its end, where all goes well or the request itself is at fault."""

import asyncio
import gzip
import json

import pytest

from inferops.gateway.table import Access, Limits, ServiceKey
from inferops.runtimes import ENGINES
from unit.gateway.engines import CHAT, OPENAI, USAGE, Engine, Secrets, backend, engines, gateway, says, serving

ALICE, BOB = "alice-0123456789abcdef", "bob-0123456789abcdef"
SECRETS = Secrets(of={("chat", "keys"): {"alice": ALICE, "bob": BOB}})
ACCESS = Access("keys")
TRITON = ENGINES["triton"].api


def error(body):
    return json.loads(body)["error"]


async def test_an_answer_is_passed_on_and_told_of():
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


async def test_a_connection_to_an_engine_is_kept():
    engine = Engine()
    async with serving(engine) as running:
        for _ in range(3):
            assert (await running.post())[0].status == 200
        assert engine.connections == 1
        running.clock.added += 4
        running.upstream.sweep()
        await engine.left.wait()
        assert (await running.post())[0].status == 200
    assert engine.connections == 2


async def test_an_engine_that_closes_after_each_answer():
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


async def test_headers_on_the_way_to_the_engine():
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
async def test_ids_that_are_not_fit_for_logs_are_replaced(given):
    engine = Engine()
    async with serving(engine) as running:
        answer, _ = await running.post(X_Request_Id=given)
    made = answer.headers["X-Request-Id"]
    assert made not in (given, "")
    assert engine.seen[0].header("X-Request-Id") == made
    assert len(made) == 32


async def test_no_answer_tells_the_address_of_a_replica():
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
        ("a compressed body", gzip.compress(b"{}"), {"Content-Encoding": "gzip"}, 415, "invalid_request_error"),
    ],
)
async def test_requests_at_fault(case, body, headers, status, code):
    engine = Engine()
    async with serving(engine) as running:
        answer, content = await running.post(body, **headers)
        record = await running.log.next()
        told = error(content)
    assert (answer.status, told["code"], told["type"]) == (status, code, "invalid_request_error")
    assert answer.headers["Content-Type"] == "application/json"
    assert (record.status, record.error, record.attempts, record.key) == (status, code, 0, None)
    assert not engine.seen


async def test_paths_out_of_the_api_are_refused():
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


async def test_what_is_no_http_is_refused_and_not_told_in_logs(caplog):
    engine = Engine()
    async with serving(engine) as running:
        for head in (b"secret", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b", b"GET / HTTP/1.1\r\nContent-Length: -5"):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port.number)
            writer.write(head + b"\r\n\r\n")
            assert (await reader.read()).split(b" ")[1] == b"400"
            writer.close()
    assert not caplog.records
    assert not engine.seen


async def test_the_body_is_bounded():
    engine = Engine()
    async with serving(engine) as running:
        running.handler.largest = 1000
        answer, content = await running.post(b"x" * 1001)
        assert (answer.status, error(content)["code"]) == (413, "request_too_large")

        async def pieces():
            for _ in range(300):
                yield b"x" * 1000

        async with running.session.post(running.url + "/v1/completions", data=pieces()) as answer:
            assert answer.status == 413
    assert not engine.seen


async def test_a_client_that_waits_for_leave_to_send_its_body():
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


async def test_a_client_of_http_1_0():
    engine = Engine()
    async with serving(engine) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port.number)
        writer.write(b"GET /v1/responses/7?full=1 HTTP/1.0\r\nHost: llama.chat\r\n\r\n")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["usage"] == USAGE
    assert (engine.seen[0].method, engine.seen[0].target) == ("GET", "/v1/responses/7?full=1")


async def test_an_answer_without_a_body():
    async with serving(Engine(says(204, b""))) as running:
        async with running.session.delete(running.url + "/v1/responses/7", headers={"Host": "llama.chat"}) as answer:
            assert (answer.status, await answer.read()) == (204, b"")
        async with running.session.head(running.url + "/v1/models") as answer:
            assert answer.status == 200


async def test_a_model_in_a_form():
    engine = Engine()
    form = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nllama\r\n--b--\r\n'
    async with serving(engine) as running:
        answer, _ = await running.post(form, "/v1/audio/transcriptions", Content_Type="multipart/form-data; boundary=b")
    assert (answer.status, engine.seen[0].body) == (200, form)


async def test_bodies_of_other_apis_pass_unread():
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


async def test_the_gateways_own_health():
    async with serving(Engine()) as running:
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert (await running.get(path))[0].status == 200
        assert not running.log.records


async def test_a_path_names_a_service():
    engine = Engine()
    async with serving(engine) as running:
        answer, _ = await running.post({"prompt": "a"}, "/services/chat/llama/v1/completions?x=%20")
    assert (answer.status, engine.seen[0].target) == (200, "/v1/completions?x=%20")


def ask(key):
    return {"Authorization": f"Bearer {key}"}


async def test_api_keys():
    engine = Engine()
    async with serving(engine, secrets=SECRETS, access=ACCESS) as running:
        for headers, why in (
            ({}, "no API key was sent"),
            (ask("sk-wrong"), "is not one of"),
            ({"Authorization": f"Basic {ALICE}"}, "no API key"),
        ):
            answer, content = await running.post(**headers)
            assert (answer.status, error(content)["code"]) == (401, "invalid_api_key")
            assert (why in error(content)["message"], answer.headers["WWW-Authenticate"]) == (True, "Bearer")
        assert not engine.seen
        for headers, client in (
            (ask(ALICE), "alice"),
            ({"X-Api-Key": BOB}, "bob"),
            ({"authorization": f"bearer  {BOB} "}, "bob"),
        ):
            assert (await running.post(**headers))[0].status == 200
            assert running.log.records[-1].client == client
    assert all(seen.header("Authorization") is None and seen.header("X-Api-Key") is None for seen in engine.seen)


async def test_whoever_has_no_key_uploads_nothing():
    async with serving(Engine(), secrets=SECRETS, access=ACCESS) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port.number)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: llama.chat\r\nContent-Length: 1000000\r\n\r\n{")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401 ")
        writer.close()


async def test_keys_that_cannot_be_read_let_nobody_in():
    engine = Engine()
    async with serving(engine, access=ACCESS) as running:
        answer, content = await running.post(**ask(ALICE))
    assert (answer.status, answer.headers["Retry-After"], error(content)["code"]) == (503, "5", "keys_unavailable")
    assert "Secret" not in error(content)["message"]
    assert not engine.seen


async def test_limits_are_by_client():
    limited = Access("keys", Limits(requests_per_minute=2))
    async with serving(Engine(), secrets=SECRETS, access=limited) as running:
        answers = [(await running.post(**ask(ALICE)))[0] for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0", "0"]
        assert int(answers[2].headers["Retry-After"]) in range(1, 31)
        assert running.log.records[-1].error == "rate_limit_exceeded"
        assert (await running.post(**ask(BOB)))[0].status == 200


async def test_tokens_are_paid_afterwards():
    limited = Access("keys", Limits(tokens_per_minute=8))
    async with serving(Engine(), secrets=SECRETS, access=limited) as running:
        statuses = [(await running.post(**ask(ALICE)))[0].status for _ in range(2)]
    assert statuses == [200, 429]  # the first one took 9


async def test_models_are_those_that_the_caller_may_use():
    free = backend(key=ServiceKey("chat", "free"))
    locked = backend(key=ServiceKey("chat", "locked"), access=ACCESS, hostnames=("locked.example.com",))
    async with gateway(free, locked, secrets=SECRETS) as running:

        async def ids(**headers):
            answer, content = await running.get("/v1/models", **headers)
            return answer.status, [each["id"] for each in json.loads(content).get("data", [])]

        assert await ids() == (200, ["free"])
        assert await ids(**ask("sk-wrong")) == (200, ["free"])
        assert await ids(**ask(ALICE)) == (200, ["free", "locked"])
        assert await ids(Host="free.chat.svc") == (200, ["free"])
        assert await ids(Host="locked.example.com") == (401, [])
        assert await ids(Host="locked.example.com", **ask(ALICE)) == (200, ["locked"])
        assert (await running.get("/v1/models/locked"))[0].status == 404
        answer, content = await running.get("/v1/models/locked", **ask(ALICE))
        assert (answer.status, json.loads(content)["object"]) == (200, "model")


async def test_what_is_asked_before_there_is_a_table():
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
async def test_what_keeps_requests_on_one_replica(case, headers, fields, same):
    replicas = [Engine() for _ in range(4)]
    async with serving(*replicas, session_header="X-Session") as running:
        for number in range(12):
            body = {**CHAT, "messages": [{"role": "user", "content": f"Hello {number}"}], **fields}
            assert (await running.post(body, **headers))[0].status == 200
    assert (sum(bool(engine.seen) for engine in replicas) == 1) is same


async def test_meters_count_each_request_once():
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


async def test_a_fault_of_ours_is_answered_too(monkeypatch, caplog):
    async with serving(Engine()) as running:
        monkeypatch.setattr(running.fleet, "pool", None)
        answer, content = await running.post()
    assert (answer.status, error(content)["type"]) == (500, "server_error")
    assert "TypeError" in caplog.text


async def test_a_service_with_several_names_and_closed_paths():
    engine = Engine()
    async with engines(engine), gateway(backend(engine, names=("llama", "tuned"), api=OPENAI)) as running:
        assert (await running.post({"model": "tuned"}))[0].status == 200
        assert running.log.records[-1].model == "tuned"
        answer, _ = await running.post({"model": "tuned"}, "/v1/load_lora_adapter")
        assert answer.status == 404
    assert len(engine.seen) == 1
