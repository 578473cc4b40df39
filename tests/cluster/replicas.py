"""Replicas of the operator inside a test's process, which go wrong at exactly the write that a test names.

Each looks after one service of its own on the real API server, so that many run side by side. A crash throws all
memory away; the next process fills its caches anew and goes on.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from difflib import unified_diff
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeVar

from cluster.services import CHILDREN, Json, Services, eventually
from controlplane import Cluster
from inferops.catalogue import accelerators, runtimes
from inferops.controller.apply import Applier
from inferops.controller.events import Recorder
from inferops.controller.queue import Queue
from inferops.controller.reconcile import Reconciler
from inferops.controller.store import Key, Store
from inferops.controller.telemetry import Metrics
from inferops.controller.views import SERVICE_LABEL
from inferops.controller.watch import Sweeper, prime, selector
from inferops.controller.workers import work
from inferops.kube.client import Client as KubeClient
from inferops.kube.client import KubeError
from inferops.kube.kinds import INFERENCE_SERVICE, POD, Kind
from inferops.kube.owned import Object
from nodeagent.client import Client, load_kubeconfig
from nodeagent.watch import Changed, follow

T = TypeVar("T")
How = Literal["crash", "answer lost", "not sent", "deleted"]
KINDS = (*CHILDREN, POD, INFERENCE_SERVICE)


class Place(NamedTuple):
    """A write among those that a replica makes, such as its second `apply Service`."""

    what: str
    time: int


def places(written: list[str]) -> list[Place]:
    """Each write by what it is: their order and number vary a little with what the replica saw when."""
    return [Place(what, written[: number + 1].count(what)) for number, what in enumerate(written)]


class Crash(BaseException):
    """The process is no more."""


class Faulty:
    """A `Kube` that sees one service alone and goes wrong at one write."""

    def __init__(self, client: KubeClient, namespace: str, name: str) -> None:
        self._client, self._namespace, self._name = client, namespace, name
        self.meanwhile: Callable[[], Awaitable[None]] | None = None  # what others do at that moment
        self.arm(None)

    def arm(self, at: Place | None, how: How = "crash") -> None:
        """Go wrong at this write, counted from here."""
        self.at, self.how = at, how
        self.struck = False
        self.written: list[str] = []

    async def has_struck(self) -> bool:
        return self.struck

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return await self._client.get(kind, namespace, name)

    async def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]:
        mine = f"{selector},{SERVICE_LABEL}={self._name}" if selector else ""
        where = self._namespace if kind.namespaced else ""
        async for items, version in self._client.pages(kind, mine, namespace=where, metadata_only=metadata_only):
            others = kind is INFERENCE_SERVICE
            yield [each for each in items if not others or each["metadata"]["name"] == self._name], version

    async def create(self, kind: Kind, desired: Object) -> Object:
        return await self._write(f"create {kind.kind}", lambda: self._client.create(kind, desired))

    async def apply(self, kind: Kind, desired: Object, *, force: bool, subresource: str = "") -> Object:
        def send() -> Awaitable[Object]:
            return self._client.apply(kind, desired, force=force, subresource=subresource)

        return await self._write(f"apply {kind.kind}{'/' + subresource if subresource else ''}", send)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        await self._write(f"delete {kind.kind}", lambda: self._client.delete(kind, namespace, name, uid))

    def watch(self, kind: Kind, namespace: str, name: str, timeout: float) -> AsyncIterator[Object]:
        raise AssertionError("a reconcile reads from caches")

    async def _write(self, what: str, send: Callable[[], Awaitable[T]]) -> T:
        self.written.append(what)
        if Place(what, self.written.count(what)) != self.at:
            return await send()
        self.struck = True
        if self.how == "not sent":
            raise KubeError(what, 503, "ServiceUnavailable", "made by a test")
        answer = await send()
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.how == "deleted":
            return answer
        if self.how == "answer lost":
            raise KubeError(what, 0, "ServerDisconnectedError", f"made by a test, in place of {type(answer)}")
        raise Crash


class Case:
    """One service, and the replicas of the operator that look after it, one after the other."""

    def __init__(self, services: Services, client: KubeClient, metrics: Metrics, name: str) -> None:
        self.services, self.name = services, name
        self.metrics = metrics
        self.key = Key(INFERENCE_SERVICE.kind, services.namespace, name)
        self.kube = Faulty(client, services.namespace, name)
        self.lives = 0
        self._begin()

    def _begin(self) -> None:
        """A new process: nothing is known."""
        self.lives += 1
        self.store = Store(accelerators(), runtimes())
        self.queue: Queue[Key] = Queue(asyncio.get_running_loop().time)
        applier = Applier(self.kube, self.store, self.queue.add, {})
        self.reconciler = Reconciler(self.store, applier, Recorder(self.kube, now), now)

    async def live(self) -> None:
        """Be an operator, and after each crash another, until cancelled."""
        while True:
            await self.start()
            try:
                await work(self.queue, self.reconciler, self.metrics, asyncio.Lock())
            except Crash:
                self._begin()

    async def start(self) -> None:
        """Fill the caches as the operator does, whose watches begin with a LIST and a sweep."""
        await prime(self.kube, self.store, self.queue)
        sweeper = Sweeper(self.kube, self.store, self.queue)
        for kind in KINDS:
            await sweeper.sweep(kind)

    def tell(self, kind: Kind, news: Changed) -> None:
        """An event of a watch."""
        meta = news.object["metadata"]
        if news.kind == "DELETED":
            keys = self.store.remove(kind, meta["namespace"], meta["name"], int(meta["resourceVersion"]))
        else:
            keys = self.store.put(kind, news.object)
        for key in keys:
            self.queue.add(key)

    async def forgotten(self) -> bool:
        """Whether the service is gone, and the replica knows it and has nothing more to do."""
        return self.store.parent(self.key) is None and not len(self.queue) and not self.queue.failing

    async def rest(self) -> list[str]:
        """The world, once the service is Ready with one revision and all is as it was a second ago."""
        await self.services.ready(self.name)
        seen: list[str] = []

        async def so() -> bool:
            nonlocal seen
            await asyncio.sleep(1)
            before, seen = seen, await self.world()
            return before == seen

        await eventually(f"{self.name} at rest", so)
        return seen

    async def restart_quietly(self) -> None:
        """Assert that a new process finds nothing to write."""
        self._begin()
        before = list(self.kube.written)
        await self.start()
        await self.reconciler.reconcile(self.key)
        assert self.kube.written == before

    async def world(self) -> list[str]:
        """All that was made, as lines in which two services can be compared: without names, uids and times."""
        service = await self.services.get(INFERENCE_SERVICE, self.name)
        found = {kind.kind: [plain(each) for each in await self.services.of(kind, self.name)] for kind in CHILDREN}
        pods = [without(each["metadata"]["labels"], GIVEN) for each in await self.services.of(POD, self.name)]
        told = {"children": found, "status": without(service["status"], TIMES), "pods": pods}
        text = json.dumps(told, sort_keys=True, indent=1).replace(service["metadata"]["uid"], "UID")
        return re.sub(rf"\b{self.name}\b", "NAME", text).splitlines()

    async def becomes(self, wanted: list[str]) -> None:
        """Wait until the world is as `wanted`. Raises TimeoutError that shows the difference."""
        difference = ""

        async def so() -> bool:
            nonlocal difference
            difference = "\n".join(unified_diff(wanted, await self.world(), "smooth", self.name, n=3))
            return not difference

        try:
            await eventually("the same world", so)
        except TimeoutError as late:
            raise TimeoutError(f"{late}:\n{difference}\nafter {self.kube.written}") from None


def now() -> datetime:
    return datetime.now(UTC)


TIMES = frozenset({"lastTransitionTime", "time", "since", "started", "ended", "until", "warmUntil", "retainedUntil"})
GIVEN = frozenset({"clusterIP", "clusterIPs", "pod-template-hash"})


def without(value: Any, names: frozenset[str]) -> Any:
    """`value` without the fields of these names, wherever they stand."""
    if isinstance(value, dict):
        return {key: without(sub, names) for key, sub in value.items() if key not in names}
    return [without(item, names) for item in value] if isinstance(value, list) else value


def plain(child: Json) -> Json:
    """What of a child is the operator's doing: all but its status, and what the API server gave it."""
    meta = child["metadata"]
    ours = [entry for entry in meta["managedFields"] if entry["manager"] == "inferops"]
    kept = {"name": meta["name"], "labels": meta["labels"], "owners": meta["ownerReferences"], "ours": ours}
    rest = {key: sub for key, sub in child.items() if key not in ("metadata", "status")}
    return {"metadata": without(kept, TIMES), **without(rest, GIVEN)}


