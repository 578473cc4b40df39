"""Member clusters in virtual time: reached, asked, copied, lost and back; and what is told of them."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import yaml
from kubernetes.aio.client import Configuration

from inferops.api.inferencecluster import InferenceClusterSpec, InferenceClusterStatus
from inferops.catalogue import accelerators
from inferops.controller.memberpromises import Promise
from inferops.controller.members import Identity, Members
from inferops.controller.store import Key
from inferops.core.clusterstatus import Member, cluster_status
from inferops.core.engine import Obstacle
from inferops.core.membership import EVERY, LOST, STABLE, SUSPECT
from inferops.kube import access
from inferops.kube.client import REQUEST_TIMEOUT, KubeError
from inferops.kube.clusterprofile import Provider
from inferops.kube.credentialplugin import Credential
from inferops.kube.kinds import CLUSTER_PROFILE, NAMESPACE, NODE, POD, SECRET, Kind
from inferops.kube.owned import Object
from unit.controller.building import node, raw
from unit.kube.virtualtime import now, run

HOME = "inferops-system"
SILENT = KubeError("get Namespace /kube-system", 0, "TimeoutError", "timed out")
DENIED = KubeError("get Namespace /kube-system", 401, "Unauthorized", "Unauthorized")

LOGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "login"}
CLOUD = Provider.model_validate({"name": "cloud", "execConfig": LOGIN})


class Cluster:
    """A member: what it has, and what it answers instead."""

    def __init__(self, uid: str, *nodes: Object) -> None:
        self.uid, self.nodes = uid, nodes
        self.pods: tuple[Object, ...] = ()
        self.error: KubeError | None = None
        self.after = 0.0  # seconds until that
        self.asked = 0
        self.serves = True
        self.closed = 0

    async def _answer(self) -> None:
        self.asked += 1
        if self.error is not None:
            await asyncio.sleep(self.after)
            raise self.error

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        await self._answer()
        return {"metadata": {"uid": self.uid}} if kind is NAMESPACE else None

    async def offers(self, kind: Kind) -> bool:
        await self._answer()
        return False

    async def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]:
        await self._answer()
        yield list(self.nodes if kind is NODE else self.pods if kind is POD else ()), 1

    async def follow(
        self, kind: Kind, selector: str, version: int, timeout: float, *, namespace: str = ""
    ) -> AsyncIterator[tuple[str, Object]]:
        await self._answer()
        end = now() + timeout
        while now() < end:
            await asyncio.sleep(1.0)
            if self.error is not None:
                raise self.error
        for found in self.nodes if kind is NODE else self.pods if kind is POD else ():
            yield "MODIFIED", found

    async def apply(self, kind: Kind, desired: Object, *, force: bool, subresource: str = "") -> Object:
        raise AssertionError("nothing is written into a member without a service")

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        raise AssertionError("nothing is deleted from a member without a service")

    async def close(self) -> None:
        self.closed += 1


class Hub:
    """The hub's Secrets and ClusterProfiles."""

    def __init__(self) -> None:
        self.secrets: dict[str, Object] = {}
        self.profiles: dict[tuple[str, str], Object] = {}
        self.away = False

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        if self.away:
            raise KubeError("get Secret", 0, "TimeoutError", "timed out")
        if kind is CLUSTER_PROFILE:
            return self.profiles.get((namespace, name))
        assert (kind, namespace) == (SECRET, HOME)
        return self.secrets.get(name)


def kubeconfig(server: str, token: str = "one") -> Object:
    told = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": f"https://{server}"}}],
        "users": [{"name": "it", "user": {"token": token}}],
    }
    return {"data": {"kubeconfig": b64encode(yaml.safe_dump(told).encode()).decode()}}


