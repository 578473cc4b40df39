"""A service behind a Gateway of the Gateway API, in a world whose Gateway speaks when it is asked to."""

from __future__ import annotations

from typing import Any

from inferops.kube.kinds import HTTP_ROUTE, INFERENCE_POOL, NODE, Kind
from inferops.kube.owned import Object
from unit.controller.building import node
from unit.controller.fakekube import Fake
from unit.controller.world import World

PUBLIC = {"name": "public", "namespace": "infra"}
NAMED = {"gatewayRef": PUBLIC, "hostnames": ["llama.example.com"]}
PICKED = {"gatewayRef": PUBLIC, "endpointPicker": {"name": "picker"}}
B: dict[str, Any] = {"model": {"uri": "hf://Qwen/Qwen3-14B"}}
BOTH = (HTTP_ROUTE, INFERENCE_POOL)


def condition(kind: str, generation: int, status: str = "True", reason: str = "", message: str = "") -> Object:
    stamp = "2025-11-03T12:00:00Z"
    told = {"type": kind, "status": status, "reason": reason or kind, "message": message, "lastTransitionTime": stamp}
    return {**told, "observedGeneration": generation}


def parent(reference: Object, *conditions: Object) -> Object:
    return {"parentRef": reference, "controllerName": "example.com/gateways", "conditions": list(conditions)}


class Gateway:
    """A Gateway's controller: it says what it makes of every route, when it is asked to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.refusal: tuple[str, str, str] | None = None  # type, reason and message

    def listen(self) -> None:
        for raw in self.world.fake.all(HTTP_ROUTE):
            now = raw["metadata"]["generation"]
            told = {kind: condition(kind, now) for kind in ("Accepted", "ResolvedRefs")}
            if self.refusal is not None:
                told[self.refusal[0]] = condition(self.refusal[0], now, "False", *self.refusal[1:])
            parents = [parent(reference, *told.values()) for reference in raw["spec"]["parentRefs"]]
            self.world.fake.put(HTTP_ROUTE, {**raw, "status": {"parents": parents}}, "gateways")

    async def settle(self) -> None:
        for _ in range(8):
            await self.world.settle()
            before = len(self.world.fake.changes)
            self.listen()
            if len(self.world.fake.changes) == before:
                return
        raise AssertionError("still changing")


async def world_with(*kinds: Kind, **traffic: Any) -> tuple[World, Gateway]:
    fake = Fake(offered={*kinds})
    fake.put(NODE, node())
    world = World(fake)
    world.ask(traffic=traffic)
    gateway = Gateway(world)
    await gateway.settle()
    return world, gateway


def route(world: World) -> Object:
    return world.children(HTTP_ROUTE)["llama"]


def backends(world: World) -> list[tuple[str, str, int]]:
    found = route(world)["spec"]["rules"][0]["backendRefs"]
    return [(each["kind"], each["name"], each["weight"]) for each in found]


def stable(world: World) -> str:
    return f"llama-{world.status()['stableRevision']}"
