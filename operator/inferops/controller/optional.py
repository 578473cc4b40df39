"""Kinds that not every cluster has: looked for now and then, and listed and watched for as long as they are there.

Kopf would have to watch all CustomResourceDefinitions for that, and would complain of each kind that is missing. Here
a kind that comes or goes is news like any other, and one that is not there is no error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from inferops.controller.queue import Queue
from inferops.controller.store import OPTIONAL, Key, Store
from inferops.controller.watch import forget_others, selector
from inferops.kube import mirror
from inferops.kube.client import Kube, KubeError
from inferops.kube.kinds import Kind
from inferops.kube.owned import Object

log = logging.getLogger(__name__)

LOOK_EVERY = 10.0  # seconds
FOLLOW = 300.0  # seconds until everything is listed anew
PAUSE = 1.0  # seconds between a watch that ended and the next


class Following(Kube, mirror.Following, Protocol):
    """What is asked of a cluster here."""

    async def offers(self, kind: Kind) -> bool: ...


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
        version = await mirror.take_in(self._kube, kind, self._copy(kind), selector(kind))
        self._forbidden.discard(kind)
        return version

    async def _follow(self, kind: Kind, version: int) -> None:
        with suppress(KubeError):  # everything is listed anew in any case
            await mirror.follow(self._kube, kind, self._copy(kind), version, selector(kind), seconds=FOLLOW)

    def _copy(self, kind: Kind) -> _Copy:
        return _Copy(self._store, kind, self._tell)

    def _tell(self, keys: set[Key]) -> None:
        for key in keys:
            self._queue.add(key)


@dataclass(frozen=True, slots=True)
class _Copy:
    """The store's objects of one kind."""

    store: Store
    kind: Kind
    tell: Callable[[set[Key]], None]

    def put(self, raw: Object) -> None:
        self.tell(self.store.put(self.kind, raw))

    def remove(self, namespace: str, name: str, version: int) -> None:
        self.tell(self.store.remove(self.kind, namespace, name, not_after=version))

    def names(self) -> Iterable[tuple[str, str]]:
        return self.store.names(self.kind)
