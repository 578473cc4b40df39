"""An operator of some namespaces: it asks for these alone, and one that bars it holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from inferops.catalogue import accelerators, runtimes
from inferops.controller import watch
from inferops.controller.barred import Barred
from inferops.controller.copies import StoreCopy
from inferops.controller.optional import OptionalKinds
from inferops.controller.queue import Queue
from inferops.controller.store import Key, Store
from inferops.kube.client import KubeError
from inferops.kube.kinds import (
    DEPLOYMENT,
    HTTP_ROUTE,
    INFERENCE_CLUSTER,
    INFERENCE_SERVICE,
    NODE,
    SERVICE,
    Kind,
)
from inferops.kube.mirror import take_in
from inferops.kube.owned import Object
from inferops.kube.scope import Scope
from unit.controller.building import child, cluster, node, service
from unit.controller.fakekube import Fake, refusal

OWN = "inferops-system"
SCOPE = Scope(("red", "blue"), OWN)
SERVED = Key("InferenceService", "red", "llama")


class Shared(Fake):
    """A cluster that lists by namespace, remembers who asked for what, and bars from some."""

    def __init__(self) -> None:
        super().__init__(offered={HTTP_ROUTE})
        self.asked: list[tuple[str, str]] = []  # plural and namespace of each LIST and watch
        self.bars: set[str] = set()

    async def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]:
        self._ask(kind, namespace)
        found = self.all(kind, selector)
        yield [each for each in found if namespace in ("", each["metadata"].get("namespace"))], self.version

    async def follow(
        self, kind: Kind, selector: str, version: int, timeout: float, *, namespace: str = ""
    ) -> AsyncIterator[tuple[str, Object]]:
        self._ask(kind, namespace)
        await asyncio.sleep(timeout)
        yield "BOOKMARK", {"metadata": {"resourceVersion": str(version)}}

    def _ask(self, kind: Kind, namespace: str) -> None:
        self.asked.append((kind.plural, namespace))
        if namespace in self.bars:
            raise refusal(403)


class Desk:
    """An operator's caches on such a cluster, with a service of the same name in three namespaces."""

    def __init__(self) -> None:
        self.kube = Shared()
        self.kube.put(NODE, node())
        for namespace in ("red", "blue", "green"):
            self.kube.put(INFERENCE_SERVICE, raw_in(service(), namespace))
            self.kube.put(SERVICE, raw_in(child(SERVICE, "llama"), namespace))
            self.kube.put(HTTP_ROUTE, raw_in(child(HTTP_ROUTE, "llama"), namespace))
        for namespace in (OWN, "red"):
            self.kube.put(INFERENCE_CLUSTER, raw_in(cluster(), namespace))
        self.store = Store(accelerators(), runtimes())
        self.queue: Queue[Key] = Queue(asyncio.get_running_loop().time)
        self.barred = Barred(self.kube, self.store, self.queue, SCOPE, self.optional().prime)

    def optional(self) -> OptionalKinds:
        return OptionalKinds(self.kube, self.store, self.queue, SCOPE)

    async def drained(self) -> set[Key]:
        found = set()
        while len(self.queue):
            found.add(key := await self.queue.get())
            self.queue.done(key)
        return found


def raw_in(found: Object, namespace: str) -> Object:
    return {**found, "metadata": {**found["metadata"], "namespace": namespace}}


async def test_only_what_no_namespace_has_is_asked_for_in_the_whole_cluster() -> None:
    desk = Desk()
    await desk.barred.prime()
    await desk.optional().prime()
    whole = {plural for plural, namespace in desk.kube.asked if not namespace}
    assert whole == {"nodes", "accelerators", "servingruntimes"}  # and resourceslices, where there are some
    assert {at for plural, at in desk.kube.asked if plural == "inferenceclusters"} == {OWN}
    assert {at for plural, at in desk.kube.asked if plural == "inferenceservices"} == {"red", "blue"}
    assert {at for plural, at in desk.kube.asked if plural == "httproutes"} == {"red", "blue"}
    assert {key.namespace for key in await desk.drained() if key.kind == "InferenceService"} == {"red", "blue"}
    assert desk.store.clusters() == [Key("InferenceCluster", OWN, "east")]


async def test_one_that_bars_us_holds_up_no_other_and_is_served_once_it_does_not() -> None:
    desk = Desk()
    desk.kube.bars = {"blue"}
    await desk.barred.prime()
    await desk.optional().prime()
    assert "blue" in desk.barred and "red" not in desk.barred
    assert SERVED in await desk.drained() and desk.store.offered() == {"HTTPRoute"}
    await desk.barred.look("blue")
    assert "blue" in desk.barred and not len(desk.queue)
    desk.kube.bars = set()
    await desk.barred.look("blue")
    assert "blue" not in desk.barred
    assert await desk.drained() == {SERVED._replace(namespace="blue")}
    blue = SERVED._replace(namespace="blue")
    assert desk.store.children(blue, SERVICE) and desk.store.children(blue, HTTP_ROUTE)


async def test_without_what_none_can_be_without_nothing_begins() -> None:
    desk = Desk()
    desk.kube.bars = {OWN}
    with pytest.raises(KubeError):
        await desk.barred.prime()
    desk.kube.bars = set()
    await desk.barred.prime()
    assert SERVED in await desk.drained()


async def test_a_sweep_of_one_namespace_forgets_nothing_of_another() -> None:
    desk = Desk()
    await desk.barred.prime()
    sweeper = watch.Sweeper(desk.kube, desk.store, desk.queue, SCOPE)
    for namespace in ("red", "blue"):
        del desk.kube.objects["Service", namespace, "llama"]
    desk.kube.version += 1
    await sweeper.sweep(SERVICE, "red")
    assert not desk.store.children(SERVED, SERVICE)
    assert desk.store.children(SERVED._replace(namespace="blue"), SERVICE)


async def test_kopfs_list_of_a_namespace_is_known_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SWEEP_SETTLE", 0.01)
    desk = Desk()
    sweeper = watch.Sweeper(desk.kube, desk.store, desk.queue, SCOPE)
    running = asyncio.create_task(sweeper.run())
    sweeper.listed(DEPLOYMENT.path("green"))  # not ours
    sweeper.listed(DEPLOYMENT.path("blue"))
    await asyncio.sleep(0.1)
    running.cancel()
    assert desk.kube.asked == [("deployments", "blue")]


async def test_kopf_watches_no_clusters_in_the_namespaces_of_services() -> None:
    assert INFERENCE_CLUSTER not in watch.kinds(SCOPE) and INFERENCE_CLUSTER in watch.kinds(Scope())


async def test_an_optional_kind_is_followed_in_each_namespace_until_one_watch_ends() -> None:
    desk = Desk()
    kinds = desk.optional()
    running = asyncio.create_task(kinds.run())
    await asyncio.sleep(0.05)
    watched = [at for plural, at in desk.kube.asked if plural == "httproutes"]
    assert watched == ["red", "blue", "red", "blue"]  # listed, then followed
    running.cancel()


async def test_what_is_listed_of_a_namespace_replaces_what_is_known_of_that_one() -> None:
    desk = Desk()
    copy = StoreCopy(desk.store, desk.queue, INFERENCE_SERVICE)
    for namespace in ("red", "blue"):
        await take_in(desk.kube, INFERENCE_SERVICE, copy, namespace=namespace)
    del desk.kube.objects["InferenceService", "blue", "llama"]
    desk.kube.version += 1
    await take_in(desk.kube, INFERENCE_SERVICE, copy, namespace="blue")
    assert set(copy.names()) == {("red", "llama")}
