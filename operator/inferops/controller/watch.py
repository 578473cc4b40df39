"""Kopf as the watch layer: every event goes into the store, and the keys it concerns into the queue. No more.

Only `on.event` handlers are registered: they write no annotation and no finalizer to anybody's resources.
Kopf's own LISTs (at the start, and after 410 Gone) do not tell what vanished meanwhile; `Sweeper` finds that out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, cast

import aiohttp
import kopf
from kubernetes.aio.client import Configuration

from inferops.controller.patience import Forever, PatientSession
from inferops.controller.queue import Queue
from inferops.controller.stateless import NoDiffBase, NoProgress
from inferops.controller.store import CHILDREN, WATCHED, Key, Store
from inferops.kube.client import Kube, KubeError
from inferops.kube.kinds import ENDPOINT_SLICE, Kind
from inferops.kube.session import bearer, new_session
from inferops.render.gatewayslice import MANAGED_BY, MANAGER

log = logging.getLogger(__name__)

CHILD_SELECTOR = "app.kubernetes.io/managed-by=inferops"
# Kubernetes gives the slices that it makes of a Service the labels of that Service, and so ours: it has one for each.
SLICE_SELECTOR = f"{MANAGED_BY}={MANAGER}"
SWEEP_SETTLE = 1.0  # seconds after a LIST of kopf's, so that several make one sweep
SWEEP_EVERY = 600.0


def settings() -> kopf.OperatorSettings:
    """Kopf without everything but watching: no peering, no posting, no scanning."""
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = True
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 310
    chosen.watching.connect_timeout = 5
    chosen.networking.request_timeout = 30
    chosen.networking.error_backoffs = Forever()
    chosen.queueing.idle_timeout = 1
    chosen.watching.chunk_size = 100
    chosen.persistence.diffbase_storage = NoDiffBase()
    chosen.persistence.progress_storage = NoProgress()
    for kind in {*CHILDREN} & {*WATCHED}:
        chosen.watching.label_selectors[_group_version_plural(kind)] = selector(kind)
    return chosen


def registry(store: Store, queue: Queue[Key]) -> kopf.OperatorRegistry:
    """The handlers: one a kind, each of two calls."""
    handlers = kopf.OperatorRegistry()
    for kind in WATCHED:
        kopf.on.event(*_group_version_plural(kind), id=kind.plural, registry=handlers)(_handler(kind, store, queue))
    return handlers


def log_in(
    handlers: kopf.OperatorRegistry, configuration: Configuration, listed: Callable[[str], None], agent: str
) -> None:
    """Let kopf use our credentials, over a session that tells `listed` the path of every LIST it makes."""

    async def on_response(_session: Any, _context: Any, done: aiohttp.TraceRequestEndParams) -> None:
        if done.method == "GET" and "watch" not in done.url.query:
            listed(done.url.path)

    async def login(**_: Any) -> kopf.AiohttpSession:
        tracer = aiohttp.TraceConfig()
        tracer.on_request_end.append(on_response)
        session = new_session(configuration, {**await bearer(configuration), "User-Agent": agent}, [tracer])
        patient = cast(aiohttp.ClientSession, PatientSession(session))
        return kopf.AiohttpSession(server=str(configuration.host), aiohttp_session=patient)

    kopf.on.login(registry=handlers)(login)


def _group_version_plural(kind: Kind) -> tuple[str, str, str]:
    group, _, version = kind.api_version.rpartition("/")
    return group, version, kind.plural


def _handler(kind: Kind, store: Store, queue: Queue[Key]) -> Callable[..., Any]:
    async def on_event(event: kopf.RawEvent, **_: Any) -> None:
        raw: dict[str, Any] = dict(event["object"])
        meta = raw["metadata"]
        if event["type"] == "DELETED":
            keys = store.remove(kind, meta.get("namespace", ""), meta["name"], int(meta.get("resourceVersion") or 0))
        else:
            keys = store.put(kind, raw)
        for key in keys:
            queue.add(key)

    return on_event


class Sweeper:
    """Finds out what vanished while nobody watched: after each LIST of kopf's, and now and then in any case."""

    def __init__(self, kube: Kube, store: Store, queue: Queue[Key]) -> None:
        self._kube, self._store, self._queue = kube, store, queue
        self._by_path = {kind.path(): kind for kind in WATCHED}
        self._due: set[Kind] = set()
        self._asked = asyncio.Event()

    def listed(self, path: str) -> None:
        """Kopf has listed the collection at `path`: what it does not mention is to be looked for."""
        if kind := self._by_path.get(path):
            self._due.add(kind)
            self._asked.set()

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_EVERY):
                    await self._asked.wait()
            await asyncio.sleep(SWEEP_SETTLE)
            self._asked.clear()
            kinds, self._due = self._due or set(WATCHED), set()
            for kind in kinds:
                try:
                    await self.sweep(kind)
                except KubeError as error:
                    log.warning("sweep of %s: %s", kind.plural, error)
                    self.listed(kind.path())

    async def sweep(self, kind: Kind) -> None:
        """Forget the objects of a kind that are gone, and ask for runs of the keys that this concerns."""
        there: set[tuple[str, str]] = set()
        version = 0
        async for items, listed_at in self._kube.pages(kind, selector(kind), metadata_only=True):
            there.update((item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in items)
            version = listed_at
        forget_others(self._store, self._queue, kind, there, version)


def forget_others(
    store: Store, queue: Queue[Key], kind: Kind, there: AbstractSet[tuple[str, str]], version: int | None
) -> None:
    """Forget what a LIST at `version` did not hold, and ask for runs of the keys that this concerns."""
    for namespace, name in store.names(kind):
        if (namespace, name) not in there:
            for key in store.remove(kind, namespace, name, not_after=version):
                queue.add(key)


def selector(kind: Kind) -> str:
    """The label selector with which a kind is listed and watched."""
    if kind is ENDPOINT_SLICE:
        return SLICE_SELECTOR
    return CHILD_SELECTOR if kind in CHILDREN else ""


async def prime(kube: Kube, store: Store, queue: Queue[Key]) -> None:
    """Fill the store by one LIST a kind, and ask for a run of everything. Before that nothing may be decided."""
    for kind in WATCHED:
        async for items, _ in kube.pages(kind, selector(kind)):
            for raw in items:
                store.put(kind, raw)
    for key in store.all_keys():
        queue.add(key)
