"""Configuration from Kubernetes: whole before the first table, true soon after a change, kept while nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise

import pytest

from inferops.gateway.sources import views
from inferops.gateway.sources.watching import LEAST_GAP, Watching
from inferops.gateway.table import ServiceKey, Table
from inferops.kube.client import KubeError
from inferops.kube.kinds import Kind
from inferops.kube.owned import Object
from inferops.runtimes import ENGINES
from unit.gateway.resources import endpoint_slice, peers, pods, runtime, service
from unit.kube.following import Server
from unit.kube.virtualtime import now, run

LLAMA, QWEN = ServiceKey("chat", "llama"), ServiceKey("chat", "qwen")
AWAY = KubeError("list", 0, "ClientConnectorError", "connection refused")


class Cluster:
    """What a gateway may list and watch, and no more."""

    def __init__(self) -> None:
        self.services, self.runtimes, self.slices, self.peers = Server(), Server(), Server(), Server()
        self.services.put(service(revisions={"aaa": 100}))
        self.slices.put(endpoint_slice("llama-aaa-x", pods("llama-1")))

    def all(self) -> tuple[Server, ...]:
        return self.services, self.runtimes, self.slices, self.peers

    def of(self, kind: Kind, selector: str, namespace: str) -> Server:
        return {
            ("inferenceservices", "", ""): self.services,
            ("servingruntimes", "", ""): self.runtimes,
            ("endpointslices", "inferops.dev/revision", ""): self.slices,
            ("endpointslices", "kubernetes.io/service-name=inferops-gateway", "inferops-system"): self.peers,
        }[kind.plural, selector, namespace]

    def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]:
        return self.of(kind, selector, namespace).pages(kind, selector)

    def follow(
        self, kind: Kind, selector: str, version: int, timeout: float, *, namespace: str = ""
    ) -> AsyncIterator[tuple[str, Object]]:
        return self.of(kind, selector, namespace).follow(kind, selector, version, timeout)


class Fleet:
    """Remembers when it was told of what."""

    def __init__(self) -> None:
        self.updates: list[tuple[float, Table, int | None]] = []

    def update(self, table: Table, peers: int | None = None) -> None:
        self.updates.append((now(), table, peers))

    @property
    def table(self) -> Table:
        return self.updates[-1][1]

    def weights(self, key: ServiceKey = LLAMA) -> dict[str, int]:
        return {each.hash: each.weight for each in self.table.by_key[key].revisions}

    def replicas(self, key: ServiceKey = LLAMA) -> list[str]:
        return [replica.name for each in self.table.by_key[key].revisions for replica in each.replicas]


Play = Callable[[Cluster, Fleet], Awaitable[None]]


def watched(play: Play, before: Callable[[Cluster], None] = lambda cluster: None, ready: bool = True) -> None:
    """Play while a gateway watches; with `ready` from its first table on."""

    async def main() -> None:
        cluster, fleet = Cluster(), Fleet()
        before(cluster)
        watching = Watching(cluster, fleet, "inferops-system")
        running = asyncio.create_task(watching.run())
        if ready:
            await watching.ready.wait()
        await play(cluster, fleet)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()

    run(main())


def test_the_first_table_waits_until_everything_was_listed() -> None:
    async def play(cluster: Cluster, fleet: Fleet) -> None:
        await asyncio.sleep(20)
        assert fleet.updates == []
        cluster.slices.away = None
        await asyncio.sleep(10)
        assert fleet.replicas() == ["llama-1"]

    watched(play, lambda cluster: cluster.slices.go(AWAY), ready=False)


def test_changes_arrive_at_once_and_in_one_table_where_they_come_together() -> None:
    async def play(cluster: Cluster, fleet: Fleet) -> None:
        await asyncio.sleep(1)
        told = len(fleet.updates)
        cluster.slices.put(endpoint_slice("llama-aaa-x", pods("llama-1", "llama-2")))
        await asyncio.sleep(0.001)
        assert fleet.replicas() == ["llama-1", "llama-2"]
        for weight in range(50):
            cluster.services.put(service(revisions={"aaa": 100 - weight, "bbb": weight}))
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        assert fleet.weights() == {"aaa": 51, "bbb": 49}
        times = [at for at, _, _ in fleet.updates[told:]]
        assert all(after - before >= LEAST_GAP - 1e-9 for before, after in pairwise(times))

    watched(play)


def test_what_changes_nothing_for_requests_makes_no_table() -> None:
    async def play(cluster: Cluster, fleet: Fleet) -> None:
        before = fleet.table
        told = service(revisions={"aaa": 100})
        told["status"]["explain"] = ["the operator has something to say"]
        cluster.services.put(told)
        cluster.slices.put(endpoint_slice("llama-aaa-x", pods("llama-1")))
        await asyncio.sleep(1)
        assert fleet.table is before

    watched(play)


def test_of_other_services_nothing_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    whole = views.service_view

    def service_view(raw: Object) -> views.ServiceView:
        read.append(raw["metadata"]["name"])
        return whole(raw)

    monkeypatch.setattr(views, "service_view", service_view)

    async def play(cluster: Cluster, fleet: Fleet) -> None:
        others = {key: backend for key, backend in fleet.table.by_key.items() if key != LLAMA}
        cluster.services.put(service(revisions={"bbb": 100}))
        await asyncio.sleep(1)
        assert sorted(read) == sorted(["llama", *(f"s-{number}" for number in range(100)), "llama"])
        assert all(fleet.table.by_key[key] is backend for key, backend in others.items())
        read.clear()
        cluster.services.go(AWAY)
        await asyncio.sleep(0)
        cluster.services.away = None
        await asyncio.sleep(60)
        assert len(cluster.services.lists) > 1
        assert read == [], "a LIST brings the versions that are known"

    def many(cluster: Cluster) -> None:
        for number in range(100):
            cluster.services.put(service(f"s-{number}"))

    watched(play, many)


def test_while_the_api_server_is_away_the_last_table_stays() -> None:
    async def play(cluster: Cluster, fleet: Fleet) -> None:
        for server in cluster.all():
            server.go(AWAY)
        await asyncio.sleep(3600)
        assert fleet.replicas() == ["llama-1"]
        cluster.slices.put(endpoint_slice("llama-aaa-x", pods("llama-2")))
        cluster.services.put(service("qwen", revisions={"ccc": 100}))
        for server in cluster.all():
            server.away = None
        await asyncio.sleep(10)
        assert fleet.replicas() == ["llama-2"]
        assert QWEN in fleet.table.by_key

    watched(play)


def test_a_resource_that_cannot_be_read_stays_as_it_was_and_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def play(cluster: Cluster, fleet: Fleet) -> None:
        cluster.services.put(service(revisions={"bbb": 100}, traffic={"queueTimeout": "soon"}))
        cluster.services.put(service("qwen", revisions={"ccc": 100}))
        await asyncio.sleep(1)
        assert fleet.weights() == {"aaa": 100}
        assert fleet.weights(QWEN) == {"ccc": 100}
        cluster.services.put(service(revisions={"bbb": 100}))
        await asyncio.sleep(1)
        assert fleet.weights() == {"bbb": 100}

    watched(play)
    assert "InferenceService chat/llama: spec.traffic.queueTimeout: must be a duration" in caplog.text
    assert "it stays as it was read last" in caplog.text


def test_deleted_services_and_slices_are_gone() -> None:
    async def play(cluster: Cluster, fleet: Fleet) -> None:
        cluster.slices.delete("llama-aaa-x")
        await asyncio.sleep(1)
        assert fleet.replicas() == []
        cluster.services.delete("llama")
        await asyncio.sleep(1)
        assert fleet.table.by_key == {}

    watched(play)


def test_an_admins_runtime_decides_what_may_be_reached_over_a_built_in_one() -> None:
    async def play(cluster: Cluster, fleet: Fleet) -> None:
        assert fleet.table.by_key[LLAMA].api is ENGINES["vllm"].api
        cluster.runtimes.put(runtime("vllm", "triton"))
        await asyncio.sleep(1)
        assert fleet.table.by_key[LLAMA].api is ENGINES["triton"].api
        cluster.runtimes.put(runtime("vllm", "an engine of a newer version"))
        await asyncio.sleep(1)
        assert fleet.table.by_key[LLAMA].api is ENGINES["triton"].api
        cluster.runtimes.delete("vllm")
        await asyncio.sleep(1)
        assert fleet.table.by_key[LLAMA].api is ENGINES["vllm"].api

    watched(play)


def test_a_service_of_an_unknown_runtime_is_known_all_the_same() -> None:
    async def play(cluster: Cluster, fleet: Fleet) -> None:
        cluster.services.put(service("qwen", runtime={"name": "gone"}, stalled="no ServingRuntime gone"))
        await asyncio.sleep(1)
        found = fleet.table.by_key[QWEN]
        assert found.asleep == "no ServingRuntime gone"
        assert found.api.allows("/v1/chat/completions") and not found.api.allows("/metrics")

    watched(play)


def test_the_gateways_that_are_ready_are_counted() -> None:
    async def play(cluster: Cluster, fleet: Fleet) -> None:
        assert fleet.updates[-1][2] == 1
        cluster.peers.put(peers("10.0.0.1", "10.0.0.2", name="one"))
        cluster.peers.put(peers("10.0.0.3", name="two"))
        await asyncio.sleep(1)
        assert fleet.updates[-1][2] == 3
        cluster.peers.put(peers("10.0.0.1", "10.0.0.2", name="one", ready=False))
        await asyncio.sleep(1)
        assert fleet.updates[-1][2] == 1

    watched(play)


def test_some_namespaces_are_asked_for_one_by_one_and_one_that_bars_us_holds_up_no_other() -> None:
    class Shared(Cluster):
        """The cluster above is one of its namespaces; another bars us."""

        def of(self, kind: Kind, selector: str, namespace: str) -> Server:
            if namespace == "blue":
                barred = Server()
                barred.go(KubeError("list", 403, "Forbidden", "no rights"))
                return barred
            assert namespace == ("" if not kind.namespaced else "inferops-system" if "gateway" in selector else "chat")
            return super().of(kind, selector, "" if namespace == "chat" else namespace)

    async def main() -> None:
        fleet = Fleet()
        watching = Watching(Shared(), fleet, "inferops-system", served=("blue", "chat"))
        running = asyncio.create_task(watching.run())
        await asyncio.sleep(1)
        running.cancel()
        assert fleet.replicas() == ["llama-1"]

    run(main())
