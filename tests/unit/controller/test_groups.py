"""Replicas on several nodes: made, counted, scaled, repaired and removed as any; and a kind that comes and goes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from inferops.controller import optional
from inferops.controller.optional import OptionalKinds
from inferops.controller.queue import Queue
from inferops.controller.store import Key
from inferops.kube.client import KubeError
from inferops.kube.kinds import DEPLOYMENT, LEADER_WORKER_SET, NODE, RECORD, SERVICE
from unit.controller.building import NAMESPACE, child, node
from unit.controller.fakekube import Fake, refusal
from unit.controller.world import LLAMA, OURS, READY, World

PAIR = {"accelerators": [{"type": "nvidia-l4", "count": 16, "nodes": 2}]}


async def world_with(*, kind: bool = True, **spec: Any) -> World:
    fake = Fake(offered={LEADER_WORKER_SET} if kind else set())
    for name in ("node-1", "node-2"):
        fake.put(NODE, node(name))
    world = World(fake)
    world.ask(**{**PAIR, **spec})
    await world.settle()
    return world


def only(world: World) -> dict[str, Any]:
    [found] = world.children(LEADER_WORKER_SET).values()
    return found


async def test_groups_serve() -> None:
    world = await world_with(scaling={"replicas": 2})
    assert world.conditions()["Ready"] == ("True", "Ready")
    assert not world.children(DEPLOYMENT)
    assert only(world)["spec"]["replicas"] == 2
    status = world.status()
    assert (status["replicas"], status["readyReplicas"], status["revisions"][0]["readyReplicas"]) == (2, 2, 2)
    assert len(world.store.pods(LLAMA)) == 4
    stable = world.children(SERVICE)["llama"]["spec"]["selector"]
    assert stable["inferops.dev/role"] == "leader"
    before = len(world.fake.writes)
    world.restart()
    await world.settle()
    assert len(world.fake.writes) == before, "a second run writes nothing"


async def test_a_group_answers_when_its_leader_does() -> None:
    world = await world_with(kind=False)
    world.fake.offered = {LEADER_WORKER_SET}
    world.pod_status = lambda pod: READY if pod["metadata"]["labels"]["inferops.dev/role"] == "worker" else {}
    world.restart()
    await world.settle()
    assert world.status()["readyReplicas"] == 0 and world.conditions()["Ready"][0] == "Unknown"


async def test_groups_are_scaled_and_repaired() -> None:
    world = await world_with()
    world.ask(scaling={"replicas": 3})
    await world.settle()
    name = only(world)["metadata"]["name"]
    assert only(world)["spec"]["replicas"] == 3 and len(world.store.pods(LLAMA)) == 6
    world.fake.edit(LEADER_WORKER_SET, NAMESPACE, name, lambda raw: raw["spec"].update(replicas=1))
    await world.settle()
    assert only(world)["spec"]["replicas"] == 3
    world.fake.edit(LEADER_WORKER_SET, NAMESPACE, name, lambda raw: raw["spec"]["leaderWorkerTemplate"].update(size=7))
    await world.settle()
    assert only(world)["spec"]["leaderWorkerTemplate"]["size"] == 2
    world.fake.remove(LEADER_WORKER_SET, NAMESPACE, name)
    await world.settle()
    assert only(world)["metadata"]["name"] == name
    assert world.conditions()["Ready"] == ("True", "Ready") and not world.errors


async def test_a_new_revision_replaces_groups_by_a_deployment_and_back() -> None:
    world = await world_with()
    old = only(world)["metadata"]["name"]
    world.ask(accelerators=[{"type": "nvidia-l4"}])
    await world.settle()
    assert not world.children(LEADER_WORKER_SET) and old not in world.children(RECORD)
    assert len(world.children(DEPLOYMENT)) == 1
    assert "inferops.dev/role" not in world.children(SERVICE)["llama"]["spec"]["selector"]
    world.ask(**PAIR)
    await world.settle()
    assert only(world)["metadata"]["name"] == old and not world.children(DEPLOYMENT)
    assert world.conditions()["Ready"] == ("True", "Ready") and not world.errors


async def test_where_the_kind_is_missing_it_says_so_and_makes_nothing() -> None:
    world = await world_with(kind=False)
    assert world.conditions()["Valid"] == ("False", "LeaderWorkerSetMissing")
    assert "install it" in world.message() and not world.errors
    assert not any(world.children(kind) for kind in OURS)


def kinds_of(world: World) -> tuple[OptionalKinds, Queue[Key]]:
    queue: Queue[Key] = Queue(asyncio.get_running_loop().time)
    return OptionalKinds(world.fake, world.store, queue), queue


async def drained(queue: Queue[Key]) -> set[Key]:
    found = set()
    while len(queue):
        key = await queue.get()
        queue.done(key)
        found.add(key)
    return found


async def test_it_heals_when_the_kind_is_installed() -> None:
    world = await world_with(kind=False)
    kinds, queue = kinds_of(world)
    assert await kinds.look(LEADER_WORKER_SET) is None and not len(queue)
    world.fake.offered.add(LEADER_WORKER_SET)
    assert await kinds.look(LEADER_WORKER_SET) is not None
    assert await drained(queue) == {LLAMA}
    world.pending[LLAMA] = None
    await world.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_what_goes_with_its_kind_is_forgotten() -> None:
    world = await world_with()
    kinds, queue = kinds_of(world)
    world.fake.offered.clear()
    assert await kinds.look(LEADER_WORKER_SET) is None
    assert await drained(queue) == {LLAMA}
    assert not world.store.children(LLAMA, LEADER_WORKER_SET) and not world.store.offered()


async def test_what_vanished_unseen_is_found_out_by_the_next_look() -> None:
    world = await world_with()
    kinds, queue = kinds_of(world)
    world.fake.remove(LEADER_WORKER_SET, NAMESPACE, only(world)["metadata"]["name"])
    await kinds.look(LEADER_WORKER_SET)
    assert await drained(queue) == {LLAMA}
    assert not world.store.children(LLAMA, LEADER_WORKER_SET)


async def test_it_follows_what_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the list on, without the world's own delivery; then it lists anew."""
    monkeypatch.setattr(optional, "PAUSE", 0.0)
    world = await world_with(kind=False)
    world.fake.offered.add(LEADER_WORKER_SET)
    kinds, _ = kinds_of(world)
    running = asyncio.create_task(kinds.run())
    made = child(LEADER_WORKER_SET, "llama-x", revision="x", metadata={"uid": "uid-x"})

    async def until(names: set[str]) -> None:
        async with asyncio.timeout(5):
            while set(world.store.children(LLAMA, LEADER_WORKER_SET)) != names:
                await asyncio.sleep(0)

    await until(set())
    world.fake.put(LEADER_WORKER_SET, made)
    await until({"llama-x"})
    world.fake.remove(LEADER_WORKER_SET, NAMESPACE, "llama-x")
    await until(set())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_kind_that_we_may_not_read_is_told_once_and_counts_as_none(caplog: pytest.LogCaptureFixture) -> None:
    world = await world_with()
    kinds, _ = kinds_of(world)
    world.fake.refuses = lambda verb, desired: refusal(403) if verb == "list" else None
    for _ in range(3):
        assert await kinds.look(LEADER_WORKER_SET) is None
    assert not world.store.offered()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["LeaderWorkerSet is not used"]


async def test_an_api_server_in_trouble_takes_no_kind_away() -> None:
    world = await world_with()
    kinds, queue = kinds_of(world)
    world.fake.refuses = lambda verb, desired: refusal(503) if verb == "discover" else None
    with pytest.raises(KubeError):
        await kinds.look(LEADER_WORKER_SET)
    assert world.store.offered() == {"LeaderWorkerSet"} and not len(queue)
