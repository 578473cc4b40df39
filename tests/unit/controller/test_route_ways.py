"""A Gateway in front of the built-in gateway: where that must see or check all requests, and where it is away."""

from __future__ import annotations

import asyncio
from typing import Any

from inferops.controller.optional import OptionalKinds
from inferops.controller.queue import Queue
from inferops.controller.store import Key
from inferops.kube.kinds import ENDPOINT_SLICE, HTTP_ROUTE, SERVICE
from unit.controller.routed import NAMED, PICKED, B, backends, route, stable, world_with
from unit.controller.world import LLAMA
from unit.controller.zero import GATEWAYS, LONG, QUIET, ZERO, again, behind, pass_, replicas, selects_pods, tell

TO_THE_SERVICE = [("Service", "llama", 1)]
KEYS: dict[str, Any] = {**NAMED, "access": {"apiKeysSecret": "keys"}}


async def test_requests_with_keys_go_where_keys_are_checked_and_nowhere_else() -> None:
    world, gateway = await world_with(HTTP_ROUTE, **KEYS)
    assert backends(world) == TO_THE_SERVICE and not selects_pods(world) and behind(world) == []
    assert world.conditions()["Routed"] == ("False", "AccessNotChecked")
    assert "no request is let through" in world.message("Routed") and not world.errors
    assert LLAMA not in world.later, "there is nothing to look at again and again"
    await tell(world, LONG)
    await gateway.settle()
    assert backends(world) == TO_THE_SERVICE and not selects_pods(world)
    assert behind(world) == [each.partition(":")[0] for each in GATEWAYS]
    assert world.conditions()["Ready"] == ("True", "Ready")
    assert "through the built-in gateway" in world.message("Routed")
    await tell(world, None, ())
    await gateway.settle()
    assert backends(world) == TO_THE_SERVICE and not selects_pods(world) and behind(world) == []
    assert world.conditions()["Routed"] == ("False", "AccessNotChecked")


async def test_without_keys_any_more_requests_go_to_the_replicas() -> None:
    world, gateway = await world_with(HTTP_ROUTE, **KEYS)
    world.ask(traffic=NAMED)
    await gateway.settle()
    assert backends(world) == [("Service", stable(world), 100)] and selects_pods(world)
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_what_may_sleep_is_reached_through_the_built_in_gateway() -> None:
    world, gateway = await world_with(HTTP_ROUTE, **NAMED)
    world.ask(**ZERO)
    await gateway.settle()
    assert backends(world) == [("Service", stable(world), 100)], "nobody is there to hold requests"
    await tell(world, QUIET)
    assert backends(world) == TO_THE_SERVICE
    world.told.demand = LONG
    pass_(world, 61)
    await world.settle()
    assert replicas(world) == [1], "the Gateway may still send past the built-in gateway"
    assert "has not taken in" in world.status()["explain"][0]
    await gateway.settle()
    assert replicas(world) == [0] and world.conditions()["Ready"] == ("True", "ScaledToZero")
    assert route(world)["spec"]["hostnames"] == NAMED["hostnames"]
    world.fake.requests.clear()
    again(world)
    await gateway.settle()
    assert world.fake.writes == []


async def test_behind_an_endpoint_picker_nothing_sleeps() -> None:
    world, gateway = await world_with(HTTP_ROUTE, **PICKED)
    world.ask(**ZERO)
    await tell(world, LONG)
    pass_(world, 3600)
    await gateway.settle()
    assert replicas(world) == [1] and backends(world) == [("Service", stable(world), 100)]
    assert not world.children(ENDPOINT_SLICE)


async def test_a_new_revision_behind_the_built_in_gateway_holds_nothing() -> None:
    world, gateway = await world_with(HTTP_ROUTE, **KEYS)
    await tell(world, LONG)
    await gateway.settle()
    old = stable(world)
    world.ask(**B)
    await gateway.settle()
    assert stable(world) != old and old not in world.children(SERVICE)
    assert backends(world) == TO_THE_SERVICE and world.conditions()["Ready"] == ("True", "Ready")


async def test_routes_that_went_with_their_kind_are_told_of() -> None:
    world, gateway = await world_with(HTTP_ROUTE, **NAMED)
    queue: Queue[Key] = Queue(asyncio.get_running_loop().time)
    world.fake.remove(HTTP_ROUTE, "chat", "llama")
    world.delivered = len(world.fake.changes)  # nobody was told
    world.fake.offered.clear()
    assert await OptionalKinds(world.fake, world.store, queue).look(HTTP_ROUTE) is None
    assert len(queue) == 1 and await queue.get() == LLAMA
    world.fake.requests.clear()
    again(world)
    await gateway.settle()
    assert world.conditions()["Routed"] == ("False", "GatewayAPIMissing")
    assert {kind for _, kind, _ in world.fake.writes} <= {"InferenceService", "Event"}
