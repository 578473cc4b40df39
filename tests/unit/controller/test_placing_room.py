"""Room that is bounded by quotas, may come with nodes, or is for replicas over several nodes, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from inferops.kube.client import KubeError
from inferops.kube.kinds import EVENT, INFERENCE_CLUSTER, INFERENCE_SERVICE, NODE, POD, RESOURCE_QUOTA, Kind
from inferops.kube.owned import Object
from unit.controller.building import node, raw, service
from unit.controller.placed import ALL, HOME, QUOTED, Member, World
from unit.controller.test_placing import CHEAP, DEAR, play

MINUTES = 60.0
GROWTH = [{"accelerator": "nvidia-l4", "maxNodes": 4, "acceleratorsPerNode": 2}]


def quota(hard: int) -> Any:
    return raw(RESOURCE_QUOTA, "gpus", spec={"hard": {QUOTED: str(hard), "requests.cpu": "64"}})


def why(world: World, name: str) -> str:
    return next(str(each["message"]) for each in world.status["placement"]["notChosen"] if each["cluster"] == name)


def offer(world: World, name: str) -> Any:
    [found] = (world.hub.read(INFERENCE_CLUSTER, HOME, name) or {})["status"]["offers"]
    return found


def writes(world: World) -> list[Any]:
    return [each for each in world.hub.writes if each[1] != EVENT.kind]


def test_a_quota_bounds_what_a_cluster_gets() -> None:
    async def scene(world: World) -> None:
        world.members["west"].put(RESOURCE_QUOTA, quota(3))
        world.register("west", prices=CHEAP)
        await asyncio.sleep(20)
        world.ask(scaling={"replicas": 5})
        await asyncio.sleep(60)
        assert world.shares["west"] == 3 and sum(world.shares.values()) == 5
        assert world.condition() == ("True", "Ready")
        written = len(writes(world))
        await asyncio.sleep(900)
        assert len(writes(world)) == written, "what is used by its own replicas is no news to it"
        world.members["west"].put(RESOURCE_QUOTA, quota(6))
        world.ask(scaling={"replicas": 7})
        await asyncio.sleep(400)
        assert world.shares["west"] >= 5

    play(scene)


def test_a_quota_that_leaves_nothing_is_told_by_its_name() -> None:
    async def scene(world: World) -> None:
        world.members["west"].put(RESOURCE_QUOTA, quota(0))
        world.register("west", prices=CHEAP)
        await asyncio.sleep(20)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        assert world.why_not["west"] == "Quota"
        assert "ResourceQuota gpus" in why(world, "west") and "0 of 0 requests.nvidia.com/gpu" in why(world, "west")

    play(scene)


def test_what_was_promised_to_another_service_of_the_namespace_is_gone_from_its_quota() -> None:
    async def scene(world: World) -> None:
        world.members["west"].put(RESOURCE_QUOTA, quota(3))
        world.members["west"].starts = False
        world.register("east", prices=DEAR)
        world.register("west", prices=CHEAP)
        await asyncio.sleep(20)
        for name in ("llama", "other"):
            world.hub.put(INFERENCE_SERVICE, service(name, placement=ALL, scaling={"replicas": 2}))
        await asyncio.sleep(120)
        owners = [each["metadata"]["labels"]["inferops.dev/service"] for each in world.members["west"].all(POD)]
        assert len(owners) == 3 and sum(world.shares.values()) == 4

    play(scene, east={}, west={})


class Secretive(Member):
    """It lets nobody read its quotas."""

    async def pages(self, kind: Kind, selector: str = "", **more: Any) -> AsyncIterator[tuple[list[Object], int]]:
        if kind is RESOURCE_QUOTA:
            raise KubeError("list ResourceQuota", 403, "Forbidden", "no")
        async for page in super().pages(kind, selector, **more):
            yield page


def test_quotas_that_may_not_be_read_bound_nothing_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(world: World) -> None:
        world.members["west"].__class__ = Secretive
        world.register("west", prices=CHEAP)
        await asyncio.sleep(20)
        await world.restart()
        caplog.clear()
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(1000)
        assert world.shares == {"west": 2}
        assert sum("resourcequotas are not reckoned with" in each.message for each in caplog.records) == 1

    play(scene)


async def grows(world: World, replicas: int = 3) -> None:
    """East is cheap and has no node yet, west has one GPU."""
    world.members["east"].waits = True
    world.register("east", prices=CHEAP, growth=GROWTH)
    await asyncio.sleep(20)
    world.ask(scaling={"replicas": replicas})
    await asyncio.sleep(40)


def test_what_finds_no_room_anywhere_goes_where_nodes_may_come() -> None:
    async def scene(world: World) -> None:
        await grows(world)
        assert world.record == {"east": ("Placing", 2), "west": ("Serving", 1)}, "what is free comes first"
        assert offer(world, "east")["growth"] == {"nodes": 4, "accelerators": 8, "trust": 1.0, "since": ""}
        written = len(writes(world))
        await asyncio.sleep(8 * MINUTES)
        assert len(writes(world)) == written
        world.members["east"].put(NODE, node("new", gpus=2))
        await asyncio.sleep(60)
        assert world.shares == {"east": 2, "west": 1} and world.condition() == ("True", "Ready")
        assert offer(world, "east")["growth"]["nodes"] == 3
        written = len(writes(world))
        await asyncio.sleep(30 * MINUTES)
        assert len(writes(world)) == written

    play(scene, east={"nodes": 0}, west={"gpus": 1})


def test_nodes_that_do_not_come_are_trusted_less_and_the_service_moves_once_there_is_room_elsewhere() -> None:
    async def scene(world: World) -> None:
        await grows(world)
        await asyncio.sleep(11 * MINUTES)
        assert offer(world, "east")["growth"]["trust"] == 0.5
        assert world.record["east"] == ("Placing", 2), "it has nowhere else to go"
        [entry] = [each for each in world.status["placement"]["clusters"] if each["cluster"] == "east"]
        assert "2 replicas have waited for nodes for longer than 10m" in entry["message"]
        written = len(writes(world))
        await asyncio.sleep(7 * MINUTES)
        assert len(writes(world)) == written, "at rest"
        world.members["west"].put(NODE, node("more", gpus=2))
        await asyncio.sleep(6 * MINUTES)
        assert world.shares == {"west": 3} and world.condition() == ("True", "Ready")
        trust = offer(world, "east")["growth"]["trust"]
        assert trust <= 0.5
        await world.restart()
        await asyncio.sleep(60)
        assert offer(world, "east")["growth"]["trust"] == trust, "an operator that begins anew goes on from there"
        assert world.shares == {"west": 3}
        await asyncio.sleep(61 * MINUTES)
        assert offer(world, "east")["growth"]["trust"] == 1.0

    play(scene, east={"nodes": 0}, west={"gpus": 1})


def test_it_moves_to_another_cluster_that_grows_and_not_back_and_forth() -> None:
    async def scene(world: World) -> None:
        for name in ("east", "north"):
            world.members[name].waits = True
        world.register("north", growth=GROWTH)
        await grows(world, 2)
        assert world.record == {"east": ("Placing", 1), "west": ("Serving", 1)}
        await asyncio.sleep(11 * MINUTES)
        assert world.record["north"] == ("Placing", 1)
        world.members["north"].put(NODE, node("new", gpus=2))
        await asyncio.sleep(MINUTES)
        assert world.shares == {"north": 1, "west": 1}
        written = len(writes(world))
        await asyncio.sleep(30 * MINUTES)
        assert (world.shares, len(writes(world))) == ({"north": 1, "west": 1}, written)

    play(scene, east={"nodes": 0}, north={"nodes": 0}, west={"gpus": 1})


def test_where_nodes_come_nowhere_it_moves_ever_less_often() -> None:
    async def scene(world: World) -> None:
        for name in ("east", "north"):
            world.members[name].waits = True
        world.register("north", growth=GROWTH)
        await grows(world, 2)
        seen, moves = {"east"}, list[float]()
        for number in range(50):
            await asyncio.sleep(2 * MINUTES)
            assert world.shares["west"] == 1
            waits = {name for name in ("east", "north") if world.members[name].all(POD)}
            assert waits, "it waits somewhere"
            if waits != seen:
                moves.append(2.0 * number)
                seen = waits
        assert len(moves) == 3, "after 10 minutes, and then after 20 each"

    play(scene, east={"nodes": 0}, north={"nodes": 0}, west={"gpus": 1})


def test_a_rollouts_replica_that_waits_beside_all_others_moves_none_of_them() -> None:
    async def scene(world: World) -> None:
        await grows(world, 1)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        assert world.shares == {"east": 2}
        [first, _] = world.members["east"].all(POD)
        meta = {**first["metadata"], "name": "canary", "labels": {**first["metadata"]["labels"], "new": "yes"}}
        world.members["east"].put(POD, {"metadata": meta, "spec": {"containers": []}, "status": {"phase": "Pending"}})
        await asyncio.sleep(15 * MINUTES)
        assert world.record == {"east": ("Serving", 2)}
        assert offer(world, "east")["growth"]["trust"] == 0.5, "it waited for a node as well"

    play(scene, east={"gpus": 2}, west={"gpus": 2})


def test_an_operator_that_ends_while_nodes_come_does_not_begin_to_wait_anew() -> None:
    async def scene(world: World) -> None:
        await grows(world)
        before = world.record
        for _ in range(4):
            await asyncio.sleep(2 * MINUTES)
            await world.restart()
        assert (world.record, offer(world, "east")["growth"]["trust"]) == (before, 1.0)
        await asyncio.sleep(3 * MINUTES)
        assert offer(world, "east")["growth"]["trust"] == 0.5

    play(scene, east={"nodes": 0}, west={"gpus": 1})


def test_by_load_the_bounds_reach_to_nodes_that_may_come_and_stay_as_they_are() -> None:
    async def scene(world: World) -> None:
        world.members["east"].waits = True
        world.register("east", prices=CHEAP, growth=GROWTH)
        await asyncio.sleep(20)
        world.ask(scaling={"mode": "auto", "minReplicas": 1, "maxReplicas": 20})
        await asyncio.sleep(60)
        world.members["east"].load = 4
        await asyncio.sleep(120)
        assert len(world.members["east"].all(POD)) == 4, "there is no other cluster"
        written = len(writes(world))
        await asyncio.sleep(5 * MINUTES)
        assert len(writes(world)) == written, "while nodes come"
        world.members["east"].put(NODE, node("new", gpus=2))
        world.members["east"].put(NODE, node("newer", gpus=2))
        await asyncio.sleep(60)
        assert world.condition() == ("True", "Ready")
        written = len(writes(world))
        await asyncio.sleep(20 * MINUTES)
        assert len(writes(world)) == written

    play(scene, east={"gpus": 1})


def test_a_replica_over_two_nodes_goes_where_two_nodes_have_room() -> None:
    async def scene(world: World) -> None:
        world.ask(scaling={"replicas": 2}, accelerators=[{"type": "nvidia-l4", "count": 2, "nodes": 2}])
        await asyncio.sleep(40)
        assert world.record == {"two": ("Serving", 2)}
        assert world.shares == {"two": 4}, "of pods"
        assert world.why_not == {"large": "NoRoom"}
        assert world.condition() == ("True", "Ready")
        written = len(writes(world))
        await asyncio.sleep(15 * MINUTES)
        assert len(writes(world)) == written

    play(scene, large={"gpus": 8}, two={"gpus": 2, "nodes": 2})


def test_what_found_no_room_is_placed_soon_after_there_is_some() -> None:
    async def scene(world: World) -> None:
        west = world.members["west"]
        before = west.read(NODE, "", "west-0")
        assert before is not None
        west.remove(NODE, "", "west-0")
        await asyncio.sleep(20)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(600)
        assert not world.shares and "no room" in world.status["placement"]["message"]
        written = len(writes(world))
        await asyncio.sleep(600)
        assert len(writes(world)) == written, "looking writes nothing"
        west.put(NODE, before)
        await asyncio.sleep(60)
        assert world.shares == {"west": 2} and world.condition() == ("True", "Ready")

    play(scene, west={})


def test_a_replica_whose_room_somebody_took_goes_elsewhere_soon() -> None:
    async def scene(world: World) -> None:
        world.register("west", prices=CHEAP)
        await asyncio.sleep(20)
        west = world.members["west"]
        operate = west.operate
        west.operate = lambda: None  # type: ignore[method-assign]
        world.ask(scaling={"replicas": 8})
        await asyncio.sleep(10)
        assert world.record["west"][1] == 8

        def fewer(raw: Any) -> None:
            raw["status"]["allocatable"]["nvidia.com/gpu"] = "6"

        west.edit(NODE, "", "west-0", fewer)
        west.operate = operate  # type: ignore[method-assign]
        await asyncio.sleep(60)
        assert world.shares["west"] == 6 and sum(world.shares.values()) == 8

    play(scene)
