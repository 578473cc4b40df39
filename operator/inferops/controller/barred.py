"""Namespaces that are to be served and do not let us read them: nothing is decided there until they do.

One that is not there yet, or whose rights were deleted with it, must not keep an operator from serving the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from inferops.controller.queue import Queue
from inferops.controller.store import Key, Store
from inferops.controller.watch import prime, prime_namespace
from inferops.kube.client import Kube, KubeError
from inferops.kube.scope import Scope

log = logging.getLogger(__name__)

LOOK_EVERY = 10.0  # seconds


class Barred:
    """Fills the store, and knows which namespaces it does not hold. Those are asked for again and again."""

    def __init__(
        self, kube: Kube, store: Store, queue: Queue[Key], scope: Scope, beside: Callable[[], Awaitable[None]]
    ) -> None:
        """`beside`: reads what is not in every cluster, in all namespaces that let us."""
        self._beside = beside
        self._kube, self._store, self._queue, self._scope = kube, store, queue, scope
        self._namespaces: set[str] = set()

    def __contains__(self, namespace: str) -> bool:
        return namespace in self._namespaces

    async def prime(self) -> None:
        """Fill the store. Raises KubeError where what no namespace can be without is not told."""
        self._namespaces = await prime(self._kube, self._store, self._queue, self._scope)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            for namespace in sorted(self._namespaces):
                try:
                    await self.look(namespace)
                except KubeError as error:
                    log.warning("namespace %s: %s", namespace, error)

    async def look(self, namespace: str) -> None:
        """Serve it from now on if we may. Raises KubeError where nobody says so."""
        if not await prime_namespace(self._kube, self._store, namespace, self._scope):
            return
        await self._beside()
        log.info("namespace %s is served", namespace)
        self._namespaces.discard(namespace)
        for key in self._store.all_keys():
            if key.namespace == namespace:
                self._queue.add(key)
