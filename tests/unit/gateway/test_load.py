"""What was asked of a service as its clients saw it: what counts as asked, as served, and as too slow."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.balance.level import Level
from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.proxy.attempts import CODES
from inferops.gateway.signals.load import NO_ROOM, Load
from inferops.gateway.table import Access, Backend
from unit.gateway.engines import Engine, resets, says
from unit.gateway.fronted import KEY, Gateway, Secrets, gateway, serving
from unit.gateway.fronted import backend as fronted
from unit.gateway.metering import OTHER, backend, record
from unit.gateway.pools import backend as pooled
from unit.gateway.pools import pool_of, revision, take, turn, waits
from unit.kube.virtualtime import now, run

SLO = backend("v1")  # 800 ms and 50 ms
STREAM = {"stream": True, "first": 0.5, "duration": 5.45, "tokens_out": 100}  # 50 ms a token
WHOLE = {"first": 5.0, "duration": 5.0, "tokens_in": 5, "tokens_out": 100, "asked": 0.1}


@pytest.mark.parametrize(
    ("case", "values", "judged", "missed"),
    [
        ("a stream within both", STREAM, 1, 0),
        ("a late first token", {**STREAM, "first": 0.81}, 1, 1),
        ("slow tokens", {**STREAM, "duration": 5.6}, 1, 1),
        ("the wait for a replica is the client's too", {**STREAM, "asked": 0.75, "first": 0.9, "duration": 1.0}, 1, 1),
        ("tokens not told", {"stream": True, "first": 0.5, "duration": 99.0}, 1, 0),
        ("one token", {**STREAM, "tokens_out": 1, "duration": 9.0}, 1, 0),
        ("an embedding in time", {"first": 0.7, "duration": 0.7, "tokens_in": 5}, 1, 0),
        ("a late embedding", {"first": 0.9, "duration": 0.9, "tokens_in": 5}, 1, 1),
        ("a whole answer that both allow", {**WHOLE, "duration": 5.75}, 1, 0),
        ("a whole answer that took longer", {**WHOLE, "duration": 5.76}, 1, 1),
        ("a whole answer that began too late", {**WHOLE, "asked": 0.81}, 1, 1),
        ("a whole answer of unknown length", {"first": 9.0, "duration": 9.0}, 0, 0),
        ("a short answer of unknown length", {"first": 0.7, "duration": 0.7}, 1, 0),
        ("an error at once", {"status": 502, "duration": 0.1}, 0, 0),
        ("an error too late", {"status": 504, "duration": 0.9}, 1, 1),
        ("a fault of the request", {"first": 0.9, "duration": 0.9, "status": 400, "asked": 0.1}, 0, 0),
        ("a stream that broke", {**STREAM, "broken": True}, 0, 0),
        ("a stream that began too late and broke", {**STREAM, "first": 0.9, "broken": True}, 1, 1),
        ("a client that went before it was late", {"status": 499, "duration": 0.7}, 0, 0),
        ("a client that went since it was late", {"status": 499, "duration": 3.0}, 1, 1),
        ("a client that gave up in the queue", {"status": 499, "attempts": 0, "queued": 0.9}, 1, 1),
        ("a client that left the queue soon", {"status": 499, "attempts": 0, "queued": 0.7}, 0, 0),
        ("one that may not in", {"status": 401, "attempts": 0, "error": "invalid_api_key"}, 0, 0),
        ("a full queue", {"status": 429, "attempts": 0, "error": "queue_full"}, 1, 1),
        ("too long in the queue", {"status": 503, "attempts": 0, "error": "queue_timeout", "queued": 0.1}, 1, 1),
        ("an engine that is full", {"status": 429, "error": "engine_full", "duration": 0.1}, 1, 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_too_slow(case: str, values: dict[str, Any], judged: int, missed: int) -> None:
    load = Load()
    load.end(record(**values), SLO)
    assert (load.judged, load.missed) == (judged, missed), case


@pytest.mark.parametrize(
    ("case", "slo", "values", "judged", "missed"),
    [
        ("no SLO", (None, None), {**STREAM, "first": 99.0}, 0, 0),
        ("no SLO, and no room", (None, None), {"error": "queue_full", "attempts": 0}, 1, 1),
        ("no SLO, and an error", (None, None), {"status": 504, "duration": 99.0}, 0, 0),
        ("only the first token", (0.8, None), {**STREAM, "duration": 99.0}, 1, 0),
        ("only the first token, of a whole answer", (0.8, None), WHOLE, 0, 0),
        ("only the first token, of a whole answer that was asked for too late", (0.8, None), {**WHOLE, "asked": 1.0},
         1, 1),
        ("only the pace", (None, 0.05), {**STREAM, "first": 90.0, "duration": 94.9}, 1, 0),
        ("only the pace, and slower", (None, 0.05), {**STREAM, "first": 90.0, "duration": 95.0}, 1, 1),
        ("only the pace, of one token", (None, 0.05), {**STREAM, "tokens_out": 1}, 0, 0),
        ("only the pace, of a whole answer", (None, 0.05), WHOLE, 0, 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_an_slo_leaves_out_is_not_judged(
    case: str, slo: tuple[float | None, float | None], values: dict[str, Any], judged: int, missed: int
) -> None:
    load = Load()
    load.end(record(**values), replace(SLO, ttft=slo[0], tpot=slo[1]))
    assert (load.judged, load.missed) == (judged, missed), case


def test_what_is_added_up() -> None:
    load, tensors = Load(), Backend(SLO.key, OTHER, ())
    load.end(record(**STREAM, tokens_in=30), SLO)
    load.end(record(**WHOLE), SLO)
    load.end(record(first=0.2, duration=0.2), tensors)
    load.end(record(status=500, duration=0.1), SLO)
    load.end(record(status=429, attempts=0, error="queue_full"), SLO)
    load.end(record(status=401, attempts=0, error="invalid_api_key"), SLO)
    assert load.ended == 4, "those that a replica was asked"
    assert (load.tokens_in, load.tokens_out, load.counted) == (35, 200, 2)
    assert (load.firsts, load.ttft) == (2, pytest.approx(0.7)), "of a whole answer the first token is not known"
    assert (load.paced, load.tpot) == (1, pytest.approx(0.05))


def test_the_words_are_those_that_clients_read() -> None:
    assert {CODES[each] for each in CODES if each.__name__ in ("QueueFull", "QueueTimeout", "TooLong")} < NO_ROOM


def counted(running: Gateway) -> tuple[int, int, int, int]:
    load = running.parts.meters.services[KEY].load
    return load.arrivals, load.ended, load.judged, load.missed


async def test_only_requests_that_need_a_replica_count() -> None:
    key = {"Authorization": "Bearer sk-0123456789abcdef"}
    secrets = Secrets(of={("chat", "keys"): {"alice": "sk-0123456789abcdef"}})
    async with serving(Engine(), secrets=secrets, access=Access("keys")) as running:
        await running.post()
        await running.post(b"no json", **key)
        await running.get("/services/chat/llama/v1/models", **key)
        assert counted(running) == (0, 0, 0, 0)
        await running.post(**key)
        assert counted(running) == (1, 1, 0, 0)


async def test_a_request_that_is_asked_for_again_counts_once() -> None:
    async with serving(Engine(resets), Engine(resets), ttft=60.0) as running:
        await running.post()
        load = running.parts.meters.services[KEY].load
        assert sum(running.outcomes().values()) > 1
        assert (load.arrivals, load.ended) == (1, 1)


async def test_whoever_finds_no_room_counts_as_asked_and_missed() -> None:
    async with gateway(fronted(revisions=(), max_queue=0)) as running:
        answer, _ = await running.post()
        assert (answer.status, counted(running)) == (429, (1, 0, 1, 1))
    async with serving(Engine(says(503, {})), ttft=60.0) as running:
        answer, _ = await running.post()
        assert (answer.status, counted(running)) == (503, (1, 0, 1, 1))


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 100)), max_size=30))
def test_a_level_is_the_sum_of_its_times(moves: list[tuple[int, float]]) -> None:
    level, time, count, truth = Level(5.0), 5.0, 0, 0.0
    for number, seconds in moves:
        level.move(number, time)
        count, time, truth = number, time + seconds, truth + number * seconds
        assert level.area(time) == pytest.approx(truth)
        assert level.area(time + 1) == pytest.approx(truth + count)


def test_time_at_replicas_and_in_the_room() -> None:
    async def scene() -> None:
        one = pool_of(now, pooled(revision("v1", 100, "a"), max_concurrency=1))
        first, second = await take(one), waits(one)
        await turn()
        await asyncio.sleep(3)
        gone = waits(one)
        await turn()
        await asyncio.sleep(1)
        assert one.spent(now()) == (pytest.approx(4), pytest.approx(5))
        gone.cancel()
        first.done(Outcome.OK)
        await turn()
        await asyncio.sleep(10)
        (await second).done(Outcome.GONE)
        await asyncio.sleep(10)
        assert one.spent(now()) == (pytest.approx(14), pytest.approx(5)), "nobody is there any more"

    run(scene())
