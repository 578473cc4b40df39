"""How requests come to a service that is placed on clusters: what each of them is told of it."""

from __future__ import annotations

import asyncio
from typing import Any

from inferops.kube.kinds import SERVICE_EXPORT
from unit.controller.building import child
from unit.controller.placed import ALL, World, member
from unit.kube.virtualtime import run

PICKED = {"endpointPicker": {"name": "picker"}}
CHEAP = [{"accelerator": "nvidia-l4", "usdPerHour": 0.1}]
DRAINED = [{"key": "drain", "effect": "NoExecute"}]


async def drained(traffic: dict[str, Any]) -> World:
    """A service that was in two clusters, of which one is drained."""
    world = World({name: member(name) for name in ("east", "north", "west")})
    for name in world.members:
        world.register(name, prices=CHEAP if name == "east" else [])
    await asyncio.sleep(20)
    world.ask(scaling={"replicas": 6}, traffic=traffic, placement={**ALL, "minClusters": 2})
    await asyncio.sleep(60)
    assert "east" in world.shares and len(world.shares) == 2
    world.register("east", prices=CHEAP, taints=DRAINED)
    await asyncio.sleep(120)
    assert "east" not in world.shares and len(world.shares) == 2
    return world


def traffic(world: World, name: str) -> dict[str, Any] | None:
    """What a cluster is told; None: it has no such service."""
    child = world.members[name].child
    return None if child is None else child["spec"].get("traffic", {})


def test_a_picker_keeps_requests_from_gateways_that_could_pass_them_on_so_no_cluster_stands_by_for_that() -> None:
    async def scene() -> None:
        world = await drained(PICKED)
        assert [traffic(world, name) for name in world.shares] == [PICKED, PICKED]
        assert traffic(world, "east") is None and "east" not in world.record
        await world.close()

    run(scene())


def test_it_is_exported_from_clusters_with_replicas_and_not_from_one_that_stands_by() -> None:
    async def scene() -> None:
        world = await drained({"export": True})
        told = {name: traffic(world, name) or {} for name in world.members}
        assert all(told[name]["export"] for name in world.shares)
        assert world.record["east"] == ("Standby", 0) and set(told["east"]) == {"spillover"}
        await world.close()

    run(scene())


def test_what_ran_in_the_hub_and_was_exported_there_is_not_once_its_clusters_serve() -> None:
    async def scene() -> None:
        world = World({"east": member("east")})
        world.ask(traffic={"export": True})
        world.hub.put(SERVICE_EXPORT, child(SERVICE_EXPORT, "llama"), "inferops")
        world.store.offer(SERVICE_EXPORT, True)
        world.store.put(SERVICE_EXPORT, world.hub.all(SERVICE_EXPORT)[0])
        await asyncio.sleep(20)
        assert world.hub.all(SERVICE_EXPORT), "while nobody else serves"
        world.register("east")
        await asyncio.sleep(60)
        assert (traffic(world, "east") or {})["export"] and not world.hub.all(SERVICE_EXPORT)
        await world.close()

    run(scene())
