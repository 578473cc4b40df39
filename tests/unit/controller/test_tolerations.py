"""Taints that a service's pods tolerate: pinned with the revision, so that a change restarts none of them."""

from __future__ import annotations

import asyncio

from inferops.kube.kinds import DEPLOYMENT
from inferops.kube.owned import Object
from unit.controller import placed
from unit.controller.routed import B
from unit.controller.world import World, settled
from unit.kube.virtualtime import run

RESERVED = {"key": "reserved", "operator": "Equal", "value": "ml", "effect": "NoSchedule"}


def pods(world: World) -> Object:
    [deployment] = world.children(DEPLOYMENT).values()
    found: Object = deployment["spec"]["template"]["spec"]
    return found


async def test_they_stand_beside_those_of_the_accelerator_each_once() -> None:
    plain = pods(await settled())["tolerations"]
    world = await settled(tolerations=[RESERVED, {"key": "nvidia.com/gpu"}])
    assert pods(world)["tolerations"] == [*plain, RESERVED]
    assert not [each for each in world.status()["explain"] if "tolerate" in each]


async def test_a_change_restarts_nothing_is_told_and_comes_with_the_next_revision() -> None:
    world = await settled()
    before, revision = pods(world), world.status()["stableRevision"]
    world.ask(tolerations=[RESERVED])
    await world.settle()
    assert pods(world) == before and world.status()["stableRevision"] == revision
    [told] = [each for each in world.status()["explain"] if "tolerate" in each]
    assert f"revision {revision} do not tolerate reserved" in told
    assert world.conditions()["Ready"] == ("True", "Ready")
    world.ask(**B)
    await world.settle()
    assert RESERVED in pods(world)["tolerations"] and world.status()["stableRevision"] != revision
    assert not [each for each in world.status()["explain"] if "tolerate" in each]


def test_what_a_clusters_nodes_have_is_given_to_what_is_placed_there_alone() -> None:
    async def scene() -> None:
        world = placed.World({name: placed.member(name) for name in ("east", "west")})
        world.register("east", tolerations=[RESERVED])
        world.register("west")
        await asyncio.sleep(20)
        world.ask(scaling={"replicas": 2}, placement={**placed.ALL, "minClusters": 2})
        await asyncio.sleep(60)
        told = {name: (each.child or {})["spec"].get("tolerations") for name, each in world.members.items()}
        assert told == {"east": [RESERVED], "west": None}
        await world.close()

    run(scene())
