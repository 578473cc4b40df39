"""The operator ends, or loses an answer, at each of its writes in turn: the world that it leads to is the same.

The replicas of most tests run in this process on the real API server, so that the moment is exact: a client that
goes wrong at its n-th write, after which all memory is thrown away, a new one is primed and goes on. The last test
kills the process at any moment.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from difflib import unified_diff
from typing import Any, Literal, TypeVar

import pytest

from cluster.services import CHILDREN, Json, Services, eventually, gpu_nodes
from controlplane import Cluster
from harness import ACCOUNT, NAMESPACE, OperatorProcess, install
from inferops.catalogue import accelerators, runtimes
from inferops.controller.apply import Applier
from inferops.controller.events import Recorder
from inferops.controller.operator import LEASE_NAME
from inferops.controller.queue import Queue
from inferops.controller.reconcile import Reconciler
from inferops.controller.store import Key, Store
from inferops.controller.telemetry import Metrics
from inferops.controller.views import SERVICE_LABEL
from inferops.controller.watch import Sweeper, prime, selector
from inferops.controller.workers import work
from inferops.kube.client import Client as KubeClient
from inferops.kube.client import KubeError, load_configuration
from inferops.kube.kinds import INFERENCE_SERVICE, LEASE, POD, Kind
from inferops.kube.owned import Object
from nodeagent.client import Client, load_kubeconfig
from nodeagent.watch import Changed, follow

T = TypeVar("T")
How = Literal["crash", "answer lost", "not sent", "deleted"]
KINDS = (*CHILDREN, POD, INFERENCE_SERVICE)
HOWS: tuple[How, ...] = ("crash", "answer lost", "not sent")
AT_A_TIME = 12
OTHER_MODEL = {"model": {"uri": "hf://Qwen/Qwen3-14B"}}


class Crash(BaseException):
    """The process is no more."""


class Faulty:
    """A `Kube` that sees one service alone and goes wrong at the write number `at`, counted from 1; 0: never."""

    def __init__(self, client: KubeClient, namespace: str, name: str) -> None:
        self._client, self._namespace, self._name = client, namespace, name
        self.meanwhile: Callable[[], Awaitable[None]] | None = None  # what others do at that moment
        self.arm(0)

    def arm(self, at: int, how: How = "crash") -> None:
        """Count writes from here."""
        self.at, self.how = at, how
        self.written: list[str] = []

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
        raise AssertionError("a reconcile applies, it does not create")

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
        if len(self.written) != self.at:
            return await send()
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

    def __init__(self, services: Services, client: KubeClient, name: str) -> None:
        self.services, self.name = services, name
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
                await work(self.queue, self.reconciler, Metrics())
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


TIMES = frozenset({"lastTransitionTime", "time"})
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


@pytest.fixture(scope="module")
def product(cluster: Cluster) -> Iterator[None]:
    """The CRDs and the operator's rights, and nodes enough for all."""
    install(cluster)
    with gpu_nodes(cluster, "2x100xnvidia-h100-80gb", "crash-"):
        yield


@pytest.fixture
async def services(cluster: Cluster, namespace: str, product: None) -> AsyncIterator[Services]:
    async with Client(load_kubeconfig(cluster.kubeconfig)) as api:
        yield Services(api, namespace)


@pytest.fixture
async def client(cluster: Cluster, product: None) -> AsyncIterator[KubeClient]:
    """As the operator's own ServiceAccount."""
    client = KubeClient(await load_configuration(str(cluster.kubeconfig_for(NAMESPACE, ACCOUNT))))
    yield client
    await client.close()