class World:
    """The hub with its members by the hosts of their servers; statuses as the operator would write them."""

    def __init__(self, **clusters: Cluster) -> None:
        self.clusters, self.hub = clusters, Hub()
        self.hub.secrets = {name: kubeconfig(name) for name in clusters}
        self.specs: dict[Key, InferenceClusterSpec] = {}
        self.statuses: dict[Key, InferenceClusterStatus] = {}
        self.written: list[tuple[float, str]] = []
        self.connected: list[str] = []
        self.members = self._members()

    def _members(self) -> Members:
        def connect(configuration: Configuration) -> Cluster:
            host = str(configuration.host).removeprefix("https://")
            self.connected.append(host)
            return self.clusters[host]

        return Members(
            self.hub,
            Configuration(),
            HOME,
            now,
            self._changed,
            accelerators,
            connect,
            self._serves,
            providers=(CLOUD,),
        )

    async def _serves(self, session: aiohttp.ClientSession, url: str) -> bool:
        return self.clusters[url.removeprefix("http://")].serves

    def _changed(self, key: Key) -> None:
        self.tell(key)

    def add(self, name: str, *, gateway: bool = False, **access: Any) -> Key:
        key = Key("InferenceCluster", HOME, name)
        secret = {"kubeconfigSecret": {"name": name, "key": "kubeconfig"}}
        told = {"access": access or secret, **({"gateway": {"url": f"http://{name}"}} if gateway else {})}
        self.specs[key] = InferenceClusterSpec.model_validate(told)
        self.tell(key)
        return key

    def tell(self, key: Key) -> Member | Obstacle | None:
        before = self.statuses.get(key, InferenceClusterStatus())
        seen = self.members.seen(key, Identity(f"uid-{key.name}"), self.specs[key], before)
        if seen is None:
            return None
        after = cluster_status(before, 1, datetime.fromtimestamp(now(), UTC), seen)
        if after != before:
            self.statuses[key] = after
            self.written.append((now(), key.name))
        return seen

    def why(self, key: Key, kind: str = "ControlPlaneHealthy") -> str:
        return next((each.reason for each in self.statuses[key].conditions if each.type == kind), "")


def three() -> tuple[World, Key]:
    """A world of three members with gateways, and the first of them."""
    world = World(**{name: Cluster(f"uid-{name}", node("a")) for name in ("east", "west", "north")})
    east, *_ = [world.add(name, gateway=True) for name in world.clusters]
    return world, east


def test_a_member_is_reached_and_told_of() -> None:
    async def scene() -> None:
        world = World(east=Cluster("uid-1", node("a", gpus=8), node("b", gpus=4)))
        east = world.add("east")
        assert world.why(east, "Ready") == "Probing"
        await asyncio.sleep(5)
        status = world.statuses[east]
        assert (world.why(east, "Ready"), world.why(east), status.cluster_uid) == ("Ready", "Answers", "uid-1")
        [offer] = status.offers
        assert (offer.accelerator, offer.nodes, offer.total, offer.free) == ("nvidia-l4", 2, 12, 12)
        assert {room.accelerators: room.replicas for room in offer.room} == {1: 12, 2: 6, 4: 3, 8: 1}
        world.written.clear()
        await asyncio.sleep(600)
        assert world.written == []
        await world.members.close()
        assert world.clusters["east"].closed == 1

    run(scene())


def test_pods_take_what_is_offered() -> None:
    async def scene() -> None:
        world = World(east=Cluster("uid-1", node("a", gpus=8)))
        east = world.add("east")
        await asyncio.sleep(5)
        container = {"name": "x", "resources": {"requests": {"nvidia.com/gpu": "3"}}}
        spec = {"nodeName": "a", "containers": [container]}
        world.clusters["east"].pods = (raw(POD, "x", 2, spec=spec, status={"phase": "Running"}),)
        await asyncio.sleep(60)
        [offer] = world.statuses[east].offers
        assert (offer.total, offer.free) == (8, 5)
        await world.members.close()

    run(scene())


def test_a_flap_writes_nothing() -> None:
    async def scene() -> None:
        world = World(east=Cluster("uid-1", node("a")))
        world.add("east")
        await asyncio.sleep(60)
        world.written.clear()
        world.clusters["east"].error = SILENT
        await asyncio.sleep(SUSPECT - EVERY)
        world.clusters["east"].error = None
        await asyncio.sleep(300)
        assert world.written == []
        await world.members.close()

    run(scene())


def test_one_of_three_is_suspect_then_lost_then_back() -> None:
    async def scene() -> None:
        world, east = three()
        others = [key for key in world.specs if key != east]
        await asyncio.sleep(60)
        gone = world.clusters["east"]
        gone.error, gone.serves = SILENT, False
        await asyncio.sleep(SUSPECT + 2 * EVERY)
        assert (world.why(east), world.why(east, "Ready"), world.why(east, "DataPlaneHealthy")) == (
            "Suspect", "Suspect", "GatewaySilent",
        )  # fmt: skip
        assert world.why(east, "CapacityFresh") == "Stale" and world.statuses[east].offers
        await asyncio.sleep(LOST)
        assert (world.why(east), world.why(east, "Stalled")) == ("Lost", "Lost")
        assert [world.why(other, "Ready") for other in others] == ["Ready", "Ready"]
        gone.error, gone.serves = None, True
        await asyncio.sleep(2 * EVERY)
        assert (world.why(east), world.why(east, "Reconciling")) == ("Returning", "Returning")
        await asyncio.sleep(STABLE + EVERY)
        assert world.why(east, "Ready") == "Ready"
        await world.members.close()

    run(scene())


