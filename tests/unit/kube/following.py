"""An API server in memory that lists and tells what happens, and goes away when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from inferops.kube.client import KubeError
from inferops.kube.kinds import Kind
from inferops.kube.owned import Object
from unit.kube.virtualtime import now


def thing(name: str, version: int, **parts: Any) -> Object:
    return {"metadata": {"namespace": "chat", "name": name, "resourceVersion": str(version)}, **parts}


class Server:
    """An API server that holds `objects`, tells what happens to them, and can be away."""

    def __init__(self, *objects: Object) -> None:
        self.objects = {each["metadata"]["name"]: each for each in objects}
        self.version = max((int(each["metadata"]["resourceVersion"]) for each in objects), default=1)
        self.away: KubeError | None = None
        self.oldest = 0  # version that can still be followed from
        self.lists: list[float] = []  # when each was asked for
        self.events: list[tuple[int, str, Object]] = []
        self.news = asyncio.Event()

    def put(self, raw: Object) -> None:
        """Somebody creates or replaces an object."""
        self.version += 1
        meta = {**raw["metadata"], "resourceVersion": str(self.version)}
        self.objects[meta["name"]] = {**raw, "metadata": meta}
        self._tell("MODIFIED", self.objects[meta["name"]])

    def delete(self, name: str) -> None:
        """Somebody deletes an object."""
        self.version += 1
        raw = self.objects.pop(name)
        self._tell("DELETED", {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}})

    def bookmark(self) -> None:
        """Something happened to objects that are not followed."""
        self.version += 1
        self._tell("BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})

    def _tell(self, type_: str, raw: Object) -> None:
        self.events.append((self.version, type_, raw))
        self.news.set()

    def go(self, error: KubeError) -> None:
        """Answer nothing but this, until `away` is None again."""
        self.away = error
        self.news.set()

    async def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]:
        self.lists.append(now())
        if self.away is not None:
            raise self.away
        everything = list(self.objects.values())
        yield everything[::2], self.version
        yield everything[1::2], self.version

    async def follow(
        self, kind: Kind, selector: str, version: int, timeout: float, *, namespace: str = ""
    ) -> AsyncIterator[tuple[str, Object]]:
        if version < self.oldest:
            raise KubeError("watch", 410, "Expired", "too old resource version")
        ends = now() + timeout
        while now() < ends:
            if self.away is not None:
                raise self.away
            for at, type_, raw in [event for event in self.events if event[0] > version]:
                version = at
                yield type_, raw
            self.news.clear()
            try:
                async with asyncio.timeout_at(ends):
                    await self.news.wait()
            except TimeoutError:
                return
