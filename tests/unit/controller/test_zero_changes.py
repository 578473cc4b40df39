"""A service that may be at zero is changed, crashes, or is no longer managed so: nobody is refused meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inferops.core.observation import Demand
from inferops.kube.kinds import ENDPOINT_SLICE, EVENT, POD
from inferops.kube.owned import Object
from unit.controller.fakekube import Crash, Fake
from unit.controller.world import LLAMA, NOT_READY, READY, World
from unit.controller.zero import (
    ASKED,
    GATEWAYS,
    LONG,
    ZERO,
    B,
    again,
    asleep,
    behind,
    pass_,
    pods_listed,
    replicas,
    selects_pods,
    tell,
    up,
)


@pytest.mark.parametrize("why", ["its minimum is one", "the last gateway goes"])
async def test_its_service_leads_to_pods_before_the_gateways_leave_it(why: str) -> None:
    world = await up()
    pods_listed(world, False)
    if why == "its minimum is one":
        world.ask(scaling={"minReplicas": 1})
        await world.settle()
        assert behind(world) == ["10.1.0.1", "10.1.0.2"], "Kubernetes does not list the pod yet"
    else:
        await tell(world, None, ())
    assert selects_pods(world)
    assert "llama-gateway" in world.children(ENDPOINT_SLICE) and world.later[LLAMA] == 1.0
    pods_listed(world, True)
    again(world)
    await world.settle()
    assert set(world.children(ENDPOINT_SLICE)) == {"llama-x7k2p"}
    world.fake.requests.clear()
    again(world)
    await world.settle()
    assert world.fake.requests == []


async def test_requests_wait_also_for_the_first_of_a_new_minimum() -> None:
    world = await asleep()
    world.pod_status = lambda pod: NOT_READY
    world.ask(scaling={"minReplicas": 1})
    await world.settle()
    assert replicas(world) == [1] and selects_pods(world)
    assert behind(world) == ["10.1.0.1", "10.1.0.2"]
    world.pod_status = lambda pod: READY
    pods_listed(world, True)
    await world.settle()
    assert behind(world) == []


async def test_whoever_asked_past_the_gateways_until_now_is_given_time() -> None:
    world = World()
    world.told.addresses, world.told.demand = GATEWAYS, LONG
    world.ask()
    await world.settle()
    pass_(world, 3600)
    world.ask(**ZERO)
    await world.settle()
    assert replicas(world) == [1] and not selects_pods(world)
    assert 50 < world.later[LLAMA] <= 60
    pass_(world, 61)
    await world.settle()
    assert replicas(world) == [0]


async def test_zero_by_number_is_nobodys_to_wake() -> None:
    world = await up()
    world.ask(scaling={"minReplicas": 0, "replicas": 0, "scaleToZeroAfter": "1m"})
    await world.settle()
    assert selects_pods(world) and world.children(ENDPOINT_SLICE) == {}
    await tell(world, ASKED)
    assert replicas(world) == [0]
    assert world.conditions()["Ready"] == ("True", "Ready") and "as asked" in world.message()


async def test_others_see_no_gateway() -> None:
    world = World()
    world.told.addresses, world.told.demand = GATEWAYS, LONG
    world.ask()
    await world.settle()
    assert world.children(ENDPOINT_SLICE) == {} and selects_pods(world)
    assert world.status()["desiredReplicas"] == 1 and LLAMA not in world.later


async def test_a_new_version_at_zero_takes_over_without_a_pod_and_says_so() -> None:
    world = await asleep()
    old = world.status()["stableRevision"]
    world.ask(**B)
    await world.settle()
    new = world.status()["stableRevision"]
    assert new != old and replicas(world) == [0] and world.fake.all(POD) == []
    assert world.conditions()["Ready"] == ("True", "ScaledToZero")
    assert "no replica of it is wanted now" in world.message("RolledOut")
    assert any("with no replica wanted yet" in raw["message"] for raw in world.fake.all(EVENT))
    await tell(world, ASKED)
    assert [pod["metadata"]["labels"]["inferops.dev/revision"] for pod in world.fake.all(POD)] == [new]


async def test_a_new_version_is_shown_to_load_before_anything_goes() -> None:
    world = await up()
    old = world.status()["stableRevision"]
    world.pod_status = lambda pod: READY if old in pod["metadata"]["name"] else NOT_READY
    world.ask(**B)
    await world.settle()
    pass_(world, 600)
    await world.settle()
    assert replicas(world) == [1, 1]
    world.pod_status = lambda pod: READY
    await world.settle()
    assert replicas(world) == [1], "it has just begun to serve"
    pass_(world, 61)
    await world.settle()
    assert replicas(world) == [0]


async def test_an_invalid_spec_keeps_what_runs_and_still_wakes_what_sleeps() -> None:
    world = await up()
    world.ask(runtime={"name": "tgi"})
    await world.settle()
    pass_(world, 600)
    await world.settle()
    assert replicas(world) == [1]
    world = await asleep()
    world.ask(runtime={"name": "tgi"})
    await world.settle()
    await tell(world, ASKED)
    assert replicas(world) == [1]


async def test_a_replica_that_fails_is_told_as_ever() -> None:
    world = await up()
    world.pod_status = lambda pod: NOT_READY
    await tell(world, ASKED)
    assert world.conditions()["Available"] == ("False", "RequestsWait")
    [event] = [raw for raw in world.fake.all(EVENT) if raw["type"] == "Warning"]
    assert event["reason"] == "RequestsWait"


Act = Callable[[World], Any]
ACTS: dict[str, tuple[Demand | None, float, Act]] = {
    "to zero": (LONG, 61, lambda world: None),
    "from zero": (ASKED, 1, lambda world: None),
    "a new version": (LONG, 1, lambda world: world.ask(**B)),
    "no longer": (LONG, 1, lambda world: (world.ask(scaling={"minReplicas": 1}), pods_listed(world, True))),
}


@pytest.mark.parametrize("tale", [["to zero"], ["to zero", "from zero"], ["to zero", "a new version"], ["no longer"],
                                  ["to zero", "no longer"]], ids=" and ".join)  # fmt: skip
async def test_an_end_after_any_write_leads_to_the_same(tale: list[str]) -> None:
    start = await up()
    for step in tale[:-1]:
        await play(start, step)
    expected = World(start.fake.copy())
    expected.time = start.time
    await play(expected, tale[-1])
    assert len(expected.fake.writes) >= 2
    for writes in range(1, len(expected.fake.writes) + 1):
        world = World(start.fake.copy())
        world.time = start.time
        world.fake.crash_after = writes
        with pytest.raises(Crash):
            await play(world, tale[-1])
        world.restart()
        await world.settle()
        assert ends(world.fake) == ends(expected.fake)
        world.fake.requests.clear()
        await world.settle()
        assert world.fake.requests == []


async def play(world: World, step: str) -> None:
    demand, seconds, act = ACTS[step]
    world.told.addresses, world.told.demand = GATEWAYS, demand
    act(world)
    pass_(world, seconds)
    await world.settle()


def ends(fake: Fake) -> dict[Any, Object]:
    return World(fake.copy()).end()
