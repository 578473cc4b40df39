"""Routes of the Gateway API on an API server in memory: made, read back, moved, repaired and taken away again."""

from __future__ import annotations

import pytest

from inferops.api.traffic import GatewayRef
from inferops.kube.kinds import HTTP_ROUTE, INFERENCE_POOL, INFERENCE_SERVICE, NODE, SERVICE, SERVING_RUNTIME
from inferops.kube.owned import Object
from unit.controller.building import NAMESPACE, node
from unit.controller.fakekube import Crash, Fake, refusal
from unit.controller.routed import (
    BOTH,
    NAMED,
    PICKED,
    PUBLIC,
    B,
    Gateway,
    backends,
    condition,
    route,
    stable,
    world_with,
)
from unit.controller.world import LLAMA, World


async def test_a_service_is_attached_to_its_gateway() -> None:
    world, _ = await world_with(HTTP_ROUTE, **NAMED)
    assert world.conditions()["Routed"] == ("True", "RouteAccepted")
    assert world.conditions()["Ready"] == ("True", "Ready")
    assert world.status()["hostnames"] == ["llama.example.com"]
    assert world.status()["url"] == "http://llama.chat.svc"
    assert backends(world) == [("Service", stable(world), 100)]
    service = world.children(SERVICE)[stable(world)]["spec"]["ports"]
    port = route(world)["spec"]["rules"][0]["backendRefs"][0]["port"]
    assert port in [each["port"] for each in service if each["name"] == "http"]
    [owner] = route(world)["metadata"]["ownerReferences"]
    assert owner["uid"] == "uid-llama" and owner["controller"]


async def test_at_rest_nothing_is_asked_and_nothing_written_also_after_a_restart() -> None:
    world, gateway = await world_with(*BOTH, **PICKED)
    for _ in range(2):
        world.fake.requests.clear()
        for _ in range(3):
            await world.reconcile()
        world.restart()
        await gateway.settle()
        assert world.fake.requests == []


async def test_without_a_gateway_nothing_is_different() -> None:
    """Whether the cluster has the Gateway API or not: the same objects by the same requests, and the same status."""
    plain, _ = await world_with()
    with_api, _ = await world_with(*BOTH)
    assert with_api.fake.requests == plain.fake.requests
    assert with_api.end() == plain.end()
    assert not plain.children(HTTP_ROUTE) and plain.conditions()["Routed"] == ("True", "ServiceRouted")


async def test_the_operators_gateway_is_for_services_that_name_none() -> None:
    world, gateway = await world_with(HTTP_ROUTE)
    world.reconciler.gateway = GatewayRef(name="shared", namespace="infra")
    world.pending.update(dict.fromkeys(world.store.all_keys()))
    await gateway.settle()
    assert route(world)["spec"]["parentRefs"][0]["name"] == "shared"
    world.ask(traffic={"gatewayRef": PUBLIC})
    await gateway.settle()
    assert route(world)["spec"]["parentRefs"][0]["name"] == "public"
    assert world.conditions()["Routed"] == ("True", "RouteAccepted")


async def test_it_is_routed_only_once_the_newest_generation_is_accepted() -> None:
    world, gateway = await world_with(HTTP_ROUTE, **NAMED)
    world.ask(traffic={**NAMED, "requestTimeout": "2h"})
    await world.settle()
    assert route(world)["spec"]["rules"][0]["timeouts"]["request"] == "2h"
    assert world.conditions()["Routed"] == ("Unknown", "RoutePending")
    assert world.conditions()["Ready"][0] == "Unknown"
    generations = [
        raw["status"]["observedGeneration"]
        for event, kind, raw in world.fake.changes
        if kind is INFERENCE_SERVICE and _routed(raw) == "True"
    ]
    assert set(generations) == {1}, "the newest generation was never called routed before its Gateway had seen it"
    await gateway.settle()
    assert world.conditions()["Routed"] == ("True", "RouteAccepted")


