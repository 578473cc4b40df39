"""One call of a webhook, against a real server: what is sent, what is taken of an answer, and what is not."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from inferops.controller.webhookhosts import Guarded, Hosts
from inferops.controller.webhooks import Answer, NoAnswer, Poster, plain

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """An endpoint on loopback: how it answers, and what it was sent."""

    def __init__(self) -> None:
        self.reply: Reply | web.Response = web.Response()
        self.asked: list[tuple[web.Request, bytes]] = []
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        self.url = ""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request, await request.read()))
        if callable(self.reply):
            return await self.reply(request)
        reply = self.reply
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)  # one can be sent but once

    async def start(self) -> None:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/canary"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    await server.runner.cleanup()


async def ask(server: Server, body: dict[str, Any] | None = None, timeout: float = 5.0) -> Answer:
    poster = Poster()
    try:
        return await poster.post(server.url, body or {}, timeout)
    finally:
        await poster.close()


async def test_it_sends_json_and_nothing_of_ours(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody is there
    server.reply = web.Response(headers={"Set-Cookie": "a=b"})
    poster = Poster()
    for _ in range(2):
        assert await poster.post(server.url, {"gate": "quality", "weight": 5}, 5.0) == Answer(200)
    await poster.close()
    for request, body in server.asked:
        assert (request.method, request.path, request.content_type) == ("POST", "/canary", "application/json")
        assert json.loads(body) == {"gate": "quality", "weight": 5}
        assert "Authorization" not in request.headers and "Cookie" not in request.headers
        assert request.headers["User-Agent"].startswith("inferops/")


@pytest.mark.parametrize(
    ("status", "good", "passing"),
    [(200, 1, 0), (204, 1, 0), (299, 1, 0), (302, 0, 0), (400, 0, 0), (403, 0, 0), (404, 0, 0), (408, 0, 1),
     (410, 0, 0), (425, 0, 1), (429, 0, 1), (500, 0, 1), (503, 0, 1), (599, 0, 1)],
)  # fmt: skip
async def test_what_an_answer_means(server: Server, status: int, good: bool, passing: bool) -> None:
    server.reply = web.Response(status=status)
    answer = await ask(server)
    assert (answer.status, answer.good, answer.passing) == (status, bool(good), bool(passing))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(server: Server, status: int) -> None:
    server.reply = web.Response(status=status, headers={"Location": server.url + "/elsewhere"})
    assert (await ask(server)).status == status
    assert [request.path for request, _ in server.asked] == ["/canary"]


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("text/plain; charset=utf-8", b"accuracy 0.71 < 0.80", "accuracy 0.71 < 0.80"),
        ("text/plain", b"two\nlines\r\n and \x1b[31mred\x07", "two lines and [31mred"),
        ("text/plain", "a\u202eb\u200bc\u0000d\ufeff".encode(), "a b c d"),
        ("text/plain", b"caf\xff\xfe", "caf\ufffd\ufffd"),
        ("application/json", b'{"message": "too slow", "more": 1}', "too slow"),
        ("application/problem+json", b'{"message": "too slow"}', "too slow"),
        ("application/json", b'{"message": 5}', ""),
        ("application/json", b'["message"]', ""),
        ("application/json", b"[" * 1000, ""),
        ("application/json", b'{"message": "\\ud800"}', ""),
        ("application/json", b"no", ""),
        ("text/html", b"<b>no</b>", ""),
        ("text/plain", b"", ""),
    ],
)
async def test_the_sentence_for_people(server: Server, kind: str, body: bytes, said: str) -> None:
    server.reply = web.Response(status=403, headers={"Content-Type": kind}, body=body)
    answer = await ask(server)
    assert (answer.status, answer.said) == (403, said)
    answer.said.encode()


async def test_what_is_compressed_is_not_unpacked(server: Server) -> None:
    packed = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
    server.reply = web.Response(headers=packed, body=gzip.compress(b"a" * 10_000_000))
    assert await ask(server) == Answer(200)


async def test_a_body_without_end_is_read_at_its_beginning(server: Server) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        while sent < 50_000_000:
            await response.write(b"a" * 512)
            sent += 512
        return response

    server.reply = endless
    answer = await ask(server)
    assert answer == Answer(200, "a" * 399 + "…") and sent < 50_000_000


async def test_a_body_that_stops_halfway_takes_no_verdict_away(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    never = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        await response.write(b"so far")
        await never.wait()
        return response

    monkeypatch.setattr("inferops.controller.webhooks.BODY_PATIENCE", 0.05)
    server.reply = slow
    assert await ask(server) == Answer(200, "so far")


@pytest.mark.parametrize(
    ("given_", "after"), [("7", 7.0), ("0", 0.0), ("-1", None), ("soon", None), ("9" * 9, None), ("", None)]
)
async def test_how_long_it_asks_to_wait(server: Server, given_: str, after: float | None) -> None:
    server.reply = web.Response(status=429, headers={"Retry-After": given_})
    assert (await ask(server)).retry_after == after


async def test_nobody_answers_in_time(server: Server) -> None:
    never = asyncio.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        await never.wait()
        raise AssertionError

    server.reply = silent
    with pytest.raises(NoAnswer, match=r"^no answer within 0\.05 s$"):
        await ask(server, timeout=0.05)


async def test_why_nobody_answers_is_told_without_the_address(server: Server) -> None:
    await server.runner.cleanup()
    secret = f"{server.url}/T000/B000/XXXX"

    def nobody(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    poster = Poster(Guarded(Hosts(), nobody))
    for url, why in (
        (secret, "it cannot be reached (Connect"),
        ("http://judge.ml.svc/T000/B000/XXXX", "its name cannot be resolved"),
        ("http://127.0.0.1:99999/T000/B000/XXXX", "no HTTP answer ("),
    ):
        with pytest.raises(NoAnswer) as caught:
            await poster.post(url, {}, 5.0)
        assert str(caught.value).startswith(why), str(caught.value)
        assert "XXXX" not in str(caught.value) and caught.value.__cause__ is None
    await poster.close()


async def test_what_is_no_http(server: Server) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"SSH-2.0-none\r\n")
        writer.close()

    other = await asyncio.start_server(speak, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}/"
    with pytest.raises(NoAnswer, match=r"^no HTTP answer \("):
        await ask(server)
    other.close()
    await other.wait_closed()


@given(st.text(max_size=2000), st.integers(2, 400))
def test_what_people_see_is_one_line_without_tricks(text: str, limit: int) -> None:
    shown = plain(text, limit)
    assert len(shown) <= limit and shown == " ".join(shown.split())
    assert all(letter.isprintable() for letter in shown)
    assert plain(shown, limit) == shown
