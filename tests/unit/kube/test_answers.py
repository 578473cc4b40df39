"""Whoever answers in an API server's place: what is too long or of another shape is an error, and takes no memory."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from inferops.kube import answers
from inferops.kube.client import TOO_LARGE, Client, KubeError
from inferops.kube.kinds import POD
from inferops.kube.owned import Object

BLOCK = b" " * 2**18


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST", 2**21)
    monkeypatch.setattr(answers, "PAGES", 20)


class Server:
    """It answers GET with `content` for ever, or once; with pages where it has `objects`."""

    def __init__(self, content: bytes = b"", *, endless: bool = False, status: int = 200, **headers: str) -> None:
        self.content, self.endless, self.status, self.headers = content, endless, status, headers
        self.objects: list[Object] | None = None
        self.sent = 0
        self.asked: list[dict[str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        if self.objects is not None:
            return self._page(self.objects, int(request.query["limit"]), int(request.query.get("continue", 0)))
        response = web.StreamResponse(status=self.status, headers=self.headers)
        await response.prepare(request)
        try:
            while True:
                await response.write(self.content)
                self.sent += len(self.content)
                if not self.endless:
                    return response
        except ConnectionError:
            return response

    def _page(self, objects: list[Object], limit: int, at: int) -> web.Response:
        meta = {"resourceVersion": "7", "continue": str(at + limit) if at + limit < len(objects) else ""}
        return web.json_response({"metadata": meta, "items": objects[at : at + limit]})


@asynccontextmanager
async def asking(server: Server) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_get("/{path:.*}", server.handle)
    configuration = Configuration()
    async with TestServer(app) as running:
        configuration.host = str(running.make_url("/"))
        client = Client(configuration)
        try:
            yield client
        finally:
            await client.close()


async def listed(client: Client) -> list[str]:
    return [raw["metadata"]["name"] async for page, _ in client.pages(POD) for raw in page]


async def got(client: Client) -> Any:
    return await client.get(POD, "chat", "llama")


async def followed(client: Client) -> list[str]:
    return [kind async for kind, _ in client.follow(POD, "", 7, 30)]


def pod(name: str, size: int = 0) -> Object:
    return {"metadata": {"name": name, "resourceVersion": "3"}, "spec": {"filled": "x" * size}}


@pytest.mark.parametrize("ask", [got, listed, followed])
@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_without_end_is_an_error_and_is_not_read_on(ask: Any, status: int) -> None:
    server = Server(BLOCK, endless=True, status=status)
    async with asking(server) as client:
        with pytest.raises(KubeError) as error:
            await ask(client)
        assert (error.value.status, error.value.reason) == (0, TOO_LARGE)
        asked = 5 if ask is listed else 1
        assert len(server.asked) <= asked and server.sent < asked * 2**24


async def test_what_was_compressed_counts_as_long_as_it_is() -> None:
    server = Server(gzip.compress(b'{"a": "' + b"x" * 2**25 + b'"}'), **{"Content-Encoding": "gzip"})
    async with asking(server) as client:
        with pytest.raises(KubeError, match="larger than"):
            await got(client)


async def test_pages_of_large_objects_get_shorter_and_none_is_left_out() -> None:
    server = Server()
    server.objects = [pod(f"p{number}", 2**17) for number in range(60)]
    async with asking(server) as client:
        assert await listed(client) == [f"p{number}" for number in range(60)]
    assert [each["limit"] for each in server.asked] == ["100", "25"] + ["6"] * 10


async def test_one_object_that_is_too_large_alone_is_an_error() -> None:
    server = Server()
    server.objects = [pod("p", 2**22)]
    async with asking(server) as client:
        with pytest.raises(KubeError, match="list Pod all: no answer TooLarge: the answer is larger than 2097152"):
            await listed(client)
    assert [each["limit"] for each in server.asked] == ["100", "25", "6", "1"]


async def test_a_list_that_never_ends_is_an_error() -> None:
    server = Server(json.dumps({"metadata": {"continue": "on"}, "items": [pod("p")]}).encode())
    async with asking(server) as client:
        with pytest.raises(KubeError, match="more than 20 pages"):
            await listed(client)
    assert len(server.asked) == 20


@pytest.mark.parametrize(
    "content",
    [
        b"[]", b"null", b"7", b"{}", b"<html>", b"[" * 200_000, b'{"metadata": []}', b'{"metadata": {}, "items": [7]}',
        b'{"metadata": {}, "items": {"a": 1}}', b'{"metadata": {}, "items": [{}]}',
        b'{"metadata": {"resourceVersion": "x"}}',
        b'{"metadata": {}, "items": [{"metadata": {"name": 7}}]}',
        b'{"metadata": {}, "items": [{"metadata": {"name": "a", "resourceVersion": "-1"}}]}',
    ],
    ids=lambda content: content[:60].decode(),
)  # fmt: skip
async def test_a_list_of_another_shape_is_an_error_and_not_an_empty_one(content: bytes) -> None:
    async with asking(Server(content)) as client:
        with pytest.raises(KubeError) as error:
            await listed(client)
    assert (error.value.status, error.value.reason) == (0, "InvalidAnswer")


@pytest.mark.parametrize(
    "content",
    [
        b"[]\n", b"[" * 200_000, b'{"type": "ADDED"}\n', b'{"type": "ADDED", "object": []}\n',
        b'{"type": "ADDED", "object": 7}\n', b'{"type": "DELETED", "object": {"metadata": {}}}\n',
        b'{"type": "ADDED", "object": {"metadata": {"name": "a", "resourceVersion": "x"}}}\n',
    ],
    ids=lambda content: content[:60].decode(),
)  # fmt: skip
async def test_an_event_of_another_shape_is_an_error(content: bytes) -> None:
    async with asking(Server(content)) as client:
        with pytest.raises(KubeError) as error:
            await followed(client)
    assert (error.value.status, error.value.reason) == (0, "InvalidEvent")


async def test_a_refusal_is_passed_on_no_longer_than_people_read() -> None:
    told = json.dumps({"reason": "Forbidden", "message": "no" * 10_000}).encode()
    async with asking(Server(told, status=403)) as client:
        with pytest.raises(KubeError) as error:
            await got(client)
    assert (error.value.status, error.value.reason, len(error.value.message)) == (403, "Forbidden", 4096)