def test_one_that_still_serves_is_not_lost() -> None:
    async def scene() -> None:
        world, east = three()
        await asyncio.sleep(60)
        world.clusters["east"].error = SILENT
        await asyncio.sleep(3 * LOST)
        assert (world.why(east), world.why(east, "DataPlaneHealthy")) == ("Suspect", "GatewayAnswers")
        await world.members.close()

    run(scene())


def test_a_hub_that_is_cut_off_loses_nobody_and_says_so() -> None:
    async def scene() -> None:
        world, _ = three()
        await asyncio.sleep(60)
        for each in list(world.clusters.values())[:2]:
            each.error, each.serves = SILENT, False
        await asyncio.sleep(2 * LOST)
        assert [world.why(key) for key in world.specs] == ["HubCutOff", "HubCutOff", "Answers"]
        await world.members.close()

    run(scene())


def test_a_member_that_hangs_delays_no_other() -> None:
    async def scene() -> None:
        class Hanging(Cluster):
            async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
                await asyncio.sleep(10.0)
                raise SILENT

        world = World(east=Hanging("uid-1"), west=Cluster("uid-2", node("a")))
        east, west = world.add("east"), world.add("west")
        await asyncio.sleep(5)
        assert (world.why(west, "Ready"), world.why(east, "Ready")) == ("Ready", "Probing")
        await asyncio.sleep(60)
        assert world.why(east) in ("Suspect", "HubCutOff")
        await world.members.close()

    run(scene())


def test_who_is_refused_is_not_lost_and_comes_back_with_new_credentials() -> None:
    async def scene() -> None:
        world = World(east=Cluster("uid-1", node("a")))
        east = world.add("east")
        await asyncio.sleep(60)
        world.clusters["east"].error = DENIED
        await asyncio.sleep(20)
        assert (world.why(east), world.why(east, "Stalled")) == ("Unauthorized", "Unauthorized")
        connected = len(world.connected)
        world.clusters["east"].error = None
        world.hub.secrets["east"] = kubeconfig("east", token="two")
        await asyncio.sleep(20)
        assert len(world.connected) == connected + 1
        assert world.why(east, "Ready") == "Ready"
        await world.members.close()

    run(scene())


def test_a_hub_that_does_not_tell_its_secrets_stops_no_asking() -> None:
    """Those of before may still do; who falls silent meanwhile is seen to."""

    async def scene() -> None:
        world, east = three()
        await asyncio.sleep(60)
        world.hub.away = True
        await asyncio.sleep(120)
        assert world.why(east, "Ready") == "Ready"
        world.clusters["east"].error = SILENT
        await asyncio.sleep(SUSPECT + 2 * EVERY)
        assert world.why(east) == "Suspect"
        await world.members.close()

    run(scene())


