"""A hub with member clusters in virtual time: the operator on the hub, and in each member one that serves at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import yaml
from kubernetes.aio.client import Configuration

from inferops.api import API_VERSION
from inferops.api.rollout import ACTION
from inferops.catalogue import accelerators, runtimes
from inferops.controller.apply import Applier
from inferops.controller.claims import GROUP_SIZE
from inferops.controller.events import Recorder
from inferops.controller.members import Members
from inferops.controller.placing import Placing
from inferops.controller.reconcile import Reconciler
from inferops.controller.store import WATCHED, Key, Store
from inferops.controller.watch import selector
from inferops.kube.client import KubeError
from inferops.kube.kinds import INFERENCE_CLUSTER, INFERENCE_SERVICE, NODE, POD, RESOURCE_QUOTA, Kind
from inferops.kube.owned import Object
from unit.controller.building import NAMESPACE as CHAT
from unit.controller.building import node, service
from unit.controller.fakekube import Fake
from unit.controller.fields import clone
from unit.kube.virtualtime import now

HOME = "inferops-system"
HUB_UID = "uid-hub"
LLAMA = Key("InferenceService", CHAT, "llama")
SILENT = KubeError("the member", 0, "TimeoutError", "timed out")
BEGAN = datetime(2025, 11, 3, 12, 0, tzinfo=UTC).timestamp()
ALL = {"clusters": {}}
QUOTED = "requests.nvidia.com/gpu"
MANY = 1_000_000
WORSE = "20 of 100 requests failed, and 1 of 100 before"


def at() -> datetime:
    """The time on the wall, in virtual time."""
    return datetime.fromtimestamp(BEGAN + now(), UTC)


class Killer:
    """Ends the operator right after its `at`-th write has reached a server, before the answer comes back."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.count = 0
        self.killed = asyncio.Event()

    async def wrote(self) -> None:
        self.count += 1
        if self.count == self.at:
            self.killed.set()
        if self.killed.is_set():
            await asyncio.Event().wait()  # for the end, which comes by cancellation


@dataclass
class Rolling:
    """What a member's operator knows of the revisions of a service."""

    stable: str = ""
    latest: str = ""
    ends: float | None = None  # when it has watched the latest one for long enough
    rejected: list[str] = field(default_factory=list)
    handled: str = ""  # what somebody asked for last

    def look(self, raw: Object, takes: float, bad: frozenset[str]) -> None:
        """Roll out what the spec asks for."""
        model = raw["spec"]["model"]
        before, self.latest = self.latest, revision(model)
        asked = raw["metadata"].get("annotations", {}).get(ACTION, "")
        meant = asked.partition("/")[0] if asked != self.handled else ""
        self.rejected = [each for each in self.rejected if meant != f"retry@{each}"]
        self.handled = asked
        self.stable = self.stable or self.latest
        if self.latest == self.stable or self.latest in self.rejected:
            self.ends = None
        elif self.latest != before or self.ends is None:
            self.ends = now() + takes
        if self.ends is not None and self.ends <= now():
            self.ends = None
            if model.get("revision") in bad:
                self.rejected.append(self.latest)
            else:
                self.stable = self.latest

    def status(self) -> Object:
        back = self.latest in self.rejected
        phase = "RolledBack" if back else "Observing" if self.ends is not None else "Succeeded"
        rejected = [{"hash": each, "reason": "HarmShown", "message": WORSE} for each in self.rejected]
        return {"phase": phase, "canary": self.latest, "rejected": rejected, "handled": [self.handled]}

    def condition(self, ready: bool) -> Object:
        if self.latest in self.rejected:
            return {**_condition("RolledOut", False), "status": "False", "reason": "RolledBack", "message": WORSE}
        return _condition("RolledOut", ready and self.stable == self.latest)


def revision(model: Object) -> str:
    """The hash by which members know it."""
    return hashlib.sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()[:10]


