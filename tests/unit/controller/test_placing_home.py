"""A service that is placed in the hub's own cluster too: under a name of its own beside the user's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from inferops.core.clusters.naming import HUB, PARENT, PARENT_NAME, hub_name, parent_name
from inferops.kube.kinds import INFERENCE_SERVICE, SERVICE
from unit.controller.athome import HERE, PART, HomeWorld
from unit.controller.building import NAMESPACE, service
from unit.controller.placed import ALL, HUB_UID, member
from unit.kube.virtualtime import run

Scene = Callable[[HomeWorld], Coroutine[Any, Any, None]]
DEAR = [{"accelerator": "nvidia-l4", "usdPerHour": 5.0}]


def play(scene: Scene, *, gpus: int = 8, **members: dict[str, int]) -> None:
    """Run a scene in a world whose hub has so many GPUs."""

    async def whole() -> None:
        world = HomeWorld({name: member(name, **each) for name, each in members.items()}, gpus)
        await asyncio.sleep(20)
        try:
            await scene(world)
        finally:
            await world.close()

    run(whole())


def test_it_is_served_in_the_hub_under_a_name_of_its_own() -> None:
    async def scene(world: HomeWorld) -> None:
        world.register("west", prices=DEAR)
        world.ask(scaling={"replicas": 3})
        await asyncio.sleep(60)
        assert world.record == {HERE: ("Serving", 3)}
        assert world.condition() == ("True", "Ready")
        assert (world.pods(), world.pods("llama")) == (3, 0)
        assert world.part is not None
        meta, spec = world.part["metadata"], world.part["spec"]
        assert meta["labels"] == {HUB: HUB_UID}
        parent = world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama")
        assert parent is not None
        assert meta["annotations"].items() >= {PARENT: parent["metadata"]["uid"], PARENT_NAME: "llama"}.items()
        assert "ownerReferences" not in meta
        assert "placement" not in spec
        before = len(world.hub.writes)
        await asyncio.sleep(900)
        assert len(world.hub.writes) == before

    play(scene, west={})


def test_names_are_bounded_and_lead_back() -> None:
    for name in ("a", "llama", "x" * 46, "x" * 47, "x" * 50):
        found = hub_name(name)
        assert len(found) <= 50 and found.endswith("-hub")
        assert parent_name(found, {PARENT_NAME: name}) == name
        assert not parent_name(found, {PARENT_NAME: "other"})
        assert not parent_name(found, {})
    assert hub_name("x" * 47) != hub_name("x" * 48)


@pytest.mark.parametrize("away", [False, True])
def test_edits_there_are_taken_back_and_it_is_never_placed_itself(away: bool) -> None:
    """Also those that nobody saw, since the operator was away."""

    async def scene(world: HomeWorld) -> None:
        world.register("west", prices=DEAR)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)

        def meddle(raw: dict[str, Any]) -> None:
            raw["spec"]["scaling"]["replicas"] = 5
            raw["spec"]["placement"] = ALL
            del raw["metadata"]["annotations"][PARENT_NAME]

        world.hub.edit(INFERENCE_SERVICE, NAMESPACE, PART, meddle)
        if away:
            await world.restart()
        await asyncio.sleep(60)
        assert world.part is not None
        assert world.part["spec"]["scaling"]["replicas"] == 2
        assert world.part["metadata"]["annotations"][PARENT_NAME] == "llama"
        assert [each["field"] for each in world.part["status"]["notActedOn"]] == ["spec.placement"]
        assert not world.part["status"].get("placement", {}).get("clusters")
        assert world.left(hub_name(PART)) == []
        assert (world.record, world.pods()) == ({HERE: ("Serving", 2)}, 2)

    play(scene, west={})


def test_a_namesake_is_left_alone_and_it_goes_elsewhere() -> None:
    async def scene(world: HomeWorld) -> None:
        world.register("west", prices=DEAR)
        theirs = service(PART, scaling={"replicas": 1})
        world.hub.put(INFERENCE_SERVICE, theirs)
        await asyncio.sleep(20)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(90)
        assert world.part is not None and world.part["spec"] == theirs["spec"]
        assert (world.record, world.why_not[HERE]) == ({"west": ("Serving", 2)}, "Refused")

    play(scene, west={})


def test_what_is_labelled_as_the_hubs_is_handed_over() -> None:
    async def scene(world: HomeWorld) -> None:
        world.hub.put(INFERENCE_SERVICE, service(PART, scaling={"replicas": 1}))
        await asyncio.sleep(20)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(30)
        assert world.part is not None and world.why_not[HERE] == "Refused"
        uid = world.part["metadata"]["uid"]
        world.hub.edit(INFERENCE_SERVICE, NAMESPACE, PART, lambda raw: raw["metadata"].update(labels={HUB: HUB_UID}))
        await asyncio.sleep(90)
        assert (world.record, world.pods()) == ({HERE: ("Serving", 2)}, 2)
        assert world.part["metadata"]["uid"] == uid

    play(scene)


def test_it_is_drained_there_and_deleted_with_all_that_it_has() -> None:
    async def scene(world: HomeWorld) -> None:
        world.register("west", prices=DEAR)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        assert world.record == {HERE: ("Serving", 2)}
        world.register(HERE, access={"hub": True}, taints=[{"key": "drain", "effect": "NoExecute"}], gateway=None)
        await asyncio.sleep(120)
        assert world.record == {"west": ("Serving", 2)}
        assert world.left(PART) == []
        world.register(HERE, access={"hub": True})
        world.ask(placement={**ALL, "minClusters": 2})
        await asyncio.sleep(120)
        assert world.pods() == 1
        world.delete()
        await asyncio.sleep(60)
        assert world.left(PART) == world.left("llama") == []
        assert not world.shares

    play(scene, west={})


def test_an_orphan_stays_and_is_adopted_once_the_service_is_applied_again() -> None:
    async def scene(world: HomeWorld) -> None:
        world.ask(scaling={"replicas": 2}, placement={**ALL, "deletionPolicy": "Orphan"})
        await asyncio.sleep(60)
        assert world.part is not None
        uid = world.part["metadata"]["uid"]
        world.delete()
        await asyncio.sleep(60)
        assert (world.pods(), world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama")) == (2, None)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        parent = world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama")
        assert world.part is not None and parent is not None
        assert (world.part["metadata"]["uid"], world.record) == (uid, {HERE: ("Serving", 2)})
        assert world.part["metadata"]["annotations"][PARENT] == parent["metadata"]["uid"]

    play(scene)


def test_a_hub_restored_from_an_older_backup_makes_it_anew() -> None:
    async def scene(world: HomeWorld) -> None:
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        older = world.hub.copy()
        world.ask(scaling={"replicas": 6})
        await asyncio.sleep(60)
        assert world.pods() == 6
        world.hub.objects, world.hub.owners = older.objects, older.owners
        await world.restart()
        await asyncio.sleep(60)
        assert (world.pods(), world.record) == (2, {HERE: ("Serving", 2)})

    play(scene)


def leads_to(world: HomeWorld, name: str = "llama") -> str:
    """The service whose pods the Service of a name selects."""
    found = world.hub.read(SERVICE, NAMESPACE, name)
    return str(found["spec"]["selector"]["inferops.dev/service"]) if found is not None else ""


async def watched(world: HomeWorld, seconds: int) -> list[int]:
    """How many replicas of the service answered in the hub, every second."""
    found = []
    for _ in range(seconds):
        found.append(world.pods("llama") + world.pods(PART))
        await asyncio.sleep(1)
    return found


def test_the_services_own_name_leads_to_it_in_the_hub() -> None:
    async def scene(world: HomeWorld) -> None:
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        own, part = (world.hub.read(SERVICE, NAMESPACE, name) for name in ("llama", PART))
        assert own is not None and part is not None
        assert (own["spec"]["selector"], own["spec"]["ports"]) == (part["spec"]["selector"], part["spec"]["ports"])
        assert own["metadata"]["ownerReferences"][0]["name"] == "llama"

    play(scene)


@pytest.mark.parametrize("room", [12, 4])
def test_what_ran_in_the_hub_before_gives_way_to_what_is_placed_there_and_back(room: int) -> None:
    """With GPUs for both, and for one of them alone."""

    async def scene(world: HomeWorld) -> None:
        raw = service("llama", scaling={"replicas": 4})
        raw["spec"].pop("placement", None)
        world.hub.put(INFERENCE_SERVICE, raw)
        await asyncio.sleep(60)
        assert (world.pods("llama"), leads_to(world)) == (4, "llama")
        world.ask(placement=ALL)
        there = await watched(world, 200)
        assert (world.pods("llama"), world.pods(), leads_to(world)) == (0, 4, PART)
        assert (world.record, world.condition()) == ({HERE: ("Serving", 4)}, ("True", "Ready"))
        live = world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama")
        assert live is not None
        live["spec"].pop("placement")
        world.hub.put(INFERENCE_SERVICE, live)
        back = await watched(world, 200)
        assert (world.pods("llama"), world.pods(), leads_to(world)) == (4, 0, "llama")
        assert world.left(PART) == []
        assert min(there + back) >= 3, "one may be missing at a time"

    play(scene, gpus=room)


def test_the_only_replica_gives_way_where_that_is_asked_for() -> None:
    async def scene(world: HomeWorld) -> None:
        raw = service("llama", scaling={"replicas": 1})
        world.hub.put(INFERENCE_SERVICE, raw)
        await asyncio.sleep(60)
        world.ask(placement=ALL)
        await asyncio.sleep(200)
        assert (world.pods("llama"), world.pods()) == (1, 0)
        assert world.condition("Scheduled") == ("False", "InsufficientCapacity")
        world.ask(rollout={"strategy": "recreate"})
        await asyncio.sleep(300)
        assert (world.pods("llama"), world.pods()) == (0, 1)
        assert world.condition() == ("True", "Ready")

    play(scene, gpus=1)


def test_what_answers_in_the_hub_is_not_given_up_for_less_before_the_load_is_known() -> None:
    async def scene(world: HomeWorld) -> None:
        world.register("west", prices=DEAR)
        world.hub.put(INFERENCE_SERVICE, service("llama", scaling={"replicas": 5}))
        await asyncio.sleep(40)
        world.ask(placement=ALL, scaling={"replicas": None, "minReplicas": 1, "maxReplicas": 10})
        assert min(await watched(world, 60)) >= 5
        assert (world.pods("llama"), leads_to(world)) == (0, PART)
        assert world.condition() == ("True", "Ready")

    play(scene, gpus=16, west={})


async def _goes(world: HomeWorld) -> None:
    """It runs in the hub, is placed there, drained, and deleted."""
    world.register("west", prices=DEAR)
    world.hub.put(INFERENCE_SERVICE, service("llama", scaling={"replicas": 1}))
    await asyncio.sleep(15)
    world.ask(placement=ALL)
    await asyncio.sleep(30)
    assert (world.record, world.pods(), world.pods("llama")) == ({HERE: ("Serving", 1)}, 1, 0)
    world.register(HERE, access={"hub": True}, taints=[{"key": "drain", "effect": "NoExecute"}], gateway=None)
    await asyncio.sleep(30)
    assert (world.record, world.left(PART)) == ({"west": ("Serving", 1)}, [])
    await _ends(world)


async def _returns(world: HomeWorld) -> None:
    """It is placed in the hub, is placed no more, and deleted."""
    world.ask(placement={**ALL, "minClusters": 2}, scaling={"replicas": 2})
    await asyncio.sleep(20)
    assert world.shares == {HERE: 1, "west": 1}
    live = world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama")
    assert live is not None
    live["spec"].pop("placement")
    world.hub.put(INFERENCE_SERVICE, live)
    await asyncio.sleep(40)
    assert (world.pods("llama"), world.left(PART), world.shares) == (2, [], {HERE: 2})
    await _ends(world)


async def _ends(world: HomeWorld) -> None:
    world.delete()
    await asyncio.sleep(25)
    assert not world.shares and world.left("llama") == world.left(PART) == []


@pytest.mark.parametrize("life", [_goes, _returns])
def test_the_operator_may_end_at_every_write(life: Scene) -> None:
    counts = []

    async def undisturbed(world: HomeWorld) -> None:
        begun = world.killer.count
        await life(world)
        counts.append((begun, world.killer.count))

    play(undisturbed, west={})
    [(begun, end)] = counts
    assert end - begun > 10
    for number in range(begun + 1, end + 1):

        async def killed(world: HomeWorld, number: int = number) -> None:
            world.killer.at = number
            await life(world)
            assert world.ends == 1

        play(killed, west={})
