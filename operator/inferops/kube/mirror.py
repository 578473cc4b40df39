"""Keeps a copy of all objects of a kind: one LIST, then what happens, for as long as the API server answers.

While it does not answer, the copy stays as it was: what was read last is nearer to the truth than nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from inferops.kube.client import CIRCUIT_OPEN, KubeError
from inferops.kube.kinds import Kind
from inferops.kube.owned import Object

log = logging.getLogger(__name__)

FOLLOW = 30.0  # seconds of one watch, and so until a connection that died silently is noticed
LEAST_PAUSE = 0.25  # seconds from a failure to the next attempt, twice as long each time
LONGEST_PAUSE = 5.0
DENIED_PAUSE = 300.0  # until what need not be read is asked for again


class Following(Protocol):
    """What is asked of a cluster here."""

    def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]: ...

    def follow(
        self, kind: Kind, selector: str, version: int, timeout: float, *, namespace: str = ""
    ) -> AsyncIterator[tuple[str, Object]]: ...


class Copy(Protocol):
    """Where the objects of a kind are put."""

    def put(self, raw: Object) -> None:
        """An object as it is now."""

    def remove(self, namespace: str, name: str, version: int) -> None:
        """An object is gone; at `version` it was."""

    def names(self) -> Iterable[tuple[str, str]]:
        """Namespace and name of all that it holds."""


async def take_in(kube: Following, kind: Kind, copy: Copy, selector: str = "", namespace: str = "") -> int:
    """Put all objects of a kind into `copy` and remove the others, of this namespace only where one is given. Returns
    the version at which this was so.

    Raises KubeError; `copy` then holds more than there is, and nothing less.
    """
    there: set[tuple[str, str]] = set()
    version = 0
    async for items, version in kube.pages(kind, selector, namespace=namespace):  # noqa: B007
        for raw in items:
            there.add(_name(raw))
            copy.put(raw)
    for gone in _within(copy, namespace) - there:
        copy.remove(*gone, version)
    return version


async def follow(
    kube: Following,
    kind: Kind,
    copy: Copy,
    version: int,
    selector: str = "",
    namespace: str = "",
    seconds: float = FOLLOW,
) -> int:
    """Bring `copy` from `version` on up to date for so long. Returns the version that it is at then.

    Raises KubeError where that cannot go on; then everything is to be taken in anew.
    """
    async for type_, raw in kube.follow(kind, selector, version, seconds, namespace=namespace):
        version = int((raw.get("metadata") or {}).get("resourceVersion") or version)
        if type_ == "DELETED":
            copy.remove(*_name(raw), version)
        elif type_ != "BOOKMARK":
            copy.put(raw)
    return version


class Mirror:
    """Keeps `copy` true to a kind, for as long as it runs."""

    def __init__(
        self,
        kube: Following,
        kind: Kind,
        copy: Copy,
        *,
        selector: str = "",
        namespace: str = "",
        needed: bool = True,
        awaited: bool = True,
    ) -> None:
        """`needed`: else the copy stays empty for as long as the API server does not let us read the kind; `awaited`:
        else nobody waits for it that long, and what was read before stays."""
        self.filled = asyncio.Event()  # everything was listed once
        self.live = False  # everything was listed, and what happened since is followed
        self._kube, self._kind, self._copy = kube, kind, copy
        self._selector, self._namespace, self._needed, self._awaited = selector, namespace, needed, awaited
        self._denied = False

    async def run(self) -> None:
        """Until cancelled."""
        pause = LEAST_PAUSE
        while True:
            try:
                version = await take_in(self._kube, self._kind, self._copy, self._selector, self._namespace)
                self.filled.set()
                self.live = True
                pause, self._denied = LEAST_PAUSE, False
                await self._follow(version)
            except KubeError as error:
                self.live = False
                if error.status == 403 and not self._needed:
                    await self._do_without(error)
                    continue
                if error.status == 403 and not self._awaited:
                    self.filled.set()
                # Too old a version to follow from is nobody's fault, and who asks nobody has said why before.
                if error.status != 410 and error.reason != CIRCUIT_OPEN:
                    log.warning("%s stay as they were: %s", self._kind.plural, error)
                await asyncio.sleep(error.retry_after or pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _do_without(self, error: KubeError) -> None:
        """Say so once, and wait for a while."""
        for gone in _within(self._copy, self._namespace):
            self._copy.remove(*gone, 0)
        self.filled.set()
        if not self._denied:
            log.warning("%s are not reckoned with: %s; grant the rights of this version", self._kind.plural, error)
        self._denied = True
        await asyncio.sleep(DENIED_PAUSE)

    async def _follow(self, version: int) -> None:
        """Watch after watch. Raises KubeError."""
        now = asyncio.get_running_loop().time
        while True:
            began = now()
            version = await follow(self._kube, self._kind, self._copy, version, self._selector, self._namespace)
            if now() - began < LEAST_PAUSE:  # ended before it began
                await asyncio.sleep(LEAST_PAUSE)


def _within(copy: Copy, namespace: str) -> set[tuple[str, str]]:
    """What a copy holds of a namespace; empty: of all."""
    return {name for name in copy.names() if not namespace or name[0] == namespace}


def _name(raw: Object) -> tuple[str, str]:
    return raw["metadata"].get("namespace", ""), raw["metadata"]["name"]
