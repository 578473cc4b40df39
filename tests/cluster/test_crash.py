"""The operator ends, or loses an answer, at each of its writes in turn: the world that it leads to is the same.

The replicas of most tests run in this process on the real API server, so that the moment is exact: a client that
goes wrong at one of its writes, after which all memory is thrown away, a new one is primed and goes on. The last test
kills the process at any moment.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from cluster.replicas import Case, Cases, How, Place, admin, places
from cluster.services import Services, eventually, gpu_nodes
from controlplane import Cluster
from harness import ACCOUNT, NAMESPACE, OperatorProcess, install
from inferops.controller.operator import LEASE_NAME
from inferops.kube.client import Client as KubeClient
from inferops.kube.kinds import LEASE
from inferops.kube.session import load_configuration

HOWS: tuple[How, ...] = ("crash", "answer lost", "not sent")
AT_A_TIME = 12
OTHER_MODEL = {"model": {"uri": "hf://Qwen/Qwen3-14B"}}


@pytest.fixture(scope="module")
def product(cluster: Cluster) -> Iterator[None]:
    """The CRDs and the operator's rights, and nodes enough for all."""
    install(cluster)
    with gpu_nodes(cluster, "2x100xnvidia-h100-80gb", "crash-"):
        yield


@pytest.fixture
async def services(cluster: Cluster, namespace: str, product: None) -> AsyncIterator[Services]:
    async with admin(cluster) as api:
        yield Services(api, namespace)


@pytest.fixture
async def cases(cluster: Cluster, services: Services) -> AsyncIterator[Cases]:
    """Replicas with the rights of the operator's own ServiceAccount."""
    client = KubeClient(await load_configuration(str(cluster.kubeconfig_for(NAMESPACE, ACCOUNT))))
    try:
        async with Cases(services, client) as cases:
            yield cases
    finally:
        await client.close()


@pytest.mark.parametrize("updates", [False, True], ids=["create", "update"])
async def test_the_same_world_wherever_it_goes_wrong(cases: Cases, services: Services, updates: bool) -> None:
    async def play(name: str, at: Place | None = None, how: How = "crash") -> Case:
        case = cases.begin(name)
        case.kube.arm(None if updates else at, how)
        await services.create(name)
        await services.ready(name)
        if updates:
            case.kube.arm(at, how)
            await services.change(name, OTHER_MODEL)
            await services.ready(name)
        return case

    smooth = await play("smooth-0")
    wanted, writes = await smooth.rest(), places(smooth.kube.written)
    limit = asyncio.Semaphore(AT_A_TIME)

    async def one(name: str, at: Place, how: How) -> None:
        async with limit:
            case = await play(name, at, how)
            if at.time == 1:
                await eventually(f"{at} of {name}", case.kube.has_struck)
            await case.becomes(wanted)
            assert case.lives == 1 + (how == "crash" and case.kube.struck)
            if how == "crash":
                await case.restart_quietly()

    async with asyncio.TaskGroup() as group:
        for number, at in enumerate(writes):
            # An update has many more writes: each goes wrong in one way. Unit tests end it after every one of them.
            for how in HOWS if not updates else (HOWS[number % len(HOWS)],):
                group.create_task(one(f"{how.replace(' ', '-')}-{number}", at, how))
    await services.told_once()


CREATION = [
    Place("apply ControllerRevision", 1),
    Place("apply Service", 1),
    Place("apply Service", 2),
    Place("apply PodDisruptionBudget", 1),
    Place("apply Deployment", 1),
    Place("apply InferenceService/status", 1),
    Place("apply InferenceService/status", 2),
    Place("create Event", 1),
]


@pytest.mark.parametrize("how", ["crash", "deleted"])
async def test_nothing_is_left_wherever_a_service_is_deleted(cases: Cases, services: Services, how: How) -> None:
    """While it is being created: at a crash, so that the next process never sees it, or behind the replica's back."""

    async def one(name: str, at: Place) -> None:
        case = cases.begin(name)
        case.kube.arm(at, how)
        case.kube.meanwhile = partial(services.delete, name)
        await services.create(name)
        await eventually(f"{at} of {name}", case.kube.has_struck)
        await eventually(f"{name} forgotten", case.forgotten)

    async with asyncio.TaskGroup() as group:
        for number, at in enumerate(CREATION):
            group.create_task(one(f"case-{number}", at))
    await services.gone()


async def test_killed_at_any_moment(cluster: Cluster, services: Services) -> None:
    chance = random.Random(5)
    names = [f"model-{number}" for number in range(20)]
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
