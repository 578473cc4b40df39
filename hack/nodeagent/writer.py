"""Writes one pod's status while it changes: always the latest, one write at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import aiohttp

from nodeagent.client import RETRIED, ApiError, Client, Json

logger = logging.getLogger(__name__)

RETRY = 1.0  # seconds on the clock: the API server knows no scale
GONE = frozenset({404, 409})  # the pod is not there any more, or another one has its name


class StatusWriter:
    """Patches the status that `build` gives from the conditions as they stand. `path` is the pod's."""

    def __init__(self, client: Client, path: str, uid: str, build: Callable[[list[Json]], Json]) -> None:
        self._client = client
        self._path = path
        self._uid = uid
        self._build = build
        self._dirty = asyncio.Event()
        self._turn = asyncio.Lock()
        self._conditions: list[Json] = []

    def changed(self) -> None:
        """There is something to write."""
        self._dirty.set()

    async def run(self) -> None:
        """Write whenever something changed. Returns when the pod is gone."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self.write()
            except ApiError as error:
                if error.status in GONE:
                    return
                await self._later(error)
            except (aiohttp.ClientError, TimeoutError) as error:
                await self._later(error)

    async def write(self) -> None:
        """Write the status now. Raises ApiError when it is refused."""
        async with self._turn:
            status = self._build(self._conditions)
            body = {"metadata": {"uid": self._uid}, "status": patch_of(status)}
            await self._client.patch(f"{self._path}/status", body)
            self._conditions = status["conditions"]

    async def _later(self, error: Exception) -> None:
        logger.warning("writing the status of %s: %s", self._path, error)
        self._dirty.set()
        await asyncio.sleep(RETRY)


async def take_out(client: Client, path: str, uid: str, last: Callable[[], Awaitable[None]] | None = None) -> None:
    """Write its `last` status, then take a pod out of the API; while that is away, try again, as kubelet does.

    Raises ApiError when it is refused.
    """
    options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
    while True:
        try:
            if last is not None:
                await last()
            return await client.delete(path, options)
        except ApiError as error:
            if error.status in GONE:
                return
            if error.status not in RETRIED:
                raise
            told: Exception = error
        except (aiohttp.ClientError, TimeoutError) as error:
            told = error
        logger.warning("removing %s: %s", path, told)
        await asyncio.sleep(RETRY)


def patch_of(status: Json) -> Json:
    """A strategic merge patch that leaves exactly these addresses: the API would merge them with those before."""
    lists = {key: [*status[key], {"$patch": "replace"}] for key in ("podIPs", "hostIPs") if key in status}
    return status | lists
