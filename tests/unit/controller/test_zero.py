"""To zero and from zero against an API server in memory: who is behind the Service, the pods, and what is told."""

from __future__ import annotations

import pytest

from inferops.core.observation import Demand
from inferops.kube.kinds import ENDPOINT_SLICE, EVENT, POD
from unit.controller.world import LLAMA, NOT_READY, READY, World
from unit.controller.zero import ASKED, GATEWAYS, LONG, ZERO, asleep, behind, pass_, replicas, selects_pods, tell, up


async def test_a_new_service_is_shown_to_load_though_nobody_ever_asked() -> None:
    world = World()
    world.told.addresses, world.told.demand = GATEWAYS, LONG
    world.pod_status = lambda pod: NOT_READY
    world.ask(**ZERO)
    await world.settle()
    pass_(world, 600)
    await world.settle()
    assert replicas(world) == [1]
    assert world.status()["desiredReplicas"] == 1
    assert world.conditions()["Ready"] == ("Unknown", "Loading")
    assert world.conditions()["Available"] == ("False", "RequestsWait")
    assert behind(world) == ["10.1.0.1", "10.1.0.2"], "requests wait meanwhile"


async def test_it_goes_to_zero_when_nobody_asked_for_long_enough_and_says_when_to_look_again() -> None:
    world = await up()
    assert replicas(world) == [1] and world.conditions()["Ready"] == ("True", "Ready")
    assert 50 < world.later[LLAMA] <= 60
    pass_(world, 61)
    await world.settle()
    assert replicas(world) == [0] and world.fake.all(POD) == []
    assert world.status()["desiredReplicas"] == 0
    assert world.conditions()["Ready"] == ("True", "ScaledToZero")
    assert world.conditions()["Available"] == ("False", "ScaledToZero")
    assert {world.conditions()[kind][0] for kind in ("Scheduled", "RolledOut", "Routed")} == {"True"}
    assert "for up to 30s" in world.message("Available")
    assert world.status()["explain"] == ["at zero replicas until the first request: none came for 1m"]
    assert ("ScaledToZero", 1) in world.events()
    assert not [raw for raw in world.fake.all(EVENT) if raw["type"] == "Warning"]


async def test_the_gateways_are_behind_its_service_before_it_serves_and_stay() -> None:
    world = await up()
    [slice_] = world.children(ENDPOINT_SLICE).values()
    assert slice_["metadata"]["labels"] == {
        "app.kubernetes.io/name": "llama",
        "app.kubernetes.io/managed-by": "inferops",
        "inferops.dev/service": "llama",
        "kubernetes.io/service-name": "llama",
        "endpointslice.kubernetes.io/managed-by": "inferops",
    }
    assert slice_["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert behind(world) == ["10.1.0.1", "10.1.0.2"] and not selects_pods(world)
    order = [(kind, name) for _, kind, name in world.fake.writes]
    assert order.index(("EndpointSlice", "llama-gateway")) < order.index(("Service", "llama"))
    world.fake.requests.clear()
    pass_(world, 61)
    await world.settle()
    await tell(world, ASKED)
    assert {kind for _, kind, _ in world.fake.writes} == {"Deployment", "InferenceService", "Event"}
    assert "through the built-in gateway" in world.message("Routed")


async def test_the_first_request_brings_it_back_with_one_write_of_its_deployment() -> None:
    world = await asleep()
    world.pod_status = lambda pod: NOT_READY
    world.fake.requests.clear()
    await tell(world, ASKED)
    writes = [kind for _, kind, _ in world.fake.writes]
    assert writes[0] == "Deployment" and writes.count("Deployment") == 1, "nothing is to come before it"
    assert replicas(world) == [1] and world.status()["desiredReplicas"] == 1
    assert world.conditions()["Ready"] == ("Unknown", "Loading") and "Reconciling" in world.conditions()
    assert world.status()["explain"] == ["woken from zero: requests wait in the gateway"]
    [event] = [raw for raw in world.fake.all(EVENT) if raw["reason"] == "RequestsWait"]
    assert (event["type"], "200 requests wait" in event["message"]) == ("Normal", True)
    pass_(world, 600)
    await tell(world, LONG)
    assert replicas(world) == [1], "it is not given up while it loads"
    assert world.status()["explain"] == ["woken from zero: requests wait in the gateway"]
    world.pod_status = lambda pod: READY
    await world.settle()
    assert world.conditions()["Ready"] == ("True", "Ready")
    assert world.status()["explain"] == ["scaled to zero after 1m without a request"]
    assert not [raw for raw in world.fake.all(EVENT) if raw["type"] == "Warning"]


@pytest.mark.parametrize(
    ("case", "demand", "gateways", "says"),
    [
        ("no gateway", None, (), "not scaled to zero: no replica of the built-in gateway is ready"),
        ("no gateway tells", None, GATEWAYS, "not every gateway tells"),
        ("one does not", Demand(idle=None), GATEWAYS, "not every gateway tells"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_not_known_takes_nothing_away(
    case: str, demand: Demand | None, gateways: tuple[str, ...], says: str
) -> None:
    world = await up()
    pass_(world, 600)
    await tell(world, demand, gateways)
    assert replicas(world) == [1]
    assert says in world.status()["explain"][0]
    await tell(world, LONG)
    assert replicas(world) == [0]


async def test_a_restart_at_zero_and_a_silent_gateway_change_nothing() -> None:
    world = await asleep()
    world.fake.requests.clear()
    world.told.demand = None
    world.restart()
    await world.settle()
    assert world.fake.requests == []


async def test_a_restart_while_it_serves_writes_nothing() -> None:
    world = await up()
    world.fake.requests.clear()
    world.restart()
    await world.settle()
    assert world.fake.requests == []


async def test_while_requests_come_nothing_is_written() -> None:
    world = await up()
    world.fake.requests.clear()
    for _ in range(5):
        pass_(world, 50)
        await tell(world, Demand(in_flight=3, idle=0.0))
        assert world.later[LLAMA] == 60
        await tell(world, Demand(idle=12.0))
        assert world.later[LLAMA] == 48
    assert world.fake.requests == [] and replicas(world) == [1]


async def test_gateways_that_come_and_go_are_listed() -> None:
    world = await asleep()
    world.fake.requests.clear()
    await tell(world, LONG, GATEWAYS[1:])
    assert behind(world) == ["10.1.0.2"]
    assert [kind for _, kind, _ in world.fake.writes] == ["EndpointSlice"]


async def test_at_zero_without_a_gateway_it_is_not_ready_and_says_why() -> None:
    world = await asleep()
    await tell(world, None, ())
    assert replicas(world) == [0] and behind(world) == []
    assert world.conditions()["Ready"] == ("Unknown", "GatewayNotReady")
    assert "no request can bring it back" in world.status()["explain"][0]
    await tell(world, ASKED)
    assert replicas(world) == [1] and world.conditions()["Ready"] == ("True", "Ready")
