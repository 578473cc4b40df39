"""What went wrong elsewhere, in virtual time: room that is none, numbers that are missing, a hub that is another one.

Which of these each is told in docs/clusters.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from inferops.core.membership import EVERY, LOST
from inferops.kube.kinds import INFERENCE_SERVICE, NODE
from inferops.render.child import HUB
from unit.controller.building import NAMESPACE, service
from unit.controller.placed import ALL, SILENT, World
from unit.controller.test_placing import CHEAP, back, play, silence

FREE = [{"accelerator": "nvidia-l4", "usdPerHour": 0.0}]


def cordoned(raw: Any) -> None:
    raw.setdefault("spec", {})["unschedulable"] = True


def lost(raw: Any) -> None:
    raw["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]


@pytest.mark.parametrize("change", [cordoned, lost])
def test_nodes_that_are_cordoned_or_lost_are_no_room(change: Callable[[Any], None]) -> None:
    async def scene(world: World) -> None:
        world.register("east", prices=CHEAP)
        world.members["east"].edit(NODE, "", "east-0", change)
        await asyncio.sleep(30)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(40)
        assert "east" not in world.record and sum(world.shares.values()) == 2

    play(scene)


def test_what_costs_nothing_is_full_before_anything_is_paid_for() -> None:
    async def scene(world: World) -> None:
        world.register("west", prices=FREE)
        world.ask(scaling={"replicas": 8})
        await asyncio.sleep(60)
        assert world.shares == {"west": 8}
        world.ask(scaling={"replicas": 10})
        await asyncio.sleep(60)
        assert world.shares["west"] == 8 and sum(world.shares.values()) == 10

    play(scene)


def test_a_member_that_tells_no_numbers_gets_no_fewer() -> None:
    async def scene(world: World) -> None:
        world.register("west", prices=CHEAP)
        west = world.members["west"]
        west.load = 6
        world.ask(scaling={"mode": "auto", "minReplicas": 1, "maxReplicas": 20})
        await asyncio.sleep(120)
        assert world.shares == {"west": 6}
        before = world.status["placement"]["target"], (west.child or {})["spec"]["scaling"]

        def silent(raw: Any) -> None:
            raw["status"] = {}

        west.operate = lambda: None  # type: ignore[method-assign]
        west.edit(INFERENCE_SERVICE, NAMESPACE, "llama", silent)
        await asyncio.sleep(1800)
        assert (world.status["placement"]["target"], (west.child or {})["spec"]["scaling"]) == before
        assert world.shares == {"west": 6}

    play(scene)


def test_by_load_nobody_gets_less_while_one_is_silent() -> None:
    async def scene(world: World) -> None:
        for each in world.members.values():
            each.load = 5
        world.ask(scaling={"mode": "auto", "minReplicas": 1, "maxReplicas": 20}, placement={**ALL, "minClusters": 2})
        await asyncio.sleep(300)
        [silent, *others] = world.shares
        assert others
        world.members[silent].error = SILENT
        await asyncio.sleep(60)
        before = bounds(world)
        for each in world.members.values():
            each.load = 1
        for _ in range(180):
            await asyncio.sleep(10)
            assert all(most >= before[name][1] for name, (_, most) in bounds(world).items())
        world.members[silent].error = None
        await asyncio.sleep(900)
        assert sum(most for _, most in bounds(world).values()) < sum(most for _, most in before.values())

    play(scene)


def test_an_operator_that_begins_cut_off_loses_nobody() -> None:
    """One has been silent for long, and that the others are too is not on record."""

    async def scene(world: World) -> None:
        world.ask(scaling={"replicas": 6}, placement={**ALL, "minClusters": 3})
        await asyncio.sleep(60)
        silence(world.members["east"])
        await asyncio.sleep(LOST - EVERY)
        assert world.record["east"][0] == "Suspect"
        silence(*world.members.values())
        await world.restart()
        for _ in range(60):
            await asyncio.sleep(10)
            assert not [name for name, (state, _) in world.record.items() if state == "Lost"]
        back(world.members["north"], world.members["west"])
        await asyncio.sleep(120)
        assert world.record["east"][0] == "Lost", "it is the only one"

    play(scene)


def bounds(world: World) -> dict[str, tuple[int, int]]:
    """Within which each cluster scales."""
    found = {name: (each.child or {}).get("spec", {}).get("scaling") for name, each in world.members.items()}
    return {name: (each.get("minReplicas", 1), each["maxReplicas"]) for name, each in found.items() if each}


def test_a_hub_that_begins_with_nothing_at_all_takes_over_what_is_handed_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is another one, whatever its name: what is in members is the former's, until somebody says otherwise."""

    async def scene(world: World) -> None:
        placement = {**ALL, "minClusters": 3}
        world.ask(scaling={"replicas": 3}, placement=placement)
        await asyncio.sleep(60)
        before = {
            name: ((each.child or {})["metadata"]["uid"], len(each.writes)) for name, each in world.members.items()
        }
        world.hub.remove(INFERENCE_SERVICE, NAMESPACE, "llama")
        monkeypatch.setattr("unit.controller.placed.HUB_UID", "uid-other")
        await world.restart()
        world.hub.put(INFERENCE_SERVICE, service("llama", placement=placement, scaling={"replicas": 3}))
        await asyncio.sleep(300)
        now = {name: ((each.child or {})["metadata"]["uid"], len(each.writes)) for name, each in world.members.items()}
        assert now == before
        assert set(world.why_not.values()) == {"Refused"}
        told = world.status["placement"]["notChosen"][0]["message"]
        assert "another hub's (uid-hub)" in told and f"{HUB}=uid-other" in told

        def handed_over(raw: Any) -> None:
            raw["metadata"]["labels"][HUB] = "uid-other"

        for each in world.members.values():
            each.edit(INFERENCE_SERVICE, NAMESPACE, "llama", handed_over)
        await asyncio.sleep(30)
        assert world.condition() == ("True", "Ready")
        assert {name: ("Serving", 1) for name in world.members} == world.record
        assert {name: (each.child or {})["metadata"]["uid"] for name, each in world.members.items()} == {
            name: uid for name, (uid, _) in before.items()
        }

    play(scene)
