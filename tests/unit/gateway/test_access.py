"""Who gets in by API key, how often, and which models callers see."""

from __future__ import annotations

import asyncio
import json

from inferops.gateway.table import Access, Limits, ServiceKey
from unit.gateway.engines import STREAMED, Engine, error, resets, streams, token
from unit.gateway.fronted import Secrets, backend, gateway, serving

ALICE, BOB = "alice-0123456789abcdef", "bob-0123456789abcdef"
SECRETS = Secrets(of={("chat", "keys"): {"alice": ALICE, "bob": BOB}})
ACCESS = Access("keys")


def ask(key):
    return {"Authorization": f"Bearer {key}"}


async def test_api_keys() -> None:
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


async def test_whoever_has_no_key_uploads_nothing() -> None:
    async with serving(Engine(), secrets=SECRETS, access=ACCESS) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port.number)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: llama.chat\r\nContent-Length: 1000000\r\n\r\n{")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401 ")
        writer.close()


async def test_keys_that_cannot_be_read_let_nobody_in() -> None:
    engine = Engine()
    async with serving(engine, access=ACCESS) as running:
        answer, content = await running.post(**ask(ALICE))
    assert (answer.status, answer.headers["Retry-After"], error(content)["code"]) == (503, "5", "keys_unavailable")
    assert "Secret" not in error(content)["message"]
    assert not engine.seen


async def test_limits_are_by_client() -> None:
    limited = Access("keys", Limits(requests_per_minute=2))
    async with serving(Engine(), secrets=SECRETS, access=limited) as running:
        answers = [(await running.post(**ask(ALICE)))[0] for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0", "0"]
        assert int(answers[2].headers["Retry-After"]) in range(1, 31)
        assert running.log.records[-1].error == "rate_limit_exceeded"
        assert (await running.post(**ask(BOB)))[0].status == 200


async def test_tokens_are_paid_afterwards() -> None:
    limited = Access("keys", Limits(tokens_per_minute=8))
    async with serving(Engine(), secrets=SECRETS, access=limited) as running:
        statuses = [(await running.post(**ask(ALICE)))[0].status for _ in range(2)]
    assert statuses == [200, 429]  # the first one took 9


async def test_a_stream_that_breaks_off_is_paid_by_its_events() -> None:
    limited = Access("keys", Limits(tokens_per_minute=2))
    engine = Engine(streams(token("a"), token("b"), token("c"), then=resets))
    async with serving(engine, secrets=SECRETS, access=limited) as running:
        statuses = [(await running.post(STREAMED, **ask(ALICE)))[0].status for _ in range(2)]
    assert statuses == [200, 429]


async def test_models_are_those_that_the_caller_may_use() -> None:
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