@dataclass
class Member(Fake):
    """A member cluster that serves what is written into it: with `load` replicas within the bounds, as far as nodes
    have GPUs for them."""

    error: KubeError | None = None  # what it answers instead
    serves: bool = True  # whether its gateways answer
    load: int = 1
    starts: bool = True  # whether replicas become ready
    waits: bool = False  # whether replicas for which there is no GPU are made and wait for one
    takes: float = 0.0  # seconds for which it watches a new revision
    bad: frozenset[str] = frozenset()  # revisions of the model that it goes back from then
    asked: int = 0
    killer: Killer = field(default_factory=Killer)
    _operated: tuple[Any, ...] = ()
    _rollouts: dict[str, Rolling] = field(default_factory=dict)

    def _answer(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        self._answer()
        return await super().get(kind, namespace, name)

    async def pages(self, kind: Kind, selector: str = "", **more: Any) -> AsyncIterator[tuple[list[Object], int]]:
        self._answer()
        async for page in super().pages(kind, selector, **more):
            yield page

    async def apply(self, kind: Kind, desired: Object, *, force: bool, subresource: str = "") -> Object:
        self._answer()
        found = await super().apply(kind, desired, force=force, subresource=subresource)
        await self.killer.wrote()
        return found

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        self._answer()
        await super().delete(kind, namespace, name, uid)
        await self.killer.wrote()

    async def offers(self, kind: Kind) -> bool:
        self._answer()
        return await super().offers(kind)

    async def follow(
        self, kind: Kind, selector: str, version: int, timeout: float, *, namespace: str = ""
    ) -> AsyncIterator[tuple[str, Object]]:
        end, told = now() + timeout, 0
        while now() < end:
            self._answer()
            news, told = self.changes[told:], len(self.changes)
            for event, of, raw in news:
                if of is kind and int(raw["metadata"]["resourceVersion"]) > version:
                    version = int(raw["metadata"]["resourceVersion"])
                    yield event, clone(raw)
            await asyncio.sleep(1.0)

    async def close(self) -> None:
        pass

    def gpus(self) -> int:
        free = sum(int(each["status"]["allocatable"]["nvidia.com/gpu"]) for each in self.all(NODE))
        return free - sum("nodeName" in each["spec"] for each in self.all(POD))

    def operate(self) -> None:
        """Its operator, scheduler and kubelets, once; where nothing has changed they have nothing to do."""
        self._count_quotas()
        rolling = any(each.ends is not None and each.ends <= now() for each in self._rollouts.values())
        if self._operated == (seen := (self.version, self.load, self.starts)) and not rolling:
            return
        self._operated = seen
        there = {raw["metadata"]["name"]: raw for raw in self.all(INFERENCE_SERVICE)}
        for raw in self.all(POD):
            if raw["metadata"]["labels"]["inferops.dev/service"] not in there:
                self.remove(POD, CHAT, raw["metadata"]["name"])
        for name, raw in there.items():
            scaling = raw["spec"].get("scaling") or {}
            least, most = scaling.get("minReplicas", 1), scaling.get("maxReplicas", scaling.get("minReplicas", 1))
            number = scaling.get("replicas")
            wanted = number if number is not None else min(max(self.load, least), max(most, least))
            size = (raw["spec"].get("accelerators") or [{}])[0].get("nodes", 1)
            self._scale(name, wanted * size, size)
            pods = [each for each in self.all(POD) if each["metadata"]["labels"]["inferops.dev/service"] == name]
            ready = sum("nodeName" in each["spec"] for each in pods) // size if self.starts else 0
            rollout = self._rollouts.setdefault(name, Rolling())
            rollout.look(raw, self.takes, self.bad)
            told = {
                "observedGeneration": raw["metadata"]["generation"],
                "desiredReplicas": wanted,
                "scaling": {"reason": "Maximum" if number is None and self.load > wanted else "Demand"},
                "replicas": len(pods) // size,
                "readyReplicas": ready,
                "stableRevision": rollout.stable,
                "latestRevision": rollout.latest,
                "rollout": rollout.status(),
                "conditions": [
                    _condition("Ready", ready >= wanted),
                    rollout.condition(ready >= wanted),
                    _condition("Routed", ready >= wanted),
                ],
            }
            if raw.get("status") != told:
                self.put(INFERENCE_SERVICE, {**raw, "status": told}, "operator")

    def _scale(self, name: str, wanted: int, size: int) -> None:
        """So many pods, of which `size` are one replica."""
        label = {"inferops.dev/service": name}
        pods = [raw for raw in self.all(POD) if raw["metadata"]["labels"] == label]
        for raw in pods[wanted:]:
            self.remove(POD, CHAT, raw["metadata"]["name"])
        for raw in pods[:wanted]:
            if "nodeName" not in raw["spec"] and self.gpus() > 0:
                self.put(POD, {**raw, "spec": {**raw["spec"], "nodeName": self._node()}}, "scheduler")
        for number in range(len(pods), wanted):
            if (self.gpus() > 0 or self.waits) and self._allowed():
                node = {"nodeName": self._node()} if self.gpus() > 0 else {}
                spec = {**node, "containers": [{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]}
                meta = {"name": f"{name}-{number}", "namespace": CHAT, "labels": label, "creationTimestamp": self.now()}
                meta["annotations"] = {GROUP_SIZE: str(size)} if size > 1 else {}
                self.put(POD, {"metadata": meta, "spec": spec, "status": {"phase": "Pending"}}, "kubelet")

    def _allowed(self) -> bool:
        """Whether quotas allow one more pod."""
        hard = [int(raw["spec"]["hard"][QUOTED]) for raw in self.all(RESOURCE_QUOTA)]
        return len(self.all(POD)) < min(hard, default=MANY)

    def _count_quotas(self) -> None:
        for raw in self.all(RESOURCE_QUOTA):
            told = {"used": {QUOTED: str(len(self.all(POD)))}}
            if raw.get("status") != told:
                self.put(RESOURCE_QUOTA, {**raw, "status": told}, "controller")

    def _node(self) -> str:
        taken = [raw["spec"].get("nodeName") for raw in self.all(POD)]
        return next(
            str(each["metadata"]["name"])
            for each in self.all(NODE)
            if taken.count(each["metadata"]["name"]) < int(each["status"]["allocatable"]["nvidia.com/gpu"])
        )

    @property
    def child(self) -> Object | None:
        return self.read(INFERENCE_SERVICE, CHAT, "llama")

    @property
    def written(self) -> list[tuple[str, str, str]]:
        """What the hub wrote."""
        return [each for each in self.writes if each[1] == INFERENCE_SERVICE.kind]


def _condition(kind: str, good: bool) -> Object:
    stamp = "2025-11-03T12:00:00Z"
    return {"type": kind, "status": "True" if good else "Unknown", "reason": "X", "lastTransitionTime": stamp}


@dataclass
class Hub(Fake):
    """The hub's own cluster. What is deleted is kept until its finalizers are gone, as on a real API server."""

    killer: Killer = field(default_factory=Killer)

    async def apply(self, kind: Kind, desired: Object, *, force: bool, subresource: str = "") -> Object:
        found = await super().apply(kind, desired, force=force, subresource=subresource)
        meta = found.get("metadata") or {}
        if meta.get("deletionTimestamp") and not meta.get("finalizers"):
            self.remove(kind, meta["namespace"], meta["name"])
        await self.killer.wrote()
        return found

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        await super().delete(kind, namespace, name, uid)
        await self.killer.wrote()


def member(name: str, *, gpus: int = 8, nodes: int = 1, product: str = "NVIDIA-L4") -> Member:
    """A member with so many nodes."""
    made = Member(now=lambda: at().strftime("%Y-%m-%dT%H:%M:%SZ"))
    meta = {"name": "kube-system", "uid": f"uid-{name}"}
    made.objects["Namespace", "", "kube-system"] = {"metadata": meta}
    for number in range(nodes):
        made.put(NODE, node(f"{name}-{number}", gpus=gpus, product=product))
    return made


@dataclass
class World:
    """The hub's operator and its members, which go on by themselves."""

    members: dict[str, Member]
    hub: Hub = field(default_factory=Hub)
    killer: Killer = field(default_factory=Killer)
    ends: int = 0  # how often the operator was ended

    def __post_init__(self) -> None:
        self.hub.now = lambda: at().strftime("%Y-%m-%dT%H:%M:%SZ")
        for each in (self.hub, *self.members.values()):
            each.killer = self.killer
        for name in self.members:
            self.hub.objects["Secret", HOME, name] = _kubeconfig(name)
        self.start()
        self._tasks = [asyncio.create_task(each) for each in (self._run(), self._watch())]
        self._working: asyncio.Task[None] | None = None

    def start(self) -> None:
        """The operator begins, with what it lists and nothing that it remembered."""
        self.store = Store(accelerators(), runtimes())
        self.pending: dict[Key, None] = {}
        self._due: dict[Key, float] = {}
        for kind in WATCHED:
            for raw in self.hub.all(kind, selector(kind)):
                self.store.put(kind, raw)
        self.pending.update(dict.fromkeys(self.store.all_keys()))
        self._delivered = len(self.hub.changes)
        applier = Applier(self.hub, self.store, self._changed, {})
        clusters = Members(
            self.hub, Configuration(), HOME, lambda: at().timestamp(), self._changed, accelerators, self._connect,
            self._serves, HUB_UID, self.store.placed, works=self.hub,
        )  # fmt: skip
        placing = Placing(self.store, applier, clusters, at, self._later)
        self.reconciler = Reconciler(
            self.store, applier, Recorder(self.hub, at), at, later=self._later, members=clusters, placing=placing
        )  # fmt: skip
        self.clusters = clusters

    async def restart(self) -> None:
        """The operator ends and another begins."""
        if self._working is not None:
            self._working.cancel()
        await self.clusters.close()
        self.ends += 1
        self.killer.killed.clear()
        self.start()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.clusters.close()

    def _connect(self, configuration: Configuration) -> Any:
        return self.members[str(configuration.host).removeprefix("https://")]

    async def _serves(self, session: aiohttp.ClientSession, url: str) -> bool:
        return self.members[url.removeprefix("http://")].serves

    def _changed(self, key: Key) -> None:
        self.pending[key] = None

    def _later(self, key: Key, seconds: float) -> None:
        self._due[key] = min(self._due.get(key, float("inf")), now() + seconds)

    async def _run(self) -> None:
        while True:
            for each in self.members.values():
                each.operate()
            self._deliver()
            self._working = asyncio.create_task(self._reconcile())
            await asyncio.wait([self._working])
            await asyncio.sleep(0.5)

    async def _watch(self) -> None:
        while True:
            await self.killer.killed.wait()
            await self.restart()

    async def _reconcile(self) -> None:
        for key in [key for key, due in self._due.items() if due <= now()]:
            del self._due[key]
            self.pending[key] = None
        for key in list(self.pending):
            del self.pending[key]
            with suppress(KubeError):
                await self.reconciler.reconcile(key)

    def _deliver(self) -> None:
        for event, kind, raw in self.hub.changes[self._delivered :]:
            if kind not in WATCHED:
                continue
            meta = raw["metadata"]
            if event == "DELETED":
                keys = self.store.remove(kind, meta.get("namespace", ""), meta["name"], int(meta["resourceVersion"]))
            else:
                keys = self.store.put(kind, raw)
            self.pending.update(dict.fromkeys(keys))
        self._delivered = len(self.hub.changes)

    # What people do

    def register(self, name: str, **spec: Any) -> None:
        labels = spec.pop("labels", {})
        access = {"kubeconfigSecret": {"name": name, "key": "kubeconfig"}}
        raw = {
            "apiVersion": API_VERSION,
            "kind": "InferenceCluster",
            "metadata": {"name": name, "namespace": HOME, "labels": labels},
            "spec": {"access": access, "gateway": {"url": f"http://{name}"}, **spec},
        }
        live = self.hub.read(INFERENCE_CLUSTER, HOME, name)
        if live is not None:
            raw = {**live, "spec": raw["spec"], "metadata": {**live["metadata"], "labels": labels}}
        self.hub.put(INFERENCE_CLUSTER, raw)

    def unregister(self, name: str) -> None:
        self.hub.remove(INFERENCE_CLUSTER, HOME, name)

    def ask(self, **spec: Any) -> None:
        """The user applies the service; of one that exists only `spec` changes."""
        live = self.hub.read(INFERENCE_SERVICE, CHAT, "llama")
        raw = live if live is not None else service("llama", placement=ALL)
        raw["spec"] = {**raw["spec"], **clone(spec)}
        self.hub.put(INFERENCE_SERVICE, raw)

    def delete(self) -> None:
        """As the API server does: with a finalizer it is only marked."""
        raw = self.hub.read(INFERENCE_SERVICE, CHAT, "llama")
        assert raw is not None
        if raw["metadata"].get("finalizers"):
            raw["metadata"]["deletionTimestamp"] = at().strftime("%Y-%m-%dT%H:%M:%SZ")
            self.hub.put(INFERENCE_SERVICE, raw)
        else:
            self.hub.remove(INFERENCE_SERVICE, CHAT, "llama")

    # What to look at

    @property
    def status(self) -> dict[str, Any]:
        return (self.hub.read(INFERENCE_SERVICE, CHAT, "llama") or {}).get("status") or {}

    @property
    def record(self) -> dict[str, tuple[str, int]]:
        """State and replicas by cluster."""
        clusters = (self.status.get("placement") or {}).get("clusters", ())
        return {each["cluster"]: (each["state"], each.get("replicas", 0)) for each in clusters}

    @property
    def why_not(self) -> dict[str, str]:
        return {each["cluster"]: each["reason"] for each in self.status["placement"].get("notChosen", ())}

    @property
    def shares(self) -> dict[str, int]:
        """Replicas that run, by cluster."""
        return {name: len(each.all(POD)) for name, each in self.members.items() if each.all(POD)}

    def condition(self, kind: str = "Ready") -> tuple[str, str]:
        found = next((each for each in self.status.get("conditions", ()) if each["type"] == kind), None)
        return (found["status"], found["reason"]) if found else ("", "")


def _kubeconfig(name: str) -> Object:
    told = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": f"https://{name}"}}],
        "users": [{"name": "it", "user": {"token": "one"}}],
    }
    return {"metadata": {"name": name}, "data": {"kubeconfig": b64encode(yaml.safe_dump(told).encode()).decode()}}
