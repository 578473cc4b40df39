"""A member that the hub does not reach, over works in virtual time: placed, scaled, lost, back, drained and deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from inferops.core.membership import LOST, STABLE, SUSPECT
from inferops.core.summary import read
from inferops.kube.kinds import INFERENCE_CLUSTER, INFERENCE_SERVICE, MANIFEST_WORK
from inferops.render.child import HUB
from inferops.render.manifestwork import HERE
from unit.controller.building import NAMESPACE, service
from unit.controller.placed import HOME, HUB_UID, World, member
from unit.controller.worked import LEASE, POLL, Agent, OcmHub
from unit.kube.virtualtime import run

Scene = Callable[[World, Agent], Coroutine[Any, Any, None]]
CHEAP = [{"accelerator": "nvidia-l4", "usdPerHour": 0.1}]
CHILD = "InferenceService/llama"
URI = "hf://Qwen/Qwen3-8B"


def play(scene: Scene, *others: str, gpus: int = 8) -> None:
    """Run a scene in a world with `far`, which is reached by works alone, and others, which are reached directly."""

    async def whole() -> None:
        hub = OcmHub()
        world = World({name: member(name, gpus=gpus) for name in ("far", *others)}, hub=hub)
        agent = Agent(hub, "far-away", world.members["far"])
        running = asyncio.create_task(agent.run())
        world.register("far", access={"managedCluster": "far-away"}, prices=CHEAP)
        for name in others:
            world.register(name)
        await asyncio.sleep(40)
        try:
            await scene(world, agent)
        finally:
            running.cancel()
            await world.close()

    run(whole())


def cluster(world: World, name: str = "far") -> dict[str, Any]:
    raw = world.hub.read(INFERENCE_CLUSTER, HOME, name) or {}
    found: dict[str, Any] = raw.get("status") or {}
    return found


def why(world: World, kind: str = "Ready") -> tuple[str, str]:
    found = next((each for each in cluster(world)["conditions"] if each["type"] == kind), {})
    return found.get("reason", ""), found.get("message", "")


def works(world: World) -> dict[str, Any]:
    assert isinstance(world.hub, OcmHub)
    return world.hub.works("far-away")


def test_its_own_inferops_counts_what_it_has() -> None:
    async def scene(world: World, agent: Agent) -> None:
        status = cluster(world)
        assert (why(world)[0], status["clusterUID"]) == ("Ready", "uid-far")
        [offer] = status["offers"]
        assert (offer["accelerator"], offer["total"], offer["free"]) == ("nvidia-l4", 8, 8)
        here = agent.member.read(INFERENCE_CLUSTER, HOME, HERE)
        assert here is not None and here["spec"] == {"access": {"hub": True}}
        assert works(world).keys() == {"InferenceCluster/here"}
        written = len(world.hub.writes)
        await asyncio.sleep(600)
        assert len(world.hub.writes) == written

    play(scene)


def test_a_cluster_tells_its_capacity_as_one_value_where_a_hub_asks_for_it() -> None:
    async def scene(world: World, agent: Agent) -> None:
        world.register("east", labels={HUB: "another"})
        await asyncio.sleep(20)
        found = read(cluster(world, "east")["summary"])
        assert [(each.accelerator, each.free) for each in found.free] == [("nvidia-l4", (8,))]
        assert (found.nodes, cluster(world, "west")["summary"]) == ((1, 1), "")

    play(scene, "east", "west")


def test_a_service_is_placed_scaled_and_deleted() -> None:
    async def scene(world: World, agent: Agent) -> None:
        world.ask(scaling={"replicas": 3})
        await asyncio.sleep(60)
        assert (world.record, world.shares, world.condition()) == (
            {"far": ("Serving", 3)}, {"far": 3}, ("True", "Ready"),
        )  # fmt: skip
        child = agent.member.child
        assert child is not None and child["metadata"]["labels"] == {HUB: HUB_UID}
        assert works(world)[CHILD]["metadata"]["namespace"] == "far-away"
        world.ask(scaling={"replicas": 5})
        await asyncio.sleep(60)
        assert (world.shares, world.condition()) == ({"far": 5}, ("True", "Ready"))
        written = len(world.hub.writes)
        await asyncio.sleep(900)
        assert len(world.hub.writes) == written
        world.delete()
        await asyncio.sleep(60)
        assert agent.member.child is None and CHILD not in works(world)
        assert world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama") is None

    play(scene)


def test_it_is_preferred_and_drained_like_any_other() -> None:
    async def scene(world: World, agent: Agent) -> None:
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        assert world.shares == {"far": 2}
        taint = [{"key": "maintenance", "effect": "NoExecute"}]
        world.register("far", access={"managedCluster": "far-away"}, prices=CHEAP, taints=taint)
        await asyncio.sleep(240)
        assert world.shares == {"east": 2}
        world.unregister("east")
        assert "far" not in world.shares

    play(scene, "east")


def test_the_newest_spec_counts_as_seen_only_once_what_is_told_is_of_it() -> None:
    async def scene(world: World, agent: Agent) -> None:
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        agent.down = True
        world.ask(model={"uri": URI, "revision": "v2"})
        await asyncio.sleep(30)
        assert world.condition()[0] != "True"
        agent.down = False
        await asyncio.sleep(60)
        assert world.condition() == ("True", "Ready")

    play(scene)


def test_an_agent_that_is_silent_is_lost_and_what_it_has_is_adopted_when_it_is_back() -> None:
    async def scene(world: World, agent: Agent) -> None:
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        agent.down, agent.member.serves = True, False
        await asyncio.sleep(LEASE - 30)
        assert why(world, "ControlPlaneHealthy")[0] == "Answers"
        await asyncio.sleep(60 + SUSPECT + 15)
        told = why(world, "ControlPlaneHealthy")
        assert told[0] == "Suspect" and "stopped updating its lease" in told[1]
        await asyncio.sleep(LOST + 60)
        assert why(world, "ControlPlaneHealthy")[0] == "Lost"
        assert world.record["far"][0] == "Lost" and sum(world.shares.values()) == 4
        uid = agent.member.child["metadata"]["uid"] if agent.member.child else ""
        agent.down, agent.member.serves = False, True
        await asyncio.sleep(STABLE + 240)
        assert why(world)[0] == "Ready"
        assert sum(world.shares.values()) == 2
        assert agent.member.child is None or agent.member.child["metadata"]["uid"] == uid

    play(scene, "east", "west")


@pytest.mark.parametrize("at", ["refuses", "forbids"])
def test_what_the_member_refuses_goes_elsewhere_and_is_tried_again_later(at: str) -> None:
    async def scene(world: World, agent: Agent) -> None:
        setattr(agent, at, 'inferenceservices.serving.inferops.dev is forbidden: User "agent" cannot patch')
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        assert world.shares == {"east": 2}
        assert world.why_not["far"] == "Refused"
        told = {each["cluster"]: each["message"] for each in world.status["placement"]["notChosen"]}
        assert "is forbidden" in told["far"]
        assert CHILD not in works(world)
        before = len(world.hub.writes)
        await asyncio.sleep(1200)
        assert len([each for each in world.hub.writes[before:] if each[:2] == ("apply", "ManifestWork")]) <= 2 * 4
        setattr(agent, at, "")
        await asyncio.sleep(1200)
        assert world.why_not.get("far") != "Refused"

    play(scene, "east")


def test_a_change_that_the_member_refuses_stops_the_rollout() -> None:
    async def scene(world: World, agent: Agent) -> None:
        world.ask(scaling={"replicas": 2}, rollout={"clusters": {"waves": [["far"]], "bake": "1m"}})
        await asyncio.sleep(60)
        before = works(world)[CHILD]["metadata"]["uid"]
        agent.refuses = "spec.model.revision: Invalid value"
        world.ask(model={"uri": URI, "revision": "v2"})
        await asyncio.sleep(20)
        agent.refuses = ""
        await asyncio.sleep(100)
        rollout = world.status["placement"]["rollout"]
        assert rollout["phase"] == "Stopped" and "Invalid value" in rollout["message"]
        assert works(world)[CHILD]["metadata"]["uid"] == before
        child = agent.member.child
        assert child is not None and child["spec"]["model"].get("revision") != "v2"
        assert sum(world.shares.values()) == 2

    play(scene)


def test_a_namesake_in_the_member_is_left_alone() -> None:
    async def scene(world: World, agent: Agent) -> None:
        agent.member.put(INFERENCE_SERVICE, service("llama"))
        before = agent.member.child
        assert before is not None
        world.ask(scaling={"replicas": 1})
        await asyncio.sleep(60)
        assert world.shares["east"] == 1 and world.why_not["far"] == "Refused"
        assert works(world).keys() == {"InferenceCluster/here"}
        after = agent.member.child
        assert after is not None and after["spec"] == before["spec"] and not after["metadata"].get("labels")
        world.delete()
        await asyncio.sleep(60)
        assert agent.member.child is not None

    play(scene, "east")


def test_what_is_edited_or_deleted_in_the_hub_is_put_back() -> None:
    async def scene(world: World, agent: Agent) -> None:
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        for number, spoiled in enumerate(("workload", "manifestConfigs")):
            work = works(world)[CHILD]
            meta = work["metadata"]
            if spoiled == "workload":
                manifest = work["spec"]["workload"]["manifests"][0]
                manifest = {**manifest, "spec": {**manifest["spec"], "scaling": {"replicas": 1}}}
                world.hub.put(MANIFEST_WORK, {**work, "spec": {**work["spec"], "workload": {"manifests": [manifest]}}})
            else:
                world.hub.put(MANIFEST_WORK, {**work, "metadata": {**meta, "annotations": {}}})
            await asyncio.sleep(30)
            assert works(world)[CHILD]["spec"] == work["spec"], number
        await world.hub.delete(MANIFEST_WORK, "far-away", meta["name"], meta["uid"])
        await asyncio.sleep(120)
        assert (world.shares, world.condition()) == ({"far": 2}, ("True", "Ready"))

    play(scene)


def test_with_orphan_what_runs_there_stays() -> None:
    async def scene(world: World, agent: Agent) -> None:
        world.ask(scaling={"replicas": 2}, placement={"clusters": {}, "deletionPolicy": "Orphan"})
        await asyncio.sleep(60)
        world.delete()
        await asyncio.sleep(600)
        assert world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama") is None
        assert world.shares == {"far": 2}

    play(scene)


@pytest.mark.parametrize(
    ("change", "reason", "part"),
    [
        ("none", "ManagedClusterNotFound", "there is no ManagedCluster far-away"),
        ("refused", "Unauthorized", "hubAcceptsClient"),
        ("lacks", "Unauthorized", "manifests/member/ocm.yaml"),
        ("nonsense", "Unauthorized", "status.summary cannot be read"),
    ],
)
def test_what_is_missing_is_named(change: str, reason: str, part: str) -> None:
    async def whole() -> None:
        hub = OcmHub()
        world = World({"far": member("far")}, hub=hub)
        agent = Agent(hub, "far-away", world.members["far"])
        running = asyncio.create_task(agent.run()) if change != "none" else None
        await asyncio.sleep(1)
        if change == "refused":
            hub.manage("far-away", accepted=False)
        agent.lacks = 'no matches for kind "InferenceCluster"' if change == "lacks" else ""
        if change == "nonsense":
            agent._count = _tells_nonsense(agent)  # type: ignore[method-assign]
        world.register("far", access={"managedCluster": "far-away"})
        await asyncio.sleep(60)
        assert why(world)[0] == reason
        assert part in why(world)[1]
        if running is not None:
            running.cancel()
        await world.close()

    run(whole())


def _tells_nonsense(agent: Agent) -> Callable[[], None]:
    def count() -> None:
        for raw in agent.member.all(INFERENCE_CLUSTER):
            if "status" not in raw:
                agent.member.put(INFERENCE_CLUSTER, {**raw, "status": {"summary": "{}"}}, "operator")

    return count


async def _life(world: World, agent: Agent) -> None:
    world.ask(scaling={"replicas": 2})
    await asyncio.sleep(40)
    world.ask(scaling={"replicas": 3})
    await asyncio.sleep(50)
    assert world.shares == {"far": 3}
    assert world.record == {"far": ("Serving", 3)}
    taint = [{"key": "maintenance", "effect": "NoExecute"}]
    world.register("far", access={"managedCluster": "far-away"}, prices=CHEAP, taints=taint)
    await asyncio.sleep(120)
    assert world.shares == {"east": 3}
    world.delete()
    await asyncio.sleep(60 + POLL)
    assert not [each for each in world.members.values() if each.child is not None]
    assert works(world).keys() == {"InferenceCluster/here"}
    assert world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama") is None


def test_the_operator_may_end_at_every_write() -> None:
    counts = []

    async def undisturbed(world: World, agent: Agent) -> None:
        begun = world.killer.count
        await _life(world, agent)
        counts.append((begun, world.killer.count))

    play(undisturbed, "east")
    [(begun, end)] = counts
    assert end - begun > 10
    for number in range(begun + 1, end + 1):

        async def killed(world: World, agent: Agent, number: int = number) -> None:
            world.killer.at = number
            await _life(world, agent)
            assert world.ends == 1, number

        play(killed, "east")
