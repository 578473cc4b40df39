"""Two gateways on loopback, each with its own engines: what one cannot answer in time the other does, as it would be
answered here, and counts it."""

from __future__ import annotations

import asyncio
import json

from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.table import Access, Limits
from inferops.runtimes import ENGINES
from unit.gateway.clusters import HERE, THERE, arrivals, at, clusters, configured, held, pool_of, sent
from unit.gateway.engines import COUNTS, DONE, STREAMED, Engine, Seen, chunk, engines, hangs, says, streams, token
from unit.gateway.fronted import KEY, Secrets
from unit.waiting import until

KEYS = Secrets(of={("chat", "keys"): {"web": "web-0123456789abcdef"}})
WEB = "Bearer web-0123456789abcdef"


async def test_without_a_replica_here_another_cluster_answers() -> None:
    there = Engine(says(200, THERE))
    async with clusters(at(), at(there)) as (own, other):
        answer, body = await own.post(X_Request_Id="abc-1", Authorization="Bearer of-the-engine")
        record, far = await own.log.next(), await other.log.next()
        assert (answer.status, json.loads(body)) == (200, THERE)
        assert (answer.headers["Inferops-Cluster"], answer.headers["Inferops-Revision"]) == ("c0", "aaa")
        assert answer.headers.getall("X-Request-Id") == ["abc-1"]
        assert (record.spilled, record.received, record.attempts, record.status) == ("c0", False, 0, 200)
        assert (far.spilled, far.received, far.path) == ("", True, "/services/chat/llama/v1/chat/completions")
        assert far.request_id == "abc-1"
        assert sent(own) == {("c0", "answered"): 1}
        assert other.parts.meters.services[KEY].received == 1
        assert (arrivals(own), arrivals(other)) == (0, 1), "it is demand of the cluster that answers it"
        assert (pool_of(own).overflow.passed, pool_of(other).overflow.passed) == (1, 0), "and of the one it came to"
    seen = there.seen[0]
    assert seen.target == "/v1/chat/completions"
    assert seen.header("Authorization") == "Bearer of-the-engine"
    assert seen.header("X-Inferops-Spilled") is None
    assert seen.header("X-Forwarded-For") == "127.0.0.1, 127.0.0.1"


async def test_a_stream_passes_unchanged() -> None:
    pieces = (token("a"), token("b"), COUNTS, DONE)
    async with clusters(at(), at(Engine(streams(*pieces)))) as (own, _):
        answer, body = await own.post({**STREAMED, "stream_options": {"include_usage": True}})
        record = await own.log.next()
        assert body == b"".join(pieces)
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["Inferops-Cluster"] == "c0"
        assert (record.stream, record.tokens_in, record.tokens_out, record.broken) == (True, 7, 2, False)
        _, body = await own.post(STREAMED)
        assert body == token("a") + token("b") + DONE, "counts that the client did not ask for stay with the gateway"
        assert sent(own) == {("c0", "answered"): 2}


async def test_the_first_token_comes_before_the_last() -> None:
    go_on = asyncio.Event()

    async def then(seen: Seen) -> None:
        await go_on.wait()
        await seen.send(chunk(DONE) + b"0\r\n\r\n")

    async with (
        clusters(at(), at(Engine(streams(token("a"), then=then)))) as (own, _),
        own.session.post(own.url + "/v1/chat/completions", json=STREAMED) as answer,
    ):
        assert await answer.content.readany() == token("a")
        go_on.set()
        assert await answer.content.read() == DONE


async def test_while_there_is_room_nothing_leaves() -> None:
    there = Engine()
    async with clusters(at(Engine(says(200, HERE))), at(there)) as (own, _):
        for _ in range(5):
            answer, body = await own.post()
            assert (json.loads(body), "Inferops-Cluster" in answer.headers) == (HERE, False)
        assert (sent(own), arrivals(own), there.seen) == ({}, 5, [])


async def test_what_would_wait_too_long_is_answered_elsewhere() -> None:
    here = Engine(says(200, HERE), hangs)
    async with clusters(at(here, max_concurrency=1, ttft=0.1), at(Engine(says(200, THERE)))) as (own, _):
        assert json.loads((await own.post())[1]) == HERE
        await held(own, here, 1)
        own.clock.added += 0.2  # for as long nothing has moved
        answer, body = await own.post()
        assert (answer.status, json.loads(body)) == (200, THERE)
        assert (arrivals(own), pool_of(own).waiting) == (2, 0)


async def test_who_waits_in_vain_leaves() -> None:
    """When it came it looked as if it would be its turn soon."""
    here = Engine(hangs)
    async with clusters(at(here, max_concurrency=1, ttft=3600.0, queue_timeout=7200.0), at(Engine())) as (own, _):
        await held(own, here, 1)
        asking = asyncio.create_task(own.post())
        await until(lambda: pool_of(own).waiting)
        own.clock.added += 3601.0
        answer, _ = await asking
        record = own.log.records[-1]
        assert (answer.headers["Inferops-Cluster"], record.queued > 3600) == ("c0", True)
        load = own.parts.meters.services[KEY].load
        assert (load.judged, load.missed) == (1, 1), "the wait was here"


async def test_a_full_queue_is_no_end() -> None:
    here = Engine(hangs)
    full = at(here, max_concurrency=1, max_queue=0, ttft=3600.0, queue_timeout=7200.0)
    async with clusters(full, at(Engine(says(200, THERE)))) as (own, _):
        await held(own, here, 1)
        answer, body = await own.post()
        assert (answer.status, json.loads(body)) == (200, THERE)


