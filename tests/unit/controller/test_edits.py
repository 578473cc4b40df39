"""Children that others delete, edit, add to or mutate: what is ours comes back, what is theirs stays, nothing loops."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from inferops.kube.kinds import BUDGET, DEPLOYMENT, SERVICE, Kind
from inferops.kube.owned import Object
from unit.controller.building import NAMESPACE
from unit.controller.world import OURS, World, settled

NAME = "llama-69baa96584"  # of the revision that `World.ask` makes


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.kind)
async def test_a_child_that_is_deleted_comes_back(kind: Kind) -> None:
    world = await settled()
    before = world.end()
    for name in world.children(kind):
        world.fake.remove(kind, NAMESPACE, name)
    await world.settle()
    assert world.end() == before


def labels(raw: Object) -> None:
    raw["metadata"]["labels"].clear()


def owner(raw: Object) -> None:
    raw["metadata"]["ownerReferences"].clear()


def replicas(raw: Object) -> None:
    raw["spec"]["replicas"] = 9


def image(raw: Object) -> None:
    raw["spec"]["template"]["spec"]["containers"][0]["image"] = "other:v1"


def gpus(raw: Object) -> None:
    del raw["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]


def selector(raw: Object) -> None:
    raw["spec"]["selector"] = {"app": "other"}


def port(raw: Object) -> None:
    raw["spec"]["ports"][0]["targetPort"] = 1


def budget(raw: Object) -> None:
    raw["spec"]["maxUnavailable"] = 0


@pytest.mark.parametrize(
    ("kind", "edit"),
    [
        *((kind, labels) for kind in OURS),
        *((kind, owner) for kind in OURS),
        (DEPLOYMENT, replicas),
        (DEPLOYMENT, image),
        (DEPLOYMENT, gpus),
        (SERVICE, selector),
        (SERVICE, port),
        (BUDGET, budget),
    ],
    ids=lambda value: value.kind if isinstance(value, Kind) else value.__name__,
)
async def test_an_edit_by_hand_is_taken_back(kind: Kind, edit: Callable[[Object], None]) -> None:
    world = await settled()
    before = world.end()
    for name in world.children(kind):
        world.fake.edit(kind, NAMESPACE, name, edit)
    await world.settle()
    assert world.end() == before
    assert world.errors == []
    world.fake.requests.clear()
    await world.settle()
    assert world.fake.requests == []


async def test_an_edit_that_the_cache_has_not_seen_is_taken_back_by_force() -> None:
    world = World()
    world.ask()
    world.deliver()
    await world.reconcile()
    world.fake.edit(SERVICE, NAMESPACE, NAME, port)
    world.restart()
    world.store.remove(SERVICE, NAMESPACE, NAME)  # its LIST was older than its edit
    await world.reconcile()
    assert world.children(SERVICE)[NAME]["spec"]["ports"][0]["targetPort"] == "http"


async def test_what_others_add_stays() -> None:
    def add(raw: Object) -> None:
        raw["metadata"].setdefault("annotations", {})["team"] = "chat"
        raw["metadata"]["labels"]["team"] = "chat"

    world = await settled()
    for kind in OURS:
        for name in world.children(kind):
            world.fake.edit(kind, NAMESPACE, name, add)
    world.fake.requests.clear()
    await world.settle()
    assert world.fake.requests == []
    world.ask(scaling={"replicas": 2})
    await world.settle()
    assert world.children(DEPLOYMENT)[NAME]["metadata"]["labels"]["team"] == "chat"


def mutate(raw: Object) -> None:
    """As a webhook does that rewrites images and adds a sidecar."""
    if raw["kind"] == "Deployment":
        spec = raw["spec"]["template"]["spec"]
        spec["containers"][0]["image"] = f"mirror.example.com/{spec['containers'][0]['image'].split('/')[-1]}"
        if len(spec["containers"]) == 1:
            spec["containers"].append({"name": "proxy", "image": "proxy:v1"})


async def test_a_child_that_a_webhook_mutates_is_not_written_again_and_again() -> None:
    world = World()
    world.fake.webhooks.append(mutate)
    world.ask()
    await world.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")
    container = world.children(DEPLOYMENT)[NAME]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"].startswith("mirror.example.com/")
    world.fake.requests.clear()
    for _ in range(3):
        await world.reconcile()
    assert world.fake.requests == []
    world.restart()
    await world.settle()
    assert world.fake.writes == [("apply", "Deployment", NAME)], "once after a restart, and it changes nothing"
    assert not [change for change in world.fake.changes if change[0] == "MODIFIED"][5:] or world.errors == []


async def test_a_mutated_child_is_still_scaled_and_repaired() -> None:
    world = World()
    world.fake.webhooks.append(mutate)
    world.ask()
    await world.settle()
    world.ask(scaling={"replicas": 2})
    await world.settle()
    assert world.children(DEPLOYMENT)[NAME]["spec"]["replicas"] == 2
    world.fake.edit(DEPLOYMENT, NAMESPACE, NAME, replicas)
    await world.settle()
    assert world.children(DEPLOYMENT)[NAME]["spec"]["replicas"] == 2


async def test_what_is_remembered_of_a_mutated_child_does_not_grow() -> None:
    world = World()
    world.fake.webhooks.append(mutate)
    world.ask()
    for count in range(1, 8):
        world.ask(scaling={"replicas": count})
        await world.settle()
    assert len(world.applier.accepted) == 1
