"""Many services at once: none is given what another one has, and an operator that begins anew writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from inferops.controller.store import Key
from inferops.kube.kinds import INFERENCE_SERVICE, Kind
from inferops.kube.owned import Object
from unit.controller.building import NAMESPACE, service
from unit.controller.placed import ALL, SILENT, Hub, World, member
from unit.kube.virtualtime import run

CHEAP = [{"accelerator": "nvidia-l4", "usdPerHour": 0.1}]


def after(seconds: float, ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The same question, answered so much later."""

    async def asked(*about: Any) -> Any:
        await asyncio.sleep(seconds)
        return await ask(*about)

    return asked


class Slow(Hub):
    """A hub of which each answer takes a while."""

    async def apply(self, kind: Kind, desired: Object, *, force: bool, subresource: str = "") -> Object:
        await asyncio.sleep(0.1)
        return await super().apply(kind, desired, force=force, subresource=subresource)


def test_the_last_room_of_a_cluster_is_given_once() -> None:
    async def scene() -> None:
        world = World({"east": member("east", gpus=2), "west": member("west", gpus=2)}, hub=Slow())
        world.register("east", prices=CHEAP)
        world.register("west")
        await asyncio.sleep(20)
        keys = [Key(INFERENCE_SERVICE.kind, NAMESPACE, name) for name in ("first", "second")]
        for key in keys:
            world.hub.put(INFERENCE_SERVICE, service(key.name, placement=ALL, scaling={"replicas": 2}))
            world.store.put(INFERENCE_SERVICE, world.hub.read(INFERENCE_SERVICE, NAMESPACE, key.name) or {})
        await asyncio.gather(*map(world.reconciler.reconcile, keys))
        found: list[Any] = [world.hub.read(INFERENCE_SERVICE, NAMESPACE, key.name) for key in keys]
        clusters = [[each["cluster"] for each in raw["status"]["placement"]["clusters"]] for raw in found]
        assert clusters == [["east"], ["west"]]
        await world.close()

    run(scene())


@pytest.mark.parametrize("silent", [False, True])
def test_an_operator_that_begins_anew_writes_nothing(silent: bool) -> None:
    async def scene() -> None:
        world = World({name: member(name) for name in ("east", "north", "west")})
        for number, each in enumerate(world.members.values()):
            each.get = after(1.0 + number, each.get)  # type: ignore[method-assign]
        world.register("north", prices=CHEAP)
        world.register("east", prices=CHEAP)
        world.register("west")
        world.ask(scaling={"replicas": 4}, placement={**ALL, "minClusters": 2})
        await asyncio.sleep(60)
        if silent:
            world.members["west"].error, world.members["west"].serves = SILENT, False
            await asyncio.sleep(600)
        assert world.condition() == ("True", "Ready")
        before = [len(each.writes) for each in (world.hub, *world.members.values())]
        await world.restart()
        await asyncio.sleep(120)
        assert [len(each.writes) for each in (world.hub, *world.members.values())] == before
        await world.close()

    run(scene())


def test_a_silent_cluster_that_nobody_knew_holds_up_nobody_for_long() -> None:
    async def scene() -> None:
        world = World({name: member(name) for name in ("east", "west")})
        world.members["west"].error, world.members["west"].serves = SILENT, False
        for name in world.members:
            world.register(name)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(20)
        assert world.record == {"east": ("Serving", 2)}
        await world.close()

    run(scene())
