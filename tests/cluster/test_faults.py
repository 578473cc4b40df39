"""Between the operator and the API server everything goes wrong that can; afterwards all is as if nothing had.

After each fault every service is Ready, nothing is there twice, nothing is written any more, and no pod was replaced
that need not be. The operator is a process of its own, one for all of these tests: what a fault leaves behind in it
meets the next one.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from cluster.faultproxy import Fault, FaultProxy
from cluster.services import Services, condition, eventually, gpu_nodes
from controlplane import Binaries, Cluster
from harness import ACCOUNT, NAMESPACE, OperatorProcess, install
from inferops.controller.queue import BASE
from inferops.controller.store import WATCHED
from inferops.kube.kinds import BUDGET, DEPLOYMENT, INFERENCE_SERVICE, POD, RECORD, SERVICE, Kind
from nodeagent.client import Client, load_kubeconfig

SILENCE = 1.0  # seconds without a write that count as rest
READS = 60  # requests within SILENCE that are no busy loop: a LIST, a watch and a sweep of every kind
MANY = [f"model-{number}" for number in range(8)]
_count = itertools.count(1)


@pytest.fixture(scope="module")
def hub(binaries: Binaries, inside: None) -> Iterator[Cluster]:
    """A cluster for these tests alone, since they stop its API server."""
    with Cluster("faults", 2, binaries=binaries) as hub:
        install(hub)
        hub.stop_component("kube-controller-manager")  # its garbage collector learns of new kinds every 30 s only
        hub.start_component("kube-controller-manager")
        with gpu_nodes(hub, "1x100xnvidia-h100-80gb", "faults-"):
            yield hub


@pytest.fixture(scope="module")
def proxy(hub: Cluster) -> Iterator[FaultProxy]:
    with FaultProxy(hub.server, hub.ca) as proxy:
        yield proxy


class Supervised:
    """The operator, started anew when it ended, as kubelet would."""

    def __init__(self, hub: Cluster, proxy: FaultProxy) -> None:
        self.hub = hub
        self.kubeconfig = proxy.kubeconfig(hub.kubeconfig_for(NAMESPACE, ACCOUNT), "through-proxy")
        self.process = self._start()

    def _start(self) -> OperatorProcess:
        return OperatorProcess(self.hub, "faults", self.kubeconfig)

    def ended(self) -> int | None:
        return self.process.process.poll()

    def restart(self) -> None:
        self.process = self._start()


@pytest.fixture(scope="module")
def operator(hub: Cluster, proxy: FaultProxy) -> Iterator[Supervised]:
    operator = Supervised(hub, proxy)
    yield operator
    operator.process.stop()


class World:
    """The services of a test, and the journal by which they are judged."""

    def __init__(self, services: Services, proxy: FaultProxy) -> None:
        self.services, self.proxy = services, proxy

    async def untouched(self) -> tuple[set[str], dict[str, int]]:
        """What must not change: the pods, and the generations of the Deployments by uid."""
        deployments = [each["metadata"] for each in await self.services.all(DEPLOYMENT)]
        return await self.services.pods(), {meta["uid"]: meta["generation"] for meta in deployments}

    async def converged(self, *names: str) -> None:
        """Assert that all services are Ready and whole, and that nothing is written any more."""
        await self.services.ready(*names)
        await self.services.one_pod_each(*names)
        await eventually("no write", self._silent, timeout=20)
        await self.services.whole(*names)

    async def _silent(self) -> bool:
        since = time.monotonic() - SILENCE
        if self.proxy.writes(since):
            return False
        return sum(entry.at >= since for entry in tuple(self.proxy.journal)) < READS


@pytest.fixture
async def world(hub: Cluster, proxy: FaultProxy, operator: Supervised) -> AsyncIterator[World]:
    """A fresh namespace; what a test leaves in it is deleted, and nothing may stay behind."""
    assert operator.ended() is None, operator.process.tail()
    async with Client(load_kubeconfig(hub.kubeconfig)) as api:
        namespace = f"faults-{next(_count)}"
        world = World(Services(api, namespace), proxy)
        await world.services.begin()
        yield world
        await world.services.delete(*[each["metadata"]["name"] for each in await world.services.all(INFERENCE_SERVICE)])
        await world.services.gone()
    assert operator.ended() is None, operator.process.tail()
    assert 'result="bug"' not in operator.process.get("/metrics")[1], operator.process.tail()


async def test_watches_that_are_cut_again_and_again(world: World, proxy: FaultProxy) -> None:
    await world.services.create(*MANY)
    for _ in range(15):
        proxy.cut_watches()
        await asyncio.sleep(0.2)
    await world.converged(*MANY)


@pytest.mark.parametrize("code", [410, 500])
async def test_watches_that_end_with_an_error(world: World, proxy: FaultProxy, code: int) -> None:
    await world.services.create("before")
    await world.converged("before")
    untouched = await world.untouched()
    proxy.fail_watches(code)
    await world.services.create("between")
    await asyncio.sleep(0.5)
    proxy.fail_watches(code)
    await world.converged("before", "between")
    assert untouched[0] < await world.services.pods()


async def test_watches_and_then_lists_that_are_refused_as_expired(world: World, proxy: FaultProxy) -> None:
    await world.services.create("before")
    await world.converged("before")
    untouched = await world.untouched()
    with proxy.fault(Fault(method="GET", path="^(?!.*/leases)", status=410, once_a_path=True)) as expired:
        proxy.cut_watches()
        await world.services.create("between")
        await world.converged("before", "between")
    assert set(expired.hits) >= {f"{verb} {kind.path()}" for kind in WATCHED for verb in ("WATCH", "GET")}
    assert untouched[0] < await world.services.pods()


@pytest.mark.parametrize("lost", [(RECORD, SERVICE, BUDGET), (DEPLOYMENT,)], ids=["all but its pods", "deployment"])
async def test_children_deleted_while_nobody_is_told(world: World, proxy: FaultProxy, lost: tuple[Kind, ...]) -> None:
    """They come back by the sweep after the LIST, also where each was the only one of its kind in the cluster."""
    services = world.services
    await services.create("only")
    await world.converged("only")
    untouched = await world.untouched()
    there = {kind: await services.of(kind, "only") for kind in lost}
    with proxy.frozen_watches():
        for kind in lost:
            for each in there[kind]:
                await services.api.delete(kind.path(services.namespace, each["metadata"]["name"]))
        for kind in lost:
            await eventually(f"{kind.kind} deleted", partial(services.number, kind, "only", 0))
        proxy.fail_watches(410)
        for kind in lost:
            await eventually(f"{kind.kind} back", partial(services.number, kind, "only", len(there[kind])))
    await world.converged("only")
    if DEPLOYMENT not in lost:
        assert await world.untouched() == untouched


@pytest.mark.parametrize("after_its_children", [False, True], ids=["at once", "after its children"])
async def test_a_namesake_while_nobody_is_told(world: World, proxy: FaultProxy, after_its_children: bool) -> None:
    services = world.services
    await services.create("same", "other")
    await world.converged("same", "other")
    uid = (await services.get(INFERENCE_SERVICE, "same"))["metadata"]["uid"]
    with proxy.frozen_watches():
        await services.delete("same")
        if after_its_children:
            await eventually("its pods gone", partial(services.number, POD, "same", 0))
        await services.create("same")
        proxy.fail_watches(410)
    await world.converged("same", "other")
    assert (await services.get(INFERENCE_SERVICE, "same"))["metadata"]["uid"] != uid


@pytest.mark.parametrize(
    "fault",
    [
        Fault(path="/(deployments|controllerrevisions|services|poddisruptionbudgets)/", status=409),
        Fault(path="/(deployments|controllerrevisions)/", drop="after"),
        Fault(path="/(services|poddisruptionbudgets)/", drop="before"),
    ],
    ids=["conflict", "answer lost", "not sent"],
)
async def test_the_first_write_of_a_child_fails(world: World, proxy: FaultProxy, fault: Fault) -> None:
    fault.method, fault.once_a_path = "PATCH", True
    with proxy.fault(fault):
        await world.services.create(*MANY)
        await world.converged(*MANY)
    assert len(fault.hits) >= 2 * len(MANY)


async def test_retry_after_is_obeyed(world: World, proxy: FaultProxy) -> None:
    with proxy.fault(Fault(method="PATCH", path="/deployments/late-", status=429, retry_after=3, times=1)):
        await world.services.create("late", "other")
        await world.converged("late", "other")
    mine = [
        entry for entry in proxy.writes() if f"/{world.services.namespace}/" in entry.path and "/late" in entry.path
    ]
    [refused] = [number for number, entry in enumerate(mine) if entry.status == 429]
    assert mine[refused + 1].at - mine[refused].at >= 3


async def test_a_third_of_all_answers_is_an_error(world: World, proxy: FaultProxy) -> None:
    """But for those about the Lease: losing it by bad luck is another test's."""
    with proxy.fault(Fault(path="^(?!.*/leases/)", status=500, share=0.3)) as errors:
        await world.services.create(*MANY)
        await asyncio.sleep(1)
        proxy.cut_watches()
        await asyncio.sleep(1)
        await asyncio.gather(*(world.services.change(name, {"model": {"revision": "v2"}}) for name in MANY))
        await asyncio.sleep(2)
    await world.converged(*MANY)
    assert errors.hits.total() > 20


