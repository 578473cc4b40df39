"""A service that may be at zero, in a world with gateways: what they tell, and how it looks then."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from inferops.core.observation import Demand
from inferops.kube.kinds import DEPLOYMENT, ENDPOINT_SLICE, SERVICE
from inferops.render.labels import THROUGH_GATEWAY
from unit.controller.building import NAMESPACE
from unit.controller.world import LLAMA, World

GATEWAYS = ("10.1.0.1:8080", "10.1.0.2:8080")
ZERO: dict[str, Any] = {"scaling": {"minReplicas": 0, "scaleToZeroAfter": "1m"}}
QUIET, LONG, ASKED = Demand(idle=1.0), Demand(idle=3600.0), Demand(waiting=200, idle=0.0)
B: dict[str, Any] = {"model": {"uri": "hf://Qwen/Qwen3-14B"}}


def again(world: World) -> None:
    world.pending[LLAMA] = None


def pass_(world: World, seconds: float) -> None:
    world.time += timedelta(seconds=seconds)
    again(world)


async def tell(world: World, demand: Demand | None, gateways: tuple[str, ...] = GATEWAYS) -> None:
    world.told.addresses, world.told.demand = gateways, demand
    again(world)
    await world.settle()


async def up(**spec: Any) -> World:
    """A world in which `llama` serves and may go to zero."""
    world = World()
    world.told.addresses, world.told.demand = GATEWAYS, LONG
    world.ask(**{**ZERO, **spec})
    await world.settle()
    return world


async def asleep(**spec: Any) -> World:
    world = await up(**spec)
    pass_(world, 61)
    await world.settle()
    return world


def replicas(world: World) -> list[int]:
    return [raw["spec"]["replicas"] for raw in world.children(DEPLOYMENT).values()]


def selects_pods(world: World) -> bool:
    return not THROUGH_GATEWAY.items() <= world.children(SERVICE)["llama"]["spec"]["selector"].items()


def behind(world: World) -> list[str]:
    """The addresses that the slice of the operator's own has."""
    found = world.children(ENDPOINT_SLICE).get("llama-gateway", {})
    return [address for endpoint in found.get("endpoints", ()) for address in endpoint["addresses"]]


def pods_listed(world: World, ready: bool) -> None:
    """Kubernetes' own slice of the Service, which carries the Service's labels."""
    labels = {**world.children(SERVICE)["llama"]["metadata"]["labels"], "kubernetes.io/service-name": "llama",
              "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}  # fmt: skip
    endpoint = {"addresses": ["10.2.0.1"], "conditions": {"ready": ready}}
    world.fake.put(ENDPOINT_SLICE, {"metadata": {"name": "llama-x7k2p", "namespace": NAMESPACE, "labels": labels},
                                    "addressType": "IPv4", "endpoints": [endpoint]}, "kubernetes")  # fmt: skip
