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
from inferops.kube.kinds import ENDPOINT_SLICE, INFERENCE_CLUSTER, Kind
from inferops.kube.scope import Scope
from inferops.kube.session import bearer, new_session
from inferops.render.gatewayslice import MANAGED_BY, MANAGER

log = logging.getLogger(__name__)

CHILD_SELECTOR = "app.kubernetes.io/managed-by=inferops"
# Kubernetes gives the slices that it makes of a Service the labels of that Service, and so ours: it has one for each.
SLICE_SELECTOR = f"{MANAGED_BY}={MANAGER}"
SWEEP_SETTLE = 1.0  # seconds after a LIST of kopf's, so that several make one sweep
SWEEP_EVERY = 600.0
ALL = Scope()


def kinds(scope: Scope) -> tuple[Kind, ...]:
    """Those that kopf watches: all of them in the same namespaces, so not what is in the operator's own alone."""
    return tuple(kind for kind in WATCHED if not (scope.named and kind is INFERENCE_CLUSTER))


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


def registry(store: Store, queue: Queue[Key], scope: Scope = ALL) -> kopf.OperatorRegistry:
    """The handlers: one a kind, each of two calls."""
    handlers = kopf.OperatorRegistry()
    for kind in kinds(scope):
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


class Restored(Exception):
    """The cluster's state was replaced by an older one, so what is kept here is of no use. The process must end."""


class Sweeper:
    """Finds out what vanished while nobody watched: after each LIST of kopf's, and now and then in any case."""

    def __init__(self, kube: Kube, store: Store, queue: Queue[Key], scope: Scope = ALL) -> None:
        self._kube, self._store, self._queue = kube, store, queue
        self._by_path = {kind.path(at): (kind, at) for kind in kinds(scope) for at in scope.of(kind)}
        self._due: set[tuple[Kind, str]] = set()
        self._asked = asyncio.Event()

    def listed(self, path: str) -> None:
        """Kopf has listed the collection at `path`: what it does not mention is to be looked for."""
        if collection := self._by_path.get(path):
            self._due.add(collection)
            self._asked.set()

    async def run(self) -> None:
        """Sweep until cancelled. Raises Restored."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_EVERY):
                    await self._asked.wait()
            await asyncio.sleep(SWEEP_SETTLE)
            self._asked.clear()
            due, self._due = self._due or set(self._by_path.values()), set()
            for kind, namespace in due:
                try:
                    await self.sweep(kind, namespace)
                except KubeError as error:
                    log.warning("sweep of %s: %s", kind.plural, error)
                    self.listed(kind.path(namespace))

    async def sweep(self, kind: Kind, namespace: str = "") -> None:
        """Forget the objects of a kind that are gone, and ask for runs of the keys that this concerns.

        Raises Restored where the API server knows less than was seen of it.
        """
        there: set[tuple[str, str]] = set()
        version, newest = 0, self._store.newest(kind)
        async for items, listed_at in self._kube.pages(kind, selector(kind), namespace=namespace, metadata_only=True):
            there.update((item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in items)
            version = listed_at
        if 0 < version < newest:
            raise Restored(
                f"{kind.plural} are at version {version}, and {newest} was seen: an older state was restored"
            )
        forget_others(self._store, self._queue, kind, there, version, namespace)


def forget_others(
    store: Store,
    queue: Queue[Key],
    kind: Kind,
    there: AbstractSet[tuple[str, str]],
    version: int | None,
    within: str = "",
) -> None:
    """Forget what a LIST at `version` of a namespace, or of all, did not hold, and ask for runs of the keys that this
    concerns."""
    for namespace, name in store.names(kind):
        if within in ("", namespace) and (namespace, name) not in there:
            for key in store.remove(kind, namespace, name, not_after=version):
                queue.add(key)


def selector(kind: Kind) -> str:
    """The label selector with which a kind is listed and watched."""
    if kind is ENDPOINT_SLICE:
        return SLICE_SELECTOR
    return CHILD_SELECTOR if kind in CHILDREN else ""


async def prime(kube: Kube, store: Store, queue: Queue[Key], scope: Scope = ALL) -> set[str]:
    """Fill the store by one LIST a kind and namespace, and ask for a run of everything. Before that nothing may be
    decided. Returns the namespaces that are to be served and do not let us read them; raises KubeError else."""
    barred: set[str] = set()
    for kind in (kind for kind in WATCHED if scope.of(kind) != scope.namespaces):
        for namespace in scope.of(kind):
            await _take_in(kube, store, kind, namespace)
    for namespace in scope.namespaces:
        if not await prime_namespace(kube, store, namespace, scope):
            barred.add(namespace)
    for key in store.all_keys():
        queue.add(key)
    return barred


async def prime_namespace(kube: Kube, store: Store, namespace: str, scope: Scope) -> bool:
    """Fill the store with what is in a namespace. Returns whether we may; raises KubeError where nobody says so."""
    try:
        for kind in (kind for kind in WATCHED if scope.of(kind) == scope.namespaces):
            await _take_in(kube, store, kind, namespace)
    except KubeError as error:
        if error.status != 403:
            raise
        log.warning("namespace %s is not served: %s; grant the rights in manifests/namespaced", namespace, error)
        return False
    return True


async def _take_in(kube: Kube, store: Store, kind: Kind, namespace: str) -> None:
    async for items, _ in kube.pages(kind, selector(kind), namespace=namespace):
        for raw in items:
            store.put(kind, raw)
