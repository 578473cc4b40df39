"""What replicas are asked over HTTP, and what their answers mean: real sockets, in virtual time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web

from inferops.gateway.balance.health import Verdict
from inferops.gateway.balance.probing import LIMIT, HttpAsk
from inferops.gateway.table import Backend, Replica
from inferops.runtimes.base import Api
from unit.gateway.pools import backend
from unit.kube.virtualtime import now, run

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OPENAI = backend(names=("llama", "an-adapter"))
TRITON = replace(OPENAI, api=Api("open-inference", ("/v2/models/",)))
OTHER = replace(OPENAI, api=Api("other", ("/",)))


def asked(handler: Handler, service: Backend = OPENAI) -> tuple[Verdict, float]:
    """The verdict on an engine with this handler, and the seconds until it."""

    async def scene() -> tuple[Verdict, float]:
        runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        try:
            return await verdict(f"{host}:{port}", service)
        finally:
            await runner.cleanup()

    return run(scene())


async def verdict(address: str, service: Backend = OPENAI) -> tuple[Verdict, float]:
    began = now()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        said = await HttpAsk(session)(service, Replica("a", address))
    return said, now() - began


def engine(statuses: dict[str, int], seen: list[tuple[str, object]] | None = None) -> Handler:
    """Answers a path with its status, others with 404; `seen` gets paths and bodies."""

    async def handle(request: web.Request) -> web.Response:
        if request.path != "/metrics" and seen is not None:
            seen.append((f"{request.method} {request.path}", await request.json() if request.can_read_body else None))
        return web.json_response({}, status=statuses.get(request.path, 404))

    return handle


async def hung(request: web.Request) -> web.Response:
    """An engine that hangs behind its server."""
    if request.path in ("/health", "/metrics"):
        return web.Response(text='vllm:generation_tokens_total{engine="0"} 17\nprocess_cpu_seconds_total 3')
    await asyncio.sleep(3600)
    raise AssertionError


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Verdict.ALIVE),
        (401, Verdict.ALIVE),
        (422, Verdict.ALIVE),
        (429, Verdict.ALIVE),
        (500, Verdict.FAILING),
        (503, Verdict.FULL),
    ],
)
def test_what_a_status_means(status: int, expected: Verdict) -> None:
    assert asked(engine({"/v1/completions": status})) == (expected, 0)


def test_the_question_is_one_token_of_the_model() -> None:
    seen: list[tuple[str, object]] = []
    asked(engine({"/v1/completions": 200}, seen))
    assert seen == [("POST /v1/completions", {"model": "llama", "prompt": "ping", "max_tokens": 1})]


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_one_without_completions_is_asked_for_an_embedding(status: int) -> None:
    seen: list[tuple[str, object]] = []
    assert asked(engine({"/v1/completions": status, "/v1/embeddings": 500}, seen))[0] is Verdict.FAILING
    assert seen[1] == ("POST /v1/embeddings", {"model": "llama", "input": "ping"})


def test_one_with_neither_lives_as_far_as_can_be_told() -> None:
    assert asked(engine({}))[0] is Verdict.ALIVE


@pytest.mark.parametrize(("service", "path"), [(TRITON, "GET /v2/health/ready"), (OTHER, "GET /")])
def test_what_engines_of_other_kinds_are_asked(service: Backend, path: str) -> None:
    seen: list[tuple[str, object]] = []
    assert asked(engine({path.split()[1]: 200}, seen), service)[0] is Verdict.ALIVE
    assert seen == [(path, None)]


def test_an_engine_that_hangs_while_its_server_answers_is_silent() -> None:
    assert asked(hung) == (Verdict.SILENT, LIMIT)


def test_an_engine_whose_batch_is_full_is_busy() -> None:
    tokens = iter(range(100, 10_000, 100))

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/metrics":
            return web.Response(text=f'vllm:generation_tokens_total{{engine="0"}} {next(tokens)}')
        return await hung(request)

    assert asked(handle) == (Verdict.BUSY, LIMIT)


def test_only_counts_of_tokens_show_work() -> None:
    passed = iter(range(100))

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/metrics":
            return web.Response(text=f'process_cpu_seconds_total{{pod="tokenizer"}} {next(passed)}')
        return await hung(request)

    assert asked(handle) == (Verdict.SILENT, LIMIT)


def test_a_page_of_metrics_without_end_is_not_read() -> None:
    written = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal written
        if request.path != "/metrics":
            return await hung(request)
        reply = web.StreamResponse()
        await reply.prepare(request)
        while True:
            await reply.write(b"x" * (1 << 16))
            written += 1 << 16

    assert asked(handle) == (Verdict.SILENT, LIMIT)
    assert written < 32 << 20


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening: no other takes the port
        said = run(verdict(f"127.0.0.1:{taken.getsockname()[1]}"))
    assert said == (Verdict.UNREACHABLE, 0)


def test_one_that_accepts_and_says_nothing_is_silent() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        said = run(verdict(f"127.0.0.1:{deaf.getsockname()[1]}"))
    assert said == (Verdict.SILENT, LIMIT)


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_one_that_closes_or_speaks_no_http_is_not_reached(says: bytes) -> None:
    async def scene() -> Verdict:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(says)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return (await verdict(f"127.0.0.1:{port}"))[0]

    assert run(scene()) is Verdict.UNREACHABLE
