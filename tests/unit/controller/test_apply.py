"""What is written over what is there: names that are taken, refusals, edits by hand, webhooks, and the fence."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.controller.apply import Refused
from inferops.kube.client import Fenced, KubeError
from inferops.kube.kinds import BUDGET, DEPLOYMENT, INFERENCE_SERVICE, POD, RECORD, SERVICE, Kind
from inferops.kube.owned import Object
from unit.controller.building import NAMESPACE, raw, service
from unit.controller.fakekube import refusal
from unit.controller.world import OURS, World, settled

B: dict[str, Any] = {"model": {"uri": "hf://Qwen/Qwen3-14B"}}
NAME = "llama-69baa96584"  # of the revision that `World.ask` makes


def test_the_name_is_the_one_of_the_first_revision() -> None:
    from inferops.api.resources import InferenceService
    from inferops.core.revision import revision_name, revision_of

    spec = InferenceService.model_validate(service()).spec
    assert revision_name("llama", revision_of(spec, spec.accelerators[0]).hash) == NAME


SELECTORLESS = raw(SERVICE, "llama", spec={"ports": [{"port": 9090, "protocol": "TCP", "name": "metrics"}]})
FOREIGN = [
    (SERVICE, raw(SERVICE, "llama", spec={"selector": {"app": "theirs"}, "ports": [{"port": 80, "protocol": "TCP"}]})),
    (SERVICE, SELECTORLESS),
    (SERVICE, raw(SERVICE, NAME, spec={"selector": {"app": "theirs"}, "ports": [{"port": 80, "protocol": "TCP"}]})),
    (DEPLOYMENT, raw(DEPLOYMENT, NAME, spec={"replicas": 1, "selector": {"matchLabels": {"app": "theirs"}}})),
    (BUDGET, raw(BUDGET, NAME, spec={"maxUnavailable": 0, "selector": {"matchLabels": {"app": "theirs"}}})),
    (RECORD, raw(RECORD, NAME, revision=7, data={"spec": "theirs"})),
]
IDS = [f"{kind.kind} {each['metadata']['name']} {number}" for number, (kind, each) in enumerate(FOREIGN)]


@pytest.mark.parametrize(("kind", "foreign"), FOREIGN, ids=IDS)
async def test_what_belongs_to_somebody_else_is_never_touched(kind: Kind, foreign: Object) -> None:
    world = World()
    world.fake.put(kind, foreign)
    name = foreign["metadata"]["name"]
    before = world.fake.read(kind, NAMESPACE, name)
    world.ask()
    await world.settle()
    assert world.fake.read(kind, NAMESPACE, name) == before
    assert [type(error) for error in world.errors] == [Refused]
    assert world.conditions()["Ready"] == ("False", "NameConflict")
    assert world.conditions()["Stalled"] == ("True", "NameConflict")
    assert f"{kind.kind} {name} exists and is not of this service" in world.message()
    assert "Delete it, or give the InferenceService another name" in world.message()
    for _ in range(3):
        await world.settle()
    assert world.fake.all(POD) == [], "no GPU is taken for a service that cannot be reached"
    world.fake.remove(kind, NAMESPACE, name)
    await world.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_a_refusal_is_told_once_and_tried_again_in_silence() -> None:
    world = World()
    world.fake.put(SERVICE, SELECTORLESS)
    world.ask()
    await world.settle()
    events = world.events()
    assert events == [("NameConflict", 1)]
    await world.settle()  # the operator's own record and budget are news
    version = world.fake.version
    for _ in range(3):
        await world.settle()
        assert [type(error) for error in world.errors] == [Refused]
    assert world.fake.version == version


async def test_a_child_of_another_service_is_not_taken_over() -> None:
    """A service that is named like a revision of another one: both would apply under the same field manager."""
    world = await settled()
    theirs = world.fake.read(SERVICE, NAMESPACE, NAME)
    world.ask(NAME, **B)
    await world.settle()
    assert world.fake.read(SERVICE, NAMESPACE, NAME) == theirs
    assert world.conditions(NAME)["Ready"] == ("False", "NameConflict")
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_orphans_are_left_alone_until_they_are_deleted() -> None:
    """`kubectl delete --cascade=orphan`, and the service applied again: its records name the first one's uid."""
    world = await settled()
    before = world.end()
    for kind in OURS:
        for name in world.children(kind):
            world.fake.edit(kind, NAMESPACE, name, lambda raw: raw["metadata"].pop("ownerReferences"))
    world.fake.remove(INFERENCE_SERVICE, NAMESPACE, "llama")
    again = service()
    again["metadata"]["uid"] = "uid-second"
    world.fake.put(INFERENCE_SERVICE, again)
    world.fake.requests.clear()
    await world.settle()
    assert world.conditions()["Ready"] == ("False", "NameConflict")
    assert {kind for verb, kind, _ in world.fake.writes if verb == "delete"} == set()
    for kind in OURS:
        for name in world.children(kind):
            world.fake.remove(kind, NAMESPACE, name)
    await world.settle()
    assert world.end() == before


