"""A service that is placed in the hub's own cluster too: under a name of its own beside the user's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from inferops.core.clusters.naming import HUB, PARENT, PARENT_NAME, hub_name, parent_name
from inferops.kube.kinds import INFERENCE_SERVICE
from unit.controller.athome import HERE, HomeWorld
from unit.controller.building import NAMESPACE
from unit.controller.placed import HUB_UID, member
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
