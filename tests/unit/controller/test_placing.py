"""A service over several clusters in virtual time: placed, moved, taken over, drained, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from inferops.controller.store import Key
from inferops.core.membership import EVERY, LOST, STABLE, SUSPECT
from inferops.kube.client import KubeError
from inferops.kube.kinds import EVENT, INFERENCE_CLUSTER, INFERENCE_SERVICE, NODE, Kind
from inferops.render.child import HUB
from unit.controller.building import NAMESPACE, node, service
from unit.controller.fakekube import refusal
from unit.controller.placed import ALL, HOME, HUB_UID, LLAMA, SILENT, Member, World, member
from unit.kube.virtualtime import now, run

DENIED = KubeError("the member", 401, "Unauthorized", "Unauthorized")
Scene = Callable[[World], Coroutine[Any, Any, None]]
CHEAP = [{"accelerator": "nvidia-l4", "usdPerHour": 0.1}]
DEAR = [{"accelerator": "nvidia-l4", "usdPerHour": 5.0}]


def play(scene: Scene, **members: dict[str, int]) -> None:
    """Run a scene in a world of members with such nodes, or of three with eight GPUs each."""

    async def whole() -> None:
        nodes = members or {name: {} for name in ("east", "north", "west")}
        world = World({name: member(name, **each) for name, each in nodes.items()})
        for name in world.members:
            world.register(name)
        await asyncio.sleep(20)
        try:
            await scene(world)
        finally:
            await world.close()

    run(whole())


def silence(*members: Member) -> None:
    """They and their gateways do not answer any more."""
    for each in members:
        each.error, each.serves = SILENT, False


def back(*members: Member) -> None:
    for each in members:
        each.error, each.serves = None, True


def test_a_service_goes_where_it_is_cheapest_and_then_nothing_is_written() -> None:
    async def scene(world: World) -> None:
        world.register("west", prices=CHEAP)
        world.ask(scaling={"replicas": 3})
        await asyncio.sleep(40)
        assert world.record == {"west": ("Serving", 3)}
        assert world.shares == {"west": 3}
        assert world.condition() == ("True", "Ready")
        assert world.why_not == {"east": "NotNeeded", "north": "NotNeeded"}
        before = [len(each.writes) for each in (*world.members.values(), world.hub)]
        await asyncio.sleep(900)
        assert [len(each.writes) for each in (*world.members.values(), world.hub)] == before

    play(scene)


def test_free_gpus_on_many_nodes_are_no_room_for_a_replica_that_needs_them_on_one() -> None:
    async def scene(world: World) -> None:
        world.ask(scaling={"replicas": 1}, accelerators=[{"type": "nvidia-l4", "count": 2}])
        await asyncio.sleep(40)
        assert world.record["large"] == ("Serving", 1)
        assert world.why_not == {"scattered": "NoRoom"}

    play(scene, scattered={"gpus": 1, "nodes": 8}, large={"gpus": 2})


@pytest.mark.parametrize(
    ("spec", "labels", "reason"),
    [
        ({"taints": [{"key": "drain", "effect": "NoSchedule"}]}, {}, "Tainted"),
        ({"namespaces": ["others"]}, {}, "NamespaceNotAllowed"),
        ({"region": "us"}, {}, "OtherRegion"),
        ({"access": {"clusterProfile": {"name": "x"}}, "region": "eu"}, {}, "NotReached"),
    ],
)
def test_why_a_cluster_may_not_have_it(spec: dict[str, Any], labels: dict[str, str], reason: str) -> None:
    async def scene(world: World) -> None:
        world.register("east", **{"region": "eu", "prices": CHEAP, **spec}, labels=labels)
        world.register("west", region="eu")
        world.ask(placement={**ALL, "regions": ["eu"]})
        await asyncio.sleep(40)
        assert list(world.record) == ["west"]
        assert world.why_not["east"] == reason

    play(scene, east={}, west={})


def test_the_selector_decides_which_are_asked() -> None:
    async def scene(world: World) -> None:
        world.register("west", labels={"tier": "prod"})
        world.ask(placement={"clusters": {"matchLabels": {"tier": "prod"}}})
        await asyncio.sleep(40)
        assert (list(world.record), world.why_not) == (["west"], {})

    play(scene)


def test_it_is_spread_to_survive_the_loss_of_any_cluster() -> None:
    async def scene(world: World) -> None:
        world.ask(scaling={"replicas": 4}, placement={**ALL, "surviveClusterLoss": True})
        await asyncio.sleep(60)
        found = world.shares
        assert sum(found.values()) - max(found.values()) >= 4
        assert sum(found.values()) == 6, "three times two, not twice four"

    play(scene)


def test_what_finds_no_room_is_told() -> None:
    async def scene(world: World) -> None:
        world.ask(scaling={"replicas": 30})
        await asyncio.sleep(40)
        assert world.shares == {"east": 8, "north": 8, "west": 8}
        assert world.condition("Scheduled") == ("False", "InsufficientCapacity")
        assert "6 of 30 replicas" in world.status["placement"]["message"]
        world.members["west"].put(NODE, node("more", gpus=8))
        await asyncio.sleep(400)
        assert world.condition() == ("True", "Ready")

    play(scene)


@pytest.mark.parametrize("replicas", [2, 12])
@pytest.mark.parametrize("seconds", [1.5, SUSPECT - EVERY])
@pytest.mark.parametrize("name", ["east", "west"])
def test_a_flap_writes_nothing(name: str, seconds: float, replicas: int) -> None:
    """Neither of a cluster that has replicas, nor of one that is not needed."""

    async def scene(world: World) -> None:
        world.register("east", prices=CHEAP)
        world.ask(scaling={"replicas": replicas})
        await asyncio.sleep(60)
        before = [len(each.writes) for each in (*world.members.values(), world.hub)]
        silence(world.members[name])
        await asyncio.sleep(seconds)
        back(world.members[name])
        await asyncio.sleep(120)
        assert [len(each.writes) for each in (*world.members.values(), world.hub)] == before

    play(scene)


def test_one_whose_services_cannot_be_listed_for_long_is_told() -> None:
    async def scene(world: World) -> None:
        world.register("east", prices=CHEAP)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        assert world.why_not["west"] == "NotNeeded"

        async def refused(kind: Kind, *about: Any, **more: Any) -> AsyncIterator[Any]:
            if kind is INFERENCE_SERVICE:
                raise refusal(404, "NotFound", "the server could not find the requested resource")
            async for each in pages(kind, *about, **more):
                yield each

        west = world.members["west"]
        pages, west.pages = west.pages, refused  # type: ignore[method-assign,assignment]
        silence(west)
        await asyncio.sleep(3)
        back(west)
        await asyncio.sleep(SUSPECT + 3 * EVERY)
        assert world.why_not["west"] == "NotListed"

    play(scene)


def test_a_silence_is_no_news_to_who_has_nothing_there() -> None:
    async def scene(world: World) -> None:
        world.register("east", prices=CHEAP)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        assert list(world.shares) == ["east"]
        written = len(world.hub.writes)
        changed, told = world.clusters._changed, list[Key]()

        def noted(key: Key) -> None:
            told.append(key)
            changed(key)

        world.clusters._changed = noted
        silence(world.members["west"])
        await asyncio.sleep(3 * SUSPECT)  # by then it is not known either what it has
        world.clusters._changed = changed
        assert LLAMA not in told
        others = [each for each in world.hub.writes[written:] if each[1] != INFERENCE_CLUSTER.kind]
        world.ask(scaling={"replicas": 3})  # looks, and still has no need of it
        await asyncio.sleep(20)
        assert not others and world.why_not["west"] == "NotNeeded"
        world.ask(scaling={"replicas": 30})
        await asyncio.sleep(20)
        assert world.why_not["west"] == "Suspect", "now it is missed"
        back(world.members["west"])
        await asyncio.sleep(120)
        assert world.shares["west"] == 8

    play(scene)


def test_while_one_is_silent_nothing_new_goes_there_and_nobody_gets_less() -> None:
    async def scene(world: World) -> None:
        world.ask(scaling={"replicas": 9}, placement={**ALL, "maxPerCluster": 4})
        await asyncio.sleep(60)
        before = world.shares
        world.members["east"].error = SILENT  # its gateways serve on
        await asyncio.sleep(SUSPECT + 2 * EVERY)
        assert world.record["east"][0] == "Suspect"
        world.ask(scaling={"replicas": 3})
        await asyncio.sleep(LOST + 60)
        assert world.shares == before
        assert world.record["east"] == ("Suspect", before["east"])
        world.ask(scaling={"replicas": 11})
        await asyncio.sleep(60)
        assert world.shares["east"] == before["east"]
        assert sum(world.shares.values()) == 11

    play(scene)


def test_a_lost_one_is_replaced_and_drained_once_it_is_back() -> None:
    async def scene(world: World) -> None:
        world.register("east", prices=CHEAP)
        world.ask(scaling={"replicas": 6})
        await asyncio.sleep(60)
        assert world.shares == {"east": 6}
        silence(world.members["east"])
        await asyncio.sleep(LOST - EVERY)
        assert world.shares == {"east": 6}, "not before it counts as lost"
        await asyncio.sleep(60)
        assert world.record["east"][0] == "Lost"
        assert sum(number for name, number in world.shares.items() if name != "east") == 6
        child = world.members["east"].child
        back(world.members["east"])
        await asyncio.sleep(STABLE)
        assert world.members["east"].child == child, "what it serves is adopted as it is"
        await asyncio.sleep(120)
        assert sum(world.shares.values()) == 6
        assert world.condition() == ("True", "Ready")

    play(scene)


def test_people_are_told_of_each_change_once() -> None:
    async def scene(world: World) -> None:
        world.register("east", prices=CHEAP)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        silence(world.members["east"])
        await asyncio.sleep(LOST + 60)
        back(world.members["east"])
        await asyncio.sleep(STABLE + 120)
        told = [(raw["reason"], raw["message"].split()[0]) for raw in world.hub.all(EVENT)]
        assert told[:3] == [("PlacedInCluster", "east"), ("ClusterSuspect", "east"), ("ClusterLost", "east")]
        assert ("ClusterBack", "east") in told and "LeavesCluster" in dict(told)
        assert max(raw["count"] for raw in world.hub.all(EVENT)) == 1

    play(scene)


def test_the_hub_itself_is_no_member_by_another_name() -> None:
    async def scene(world: World) -> None:
        world.members["east"].objects["Namespace", "", "kube-system"] = {"metadata": {"uid": HUB_UID}}
        await asyncio.sleep(30)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        assert world.why_not["east"] == "NotReached" and not world.members["east"].written

    play(scene)


def test_when_most_are_silent_it_is_the_hub_that_is_alone() -> None:
    async def scene(world: World) -> None:
        world.ask(scaling={"replicas": 6}, placement={**ALL, "minClusters": 3})
        await asyncio.sleep(60)
        before = world.shares
        silence(world.members["east"], world.members["west"])
        written = len(world.members["north"].written)
        await asyncio.sleep(2 * LOST)
        assert {state for state, _ in world.record.values()} == {"Suspect", "Serving"}
        assert (world.shares, len(world.members["north"].written)) == (before, written)

    play(scene)


def test_one_that_refuses_us_is_not_lost() -> None:
    async def scene(world: World) -> None:
        world.ask(scaling={"replicas": 6}, placement={**ALL, "minClusters": 3})
        await asyncio.sleep(60)
        before = world.shares
        world.members["east"].error = DENIED
        world.members["east"].serves = False
        await asyncio.sleep(2 * LOST)
        assert (world.shares, world.record["east"][0]) == (before, "Suspect")

    play(scene)


def test_an_operator_that_begins_anew_gives_nobody_more_before_it_knows_how_all_are() -> None:
    async def scene(world: World) -> None:
        world.ask(scaling={"replicas": 6}, placement={**ALL, "minClusters": 3})
        await asyncio.sleep(60)
        before = [len(each.written) for each in world.members.values()]
        world.members["east"].error = world.members["north"].error = SILENT  # west is known first
        await world.restart()
        await asyncio.sleep(15)
        back(*world.members.values())
        await asyncio.sleep(120)
        assert [len(each.written) for each in world.members.values()] == before

    play(scene)


def test_one_that_is_not_asked_any_more_keeps_what_it_has_and_says_why() -> None:
    async def scene(world: World) -> None:
        world.ask(scaling={"replicas": 6}, placement={**ALL, "minClusters": 3})
        await asyncio.sleep(60)
        del world.hub.objects["Secret", HOME, "east"]
        await asyncio.sleep(120)
        [told] = [each for each in world.status["placement"]["clusters"] if each["cluster"] == "east"]
        assert (told["state"], told["replicas"], world.shares["east"]) == ("Suspect", 2, 2)
        assert "there is no Secret" in told["message"]

    play(scene)


def test_one_that_cannot_be_read_stops_no_service() -> None:
    async def scene(world: World) -> None:
        world.register("east", prices=[{"accelerator": "nvidia-l4"}])  # a newer version may leave the price out
        world.ask(scaling={"replicas": 6})
        await asyncio.sleep(60)
        assert world.shares == {"north": 3, "west": 3}
        assert world.why_not == {"east": "NotReached"}
        world.register("east", prices=CHEAP)
        world.ask(scaling={"replicas": 9})
        await asyncio.sleep(60)
        assert world.shares["east"] >= 3
        world.register("east", prices=[{"accelerator": "nvidia-l4"}])
        had = world.shares["east"]
        await asyncio.sleep(60)
        assert (world.record["east"], world.shares["east"]) == (("Suspect", had), had)
        await world.restart()
        await asyncio.sleep(60)
        assert (world.record["east"], world.shares["east"]) == (("Suspect", had), had)

    play(scene)


def test_deletion_waits_for_the_silent_one_by_name_and_is_replayed() -> None:
    async def scene(world: World) -> None:
        world.ask(scaling={"replicas": 6}, placement={**ALL, "minClusters": 3})
        await asyncio.sleep(60)
        silence(world.members["east"])
        await asyncio.sleep(LOST + 60)
        world.delete()
        await asyncio.sleep(60)
        assert world.members["west"].child is None and world.members["north"].child is None
        assert world.record == {"east": ("Removing", 2)} or list(world.record) == ["east"]
        ready = next(each for each in world.status["conditions"] if each["type"] == "Ready")
        assert ready["reason"] == "Terminating" and "east" in ready["message"] and "Orphan" in ready["message"]
        await world.restart()
        back(world.members["east"])
        await asyncio.sleep(120)
        assert world.members["east"].child is None
        assert world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama") is None

    play(scene)


@pytest.mark.parametrize("heard", [True, False])
def test_what_is_being_made_when_it_is_deleted_is_gone_in_the_end(heard: bool) -> None:
    """By a member that is slow, and by one of which the answer is lost, and the watch with it."""

    async def scene(world: World) -> None:
        east = world.members["east"]
        apply, follow = east.apply, east.follow

        async def applied(kind: Kind, *about: Any, **more: Any) -> Any:
            if kind is INFERENCE_SERVICE:
                await asyncio.sleep(3.0)
                east.apply = apply  # type: ignore[method-assign]
            found = await apply(kind, *about, **more)
            if not heard:
                raise SILENT
            return found

        async def told(kind: Kind, *about: Any, **more: Any) -> AsyncIterator[Any]:
            if not heard and now() < deaf:
                await asyncio.sleep(deaf - now())
                raise SILENT
            async for each in follow(kind, *about, **more):
                yield each

        east.apply, east.follow, deaf = applied, told, now() + 120  # type: ignore[method-assign,assignment]
        world.register("east", prices=CHEAP)
        await asyncio.sleep(35)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(2 if heard else 3.6)
        assert (east.child is None) == heard
        world.delete()
        await asyncio.sleep(10)
        assert east.child is None
        await asyncio.sleep(120)
        assert world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama") is None

    play(scene)


def test_an_answer_that_comes_late_does_not_undo_what_was_heard_since() -> None:
    async def scene(world: World) -> None:
        east = world.members["east"]
        apply = east.apply

        async def applied(kind: Kind, *about: Any, **more: Any) -> Any:
            found = await apply(kind, *about, **more)
            await asyncio.sleep(4.0)  # meanwhile its replicas are ready
            return found

        east.apply = applied  # type: ignore[method-assign]
        world.register("east", prices=CHEAP)
        for replicas in (2, 4):
            world.ask(scaling={"replicas": replicas})
            await asyncio.sleep(30)
            assert world.record == {"east": ("Serving", replicas)}
            assert world.condition() == ("True", "Ready")

    play(scene)


def test_an_orphan_stays_as_it_is() -> None:
    async def scene(world: World) -> None:
        world.ask(scaling={"replicas": 6}, placement={**ALL, "deletionPolicy": "Orphan", "minClusters": 3})
        await asyncio.sleep(60)
        before = world.shares
        world.delete()
        await asyncio.sleep(60)
        assert world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama") is None
        assert (world.shares, len(before)) == (before, 3)

    play(scene)


def test_a_hub_with_nothing_in_it_deletes_nothing_and_adopts_what_is_applied_again() -> None:
    async def scene(world: World) -> None:
        world.ask(scaling={"replicas": 6}, placement={**ALL, "minClusters": 3})
        await asyncio.sleep(60)
        before = {name: (each.child or {})["metadata"]["uid"] for name, each in world.members.items()}
        shares = world.shares
        for what in [INFERENCE_SERVICE]:
            world.hub.remove(what, NAMESPACE, "llama")  # the finalizer is lost with the rest
        await world.restart()
        await asyncio.sleep(600)
        assert world.shares == shares
        world.hub.put(INFERENCE_SERVICE, service("llama", placement={**ALL, "minClusters": 3}, scaling={"replicas": 6}))
        await asyncio.sleep(60)
        assert world.shares == shares
        assert {name: (each.child or {})["metadata"]["uid"] for name, each in world.members.items()} == before

    play(scene)


def test_a_hub_restored_from_an_older_backup_keeps_what_serves() -> None:
    async def scene(world: World) -> None:
        world.register("west", prices=CHEAP)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        [first] = world.shares
        older = world.hub.copy()
        world.ask(scaling={"replicas": 6}, placement={**ALL, "minClusters": 3})
        await asyncio.sleep(60)
        assert len(world.shares) == 3
        world.hub.objects, world.hub.owners = older.objects, older.owners
        await world.restart()
        ready = []
        for _ in range(60):
            ready.append(sum(world.shares.values()))
            await asyncio.sleep(2)
        assert min(ready) >= 2, "what is not on record serves until it is drained"
        assert world.shares[first] == 2 and sum(world.shares.values()) == 2

    play(scene)


def test_a_namesake_of_others_is_never_touched() -> None:
    async def scene(world: World) -> None:
        theirs = service("llama", scaling={"replicas": 1})
        world.members["east"].put(INFERENCE_SERVICE, theirs)
        world.register("east", prices=CHEAP)
        before = world.members["east"].child
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(90)
        assert (world.members["east"].child or {})["spec"] == (before or {})["spec"]
        assert world.why_not["east"] == "Refused"
        assert sum(number for state, number in world.record.values() if state == "Serving") == 2
        world.delete()
        await asyncio.sleep(60)
        assert world.members["east"].child is not None
        assert world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama") is None

    play(scene)


def test_what_a_cluster_refuses_goes_elsewhere_and_is_told() -> None:
    async def scene(world: World) -> None:
        world.register("east", prices=CHEAP)
        world.members["east"].refuses = lambda verb, desired: (
            refusal(404, "NotFound", 'namespaces "chat" not found')
            if verb == "apply" and desired.get("kind") == "InferenceService"
            else None
        )
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(120)
        assert world.shares == {"north": 1, "west": 1} or sum(world.shares.values()) == 2
        [told] = [each for each in world.status["placement"]["notChosen"] if each["cluster"] == "east"]
        assert told["reason"] == "Refused" and 'namespaces "chat" not found' in told["message"]

    play(scene)


def test_an_edit_in_a_member_is_taken_back() -> None:
    async def scene(world: World) -> None:
        world.register("west", prices=CHEAP)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        [name] = world.shares

        def edit(raw: Any) -> None:
            raw["spec"]["scaling"]["replicas"] = 7

        world.members[name].edit(INFERENCE_SERVICE, NAMESPACE, "llama", edit)
        await asyncio.sleep(30)
        assert world.shares == {name: 2}
        world.members[name].remove(INFERENCE_SERVICE, NAMESPACE, "llama")
        await asyncio.sleep(30)
        assert world.shares == {name: 2}

    play(scene)


def test_a_cluster_is_drained_and_nobody_misses_a_replica() -> None:
    async def scene(world: World) -> None:
        world.register("east", prices=CHEAP)
        world.ask(scaling={"replicas": 6})
        await asyncio.sleep(60)
        assert world.shares == {"east": 6}
        world.register("east", prices=CHEAP, taints=[{"key": "drain", "effect": "NoExecute"}])
        least = 6
        for _ in range(240):
            await asyncio.sleep(0.5)
            least = min(least, sum(world.shares.values()))
        assert (least, "east" in world.shares) == (6, False)
        assert world.record["east"] == ("Standby", 0), "its gateways pass requests on"
        child = world.members["east"].child or {}
        assert child["spec"]["scaling"]["replicas"] == 0
        assert {each["name"] for each in child["spec"]["traffic"]["spillover"]} == {"north", "west"}
        world.ask(placement={"clusters": {"matchLabels": {"no": "such"}}})
        await asyncio.sleep(60)
        assert not any(each.child for each in world.members.values()), "what is not selected has nothing at all"

    play(scene)


def test_a_cluster_whose_registration_goes_is_left_as_it_is() -> None:
    async def scene(world: World) -> None:
        world.register("east", prices=CHEAP)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        world.unregister("east")
        await asyncio.sleep(60)
        assert world.members["east"].child is not None
        assert sum(number for name, number in world.shares.items() if name != "east") == 2
        assert "east" not in world.record

    play(scene)


def test_by_load_the_bounds_follow_what_all_ask_for_and_small_changes_write_nothing() -> None:
    async def scene(world: World) -> None:
        world.register("east", prices=CHEAP)
        world.ask(scaling={"mode": "auto", "minReplicas": 1, "maxReplicas": 20})
        await asyncio.sleep(60)
        assert list(world.shares) == ["east"]
        for load in (2, 3, 4, 6, 8, 10):
            for each in world.members.values():
                each.load = load
            await asyncio.sleep(30)
        assert world.shares["east"] == 8, "the cheapest is full first"
        assert len(world.shares) >= 2
        total = sum(number for _, number in world.record.values())
        assert total <= 20
        written = [len(each.written) for each in world.members.values()]
        for each in world.members.values():
            each.load = 9
        await asyncio.sleep(120)
        assert [len(each.written) for each in world.members.values()] == written
        for each in world.members.values():
            each.load = 1
        await asyncio.sleep(1500)
        assert sum(number for _, number in world.record.values()) < total

    play(scene)


def test_what_one_cluster_carries_opens_no_other_and_the_cheapest_holds_the_minimum() -> None:
    async def scene(world: World) -> None:
        world.register("west", prices=CHEAP)
        world.ask(scaling={"mode": "auto", "minReplicas": 2, "maxReplicas": 20})
        for load in (1, 3, 6):
            world.members["west"].load = load
            await asyncio.sleep(60)
            assert world.shares == {"west": max(load, 2)}
            assert [state for state, _ in world.record.values()] == ["Serving"]
            assert world.condition() == ("True", "Ready")
        for each in world.members.values():
            each.load = 0
        world.members["west"].load = 11
        await asyncio.sleep(60)
        [other] = [name for name in world.record if name != "west"]
        scaling = {name: (each.child or {})["spec"]["scaling"] for name, each in world.members.items() if each.child}
        assert (scaling["west"]["minReplicas"], scaling["west"]["maxReplicas"]) == (2, 8)
        assert scaling[other]["minReplicas"] == 0 and scaling[other]["scaleToZeroAfter"] == "10m"

    play(scene)


def test_without_placement_it_comes_home() -> None:
    async def scene(world: World) -> None:
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(60)
        raw = world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama") or {}
        raw["spec"].pop("placement")
        world.hub.put(INFERENCE_SERVICE, raw)
        await asyncio.sleep(60)
        assert sum(world.shares.values()) == 2, "nothing serves in the hub yet"
        assert [each["kind"] for each in world.hub.objects.values() if each.get("kind") == "Deployment"]

    play(scene)


def test_what_is_written_says_whose_it_is() -> None:
    async def scene(world: World) -> None:
        world.register("west", prices=CHEAP)
        world.ask(scaling={"replicas": 2}, slo={"ttft": "1s"})
        await asyncio.sleep(60)
        [name] = world.shares
        child = world.members[name].child or {}
        assert child["metadata"]["labels"] == {HUB: HUB_UID}
        assert child["spec"]["scaling"] == {"mode": "fixed", "replicas": 2, "minReplicas": 0}
        assert child["spec"]["slo"] == {"ttft": "1s"}
        assert "placement" not in child["spec"]
        assert (
            "inferops.dev/clusters"
            in (world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama") or {})["metadata"]["finalizers"]
        )

    play(scene)


def test_a_member_is_held_to_what_the_way_to_the_clients_leaves() -> None:
    async def scene(world: World) -> None:
        world.register("east", latency=[{"region": "eu", "milliseconds": 240}])
        world.register("west", latency=[{"region": "eu", "milliseconds": 1000}])
        world.ask(scaling={"replicas": 2}, slo={"ttft": "1s"}, placement={**ALL, "clients": [{"region": "eu"}]})
        await asyncio.sleep(60)
        assert (list(world.shares), world.why_not["west"]) == (["east"], "TooFar")
        assert (world.members["east"].child or {})["spec"]["slo"] == {"ttft": "760ms"}
        world.register("east", latency=[{"region": "eu", "milliseconds": 242}])
        written = len(world.members["east"].written)
        await asyncio.sleep(60)
        assert len(world.members["east"].written) == written

    play(scene)


async def _moves(world: World) -> None:
    """It is made, moved, and deleted."""
    world.register("east", prices=CHEAP)
    world.ask(scaling={"replicas": 3})
    await asyncio.sleep(40)
    assert (world.record, world.shares) == ({"east": ("Serving", 3)}, {"east": 3})
    world.register("east", prices=DEAR, taints=[{"key": "drain", "effect": "NoExecute"}])
    await asyncio.sleep(60)
    assert "east" not in world.shares and sum(world.shares.values()) == 3
    await _end(world)


async def _fails_over(world: World) -> None:
    """It is taken over, comes back and is drained, and deleted."""
    world.register("east", prices=CHEAP)
    world.ask(scaling={"replicas": 3})
    await asyncio.sleep(40)
    silence(world.members["east"])
    await asyncio.sleep(LOST + 60)
    assert world.record["east"][0] == "Lost"
    assert sum(number for name, number in world.shares.items() if name != "east") == 3
    back(world.members["east"])
    await asyncio.sleep(STABLE + 150)
    assert sum(world.shares.values()) == 3
    serving = {name for name, (state, _) in world.record.items() if state != "Standby"}
    assert {name for name, each in world.members.items() if each.child} == set(world.record)
    assert serving == set(world.shares)
    await _end(world)


async def _end(world: World) -> None:
    world.delete()
    await asyncio.sleep(40)
    assert not [each for each in world.members.values() if each.child is not None]
    assert world.hub.read(INFERENCE_SERVICE, NAMESPACE, "llama") is None


@pytest.mark.parametrize("life", [_moves, _fails_over])
def test_the_operator_may_end_at_every_write(life: Scene) -> None:
    counts = []

    async def undisturbed(world: World) -> None:
        begun = world.killer.count
        await life(world)
        counts.append((begun, world.killer.count))

    play(undisturbed)
    [(begun, end)] = counts
    assert end - begun > 10
    for number in range(begun + 1, end + 1):

        async def killed(world: World, number: int = number) -> None:
            world.killer.at = number
            await life(world)
            assert world.ends == 1

        play(killed)
