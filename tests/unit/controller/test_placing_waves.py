"""A new version goes from cluster to cluster in virtual time: wave by wave, back everywhere, and through restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from inferops.api.resources import InferenceService
from inferops.api.rollout import ACTION
from inferops.cli.rolloutact import Action, intent, value
from inferops.core.membership import EVERY, LOST, STABLE, SUSPECT
from inferops.kube.kinds import INFERENCE_SERVICE
from inferops.render.child import VERSION
from unit.controller.building import NAMESPACE
from unit.controller.fakekube import refusal
from unit.controller.placed import ALL, WORSE, World, at, revision
from unit.controller.test_placing import back, play, silence
from unit.kube.virtualtime import now

Scene = Callable[[World], Coroutine[Any, Any, None]]
BAKE = 300.0
URI = "hf://Qwen/Qwen3-8B"
WAVES = {"steps": [], "retainPrevious": "0s", "clusters": {"waves": [["east"], ["north"]], "bake": "5m"}}


def model(version: str) -> dict[str, str]:
    return {"uri": URI, "revision": version}


async def begun(world: World) -> None:
    """It serves the version v1 in all clusters."""
    number = len(world.members)
    placement = {**ALL, "minClusters": number}
    world.ask(model=model("v1"), scaling={"replicas": number}, rollout=WAVES, placement=placement)
    await asyncio.sleep(40)
    assert has(world) == {name: "v1" for name in world.members}
    assert world.condition() == ("True", "Ready")


def has(world: World) -> dict[str, str]:
    """The version that each cluster was told to have."""
    children = {name: each.child for name, each in world.members.items()}
    return {name: raw["spec"]["model"].get("revision", "") for name, raw in children.items() if raw is not None}


def rollout(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.status["placement"]["rollout"]
    return found


def ask(action: Action, world: World) -> str:
    """As the command does."""
    raw = world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama")
    asked = value(intent(action, InferenceService.model_validate(raw)))

    def annotate(raw: Any) -> None:
        raw["metadata"]["annotations"] = {ACTION: asked}

    world.hub.edit(INFERENCE_SERVICE, NAMESPACE, "llama", annotate)
    return asked


async def until(true: Callable[[], bool], most: float) -> float:
    """Seconds until it is so, at most so many."""
    begins = now()
    while not true():
        assert now() < begins + most, "it never comes to that"
        await asyncio.sleep(0.5)
    return now() - begins


def test_a_new_version_comes_wave_by_wave_and_each_serves_it_for_a_while_first() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        for each in world.members.values():
            each.takes = 60.0
        world.ask(model=model("v2"))
        came: dict[str, float] = {}
        begins = now()
        while now() < begins + 2 * (BAKE + 60) + 120:
            for name, version in has(world).items():
                if version == "v2":
                    came.setdefault(name, now() - begins)
            await asyncio.sleep(0.5)
        assert list(came) == ["east", "north", "west"]
        assert came["east"] <= 2
        assert BAKE + 60 <= came["north"] - came["east"] <= BAKE + 70
        assert BAKE + 60 <= came["west"] - came["north"] <= BAKE + 70
        assert rollout(world)["phase"] == "Complete" and len(rollout(world)["versions"]) == 1
        assert world.condition("RolledOut") == ("True", "Promoted")
        written = [len(each.writes) for each in (*world.members.values(), world.hub)]
        await asyncio.sleep(900)
        assert [len(each.writes) for each in (*world.members.values(), world.hub)] == written

    play(scene)


def test_it_is_told_where_it_is() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        world.members["east"].takes = 60.0
        world.ask(model=model("v2"), rollout={**WAVES, "clusters": {"waves": [["east"], ["nowhere"]], "bake": "5m"}})
        await asyncio.sleep(30)
        version = world.members["east"].child["metadata"]["annotations"][VERSION]  # type: ignore[index]
        told = rollout(world)
        assert (told["phase"], told["version"], told["wave"], told["waves"]) == ("Rolling", version, 1, 3)
        assert told["message"] == f"wave 1 of 3: waits for east to serve version {version}"
        assert world.condition("RolledOut")[0] == "Unknown" and world.condition()[0] == "Unknown"
        assert any("no cluster that is called nowhere" in each for each in world.status["explain"])
        await asyncio.sleep(60)
        told = rollout(world)
        ends = datetime.fromisoformat(told["message"].rpartition(" ")[2])
        assert (told["phase"], told["wave"]) == ("Baking", 1)
        assert told["message"] in world.status["explain"]
        left = (ends - at()).total_seconds()
        assert BAKE - 60 < left < BAKE
        assert world.condition("RolledOut") == ("Unknown", "Observing")
        written = len(world.hub.writes)
        await asyncio.sleep(left - 10)
        assert len(world.hub.writes) == written, "while it bakes nothing is written"

    play(scene)


def test_one_that_goes_back_stops_it_and_all_get_the_old_one() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        world.members["north"].bad = frozenset({"v2"})
        world.ask(model=model("v2"))
        await until(lambda: has(world)["north"] == "v2", BAKE + 60)
        assert has(world) == {"east": "v2", "north": "v2", "west": "v1"}
        await asyncio.sleep(30)
        assert has(world) == {"east": "v1", "north": "v1", "west": "v1"}
        assert rollout(world)["phase"] == "Stopped"
        assert world.condition("RolledOut") == ("False", "RolledBack")
        [told] = [each for each in world.status["conditions"] if each["type"] == "RolledOut"]
        assert f"north went back: {WORSE}; wave 3 does not begin, and all" in told["message"]
        assert world.condition() == ("False", "RolledBack")
        written = [len(each.writes) for each in (*world.members.values(), world.hub)]
        await world.restart()
        await asyncio.sleep(2 * BAKE)
        assert [len(each.writes) for each in (*world.members.values(), world.hub)] == written, "it is not tried again"
        world.ask(scaling={"replicas": 6})
        await asyncio.sleep(60)
        assert set(has(world).values()) == {"v1"} and sum(world.shares.values()) == 6
        world.ask(model=model("v3"))
        await asyncio.sleep(30)
        assert has(world) == {"east": "v3", "north": "v1", "west": "v1"}, "another version is another rollout"

    play(scene)


def test_what_was_stopped_is_tried_again_when_somebody_says_so_and_once() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        world.members["east"].bad = frozenset({"v2"})
        world.ask(model=model("v2"))
        await until(lambda: rollout(world)["phase"] == "Stopped", 60)
        await asyncio.sleep(30)
        bad = revision(model("v2"))
        assert rollout(world)["rejected"] == [bad]
        asked = ask("retry", world)
        assert asked.startswith(f"retry@{bad}/")
        await until(lambda: has(world)["east"] == "v2", 10)
        assert world.members["east"].child["metadata"]["annotations"][ACTION] == asked  # type: ignore[index]
        await until(lambda: asked in world.status["rollout"]["handled"], 10)
        await until(lambda: rollout(world)["phase"] == "Stopped" and has(world)["east"] == "v1", 60)
        written = len(world.members["east"].writes)
        await asyncio.sleep(600)
        assert (rollout(world)["phase"], len(world.members["east"].writes)) == ("Stopped", written)

    play(scene)


def test_a_hub_that_has_lost_its_record_goes_on_wave_by_wave() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        raw = world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama")
        assert raw is not None
        raw["spec"]["model"], raw["status"] = model("v2"), {}
        world.hub.put(INFERENCE_SERVICE, raw)
        await world.restart()
        await asyncio.sleep(40)
        assert has(world) == {"east": "v2", "north": "v1", "west": "v1"}
        assert rollout(world)["phase"] == "Baking" and len(rollout(world)["versions"]) == 2
        world.members["north"].bad = frozenset({"v2"})
        await asyncio.sleep(BAKE + 60)
        assert has(world) == {"east": "v1", "north": "v1", "west": "v1"}, "it knows what to go back to"

    play(scene)


def test_a_wave_that_bakes_is_cut_short_by_hand_and_the_next_one_is_not() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        world.ask(model=model("v2"))
        await until(lambda: rollout(world)["phase"] == "Baking", 60)
        asked = ask("promote", world)
        assert await until(lambda: has(world)["north"] == "v2", 10) <= 5
        assert asked in world.status["rollout"]["handled"]
        annotations = (world.members["north"].child or {})["metadata"]["annotations"]
        assert ACTION not in annotations, "it skips nothing of the rollout there"
        await asyncio.sleep(BAKE - 10)
        assert has(world) == {"east": "v2", "north": "v2", "west": "v1"}
        await asyncio.sleep(30)
        assert has(world)["west"] == "v2"

    play(scene)


def test_back_to_the_old_version_is_at_once_and_everywhere() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        world.ask(model=model("v2"))
        await until(lambda: has(world)["north"] == "v2", BAKE + 60)
        world.ask(model=model("v1"))
        await until(lambda: set(has(world).values()) == {"v1"}, 3)
        await asyncio.sleep(30)
        assert rollout(world)["phase"] == "Complete" and world.condition() == ("True", "Ready")

    play(scene)


def test_a_newer_version_begins_with_the_first_wave_and_the_others_keep_what_they_have() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        world.ask(model=model("v2"))
        await until(lambda: has(world)["north"] == "v2", BAKE + 60)
        world.ask(model=model("v3"))
        await asyncio.sleep(10)
        assert has(world) == {"east": "v3", "north": "v2", "west": "v1"}
        world.ask(scaling={"replicas": 6})
        await asyncio.sleep(60)
        assert has(world) == {"east": "v3", "north": "v2", "west": "v1"}, "what they wait with is on record"
        world.members["north"].bad = frozenset({"v3"})
        await until(lambda: has(world)["north"] == "v3", BAKE + 60)
        await asyncio.sleep(30)
        assert set(has(world).values()) == {"v1"}, "the one that all have had"

    play(scene)


def test_a_lost_one_says_nothing_and_gets_the_newest_when_it_is_back() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        silence(world.members["east"])
        await asyncio.sleep(LOST + 60)
        assert world.record["east"][0] == "Lost"
        world.ask(model=model("v2"), placement={**ALL, "minClusters": 2})
        await asyncio.sleep(10)
        assert has(world) == {"east": "v1", "north": "v2", "west": "v1"}, "the first wave has nobody else"
        await until(lambda: has(world)["west"] == "v2", BAKE + 60)
        await asyncio.sleep(30)
        assert rollout(world)["phase"] == "Complete"
        world.ask(placement={**ALL, "minClusters": 3})
        back(world.members["east"])
        await until(lambda: has(world).get("east") == "v2", STABLE + 3 * EVERY)

    play(scene)


def test_a_lost_one_gets_the_old_one_back_when_the_others_have_gone_back() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        world.ask(model=model("v2"), rollout={**WAVES, "clusters": {"waves": [["east"], ["north"]], "bake": "15m"}})
        await asyncio.sleep(30)
        silence(world.members["east"])
        world.members["north"].bad = frozenset({"v2"})
        await until(lambda: has(world)["north"] == "v2", LOST + 60)
        await until(lambda: rollout(world)["phase"] == "Stopped", 60)
        assert has(world)["east"] == "v2", "nobody reaches it"
        await world.restart()
        back(world.members["east"])
        await until(lambda: has(world).get("east") in (None, "v1"), STABLE + 3 * EVERY)
        await asyncio.sleep(60)
        assert set(has(world).values()) == {"v1"}

    play(scene)


def test_one_that_does_not_answer_holds_its_wave_and_no_other() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        world.members["west"].error = world.members["north"].error = None
        silence(world.members["west"])
        world.members["west"].serves = True  # never lost
        await asyncio.sleep(SUSPECT + 2 * EVERY)
        world.ask(model=model("v2"))
        await until(lambda: has(world)["north"] == "v2", BAKE + 60)
        await until(lambda: rollout(world)["wave"] == 3, BAKE + 60)
        await asyncio.sleep(2 * BAKE)
        assert rollout(world)["phase"] == "Rolling" and "west does not answer" in rollout(world)["message"]
        back(world.members["west"])
        await until(lambda: rollout(world)["phase"] == "Complete", STABLE + 60)
        assert set(has(world).values()) == {"v2"}

    play(scene)


def test_without_waves_all_get_it_at_once() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        plain = {"steps": [], "retainPrevious": "0s"}
        world.ask(model=model("v2"), rollout=plain)
        await until(lambda: set(has(world).values()) == {"v2"}, 3)
        world.ask(model=model("v3"), rollout=WAVES)
        await asyncio.sleep(30)
        assert has(world) == {"east": "v3", "north": "v2", "west": "v2"}, "waves that come with the version count"
        world.ask(rollout=plain)
        await until(lambda: set(has(world).values()) == {"v3"}, 3)

    play(scene)


def test_one_that_is_chosen_meanwhile_has_the_version_of_its_wave() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        world.register("new")
        for each in ("north", "new"):
            world.register(each, taints=[{"key": "drain", "effect": "NoExecute"}])
        await asyncio.sleep(120)
        world.ask(model=model("v2"), placement={**ALL, "minClusters": 2})
        await asyncio.sleep(30)
        assert {name: has(world)[name] for name in ("east", "west")} == {"east": "v2", "west": "v1"}
        for each in ("north", "new"):
            world.register(each)
        world.ask(placement={**ALL, "minClusters": 4}, scaling={"replicas": 4})
        await asyncio.sleep(60)
        assert has(world) == {"east": "v2", "north": "v1", "west": "v1", "new": "v1"}

    play(scene, east={}, north={}, west={}, new={})


def test_one_that_refuses_the_new_version_keeps_what_serves_and_stops_it() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        world.members["east"].refuses = lambda verb, desired: (
            refusal(422, "Invalid", "spec.model.revision: no commit")
            if verb == "apply" and desired.get("spec", {}).get("model", {}).get("revision") == "v2"
            else None
        )
        before = world.members["east"].child
        world.ask(model=model("v2"))
        await asyncio.sleep(600)
        assert has(world) == {"east": "v1", "north": "v1", "west": "v1"}
        assert (world.members["east"].child or {})["metadata"]["uid"] == (before or {})["metadata"]["uid"]
        assert sum(world.shares.values()) == 3
        assert world.condition("RolledOut") == ("False", "RejectedByAPIServer")
        assert "spec.model.revision: no commit" in rollout(world)["message"]

    play(scene)


def test_the_operator_may_end_at_any_time_and_the_clock_goes_on() -> None:
    async def scene(world: World) -> None:
        await begun(world)
        for each in world.members.values():
            each.takes = 45.0
        world.ask(model=model("v2"))
        begins = now()
        while set(has(world).values()) != {"v2"}:
            assert now() < begins + 2 * (BAKE + 45) + 120
            await asyncio.sleep(37)
            await world.restart()
        assert now() - begins >= 2 * (BAKE + 45)

    play(scene)


async def _rolls(world: World) -> int:
    """A version comes, and another goes back. Returns what was written before that."""
    await begun(world)
    written = world.killer.count
    short = {**WAVES, "clusters": {"waves": [["east"]], "bake": "20s"}}
    world.members["west"].bad = frozenset({"v3"})
    world.ask(model=model("v2"), rollout=short)
    await until(lambda: set(has(world).values()) == {"v2"} and rollout(world)["phase"] == "Complete", 120)
    world.ask(model=model("v3"))
    await until(lambda: rollout(world)["phase"] == "Stopped", 120)
    await asyncio.sleep(15)
    assert has(world) == {"east": "v2", "west": "v2"}
    return written


def test_the_operator_may_end_at_every_write() -> None:
    counts = []

    async def undisturbed(world: World) -> None:
        counts.append((await _rolls(world), world.killer.count))

    play(undisturbed, east={}, west={})
    [(begun, end)] = counts
    assert end - begun > 10
    for number in range(begun + 1, end + 1):

        async def killed(world: World, number: int = number) -> None:
            world.killer.at = number
            await _rolls(world)
            assert world.ends == 1

        play(killed, east={}, west={})