def test_a_cluster_of_the_inventory_is_logged_in_to_by_the_admins_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which may be missing at first; what the inventory tells anew counts within a minute."""

    async def logs_in(command: Object, cluster: Object, limit: float) -> Credential:
        assert command["command"] == "login"  # a real one would end at no time of this clock
        return Credential(token="one")

    monkeypatch.setattr(access, "credential", logs_in)

    async def scene() -> None:
        world = World(east=Cluster("uid-1", node("a")), moved=Cluster("uid-1", node("a"), node("b")))
        east = world.add("east", clusterProfile={"name": "east", "namespace": "fleet"})
        await asyncio.sleep(15)
        assert world.why(east, "Stalled") == "ClusterProfileNotFound"
        world.hub.profiles["fleet", "east"] = {"status": {}}
        await asyncio.sleep(15)
        assert world.why(east, "Stalled") == "ClusterProfileRefused"
        for server in ("east", "moved"):
            there = {"server": f"https://{server}", "certificate-authority-data": ""}
            world.hub.profiles["fleet", "east"] = {"status": {"accessProviders": [{"name": "cloud", "cluster": there}]}}
            await asyncio.sleep(80)
            assert world.why(east, "Ready") == "Ready" and world.connected[-1] == server
        asked = len(world.connected)
        await asyncio.sleep(300)
        assert len(world.connected) == asked, "the same credentials are good for as long as they are taken"
        await world.members.close()

    run(scene())


def test_a_kubeconfig_that_is_missing_or_dangerous_is_told_and_mended() -> None:
    async def scene() -> None:
        world = World(east=Cluster("uid-1", node("a")))
        good = world.hub.secrets.pop("east")
        east = world.add("east")
        await asyncio.sleep(5)
        assert world.why(east, "Stalled") == "KubeconfigNotFound"
        told = yaml.safe_load(b64decode(good["data"]["kubeconfig"]))
        told["users"][0]["user"] = {"exec": {"command": "sh", "apiVersion": "client.authentication.k8s.io/v1"}}
        world.hub.secrets["east"] = {"data": {"kubeconfig": b64encode(yaml.safe_dump(told).encode()).decode()}}
        await asyncio.sleep(20)
        assert world.why(east, "Stalled") == "KubeconfigRefused"
        message = next(each.message for each in world.statuses[east].conditions if each.type == "Ready")
        assert "spec.access.allow: [Exec]" in message
        world.hub.secrets["east"] = good
        await asyncio.sleep(20)
        assert world.why(east, "Ready") == "Ready"
        await world.members.close()

    run(scene())


def test_a_cluster_registered_twice_counts_once() -> None:
    async def scene() -> None:
        world = World(east=Cluster("uid-1", node("a")), copy=Cluster("uid-1", node("a")))
        east, copy = world.add("east"), world.add("copy")
        await asyncio.sleep(30)
        assert sorted((world.why(east, "Ready"), world.why(copy, "Ready"))) == ["Ready", "SameCluster"]
        world.members.forget(copy)
        await asyncio.sleep(5)
        world.tell(east)
        assert world.why(east, "Ready") == "Ready"
        await world.members.close()

    run(scene())


def test_an_operator_that_starts_goes_on_from_the_status() -> None:
    async def scene() -> None:
        world, east = three()
        await asyncio.sleep(60)
        world.clusters["east"].error, world.clusters["east"].serves = SILENT, False
        await asyncio.sleep(100)
        before = world.statuses[east]
        world.written.clear()
        await world.members.close()
        world.members = world._members()
        for key in world.specs:
            world.tell(key)
        await asyncio.sleep(30)
        assert world.statuses[east] == before and world.written == []
        await asyncio.sleep(LOST - 100)
        assert world.why(east) == "Lost"
        await world.members.close()

    run(scene())


def test_nothing_is_decided_before_all_clusters_were_asked() -> None:
    """Whichever is seen first: of one that was lost before, there is nothing to wait for."""

    async def scene() -> None:
        world, east = three()
        await asyncio.sleep(60)
        world.clusters["east"].error, world.clusters["east"].serves = SILENT, False
        await asyncio.sleep(LOST + 60)
        assert world.why(east) == "Lost"
        await world.members.close()
        world.members, service = world._members(), Key("InferenceService", "chat", "llama")
        world.members._changed = lambda key: None
        assert not world.members.knows(world.specs, service)
        for key in world.specs:
            world.tell(key)
            assert not world.members.knows(world.specs, service)
        await asyncio.sleep(3)
        assert world.members.knows(world.specs, service)
        await world.members.close()

    run(scene())


def test_what_does_not_count_says_why() -> None:
    async def scene() -> None:
        world = World()
        elsewhere = Key("InferenceCluster", "chat", "east")
        world.specs[elsewhere] = InferenceClusterSpec.model_validate({"access": {"hub": True}})
        told = world.tell(elsewhere)
        assert isinstance(told, Obstacle) and HOME in told.message
        await world.members.close()

    run(scene())


@pytest.mark.parametrize("after", [0.0, REQUEST_TIMEOUT + 1])
def test_of_many_services_a_few_look_again_at_a_time(after: float) -> None:
    """When the member that they are in falls silent; those that are elsewhere are not asked to."""

    async def scene() -> None:
        world, east = three()
        looked: list[tuple[float, str]] = []
        services = [Key("InferenceService", "chat", f"model-{number:03}") for number in range(100)]
        changed = world.members._changed

        def told(key: Key) -> None:
            looked.append((now(), key.name)) if key.kind == "InferenceService" else changed(key)

        world.members._changed = told
        world.members._placed = lambda: services
        for each in services[:60]:
            world.members.promise(each, {east.name: Promise("nvidia-l4", False, 1, 1)})
        await asyncio.sleep(60)
        looked.clear()
        world.clusters["east"].error, world.clusters["east"].after = SILENT, after
        await asyncio.sleep(SUSPECT + 3 * EVERY + 2 * after)
        world.members._changed = changed
        seconds = [at for at, _ in looked]
        assert {name for _, name in looked} == {each.name for each in services[:60]}
        assert len(looked) == 60 and 4 < max(seconds) - min(seconds) < 7
        await world.members.close()

    run(scene())
