"""Kinds that not every cluster has: looked for now and then, and listed and watched for as long as they are there.

Kopf would have to watch all CustomResourceDefinitions for that, and would complain of each kind that is missing. Here
a kind that comes or goes is news like any other, and one that is not there is no error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

from inferops.controller.copies import StoreCopy
from inferops.controller.queue import Queue
from inferops.controller.store import OPTIONAL, Key, Store
from inferops.controller.watch import ALL, forget_others, selector
from inferops.kube import mirror
from inferops.kube.client import Kube, KubeError
from inferops.kube.kinds import Kind
from inferops.kube.scope import Scope

log = logging.getLogger(__name__)

LOOK_EVERY = 10.0  # seconds
FOLLOW = 300.0  # seconds until everything is listed anew
PAUSE = 1.0  # seconds between a watch that ended and the next


class Following(Kube, mirror.Following, Protocol):
    """What is asked of a cluster here."""

    async def offers(self, kind: Kind) -> bool: ...


class OptionalKinds:
    """Keeps the optional kinds in the store."""

    def __init__(self, kube: Following, store: Store, queue: Queue[Key], scope: Scope = ALL) -> None:
        self._kube, self._store, self._queue, self._scope = kube, store, queue, scope
        self._forbidden: set[tuple[Kind, str]] = set()

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
                versions = await self.look(kind)
                if versions:
                    await self._follow(kind, versions)
                await asyncio.sleep(PAUSE if versions else LOOK_EVERY)
            except KubeError as error:
                # A kind that was installed a moment ago asks for a little patience.
                log.log(
                    logging.INFO if error.retry_after else logging.WARNING, "looking for %s: %s", kind.plural, error
                )
                await asyncio.sleep(error.retry_after or LOOK_EVERY)

    async def look(self, kind: Kind) -> Mapping[str, int] | None:
        """Take in whether the cluster has the kind, and all objects of it that matter.

        Returns the versions at which they were so, by namespace; None where there is no such kind, or none that we may
        read.
        """
        found = {at: await self._list(kind, at) for at in self._scope.of(kind)}
        versions = {at: version for at, version in found.items() if version is not None}
        for key in self._store.offer(kind, bool(versions)):
            self._queue.add(key)
        return versions or None

    async def _list(self, kind: Kind, namespace: str) -> int | None:
        try:
            if await self._kube.offers(kind):
                version = await mirror.take_in(self._kube, kind, self._copy(kind), selector(kind), namespace)
                self._forbidden.discard((kind, namespace))
                return version
        except KubeError as error:
            if error.status not in (403, 404):
                raise
            if error.status == 403 and (kind, namespace) not in self._forbidden:
                log.warning("%s is not used: %s; apply the ClusterRole of this version", kind.kind, error)
                self._forbidden.add((kind, namespace))
        forget_others(self._store, self._queue, kind, set(), None, namespace)
        return None

    async def _follow(self, kind: Kind, versions: Mapping[str, int]) -> None:
        """Until one of the watches ends: everything is listed anew then, in any case."""
        copy, chosen = self._copy(kind), selector(kind)
        # Those that did not let us read it are asked again soon.
        seconds = FOLLOW if len(versions) == len(self._scope.of(kind)) else LOOK_EVERY
        watches = [
            asyncio.create_task(mirror.follow(self._kube, kind, copy, version, chosen, at, seconds))
            for at, version in versions.items()
        ]
        try:
            await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for watch in watches:
                watch.cancel()
            ends = await asyncio.gather(*watches, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, KubeError):
                raise end

    def _copy(self, kind: Kind) -> StoreCopy:
        return StoreCopy(self._store, self._queue, kind)