@pytest.fixture
async def cases(services: Services, client: KubeClient) -> AsyncIterator[Callable[[str], Case]]:
    """Begins a case for the service of that name. All share one watch a kind, to spare the machine."""
    running: dict[str, Case] = {}
    tasks: list[asyncio.Task[None]] = []

    async def watch(kind: Kind) -> None:
        chosen = {"labelSelector": selector(kind)} if selector(kind) else {}
        async for news in follow(services.api, kind.path(services.namespace), chosen):
            for change in [news] if isinstance(news, Changed) else [Changed("MODIFIED", each) for each in news.items]:
                meta = change.object["metadata"]
                case = running.get(meta["name"] if kind is INFERENCE_SERVICE else meta["labels"][SERVICE_LABEL])
                if case is not None:
                    case.tell(kind, change)

    def begin(name: str) -> Case:
        running[name] = Case(services, client, name)
        tasks.append(asyncio.create_task(running[name].live()))
        return running[name]

    tasks += [asyncio.create_task(watch(kind)) for kind in KINDS]
    yield begin
    for task in tasks:
        task.cancel()
    failed = [each for each in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(each, Exception)]
    assert not failed


Begin = Callable[[str], Case]


@pytest.mark.parametrize("updates", [False, True], ids=["create", "update"])
async def test_the_same_world_wherever_it_goes_wrong(cases: Begin, updates: bool) -> None:
    async def play(name: str, at: int = 0, how: How = "crash") -> Case:
        case = cases(name)
        case.kube.arm(at if not updates else 0, how)
        await case.services.create(name)
        await case.services.ready(name)
        if updates:
            case.kube.arm(at, how)
            await case.services.change(name, OTHER_MODEL)
            await case.services.ready(name)
        return case

    smooth = await play("smooth-0")
    wanted, writes = await smooth.rest(), smooth.kube.written
    limit, hit = asyncio.Semaphore(AT_A_TIME), set()

    async def one(at: int, how: How) -> None:
        async with limit:
            case = await play(f"{how.replace(' ', '-')}-{at}", at, how)
            await case.becomes(wanted)
            assert case.lives == 1 + (how == "crash" and len(case.kube.written) >= at)
            hit.update(case.kube.written[at - 1 : at])
            if how == "crash":
                await case.restart_quietly()

    async with asyncio.TaskGroup() as group:
        for at in range(1, len(writes) + 1):
            for how in HOWS:
                group.create_task(one(at, how))
    assert hit == set(writes), "a write was never the one that went wrong"


@pytest.mark.parametrize("how", ["crash", "deleted"])
async def test_nothing_is_left_wherever_a_service_is_deleted(cases: Begin, services: Services, how: How) -> None:
    """While it is being created: at a crash, so that the next process never sees it, or behind the replica's back."""
    struck: list[str] = []

    async def one(at: int) -> None:
        case = cases(f"case-{at}")

        async def meanwhile() -> None:
            struck.append(case.kube.written[-1])
            await services.delete(case.name)

        case.kube.arm(at, how)
        case.kube.meanwhile = meanwhile
        await services.create(case.name)
        await eventually(f"write {at} of {case.name}", lambda: asyncio.sleep(0, len(case.kube.written) >= at))
        await eventually(f"{case.name} forgotten", case.forgotten)

    async with asyncio.TaskGroup() as group:
        for at in range(1, 9):  # to Ready it takes a few more, not always in the same number
            group.create_task(one(at))
    assert {f"apply {kind.kind}" for kind in CHILDREN} < set(struck)
    assert len(struck) == 8
    await services.gone()


async def test_killed_at_any_moment(cluster: Cluster, services: Services) -> None:
    chance = random.Random(5)
    names = [f"model-{number}" for number in range(30)]
    operators = [OperatorProcess(cluster)]

    async def kill_and_restart() -> None:
        await eventually("the operator leads", lambda: asyncio.to_thread(operators[-1].leads))
        await asyncio.sleep(chance.uniform(0.05, 0.7))
        operators[-1].kill()
        await services.api.delete(LEASE.path(NAMESPACE, LEASE_NAME))  # as if 15 s had passed
        operators.append(OperatorProcess(cluster))

    try:
        await services.create(*names)
        for _ in range(2):
            await kill_and_restart()
        await services.ready(*names)
        await asyncio.gather(*(services.change(name, OTHER_MODEL) for name in names))
        for _ in range(2):
            await kill_and_restart()
        await services.ready(*names)
        await services.one_pod_each(*names)
        await services.whole(*names)
        await services.delete(*names)
        await services.gone()
    finally:
        assert operators[-1].stop() == 0, operators[-1].tail()
