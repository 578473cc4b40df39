"""A mirror of a kind: whole after a LIST, true to each event, and as it was while the API server is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from inferops.kube.client import KubeError
from inferops.kube.kinds import INFERENCE_SERVICE
from inferops.kube.mirror import DENIED_PAUSE, FOLLOW, LONGEST_PAUSE, Mirror
from inferops.kube.owned import Object
from unit.kube.following import Server, thing
from unit.kube.virtualtime import now, run


class Copy:
    """The objects as a mirror told them."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}

    def put(self, raw: Object) -> None:
        self.objects[raw["metadata"]["namespace"], raw["metadata"]["name"]] = raw

    def remove(self, namespace: str, name: str, version: int) -> None:
        self.objects.pop((namespace, name), None)

    def names(self) -> set[tuple[str, str]]:
        return set(self.objects)

    def versions(self) -> dict[str, int]:
        return {name: int(raw["metadata"]["resourceVersion"]) for (_, name), raw in self.objects.items()}


def mirrored(play: Callable[[Server, Copy], Awaitable[None]], server: Callable[[], Server]) -> Server:
    """Play against a mirror that was filled."""

    async def main() -> Server:
        there, copy = server(), Copy()
        mirror = Mirror(there, INFERENCE_SERVICE, copy)
        running = asyncio.create_task(mirror.run())
        await mirror.filled.wait()
        await play(there, copy)
        running.cancel()
        return there

    return run(main())


def two() -> Server:
    return Server(thing("a", 3), thing("b", 5))


AWAY = KubeError("list", 0, "ClientConnectorError", "connection refused")


def test_it_follows_for_ever_on_one_list() -> None:
    async def play(server: Server, copy: Copy) -> None:
        assert copy.versions() == {"a": 3, "b": 5}
        server.put(thing("c", 0))
        await asyncio.sleep(0)
        await asyncio.sleep(10 * FOLLOW)
        server.delete("a")
        await asyncio.sleep(1)
        assert copy.versions() == {"b": 5, "c": 6}

    assert len(mirrored(play, two).lists) == 1


def test_while_the_server_is_away_all_stays_and_then_what_went_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    async def play(server: Server, copy: Copy) -> None:
        server.go(AWAY)
        await asyncio.sleep(120)
        assert copy.versions() == {"a": 3, "b": 5}
        server.delete("a")
        server.put(thing("c", 0))
        server.oldest, server.away = server.version, None
        await asyncio.sleep(LONGEST_PAUSE)
        assert copy.versions() == {"b": 5, "c": 7}

    lists = mirrored(play, two).lists
    gaps = [after - before for before, after in pairwise(lists[1:])]
    assert gaps == sorted(gaps), "it waits longer each time"
    assert max(gaps) == LONGEST_PAUSE
    assert "inferenceservices stay as they were: list: no answer" in caplog.text


def test_a_version_too_old_to_follow_from_leads_to_a_list_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async def play(server: Server, copy: Copy) -> None:
        server.oldest = 99
        await asyncio.sleep(FOLLOW + 1)
        server.version = 99
        await asyncio.sleep(FOLLOW)

    assert len(mirrored(play, two).lists) > 1
    assert caplog.text == ""


def test_a_bookmark_saves_the_list() -> None:
    async def play(server: Server, copy: Copy) -> None:
        server.bookmark()
        await asyncio.sleep(1)
        server.oldest = server.version
        await asyncio.sleep(2 * FOLLOW)
        assert copy.versions() == {"a": 3, "b": 5}

    assert len(mirrored(play, two).lists) == 1


def test_a_server_that_says_when_is_asked_then() -> None:
    async def play(server: Server, copy: Copy) -> None:
        server.go(KubeError("list", 429, "TooManyRequests", "slow down", retry_after=40))
        await asyncio.sleep(100)

    first, *later = mirrored(play, two).lists
    assert first == 0
    assert [round(time) for time in later] == [40, 80]


def test_a_watch_that_ends_at_once_is_not_begun_without_end() -> None:
    async def play(server: Server, copy: Copy) -> None:
        began: list[float] = []

        async def follow(*_: Any, **__: Any) -> AsyncIterator[tuple[str, Object]]:
            began.append(now())
            return
            yield

        server.follow = follow  # type: ignore[method-assign]
        await asyncio.sleep(FOLLOW + 60)
        assert len(began) <= 60 / 0.25 + 1

    mirrored(play, two)


def test_what_need_not_be_read_counts_as_none_while_it_is_denied_and_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        there, copy = two(), Copy()
        there.go(KubeError("list", 403, "Forbidden", "no"))
        mirror = Mirror(there, INFERENCE_SERVICE, copy, needed=False)
        running = asyncio.create_task(mirror.run())
        await mirror.filled.wait()
        await asyncio.sleep(3 * DENIED_PAUSE)
        assert (copy.versions(), mirror.live) == ({}, False)
        assert sum("not reckoned with" in each.message for each in caplog.records) == 1
        there.away = None
        await asyncio.sleep(DENIED_PAUSE)
        assert copy.versions() == {"a": 3, "b": 5}
        running.cancel()

    run(main())