class Cases:
    """Cases side by side, for as long as the context lasts. All share one watch a kind, to spare the machine."""

    def __init__(self, services: Services, client: KubeClient) -> None:
        self._services, self._client = services, client
        self._metrics = Metrics()
        self._running: dict[str, Case] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, name: str) -> Case:
        """Look after the service of that name from now on."""
        case = self._running[name] = Case(self._services, self._client, self._metrics, name)
        self._tasks.append(asyncio.create_task(case.live()))
        return case

    async def __aenter__(self) -> Self:
        self._tasks += [asyncio.create_task(self._watch(kind)) for kind in KINDS]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        failed = [each for each in ended if not isinstance(each, asyncio.CancelledError)]
        assert not failed, failed
        bugs = {"kind": INFERENCE_SERVICE.kind, "result": "bug"}
        assert not self._metrics.registry.get_sample_value("inferops_reconciles_total", bugs), "see the log"

    async def _watch(self, kind: Kind) -> None:
        chosen = {"labelSelector": selector(kind)} if selector(kind) else {}
        async for news in follow(self._services.api, kind.path(self._services.namespace), chosen):
            for change in [news] if isinstance(news, Changed) else [Changed("MODIFIED", each) for each in news.items]:
                meta = change.object["metadata"]
                name = meta["name"] if kind is INFERENCE_SERVICE else meta["labels"][SERVICE_LABEL]
                if name in self._running:
                    self._running[name].tell(kind, change)


@asynccontextmanager
async def admin(cluster: Cluster) -> AsyncIterator[Client]:
    """The admin's client. At the end it waits until all connections of this process are closed.

    TLS says goodbye in its own time, and the loop of a test must not end before.
    """
    before = _sockets()
    async with Client(load_kubeconfig(cluster.kubeconfig)) as api:
        yield api

    async def closed() -> bool:
        return _sockets() <= before

    await eventually("connections closed", closed)


def _sockets() -> int:
    links = (os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd"))
    return sum(os.path.islink(link) and os.readlink(link).startswith("socket:") for link in links)
