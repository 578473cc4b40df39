"""Services that other clusters are to reach by the MCS API, on an API server in memory: exported, told of, undone."""

from __future__ import annotations

import pytest

from inferops.controller.exports import export_view
from inferops.kube.kinds import HTTP_ROUTE, SERVICE, SERVICE_EXPORT
from inferops.kube.owned import Object
from unit.controller.building import NAMESPACE
from unit.controller.fakekube import refusal
from unit.controller.routed import NAMED, condition, world_with
from unit.controller.world import World

EXPORTED = {"export": True}
REACHED = "llama.chat.svc.clusterset.local"


def say(world: World, *conditions: Object) -> None:
    """An implementation of the MCS API speaks."""
    raw = world.fake.read(SERVICE_EXPORT, NAMESPACE, "llama")
    assert raw is not None
    world.fake.put(SERVICE_EXPORT, {**raw, "status": {"conditions": list(conditions)}}, "mcs")


async def test_the_service_of_the_services_name_is_exported_and_told_so_whoever_is_silent() -> None:
    world, _ = await world_with(SERVICE_EXPORT, **EXPORTED)
    [export] = world.children(SERVICE_EXPORT).values()
    owner = world.children(SERVICE)["llama"]["metadata"]["ownerReferences"]
    assert export["metadata"]["name"] == "llama" and export["metadata"]["ownerReferences"] == owner
    assert export["apiVersion"] == "multicluster.x-k8s.io/v1alpha1" and "spec" not in export
    assert world.conditions()["Ready"] == ("True", "Ready")
    assert REACHED in world.message("Routed") and "no implementation" in world.message("Routed")
    say(world, condition("Valid", 1), condition("Ready", 1), condition("Conflict", 1, "False", "NoConflicts"))
    await world.settle()
    assert world.conditions()["Routed"] == ("True", "ServiceRouted")
    assert world.message("Routed").endswith(REACHED)


async def test_it_waits_for_the_api_and_heals_when_that_comes_and_the_service_serves_meanwhile() -> None:
    world, _ = await world_with(**EXPORTED)
    assert world.conditions()["Routed"] == ("False", "ServiceExportMissing")
    assert "spec.traffic.export" in world.message("Routed")
    assert world.conditions()["Available"][0] == "True"
    world.fake.offered.add(SERVICE_EXPORT)
    world.pending.update(dict.fromkeys(world.store.offer(SERVICE_EXPORT, True)))
    await world.settle()
    assert "llama" in world.children(SERVICE_EXPORT)
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_who_does_not_ask_has_none_and_who_ceases_to_ask_loses_it() -> None:
    world, _ = await world_with(SERVICE_EXPORT)
    assert not world.children(SERVICE_EXPORT) and "export" not in world.message("Routed")
    world.ask(traffic=EXPORTED)
    await world.settle()
    assert world.children(SERVICE_EXPORT)
    world.ask(traffic={})
    await world.settle()
    assert not world.children(SERVICE_EXPORT) and "llama" in world.children(SERVICE)


async def test_at_rest_nothing_is_asked_and_nothing_written_also_after_a_restart() -> None:
    world, _ = await world_with(SERVICE_EXPORT, **EXPORTED)
    world.fake.requests.clear()
    await world.reconcile()
    world.restart()
    await world.settle()
    assert world.fake.requests == []


@pytest.mark.parametrize(
    ("said", "reason", "told"),
    [
        (condition("Valid", 1, "False", "InvalidServiceType", "it is no ClusterIP"), "ExportRefused", "no ClusterIP"),
        (condition("Ready", 1, "False", "Failed", "the broker is away"), "ExportRefused", "broker is away"),
        (condition("Conflict", 1, "True", "PortConflict", "eu has port 81"), "ExportConflict", "eu has port 81"),
    ],
)
async def test_what_is_said_against_it_is_passed_on(said: Object, reason: str, told: str) -> None:
    world, _ = await world_with(SERVICE_EXPORT, **EXPORTED)
    say(world, condition("Valid", 1), said) if said["type"] != "Valid" else say(world, said)
    await world.settle()
    assert world.conditions()["Routed"] == ("False", reason) and told in world.message("Routed")
    assert world.conditions()["Available"][0] == "True"
    say(world, condition("Valid", 1))
    await world.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_somebody_elses_export_is_left_alone_and_holds_up_nothing_but_the_status() -> None:
    world, gateway = await world_with(SERVICE_EXPORT, HTTP_ROUTE)
    theirs = {"metadata": {"name": "llama", "namespace": NAMESPACE}}
    world.fake.put(SERVICE_EXPORT, theirs)
    world.ask(traffic={**NAMED, **EXPORTED})
    await gateway.settle()
    assert world.conditions()["Routed"] == ("False", "NameConflict")
    assert "ServiceExport llama" in world.message("Routed")
    assert world.children(HTTP_ROUTE), "the route does not wait for the export"
    assert "ownerReferences" not in (world.fake.read(SERVICE_EXPORT, NAMESPACE, "llama") or {})["metadata"]
    assert world.conditions()["Valid"][0] == "True"


async def test_a_refused_route_does_not_hold_up_the_export_nor_the_other_way_round() -> None:
    world, gateway = await world_with(SERVICE_EXPORT, HTTP_ROUTE)
    kinds = {"HTTPRoute", "ServiceExport"}
    world.fake.refuses = lambda verb, desired: refusal(422) if desired.get("kind") in kinds else None
    world.ask(traffic={**NAMED, **EXPORTED})
    await world.settle()
    assert world.conditions()["Routed"] == ("False", "RejectedByAPIServer") and not world.errors
    kinds.discard("ServiceExport")
    world.pending.update(dict.fromkeys(world.store.all_keys()))
    await world.settle()
    assert world.children(SERVICE_EXPORT) and not world.children(HTTP_ROUTE)
    kinds.clear()
    world.pending.update(dict.fromkeys(world.store.all_keys()))
    await gateway.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")
    assert world.conditions()["Routed"] == ("True", "RouteAccepted") and REACHED in world.message("Routed")


@pytest.mark.parametrize(
    "status",
    [None, {}, {"conditions": None}, {"conditions": ["odd", {"status": "False"}]}],
    ids=["nothing", "empty", "null", "odd"],
)
def test_whatever_stands_there_is_read(status: object) -> None:
    view = export_view({"metadata": {"name": "llama"}, "status": status})
    assert not view.problem and not view.conflict


def test_what_is_under_way_is_no_objection() -> None:
    pending = {"conditions": [condition("Ready", 1, "False", "Pending", "soon")]}
    assert export_view({"metadata": {"name": "llama"}, "status": pending}).problem == ""
