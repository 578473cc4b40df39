"""Reconciles against an API server in memory: what comes of a service, whenever the operator ends in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inferops.controller.store import Key
from inferops.kube.kinds import (
    BUDGET,
    DEPLOYMENT,
    INFERENCE_CLUSTER,
    INFERENCE_SERVICE,
    NODE,
    POD,
    RECORD,
    SERVICE,
    SERVING_RUNTIME,
)
from unit.controller.building import NAMESPACE, cluster, node
from unit.controller.fakekube import Crash, Fake
from unit.controller.world import NOT_READY, READY, World, settled

B: dict[str, Any] = {"model": {"uri": "hf://Qwen/Qwen3-14B"}}
C: dict[str, Any] = {"model": {"uri": "hf://Qwen/Qwen3-32B"}}
ROUTED = "inferops.dev/revision"


def routed_to(world: World) -> str:
    return str(world.children(SERVICE)["llama"]["spec"]["selector"][ROUTED])


async def test_a_service_becomes_a_revision_that_is_routed_to() -> None:
    world = await settled(scaling={"replicas": 2})
    revision = world.status()["stableRevision"]
    name = f"llama-{revision}"
    assert {kind.kind: set(world.children(kind)) for kind in (RECORD, DEPLOYMENT, SERVICE, BUDGET)} == {
        "ControllerRevision": {name},
        "Deployment": {name},
        "Service": {"llama", name},
        "PodDisruptionBudget": {name},
    }
    assert world.children(DEPLOYMENT)[name]["spec"]["replicas"] == 2
    assert routed_to(world) == revision
    assert world.conditions()["Ready"] == ("True", "Ready")
    assert "Reconciling" not in world.conditions() and "Stalled" not in world.conditions()
    assert world.status()["readyReplicas"] == 2
    for kind in (RECORD, DEPLOYMENT, SERVICE, BUDGET):
        for raw in world.children(kind).values():
            assert [owner["uid"] for owner in raw["metadata"]["ownerReferences"]] == ["uid-llama"]


async def test_a_second_reconcile_asks_and_writes_nothing() -> None:
    world = await settled()
    world.fake.requests.clear()
    for _ in range(3):
        await world.reconcile()
    assert world.fake.requests == []


async def test_nor_does_a_restart() -> None:
    world = await settled(**B)
    world.fake.requests.clear()
    world.restart()
    await world.settle()
    assert world.fake.requests == []


async def test_nor_does_what_changes_around_it() -> None:
    world = await settled()
    world.fake.requests.clear()
    world.fake.put(NODE, node("node-2", product="NVIDIA-H100-80GB-HBM3"))
    world.fake.edit(DEPLOYMENT, NAMESPACE, next(iter(world.children(DEPLOYMENT))), lambda raw: raw.update(
        status={"observedGeneration": 1, "readyReplicas": 1}))  # fmt: skip
    await world.settle()
    assert world.fake.requests == []


async def test_the_traffic_moves_when_the_new_one_is_ready_and_then_the_old_one_goes() -> None:
    world = await settled(scaling={"replicas": 2})
    old = world.status()["stableRevision"]
    world.pod_status = lambda pod: NOT_READY if old not in pod["metadata"]["name"] else READY
    world.ask(**B)
    await world.settle()
    new = world.status()["latestRevision"]
    assert new != old and routed_to(world) == old
    assert set(world.children(DEPLOYMENT)) == {f"llama-{old}", f"llama-{new}"}
    assert world.conditions()["Ready"] == ("Unknown", "Pulling")
    assert world.conditions()["Available"][0] == "True"
    world.pod_status = lambda pod: READY
    world.fake.requests.clear()
    await world.settle()
    assert routed_to(world) == new == world.status()["stableRevision"]
    assert set(world.children(DEPLOYMENT)) == set(world.children(RECORD)) == {f"llama-{new}"}
    moved = world.fake.writes.index(("apply", "Service", "llama"))
    recorded = world.fake.writes.index(("apply", "InferenceService", "llama"))
    gone = world.fake.writes.index(("delete", "Deployment", f"llama-{old}"))
    assert moved < recorded < gone
    assert gone < world.fake.writes.index(("delete", "ControllerRevision", f"llama-{old}"))


async def test_the_old_one_is_never_touched_by_an_update() -> None:
    world = await settled()
    old = f"llama-{world.status()['stableRevision']}"
    world.fake.requests.clear()
    world.ask(**B)
    await world.settle()
    touched = {(verb, kind) for verb, kind, name in world.fake.writes if name == old}
    assert {verb for verb, _ in touched} == {"delete"}
    assert ("apply", "ControllerRevision", old) not in world.fake.writes


async def test_scaling_touches_one_number() -> None:
    world = await settled()
    before = world.end()
    world.fake.requests.clear()
    world.ask(scaling={"replicas": 3})
    await world.settle()
    assert {kind for _, kind, _ in world.fake.writes} == {"Deployment", "InferenceService"}
    after = world.end()
    name = f"llama-{world.status()['stableRevision']}"
    assert after["Deployment", name]["spec"].pop("replicas") == 3
    assert before["Deployment", name]["spec"].pop("replicas") == 1
    assert after["Deployment", name] == before["Deployment", name]


async def test_a_service_that_is_gone_is_left_to_the_garbage_collector() -> None:
    world = await settled()
    world.fake.edit(INFERENCE_SERVICE, NAMESPACE, "llama", lambda raw: raw["metadata"].update(
        deletionTimestamp="2025-11-03T12:00:00Z"))  # fmt: skip
    world.deliver()
    world.fake.requests.clear()
    assert not await world.reconcile()
    world.fake.remove(INFERENCE_SERVICE, NAMESPACE, "llama")
    world.deliver()
    assert not await world.reconcile()
    assert world.fake.requests == []
    assert not [each for each in world.fake.objects if each[0] not in ("Node", "Event")]


async def test_a_service_of_the_same_name_begins_anew() -> None:
    world = await settled()
    first = world.end()
    world.fake.remove(INFERENCE_SERVICE, NAMESPACE, "llama")
    world.fake.put(INFERENCE_SERVICE, {"metadata": {"name": "llama", "namespace": NAMESPACE, "uid": "uid-second"},
                                       "spec": first["InferenceService", "llama"]["spec"]})  # fmt: skip
    await world.settle()
    assert world.end() == first
    owners = {raw["metadata"]["ownerReferences"][0]["uid"] for raw in world.children(DEPLOYMENT).values()}
    assert owners == {"uid-second"}


async def test_an_upgrade_of_the_runtime_restarts_nothing() -> None:
    world = await settled()
    before = world.end()
    runtime = {"engine": "vllm", "image": "mirror.example.com/vllm:v9"}
    world.fake.put(SERVING_RUNTIME, {"metadata": {"name": "vllm"}, "spec": runtime})
    await world.settle()
    after = world.end()
    assert {name: raw for name, raw in after.items() if name[0] in ("Deployment", "Pod", "ControllerRevision")} == {
        name: raw for name, raw in before.items() if name[0] in ("Deployment", "Pod", "ControllerRevision")
    }
    assert "mirror.example.com/vllm:v9" in world.status()["explain"][0]


async def test_a_member_cluster_is_told_once() -> None:
    world = World()
    world.fake.put(INFERENCE_CLUSTER, cluster())
    await world.settle()
    [condition, _] = world.fake.all(INFERENCE_CLUSTER)[0]["status"]["conditions"]
    assert (condition["type"], condition["reason"]) == ("Ready", "NotActedOn")
    world.fake.requests.clear()
    assert await world.reconcile(Key("InferenceCluster", NAMESPACE, "east"))
    assert world.fake.requests == []
    assert not await world.reconcile(Key("InferenceCluster", NAMESPACE, "gone"))


async def test_a_member_cluster_with_an_unreadable_status_is_told_as_well() -> None:
    world = World()
    world.fake.put(INFERENCE_CLUSTER, cluster(status={"conditions": [{"type": "Ready", "status": "maybe"}]}))
    await world.settle()
    assert world.fake.all(INFERENCE_CLUSTER)[0]["status"]["conditions"][0]["status"] == "False"


Act = Callable[[World], None]


def asks(**spec: Any) -> Act:
    return lambda world: world.ask(**spec)


def deletes(world: World) -> None:
    if world.fake.read(INFERENCE_SERVICE, NAMESPACE, "llama") is not None:
        world.fake.remove(INFERENCE_SERVICE, NAMESPACE, "llama")


def loses_children(world: World) -> None:
    """Somebody deletes everything of the stable revision but its record."""
    for kind in (DEPLOYMENT, SERVICE, BUDGET):
        for name in world.children(kind):
            world.fake.remove(kind, NAMESPACE, name)


TALES: dict[str, list[Act]] = {
    "creation": [asks()],
    "an update": [asks(), asks(**B)],
    "scaling": [asks(), asks(scaling={"replicas": 3}), asks(scaling={"replicas": 0})],
    "a mistake": [asks(), asks(runtime={"name": "tgi"}), asks(runtime={"name": "vllm"})],
    "lost children": [asks(), loses_children],
    "a deletion": [asks(), deletes],
}


async def crashed(before: Fake, act: Act, writes: int) -> World:
    """What comes of `act` where the operator ends after so many writes and begins anew."""
    world = World(before.copy())
    act(world)
    world.fake.crash_after = writes
    with pytest.raises(Crash):
        await world.settle()
    world.restart()
    return world


@pytest.mark.parametrize("acts", TALES.values(), ids=TALES)
async def test_an_end_after_any_write_leads_to_the_same(acts: list[Act]) -> None:
    world = World()
    for act in acts:
        before = world.fake.copy()
        world = World(before.copy())
        act(world)
        await world.settle()
        for writes in range(1, len(world.fake.writes) + 1):
            other = await crashed(before, act, writes)
            await other.settle()
            assert other.end() == world.end()
            other.fake.requests.clear()
            await other.settle()
            assert other.fake.requests == []


@pytest.mark.parametrize("second", [C, {"scaling": {"replicas": 2}}], ids=["another", "scaling"])
async def test_an_end_during_an_update_that_is_changed_again(second: dict[str, Any]) -> None:
    start = await settled()
    expected = World(start.fake.copy())
    expected.ask(**{**B, **second})
    await expected.settle()
    for writes in range(1, 12):
        world = await crashed(start.fake, asks(**B), writes)
        world.ask(**second)
        await world.settle()
        assert world.end() == expected.end()


async def test_what_is_left_of_a_revision_goes_though_its_record_is_lost() -> None:
    """The operator ended before the first revision had its Deployment; then it was no longer asked for."""
    start = World()
    world = await crashed(start.fake, asks(), 3)
    [name] = world.children(RECORD)
    assert name in world.children(SERVICE) and name in world.children(BUDGET)
    world.ask(**B)
    world.fake.remove(RECORD, NAMESPACE, name)
    await world.settle()
    for kind in (RECORD, DEPLOYMENT, SERVICE, BUDGET):
        assert name not in world.children(kind)


async def test_stale_watches_change_nothing() -> None:
    """Events come late and in a heap: the operator sees its own writes by their answers."""
    world = await settled()
    world.ask(**B)
    world.deliver()
    for _ in range(4):
        await world.reconcile()
    new = next(name for name in world.children(DEPLOYMENT) if world.status()["stableRevision"] not in name)
    requests = [request for request in world.fake.writes if request[2] == new]
    assert len(requests) == len(set(requests)), "nothing was written twice"
    await world.settle()
    assert set(world.children(DEPLOYMENT)) == {new}
    assert [pod["metadata"]["name"] for pod in world.fake.all(POD)] == [f"{new}-0"]