async def test_the_api_server_is_killed(world: World, hub: Cluster, operator: Supervised) -> None:
    await world.services.create(*MANY)
    await world.converged(*MANY)
    untouched = await world.untouched()
    hub.stop_component("kube-apiserver", kill=True)
    hub.start_component("kube-apiserver")
    if operator.ended() is not None:  # a slow machine; after 10 s it may no longer write
        assert operator.ended() == 1 and "lease" in operator.process.tail()
        operator.restart()
    await world.services.create("later")
    await world.converged(*MANY, "later")
    pods, generations = await world.untouched()
    assert untouched[0] < pods and untouched[1].items() < generations.items()


async def test_a_slow_line(world: World, proxy: FaultProxy) -> None:
    with proxy.fault(Fault(delay=0.3)):
        await world.services.create(*MANY)
        await world.converged(*MANY)


async def test_poisoned_services_delay_nobody(world: World, proxy: FaultProxy) -> None:
    """One whose requests fail, one whose requests hang, and one whose Deployment a quota refuses."""
    services = world.services
    others = [f"other-{number}" for number in range(20)]
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/deployments.apps": "0"}}}
    full = Services(services.api, f"{services.namespace}-full")
    await full.begin()
    await services.api.create(f"/api/v1/namespaces/{full.namespace}/resourcequotas", quota)
    failing, hanging = Fault(path="/failing", status=500), Fault(path="/hanging", delay=30)
    with proxy.fault(failing), proxy.fault(hanging):
        started = time.monotonic()
        await asyncio.gather(services.create("failing", "hanging", *others), full.create("refused"))
        await services.ready(*others)
        took = time.monotonic() - started
        attempts = failing.hits.total()
        refused = [entry for entry in proxy.writes() if f"/{full.namespace}/deployments/" in entry.path]
    # The waits double from BASE on, less a quarter by chance.
    assert 2 <= attempts <= 2 + math.log2(took / (0.75 * BASE) + 1), f"{attempts} attempts within {took:.1f} s"
    assert 1 <= len(refused) <= 1 + took / 5
    stalled = condition(await full.get(INFERENCE_SERVICE, "refused"), "Stalled")
    assert stalled["reason"] == "RejectedByAPIServer" and "quota" in stalled["message"]
    await services.api.delete(f"/api/v1/namespaces/{full.namespace}/resourcequotas/none")
    await full.ready("refused")
    await world.converged("failing", "hanging", *others)
    await full.delete("refused")
    await full.gone()