QUOTA = "exceeded quota: objects, used: count/deployments.apps=5, limited: count/deployments.apps=5"


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [
        ("Deployment", 403, QUOTA),
        ("Deployment", 422, "spec.template.spec.priorityClassName: not found"),
        ("Service", 422, "spec.ports: invalid"),
        ("ControllerRevision", 403, "exceeded quota: objects"),
        ("PodDisruptionBudget", 400, "admission webhook denied the request"),
    ],
)
async def test_a_refusal_shows_in_the_status_and_heals(kind: str, status: int, message: str) -> None:
    world = World()
    world.fake.refuses = lambda verb, desired: (
        refusal(status, message=message) if desired["kind"] == kind else None
    )  # fmt: skip
    world.ask()
    await world.settle()
    assert world.conditions()["Ready"] == ("False", "RejectedByAPIServer")
    assert f"the API server refuses {kind} llama" in world.message() and message in world.message()
    assert [type(error) for error in world.errors] == [Refused]
    world.fake.refuses = lambda verb, desired: None
    await world.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")
    assert world.errors == []


@pytest.mark.parametrize("status", [0, 429, 500, 503])
async def test_a_server_that_fails_is_no_fault_of_the_service(status: int) -> None:
    world = World()
    world.ask()
    for fails in range(10):
        asked = iter(range(100))
        world.fake.refuses = lambda verb, desired: refusal(status) if next(asked) >= fails else None  # noqa: B023
        await world.settle()
        assert world.conditions().get("Stalled") is None
        assert all(isinstance(error, KubeError) and error.status == status for error in world.errors)
    world.fake.refuses = lambda verb, desired: None
    await world.settle()
    assert world.end() == (await settled()).end()


async def test_a_newcomer_that_is_refused_does_not_keep_stable_from_its_repair() -> None:
    world = await settled()
    world.fake.refuses = lambda verb, desired: (
        refusal(403, message=QUOTA) if desired["metadata"]["name"] not in (NAME, "llama") else None
    )  # fmt: skip
    world.ask(**B)
    await world.settle()
    assert world.conditions()["Ready"] == ("False", "RejectedByAPIServer")
    world.fake.remove(DEPLOYMENT, NAMESPACE, NAME)
    world.ask(scaling={"replicas": 2})
    await world.settle()
    assert world.children(DEPLOYMENT)[NAME]["spec"]["replicas"] == 2
    assert world.conditions()["Available"][0] == "True"


async def test_of_what_an_update_leaves_behind_only_our_own_goes() -> None:
    theirs = {"apiVersion": "v1", "kind": "Backup", "name": "b", "uid": "uid-b", "controller": True}
    world = await settled()
    world.fake.refuses = lambda verb, desired: refusal(500) if verb == "delete" else None
    world.ask(**B)
    await world.settle()
    assert [type(error) for error in world.errors] == [KubeError] and NAME in world.children(DEPLOYMENT)
    world.fake.edit(BUDGET, NAMESPACE, NAME, lambda raw: raw["metadata"].update(ownerReferences=[theirs]))
    world.fake.refuses = lambda verb, desired: None
    await world.settle()
    assert NAME not in world.children(DEPLOYMENT)
    assert world.children(BUDGET)[NAME]["metadata"]["ownerReferences"] == [theirs]


async def test_a_record_that_cannot_be_read_back_does_not_spin() -> None:
    def spoil(raw: Object) -> None:
        if raw["kind"] == "ControllerRevision":
            raw["data"]["spec"]["model"]["uri"] = "ftp://nowhere"

    world = World()
    world.fake.webhooks.append(spoil)
    world.ask()
    await world.settle()
    assert NAME not in world.children(DEPLOYMENT)
    assert world.conditions()["Ready"] == ("False", "NameConflict")
    assert f"ControllerRevision {NAME} cannot be read" in world.message()


async def test_a_record_that_was_made_unreadable_is_told() -> None:
    world = await settled()
    world.fake.edit(RECORD, NAMESPACE, NAME, lambda raw: raw.update(data={"spec": "?"}))
    await world.settle()
    assert world.conditions()["Ready"] == ("False", "NameConflict")
    assert world.conditions()["Available"] == ("True", "MinimumReplicasAvailable")
    assert f"ControllerRevision {NAME}" in world.message() and "delete it" in world.message()
    world.fake.remove(RECORD, NAMESPACE, NAME)
    await world.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_without_the_lease_nothing_is_written() -> None:
    world = await settled()
    before = world.end()
    world.fake.fenced = True
    world.ask(**B)
    world.fake.requests.clear()
    await world.settle()
    assert [type(error) for error in world.errors] == [Fenced]
    assert world.fake.writes == []
    before.pop(("InferenceService", "llama"))
    assert {name: each for name, each in world.end().items() if name in before} == before
    world.fake.fenced = False
    await world.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_the_status_does_not_reach_a_namesake() -> None:
    world = await settled()
    world.fake.remove(INFERENCE_SERVICE, NAMESPACE, "llama")
    again = service()
    again["metadata"]["uid"] = "uid-second"
    world.fake.put(INFERENCE_SERVICE, again)
    world.store.remove(POD, NAMESPACE, f"{NAME}-0")  # something to tell, decided for the first one
    with pytest.raises(KubeError):
        await world.reconcile()
    assert world.status() == {}


async def test_a_child_that_is_being_deleted_is_awaited() -> None:
    world = await settled()
    world.fake.edit(DEPLOYMENT, NAMESPACE, NAME, lambda raw: raw["metadata"].update(
        deletionTimestamp="2025-11-03T12:00:00Z", finalizers=["foregroundDeletion"]))  # fmt: skip
    world.fake.requests.clear()
    world.ask(scaling={"replicas": 2})
    await world.settle()
    assert ("apply", "Deployment", NAME) not in world.fake.writes
    world.fake.remove(DEPLOYMENT, NAMESPACE, NAME)
    await world.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")
