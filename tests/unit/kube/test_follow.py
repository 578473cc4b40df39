"""What a watch over HTTP tells, and that it never ends in silence where something is wrong."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from inferops.kube.client import Client, KubeError
from inferops.kube.kinds import ENDPOINT_SLICE

Answer = Callable[[web.Request, web.StreamResponse], Any]


def event(type_: str, **parts: Any) -> bytes:
    return json.dumps({"type": type_, "object": parts}).encode() + b"\n"


@asynccontextmanager
async def watched(answer: Answer, status: int = 200) -> AsyncIterator[tuple[Client, list[web.Request]]]:
    """A client of an API server whose watches go as `answer` has it; and the requests that it got."""
    requests: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        requests.append(request)
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        await answer(request, response)
        return response

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    configuration = Configuration()
    async with TestServer(app) as server:
        configuration.host = str(server.make_url("/"))
        client = Client(configuration)
        try:
            yield client, requests
        finally:
            await client.close()


async def followed(client: Client) -> list[str]:
    return [kind async for kind, _ in client.follow(ENDPOINT_SLICE, "app=x", 7, 30, namespace="chat")]


async def test_events_come_with_their_objects_and_the_end_is_no_error() -> None:
    async def answer(_: web.Request, response: web.StreamResponse) -> None:
        await response.write(event("ADDED", metadata={"name": "a"}) + event("BOOKMARK"))
        await response.write(event("DELETED", metadata={"name": "a"}))

    async with watched(answer) as (client, requests):
        assert await followed(client) == ["ADDED", "BOOKMARK", "DELETED"]
        [request] = requests
        assert request.path == "/apis/discovery.k8s.io/v1/namespaces/chat/endpointslices"
        assert dict(request.query) == {
            "watch": "true",
            "timeoutSeconds": "30",
            "resourceVersion": "7",
            "allowWatchBookmarks": "true",
            "labelSelector": "app=x",
        }


async def _too_old(_: web.Request, response: web.StreamResponse) -> None:
    await response.write(event("ERROR", code=410, reason="Expired", message="too old resource version"))


async def _refused(_: web.Request, response: web.StreamResponse) -> None:
    await response.write(json.dumps({"reason": "Forbidden", "message": "no"}).encode())


async def _cut(request: web.Request, response: web.StreamResponse) -> None:
    await response.write(event("ADDED", metadata={"name": "a"}))
    assert request.transport is not None
    request.transport.abort()


async def _nonsense(_: web.Request, response: web.StreamResponse) -> None:
    await response.write(b"<html>\n")


@pytest.mark.parametrize(
    ("case", "answer", "sent", "told"),
    [
        ("a version that is too old", _too_old, 200, 410),
        ("no right to watch", _refused, 403, 403),
        ("a connection that was cut", _cut, 200, 0),
        ("a proxy that says something else", _nonsense, 200, 0),
    ],
)
async def test_what_ends_it_otherwise_is_an_error(case: str, answer: Answer, sent: int, told: int) -> None:
    async with watched(answer, sent) as (client, _):
        with pytest.raises(KubeError) as error:
            await followed(client)
        assert error.value.status == told, case


async def test_a_server_that_is_not_there_is_an_error() -> None:
    configuration = Configuration()
    configuration.host = "http://127.0.0.1:1"
    away = Client(configuration)
    with pytest.raises(KubeError) as error:
        await followed(away)
    await away.close()
    assert error.value.status == 0