def _routed(raw: Object) -> str:
    conditions = (raw.get("status") or {}).get("conditions") or ()
    return next((each["status"] for each in conditions if each["type"] == "Routed"), "")


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (("Accepted", "NotAllowedByListeners", "namespace chat is not allowed"), "NotAllowedByListeners"),
        (("Accepted", "NoMatchingListenerHostname", "no listener"), "NoMatchingListenerHostname"),
        (("ResolvedRefs", "BackendNotFound", "no Service"), "BackendNotFound"),
        (("Accepted", "Moody", "not on Sundays"), "RouteRefused"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_a_gateway_has_against_it_is_passed_on(refusal: tuple[str, str, str], reason: str) -> None:
    world, gateway = await world_with(HTTP_ROUTE)
    gateway.refusal = refusal
    world.ask(traffic=NAMED)
    await gateway.settle()
    assert world.conditions()["Routed"] == ("False", reason)
    assert refusal[1] in world.message("Routed") and refusal[2] in world.message("Routed")
    assert world.conditions()["Available"][0] == "True" and world.children(SERVICE)["llama"]["spec"]["selector"]
    assert (reason, 1) in world.events()
    gateway.refusal = None
    await gateway.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_a_refused_route_does_not_hold_up_a_new_revision() -> None:
    world, gateway = await world_with(HTTP_ROUTE)
    gateway.refusal = ("Accepted", "NotAllowedByListeners", "no")
    world.ask(traffic=NAMED)
    await gateway.settle()
    old = stable(world)
    world.ask(**B)
    await gateway.settle()
    assert stable(world) != old and old not in world.children(SERVICE)
    assert backends(world) == [("Service", stable(world), 100)]


async def test_an_old_revision_stays_until_the_gateway_has_left_it() -> None:
    world, gateway = await world_with(HTTP_ROUTE, **NAMED)
    old = stable(world)
    world.ask(**B)
    await world.settle()  # the Gateway's controller is away
    assert stable(world) != old and backends(world) == [("Service", stable(world), 100)]
    assert old in world.children(SERVICE)
    [kept] = [each for each in world.status()["revisions"] if each["role"] == "Previous"]
    assert kept["name"] == old and kept["readyReplicas"] == 1 and "Gateway" in kept["message"]
    await gateway.settle()
    assert old not in world.children(SERVICE)
    assert [each["role"] for each in world.status()["revisions"]] == ["Stable"]


async def test_pools_come_and_go_with_the_revision_and_with_the_wish() -> None:
    world, gateway = await world_with(*BOTH, **PICKED)
    old = stable(world)
    assert backends(world) == [("InferencePool", old, 100)]
    pool = world.children(INFERENCE_POOL)[old]["spec"]
    assert pool["selector"] == {"matchLabels": world.children(SERVICE)[old]["spec"]["selector"]}
    world.ask(**B)
    await gateway.settle()
    new = stable(world)
    assert set(world.children(INFERENCE_POOL)) == {new} and new != old
    world.ask(traffic={**PICKED, "endpointPicker": {"name": "other", "port": 9010}})
    await gateway.settle()
    picker = world.children(INFERENCE_POOL)[new]["spec"]["endpointPickerRef"]
    assert (picker["name"], picker["port"]) == ("other", {"number": 9010})
    world.ask(traffic=NAMED)
    await world.settle()
    assert backends(world) == [("Service", new, 100)]
    assert new in world.children(INFERENCE_POOL), "the Gateway may still send to it"
    await gateway.settle()
    assert not world.children(INFERENCE_POOL)
    assert world.conditions()["Routed"] == ("True", "RouteAccepted")


async def test_what_a_gateway_has_against_a_pool_is_passed_on_too() -> None:
    world, gateway = await world_with(*BOTH, **PICKED)

    def say(status: str) -> None:
        now = world.children(INFERENCE_POOL)[stable(world)]["metadata"]["generation"]
        told = condition("ResolvedRefs", now, status, "InvalidExtensionRef", "Service picker not found")
        parents = [{"parentRef": PUBLIC, "conditions": [told]}]
        world.fake.edit(INFERENCE_POOL, NAMESPACE, stable(world), lambda raw: raw.update(status={"parents": parents}))

    say("False")
    await gateway.settle()
    assert world.conditions()["Routed"] == ("False", "InvalidExtensionRef")
    assert f"InferencePool {stable(world)}: InvalidExtensionRef: Service picker not found" in world.message("Routed")
    say("True")
    await gateway.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_without_pools_requests_go_to_services_and_it_says_so() -> None:
    world, gateway = await world_with(HTTP_ROUTE, **PICKED)
    assert backends(world) == [("Service", stable(world), 100)]
    assert world.conditions()["Routed"] == ("False", "InferencePoolMissing")
    assert "install the Gateway API Inference Extension" in world.message("Routed")
    assert world.conditions()["Available"][0] == "True"
    world.fake.offered.add(INFERENCE_POOL)
    world.pending.update(dict.fromkeys(world.store.offer(INFERENCE_POOL, True)))
    await gateway.settle()
    assert backends(world) == [("InferencePool", stable(world), 100)]
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_without_the_gateway_api_the_service_serves_inside_and_heals_when_it_comes() -> None:
    world, gateway = await world_with(**NAMED)
    assert world.conditions()["Routed"] == ("False", "GatewayAPIMissing")
    assert world.conditions()["Available"][0] == "True" and not world.errors
    assert world.children(SERVICE)["llama"]["spec"]["selector"]["inferops.dev/revision"] in stable(world)
    world.fake.offered.add(HTTP_ROUTE)
    world.pending.update(dict.fromkeys(world.store.offer(HTTP_ROUTE, True)))
    await gateway.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_without_a_gateway_any_more_the_route_goes() -> None:
    world, gateway = await world_with(*BOTH, **PICKED)
    world.ask(traffic={})
    await gateway.settle()
    assert not world.children(HTTP_ROUTE) and not world.children(INFERENCE_POOL)
    assert world.conditions()["Routed"] == ("True", "ServiceRouted") and world.status()["hostnames"] == []


async def test_somebody_elses_route_is_left_alone() -> None:
    """Also one that says just what ours would say."""
    fresh, _ = await world_with(HTTP_ROUTE, **NAMED)
    theirs = {"metadata": {"name": "llama", "namespace": NAMESPACE}, "spec": route(fresh)["spec"]}
    world, gateway = await world_with(HTTP_ROUTE)
    world.fake.put(HTTP_ROUTE, theirs)
    before = world.fake.read(HTTP_ROUTE, NAMESPACE, "llama")
    old = stable(world)
    world.ask(traffic=NAMED, **B)
    await world.settle()
    assert world.fake.read(HTTP_ROUTE, NAMESPACE, "llama") == before
    assert world.conditions()["Routed"] == ("False", "NameConflict") and not world.errors
    assert "HTTPRoute llama exists" in world.message("Routed")
    assert stable(world) != old and old not in world.children(SERVICE), "nothing inside the cluster waits for it"
    assert 0 < world.later[LLAMA] <= 60
    world.fake.requests.clear()
    await world.reconcile()
    assert world.fake.writes == []
    world.fake.remove(HTTP_ROUTE, NAMESPACE, "llama")
    world.pending[LLAMA] = None
    await gateway.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_a_route_that_a_policy_forbids_is_told_of_and_holds_up_nothing_else() -> None:
    world, gateway = await world_with(HTTP_ROUTE, **NAMED)
    old, before = stable(world), route(world)
    no = refusal(403, message="denied by the policy of hosts")
    world.fake.refuses = lambda verb, desired: no if desired["kind"] == "HTTPRoute" and verb == "apply" else None
    world.ask(traffic={**NAMED, "hostnames": ["other.example.com"]}, scaling={"replicas": 3})
    await gateway.settle()
    assert world.conditions()["Routed"] == ("False", "RejectedByAPIServer")
    assert "denied by the policy of hosts" in world.message("Routed")
    assert world.status()["readyReplicas"] == 3 and route(world) == before and stable(world) == old
    assert world.conditions()["Valid"][0] == "True" and world.status()["hostnames"] == NAMED["hostnames"]
    world.fake.refuses = lambda verb, desired: None
    world.pending[LLAMA] = None
    await gateway.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")
    assert world.status()["hostnames"] == ["other.example.com"]


async def test_what_is_ours_of_a_route_is_restored_and_what_others_added_stays() -> None:
    world, gateway = await world_with(*BOTH, **PICKED)

    def change(raw: Object) -> None:
        raw["spec"]["rules"][0]["backendRefs"][0]["weight"] = 1
        raw["metadata"].setdefault("annotations", {})["team"] = "chat"

    world.fake.edit(HTTP_ROUTE, NAMESPACE, "llama", change)
    world.fake.edit(INFERENCE_POOL, NAMESPACE, stable(world), lambda raw: raw["spec"].update(targetPorts=[]))
    await gateway.settle()
    assert backends(world) == [("InferencePool", stable(world), 100)]
    assert world.children(INFERENCE_POOL)[stable(world)]["spec"]["targetPorts"] == [{"number": 8000}]
    assert route(world)["metadata"]["annotations"] == {"team": "chat"}
    world.fake.remove(HTTP_ROUTE, NAMESPACE, "llama")
    world.fake.remove(INFERENCE_POOL, NAMESPACE, stable(world))
    await gateway.settle()
    assert backends(world) == [("InferencePool", stable(world), 100)] and not world.errors
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_two_who_fight_over_a_route_do_not_keep_the_status_from_being_written() -> None:
    """Labels alone: the Gateway sees nothing new, so the route stays accepted."""
    world, gateway = await world_with(HTTP_ROUTE, **NAMED)
    for round_ in range(3):
        world.fake.edit(HTTP_ROUTE, NAMESPACE, "llama", lambda raw: raw["metadata"]["labels"].update(
            {"app.kubernetes.io/name": "other"}))  # fmt: skip
        world.ask(scaling={"replicas": 2 + round_})
        await gateway.settle()
        assert route(world)["metadata"]["labels"]["app.kubernetes.io/name"] == "llama"
        assert world.status()["readyReplicas"] == 2 + round_


async def test_a_runtime_that_is_gone_leaves_its_route_as_it_is() -> None:
    fake = Fake(offered={HTTP_ROUTE})
    fake.put(NODE, node())
    own = {"metadata": {"name": "own"}, "spec": {"engine": "vllm", "image": "registry.example/vllm:v1"}}
    fake.put(SERVING_RUNTIME, own)
    world = World(fake)
    world.ask(runtime={"name": "own"}, traffic=NAMED)
    gateway = Gateway(world)
    await gateway.settle()
    before = route(world)
    world.fake.remove(SERVING_RUNTIME, "", "own")
    await gateway.settle()
    assert route(world) == before and world.conditions()["Valid"] == ("False", "RuntimeNotFound")


async def test_the_operator_may_end_at_any_write() -> None:
    """From pools of one revision to Services of the next, with the Gateway listening now and then."""

    async def tell(crash_after: int | None) -> tuple[World, int]:
        world, gateway = await world_with(*BOTH, **PICKED)
        begun = len(world.fake.writes)
        if crash_after is not None:
            world.fake.crash_after = begun + crash_after
        world.ask(traffic=NAMED, **B)
        for _ in range(2):
            try:
                await gateway.settle()
            except Crash:
                world.restart()
        await gateway.settle()
        return world, len(world.fake.writes) - begun

    expected, count = await tell(None)
    assert count > 8
    for crash_after in range(1, count):
        world, _ = await tell(crash_after)
        assert world.end() == expected.end(), crash_after
