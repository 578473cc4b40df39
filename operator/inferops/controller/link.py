"""The way to a member cluster: over it the member is asked, its capacity is copied, and services are written into it.

`Link` is what a member needs of any way; `DirectLink` is the one over a client of the member's own API server.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from inferops.controller.children import Children
from inferops.controller.membercapacity import ALWAYS, OPTIONAL, UNTOLD, Capacity, Quotas, Waiting
from inferops.core.offers import Free
from inferops.kube.breaker import Breaker, Calls, Guarded, judge
from inferops.kube.client import KubeError
from inferops.kube.kinds import INFERENCE_SERVICE, NAMESPACE
from inferops.kube.mirror import Mirror
from inferops.kube.scope import EVERYWHERE
from inferops.kube.tracing import root

SYSTEM = "kube-system"  # the namespace whose UID tells a cluster from all others
TOGETHER = 5.0  # seconds for which news of capacity is gathered


@dataclass(frozen=True, slots=True)
class Answer:
    """What a member said when it was asked which cluster it is."""

    answered: bool
    denied: bool = False  # it answered, and does not let us in
    why: str = ""  # it did not, or does not
    uid: str = ""  # of its namespace kube-system


@dataclass(frozen=True, slots=True)
class Counted:
    """What a member has, counted at one time."""

    free: tuple[Free, ...]
    nodes: tuple[int, int] = (0, 0)  # how many there are, and how many of these are ready
    scheduled: Counter[tuple[str, str]] = field(default_factory=Counter)  # replicas by namespace and service
    waiting: Waiting = field(default_factory=dict)
    quotas: Quotas = field(default_factory=dict)
    uid: str = ""  # which cluster it is, where that is told with it


class Link(Protocol):
    """A way to one member."""

    mark: str  # of the credentials

    @property
    def listed(self) -> bool:
        """Whether all that we wrote there is known, as it is now."""

    async def ask(self) -> Answer:
        """Which cluster is it, and does it answer?"""

    async def follow(self) -> None:
        """Copy what it has, and bring about what it is to have, from now on. Raises KubeError."""

    async def close(self) -> None:
        """Stop and hang up."""


class Asked(Calls, Protocol):
    """The part of a member's `Client` that is needed."""

    async def close(self) -> None: ...


@dataclass(slots=True)
class Ends:
    """What is at our end of a link."""

    capacity: Capacity  # where nodes, pods and devices are copied
    children: Children  # where services are
    free: Callable[[Capacity], tuple[Free, ...]]
    counted: Callable[[Counted], None]  # told whenever that changes
    filled: Callable[[], None]  # told once everything that is ours is known


class DirectLink:
    """Over a client of the member's own API server, which is left alone for a while when it fails."""

    def __init__(self, mark: str, client: Asked, ends: Ends, namespaces: tuple[str, ...] = EVERYWHERE) -> None:
        """`namespaces`: in which services are ours."""
        self.mark = mark
        self._client, self._ends, self._namespaces = client, ends, namespaces
        self._breaker = Breaker()
        self._guarded = Guarded(client, self._breaker)
        self._tasks: list[asyncio.Task[None]] = []
        self._children: list[Mirror] = []

    @property
    def listed(self) -> bool:
        return bool(self._children) and all(mirror.live for mirror in self._children)

    async def ask(self) -> Answer:
        try:
            with root("member ask"):
                found = await self._client.get(NAMESPACE, "", SYSTEM)
        except KubeError as error:
            judge(self._breaker, error, asyncio.get_running_loop().time())
            return Answer(0 < error.status < 500, error.status in (401, 403), str(error))
        self._breaker.succeeded()
        return Answer(True, uid=str(((found or {}).get("metadata") or {}).get("uid") or ""))

    async def follow(self) -> None:
        if self._tasks:
            return
        kinds = [*ALWAYS, *UNTOLD, *[kind for kind in OPTIONAL if await self._guarded.offers(kind)]]
        copies = self._ends.capacity.copies
        mirrors = [Mirror(self._guarded, kind, copies[kind], needed=kind not in UNTOLD) for kind in kinds]
        self._tasks = [asyncio.create_task(mirror.run()) for mirror in mirrors]
        self._tasks.append(asyncio.create_task(self._count(mirrors)))
        children = self._ends.children
        self._children = [
            Mirror(self._guarded, INFERENCE_SERVICE, children, selector=children.selector, namespace=namespace)
            for namespace in self._namespaces
        ]
        self._tasks += [asyncio.create_task(mirror.run()) for mirror in self._children]
        self._tasks.append(asyncio.create_task(self._write(self._children)))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    async def _write(self, mirrors: list[Mirror]) -> None:
        """Bring about what services are to have there, once it is known what they have."""
        for mirror in mirrors:
            await mirror.filled.wait()
        self._ends.filled()
        await self._ends.children.run(self._guarded)

    async def _count(self, mirrors: list[Mirror]) -> None:
        """Tell what is offered, whenever that may have changed."""
        capacity = self._ends.capacity
        for mirror in mirrors:
            await mirror.filled.wait()
        while True:
            capacity.news.clear()
            free, nodes, scheduled = self._ends.free(capacity), capacity.nodes, capacity.scheduled()
            self._ends.counted(Counted(free, nodes, scheduled, capacity.waiting(), capacity.quotas()))
            await capacity.news.wait()
            await asyncio.sleep(TOGETHER)