async def test_a_queue_in_the_engines_counts_too() -> None:
    """Without maxConcurrency nobody waits in the gateway: it sees streams that do not begin."""
    here = Engine(hangs)
    async with clusters(at(here, ttft=1.0), at(Engine(streams(token("t"), DONE)))) as (own, _):
        await held(own, here, 3, STREAMED)
        own.clock.added += 0.4
        await held(own, here, 1, STREAMED)  # 0.8 s until the first token, by those that wait for theirs
        own.clock.added += 0.4
        answer, _ = await own.post(STREAMED)
        assert answer.headers["Inferops-Cluster"] == "c0"


async def test_engines_that_are_full_are_no_end() -> None:
    full = Engine(says(503, {"error": {"code": "full"}}))
    async with clusters(at(full), at(Engine(says(200, THERE)))) as (own, _):
        answer, body = await own.post()
        record = await own.log.next()
        assert (answer.status, json.loads(body)) == (200, THERE)
        assert (record.attempts, record.spilled, record.revision, record.error) == (1, "c0", "", "")
        assert own.outcomes() == {Outcome.REFUSED: 1}


async def test_a_service_that_is_stopped_while_requests_wait() -> None:
    there = Engine(says(200, THERE))
    async with engines(there), clusters(at(), at(asleep="stopped")) as (own, other):
        asking = asyncio.create_task(own.post())
        await until(lambda: sent(own) == {("c0", "refused"): 1} and pool_of(own).waiting)
        configured(other, at(there).backend())
        own.clock.added += 31.0  # the rest of the other cluster is over
        configured(own, at(asleep="stopped too").backend(spillover=pool_of(own).backend.spillover))
        answer, body = await asking
        assert (answer.status, json.loads(body)) == (200, THERE)


async def test_keys_are_checked_here_and_passed_on() -> None:
    access, there = Access("keys"), Engine(says(200, THERE))
    async with clusters(at(access=access), at(there, access=access), secrets=KEYS) as (own, other):
        answer, _ = await own.post()
        assert (answer.status, other.log.records) == (401, [])
        answer, _ = await own.post(Authorization=WEB)
        assert answer.status == 200
        assert [record.client for record in (own.log.records[-1], other.log.records[-1])] == ["web", "web"]
    assert there.seen[0].header("Authorization") is None


async def test_limits_are_told_once() -> None:
    access, other = Access("keys", Limits(requests_per_minute=60)), Access("keys", Limits(requests_per_minute=7))
    async with clusters(at(access=access), at(Engine(), access=other), secrets=KEYS) as (own, _):
        answer, _ = await own.post(Authorization=WEB)
        assert answer.status == 200
        assert answer.headers.getall("x-ratelimit-limit-requests") == ["60"]


async def test_a_service_at_zero_is_told_of_though_another_cluster_answers() -> None:
    async with clusters(at(), at(Engine())) as (own, other):
        told = []
        own.fleet.on_demand = lambda key: told.append((key, pool_of(own).waiting))
        await own.post()
        assert told == [(KEY, 1)], "at once, and once"
        now = own.clock()
        assert (pool_of(own).waiting, pool_of(own).wanting(now), pool_of(other).wanting(now)) == (0, 1, 0)
        assert pool_of(own).idle(now) == 0.0
        own.clock.added += 2.0
        assert pool_of(own).wanting(own.clock()) == 0
        assert pool_of(own).idle(own.clock()) < 1.0, "so that it is told that there is none any more"


async def test_other_apis_go_by_the_services_own_path() -> None:
    triton, there = ENGINES["triton"].api, Engine(says(200, THERE))
    async with clusters(at(api=triton), at(there, api=triton)) as (own, _):
        answer, body = await own.post({"inputs": []}, path="/v2/models/llama/infer?trace=1")
        assert (answer.status, json.loads(body)) == (200, THERE)
    assert there.seen[0].target == "/v2/models/llama/infer?trace=1"


async def test_the_root_path_of_a_service() -> None:
    bento, there = ENGINES["bentoml"].api, Engine(says(200, THERE))
    async with (
        clusters(at(api=bento), at(there, api=bento)) as (own, _),
        own.session.post(own.url + "/?a=b", headers={"Host": "llama.chat"}) as answer,
    ):
        assert answer.status == 200
    assert there.seen[0].target == "/?a=b"


async def test_large_bodies_go_there_whole() -> None:
    prompt, there = {"model": "llama", "messages": [{"role": "user", "content": "x" * 3_000_000}]}, Engine()
    async with clusters(at(), at(there)) as (own, _):
        answer, _ = await own.post(prompt)
        assert answer.status == 200
        assert own.handler.bodies.held == 0
    assert json.loads(there.seen[0].body) == prompt


async def test_a_burst_loses_nobody() -> None:
    """Two clusters with room for two requests each; a hundred come to one of them."""

    async def slow(seen: Seen) -> None:
        await asyncio.sleep(0.005)
        await says(200, THERE)(seen)

    here, there = Engine(slow), Engine(slow)
    far = at(there, max_concurrency=2, max_queue=5)
    async with clusters(at(here, max_concurrency=2, ttft=0.02), far) as (own, other):
        answers = await asyncio.gather(*(own.post() for _ in range(100)))
        assert [answer.status for answer, _ in answers] == [200] * 100
        assert len(here.seen) + len(there.seen) == 100, "nothing was answered twice"
        assert len(there.seen) > 0
        assert arrivals(own) + arrivals(other) == 100
        assert [(pool_of(each).waiting, pool_of(each).in_flight) for each in (own, other)] == [(0, 0)] * 2
