"""The Service of a placed service's name in the hub leads where that of its part leads."""

from __future__ import annotations

import asyncio

import pytest

from inferops.controller.apply import Refused
from inferops.controller.hubpart import lead
from inferops.controller.observe import observe
from inferops.core.clusters.seen import ChildView
from inferops.core.observation import Observation
from inferops.kube.kinds import ENDPOINT_SLICE, INFERENCE_SERVICE, SERVICE, SERVICE_EXPORT
from unit.controller.building import NAMESPACE
from unit.controller.building import service as raw_service
from unit.controller.world import LLAMA, Told, World

PART, GATEWAYS = "llama-hub", "llama-gateway"
KEYS = {"access": {"apiKeysSecret": "keys"}}  # for which requests go through the gateways


class Scene:
    """A part that serves, and the service that it is the part of."""

    def __init__(self) -> None:
        self.world = World()
        self.world.told = Told(("10.0.0.1:8080",))
        self.world.restart()

    async def part(self, **spec: object) -> ChildView:
        self.world.ask(PART, **spec)
        await self.world.settle()
        live = self.world.fake.read(INFERENCE_SERVICE, NAMESPACE, PART)
        assert live is not None
        return ChildView(live["metadata"]["uid"], ready=1, most=1)

    def seen(self, **traffic: object) -> Observation:
        self.world.fake.put(INFERENCE_SERVICE, raw_service("llama", placement={"clusters": {}}, traffic=traffic))
        self.world.deliver()
        found = observe(LLAMA, self.world.store, self.world.now(), told=self.world.told)
        assert isinstance(found, Observation)
        return found

    async def lead(self, seen: Observation, part: ChildView) -> bool:
        done = await lead(self.world.applier, LLAMA, seen, part)
        self.world.deliver()
        return done

    def selects(self, name: str = "llama") -> dict[str, str]:
        found = self.world.fake.read(SERVICE, NAMESPACE, name)
        return dict(found["spec"]["selector"]) if found is not None else {}

    def addresses(self) -> list[str]:
        found = self.world.fake.read(ENDPOINT_SLICE, NAMESPACE, GATEWAYS)
        return [each["addresses"][0] for each in found["endpoints"]] if found is not None else []


def test_it_leads_to_its_pods() -> None:
    async def main() -> None:
        scene = Scene()
        part, seen = await scene.part(), scene.seen()
        assert await scene.lead(seen, part)
        assert scene.selects() == scene.selects(PART) != {}
        assert scene.selects()["inferops.dev/service"] == PART
        before = len(scene.world.fake.writes)
        assert await scene.lead(seen, part)
        assert len(scene.world.fake.writes) == before

    asyncio.run(main())


def test_it_leads_to_the_gateways_while_that_of_its_part_does() -> None:
    async def main() -> None:
        scene = Scene()
        part, seen = await scene.part(traffic=KEYS), scene.seen()
        assert await scene.lead(seen, part)
        assert scene.selects() == scene.selects(PART)
        assert "inferops.dev/through" in scene.selects()
        assert scene.addresses() == ["10.0.0.1"]
        await scene.part(traffic={"access": None})
        listed = {"kubernetes.io/service-name": "llama"}, [{"conditions": {"ready": True}}]
        scene.world.fake.remove(ENDPOINT_SLICE, NAMESPACE, f"{PART}-gateway")
        scene.world.deliver()
        assert not await scene.lead(seen, part), "Kubernetes lists no pod behind it yet"
        assert "inferops.dev/through" not in scene.selects()
        assert scene.addresses() == ["10.0.0.1"]
        meta = {"name": "llama-abc", "namespace": NAMESPACE, "labels": listed[0]}
        scene.world.fake.put(ENDPOINT_SLICE, {"metadata": meta, "endpoints": listed[1]}, "kubernetes")
        assert await scene.lead(seen, part)
        assert scene.addresses() == []

    asyncio.run(main())


def test_what_is_not_its_part_changes_nothing() -> None:
    async def main() -> None:
        scene = Scene()
        await scene.part()
        assert await scene.lead(scene.seen(), ChildView("uid-of-another"))
        assert scene.selects() == {}

    asyncio.run(main())


def test_a_service_of_somebody_else_is_left_alone() -> None:
    async def main() -> None:
        scene = Scene()
        part, theirs = await scene.part(), {"app": "theirs"}
        meta = {"name": "llama", "namespace": NAMESPACE}
        scene.world.fake.put(SERVICE, {"metadata": meta, "spec": {"selector": theirs}})
        with pytest.raises(Refused, match="it is left alone"):
            await scene.lead(scene.seen(), part)
        assert scene.selects() == theirs

    asyncio.run(main())


def test_other_clusters_know_it_by_the_services_own_name() -> None:
    async def main() -> None:
        scene = Scene()
        scene.world.fake.offered.add(SERVICE_EXPORT)
        scene.world.restart()
        part = await scene.part()
        await scene.lead(scene.seen(export=True), part)
        assert scene.world.fake.read(SERVICE_EXPORT, NAMESPACE, "llama") is not None
        await scene.lead(scene.seen(export=True), ChildView(part.uid, most=0))
        assert scene.world.fake.read(SERVICE_EXPORT, NAMESPACE, "llama") is None

    asyncio.run(main())
