"""Kinds that not every cluster has: looked for now and then, and listed and watched for as long as they are there.

Kopf would have to watch all CustomResourceDefinitions for that, and would complain of each kind that is missing. Here
a kind that comes or goes is news like any other, and one that is not there is no error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Protocol

from inferops.controller.queue import Queue
from inferops.controller.store import OPTIONAL, Key, Store
from inferops.controller.watch import forget_others, selector
from inferops.kube.client import Kube, KubeError
from inferops.kube.kinds import Kind
from inferops.kube.owned import Object

log = logging.getLogger(__name__)

LOOK_EVERY = 10.0  # seconds
FOLLOW = 300.0  # seconds until everything is listed anew
PAUSE = 1.0  # seconds between a watch that ended and the next


class Following(Kube, Protocol):
    """What is asked of a cluster here."""

    async def offers(self, kind: Kind) -> bool: ...

    def follow(self, kind: Kind, selector: str, version: int, timeout: float) -> AsyncIterator[tuple[str, Object]]: ...


class OptionalKinds:
    """Keeps the optional kinds in the store."""

    def __init__(self, kube: Following, store: Store, queue: Queue[Key]) -> None:
        self._kube, self._store, self._queue = kube, store, queue
        self._forbidden: set[Kind] = set()

    async def prime(self) -> None:
        """Look at each kind once. Raises KubeError where the API server does not answer."""
        for kind in OPTIONAL:
            await self.look(kind)

    async def run(self) -> None:
        """Look for the kinds and follow those that are there, until cancelled."""
        await asyncio.gather(*(self._keep(kind) for kind in OPTIONAL))

    async def _keep(self, kind: Kind) -> None:
        while True:
            try:
                version = await self.look(kind)
                if version is not None:
                    await self._follow(kind, version)
                await asyncio.sleep(LOOK_EVERY if version is None else PAUSE)
            except KubeError as error:
                # A kind that was installed a moment ago asks for a little patience.
                log.log(
                    logging.INFO if error.retry_after else logging.WARNING, "looking for %s: %s", kind.plural, error
                )
                await asyncio.sleep(error.retry_after or LOOK_EVERY)

    async def look(self, kind: Kind) -> int | None:
        """Take in whether the cluster has the kind, and all objects of it that matter.

        Returns the version at which they were so; None where there is no such kind, or none that we may read.
        """
        try:
            version = await self._list(kind) if await self._kube.offers(kind) else None
        except KubeError as error:
            if error.status not in (403, 404):
                raise
            if error.status == 403 and kind not in self._forbidden:
                log.warning("%s is not used: %s; apply the ClusterRole of this version", kind.kind, error)
                self._forbidden.add(kind)
            version = None
        if version is None:
            forget_others(self._store, self._queue, kind, set(), None)
        self._tell(self._store.offer(kind, version is not None))
        return version

    async def _list(self, kind: Kind) -> int:
        there: set[tuple[str, str]] = set()
        version = 0
        async for items, version in self._kube.pages(kind, selector(kind)):  # noqa: B007
            for raw in items:
                there.add((raw["metadata"].get("namespace", ""), raw["metadata"]["name"]))
                self._tell(self._store.put(kind, raw))
        forget_others(self._store, self._queue, kind, there, version)
        self._forbidden.discard(kind)
        return version

    async def _follow(self, kind: Kind, version: int) -> None:
        async for type_, raw in self._kube.follow(kind, selector(kind), version, FOLLOW):
            meta = raw["metadata"]
            if type_ == "DELETED":
                where = meta.get("namespace", ""), meta["name"]
                self._tell(self._store.remove(kind, *where, int(meta.get("resourceVersion") or 0)))
            else:
                self._tell(self._store.put(kind, raw))

    def _tell(self, keys: set[Key]) -> None:
        for key in keys:
            self._queue.add(key)
