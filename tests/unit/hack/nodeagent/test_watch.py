"""A watch goes on through breaks, expired versions and servers that are away, and misses nothing."""

import asyncio
import json
from contextlib import aclosing

import pytest
from aiohttp import web

from nodeagent.client import Access, Client
from nodeagent.watch import Changed, Listed, follow


class Script:
    """A server whose list and whose watches answer as the test says, one after the other."""

    def __init__(self, lists, watches):
        self.lists, self.watches = list(lists), list(watches)
        self.asked = []

    async def answer(self, request):
        if "watch" not in request.query:
            return web.json_response(self.lists.pop(0) if len(self.lists) > 1 else self.lists[0])
        self.asked.append(request.query["resourceVersion"])
        if not self.watches:
            await asyncio.Event().wait()
        events, end = self.watches.pop(0)
        if end == 410:
            return web.json_response({"message": "too old"}, status=410)
        response = web.StreamResponse()
        await response.prepare(request)
        for event in events:
            await response.write(json.dumps(event).encode() + b"\n")
        if end == "cut":
            request.transport.abort()
        return response


def listed(version, *names):
    return {"metadata": {"resourceVersion": version}, "items": [{"metadata": {"name": name}} for name in names]}


def event(kind, name, version):
    return {"type": kind, "object": {"metadata": {"name": name, "resourceVersion": version}}}


GONE = {"type": "ERROR", "object": {"code": 410, "message": "expired", "metadata": {}}}


@pytest.fixture
async def serve():
    runners = []

    async def start(script):
        app = web.Application()
        app.router.add_get("/pods", script.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


async def seen(url, count):
    found = []
    async with Client(Access(url)) as client, aclosing(follow(client, "/pods", {})) as events:
        async for happened in events:
            match happened:
                case Listed(items):
                    found.append([item["metadata"]["name"] for item in items])
                case Changed(kind, object):
                    found.append(f"{kind} {object['metadata']['name']}")
            if len(found) == count:
                return found


async def test_changes_follow_the_list(serve):
    script = Script([listed("1", "a")], [([event("ADDED", "b", "2"), event("DELETED", "a", "3")], "close")])
    assert await seen(await serve(script), 3) == [["a"], "ADDED b", "DELETED a"]


async def test_after_a_break_it_goes_on_from_the_last_version(serve):
    script = Script(
        [listed("1")],
        [
            ([event("ADDED", "a", "2"), {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}], "cut"),
            ([event("ADDED", "b", "8")], "close"),
        ],
    )
    assert await seen(await serve(script), 3) == [[], "ADDED a", "ADDED b"]
    assert script.asked[:2] == ["1", "7"]


@pytest.mark.parametrize("expiry", [([], 410), ([GONE], "close")], ids=["refused", "in the stream"])
async def test_an_expired_version_lists_again(serve, expiry):
    script = Script([listed("1", "a"), listed("9", "b")], [expiry, ([event("ADDED", "c", "10")], "close")])
    assert await seen(await serve(script), 3) == [["a"], ["b"], "ADDED c"]
    assert script.asked[:2] == ["1", "9"]


async def test_objects_larger_than_any_buffer_arrive_whole(serve):
    large = event("ADDED", "a" * 2_000_000, "2")
    script = Script([listed("1")], [([large], "close")])
    assert await seen(await serve(script), 2) == [[], "ADDED " + "a" * 2_000_000]
