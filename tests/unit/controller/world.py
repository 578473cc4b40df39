"""A cluster with the operator in it: the fake API server, pods that start, and reconciles until nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from inferops.catalogue import accelerators, runtimes
from inferops.controller.apply import Applier, Refused
from inferops.controller.autoscaling import Autoscaling, Loads
from inferops.controller.events import Recorder
from inferops.controller.reconcile import Reconciler
from inferops.controller.store import WATCHED, Key, Store
from inferops.controller.watch import CHILD_SELECTOR, selector
from inferops.core.observation import Demand
from inferops.kube.client import Fenced, KubeError
from inferops.kube.kinds import (
    BUDGET,
    DEPLOYMENT,
    EVENT,
    INFERENCE_SERVICE,
    LEADER_WORKER_SET,
    NODE,
    POD,
    RECORD,
    SERVICE,
    Kind,
)
from inferops.kube.owned import Object
from unit.controller.building import NAMESPACE, node, service
from unit.controller.fakekube import Fake
from unit.controller.fields import clone

LLAMA = Key("InferenceService", NAMESPACE, "llama")
OURS = (RECORD, DEPLOYMENT, SERVICE, BUDGET)
READY = {"conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}]}
NOT_READY = {"conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]}


@dataclass
class Told:
    """What the built-in gateways tell: nothing, unless a test has some."""

    addresses: tuple[str, ...] = ()
    demand: Demand | None = None

    def of(self, key: Key) -> Demand | None:
        return self.demand


class World:
    """The operator and its cluster. Its clock goes on by a second whenever it is asked."""

    def __init__(self, fake: Fake | None = None) -> None:
        self.fake = fake or Fake()
        self.fake.now = lambda: self.time.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.time = datetime(2025, 11, 3, 12, 0, tzinfo=UTC)
        self.pod_status: Callable[[Object], dict[str, Any]] = lambda pod: READY
        self.errors: list[Exception] = []
        self.told = Told()
        self.loads: Loads | None = None  # nobody counts, unless a test has somebody
        if fake is None:
            self.fake.put(NODE, node())
        self.restart()

    def now(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time

    def restart(self) -> None:
        """The operator begins anew: with what it lists, and without anything that it remembered."""
        self.fake.crash_after = None
        self.store = Store(accelerators(), runtimes())
        self.pending: dict[Key, None] = {}
        for kind in self.fake.offered:
            self.store.offer(kind, True)
        for kind in (*WATCHED, *self.fake.offered):
            for raw in self.fake.all(kind, selector(kind)):
                self.store.put(kind, raw)
        self.pending.update(dict.fromkeys(self.store.all_keys()))
        self.delivered = len(self.fake.changes)
        self.applier = Applier(self.fake, self.store, self._changed, {})
        self.recorder = Recorder(self.fake, self.now)
        self.later: dict[Key, float] = {}
        self.autoscaling = Autoscaling(self.loads, self.store) if self.loads is not None else None
        self.reconciler = Reconciler(
            self.store,
            self.applier,
            self.recorder,
            self.now,
            told=self.told,
            later=self.later.__setitem__,
            autoscaling=self.autoscaling,
        )

    def _changed(self, key: Key) -> None:
        self.pending[key] = None

    def ask(self, name: str = "llama", **spec: Any) -> None:
        """The user applies a service; of one that exists only `spec` changes."""
        live = self.fake.read(INFERENCE_SERVICE, NAMESPACE, name)
        raw = live if live is not None else service(name)
        raw["spec"] = {**raw["spec"], **clone(spec)}
        self.fake.put(INFERENCE_SERVICE, raw)

    def deliver(self) -> None:
        """What has happened reaches the watches: after the answers to the operator's own writes, so they bring no news
        of those."""
        for event, kind, raw in self.fake.changes[self.delivered :]:
            if kind is EVENT:
                continue
            meta = raw["metadata"]
            if event == "DELETED" or not _ours(kind, raw):
                keys = self.store.remove(kind, meta.get("namespace", ""), meta["name"], int(meta["resourceVersion"]))
            else:
                keys = self.store.put(kind, raw)
            self.pending.update(dict.fromkeys(keys))
        self.delivered = len(self.fake.changes)

    async def reconcile(self, key: Key = LLAMA) -> bool:
        self.pending.pop(key, None)
        return await self.reconciler.reconcile(key)

    async def settle(self, rounds: int = 40) -> None:
        """Until nothing changes any more. What fails is tried again with the next call, and kept in `errors`."""
        self.errors = []
        again: dict[Key, None] = {}
        for _ in range(rounds):
            before = len(self.fake.changes)
            self.deliver()
            self.run_pods()
            self.deliver()
            for key in list(self.pending):
                try:
                    await self.reconcile(key)
                except (Refused, KubeError, Fenced) as error:
                    self.errors.append(error)
                    self.pending.pop(key, None)
                    again[key] = None
            if not self.pending and len(self.fake.changes) == before:
                self.pending.update(again)
                return
        raise AssertionError(f"still changing after {rounds} rounds: {self.fake.requests[-12:]}")

    def run_pods(self) -> None:
        """The controllers of Deployments and LeaderWorkerSets, and the kubelet, each once."""
        wanted: dict[str, Object] = {}
        for deployment in self.fake.all(DEPLOYMENT, CHILD_SELECTOR):
            for number in range(deployment["spec"]["replicas"]):
                name = f"{deployment['metadata']['name']}-{number}"
                wanted[name] = _pod(name, deployment, deployment["spec"]["template"])
        for lws in self.fake.all(LEADER_WORKER_SET, CHILD_SELECTOR):
            group = lws["spec"]["leaderWorkerTemplate"]
            for number in range(lws["spec"]["replicas"]):
                leader = f"{lws['metadata']['name']}-{number}"
                wanted[leader] = _pod(leader, lws, group["leaderTemplate"])
                for worker in range(1, group["size"]):
                    wanted[f"{leader}-{worker}"] = _pod(f"{leader}-{worker}", lws, group["workerTemplate"])
        there = {pod["metadata"]["name"]: pod for pod in self.fake.all(POD)}
        for name in sorted(there.keys() - wanted.keys()):
            self.fake.remove(POD, NAMESPACE, name)
        for name, fresh in wanted.items():
            raw = there.get(name) or fresh
            status = self.pod_status(raw)
            if raw.get("status") != status:
                self.fake.put(POD, {**raw, "status": status}, "kubelet")

    # What to look at

    def status(self, name: str = "llama") -> dict[str, Any]:
        return (self.fake.read(INFERENCE_SERVICE, NAMESPACE, name) or {}).get("status") or {}

    def conditions(self, name: str = "llama") -> dict[str, tuple[str, str]]:
        return {each["type"]: (each["status"], each["reason"]) for each in self.status(name).get("conditions", ())}

    def message(self, kind: str = "Ready", name: str = "llama") -> str:
        return str(next(each["message"] for each in self.status(name)["conditions"] if each["type"] == kind))

    def children(self, kind: Kind, service: str = "llama") -> dict[str, Object]:
        selector = f"inferops.dev/service={service}"
        return {raw["metadata"]["name"]: raw for raw in self.fake.all(kind, selector)}

    def events(self) -> list[tuple[str, int]]:
        """Reason and count of all Events."""
        return [(raw["reason"], raw["count"]) for raw in self.fake.all(EVENT)]

    def end(self) -> dict[tuple[str, str], Object]:
        """All there is, without what differs from one time to the next: versions, uids, times, and who told what."""
        found = {}
        for (kind, _, name), raw in self.fake.objects.items():
            if kind == EVENT.kind:
                continue
            rest = clone(raw)
            for fleeting in ("uid", "resourceVersion", "generation", "managedFields", "creationTimestamp"):
                rest["metadata"].pop(fleeting, None)
            for owner in rest["metadata"].get("ownerReferences", ()):
                owner.pop("uid")
            status = rest.get("status") or {}
            for told in (status, *status.get("conditions", ())):
                told.pop("lastTransitionTime", None)
                if "observedGeneration" in told:
                    told["observedGeneration"] = told["observedGeneration"] == raw["metadata"]["generation"]
            status.pop("rollout", None)  # when it was, and what was tried before
            if kind == RECORD.kind:
                rest.pop("revision")
                for each in rest["data"]["objects"].values():
                    each["metadata"].pop("ownerReferences", None)
            found[kind, name] = rest
        return found


def _ours(kind: Kind, raw: Object) -> bool:
    label, _, value = selector(kind).partition("=")
    return not label or (raw["metadata"].get("labels") or {}).get(label) == value


def _pod(name: str, of: Object, template: Object) -> Object:
    owner = {"apiVersion": of["apiVersion"], "kind": of["kind"], "uid": of["metadata"]["uid"], "controller": True}
    meta = {"name": name, "namespace": NAMESPACE, "labels": template["metadata"]["labels"], "ownerReferences": [owner]}
    return {"metadata": meta, "spec": {"nodeName": "node-1"}}


async def settled(**spec: Any) -> World:
    """A world in which `llama` is served."""
    world = World()
    world.ask(**spec)
    await world.settle()
    return world
