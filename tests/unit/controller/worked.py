"""A member in virtual time that the hub does not reach: OCM's agent in it fetches works from the hub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from inferops.catalogue import accelerators
from inferops.controller.membercapacity import Capacity
from inferops.core.summary import Summary, summarize
from inferops.kube.kinds import (
    INFERENCE_CLUSTER,
    INFERENCE_SERVICE,
    MANAGED_CLUSTER,
    MANIFEST_WORK,
    NAMESPACE,
    NODE,
    POD,
    Kind,
)
from inferops.kube.owned import Object
from unit.controller.fields import clone
from unit.controller.placed import Hub, Member, at
from unit.controller.workagent import FINALIZER, answer, manifest_of, strategy_of
from unit.kube.virtualtime import now

KINDS = {"InferenceService": INFERENCE_SERVICE, "InferenceCluster": INFERENCE_CLUSTER}
POLL = 15.0  # seconds between two looks of the agent where nothing has changed in the hub: 10 to 19
AGAIN = 240.0  # seconds after which it applies the same anew
LEASE = 300.0  # seconds of an agent's silence after which OCM's hub tells of it


@dataclass
class OcmHub(Hub):
    """The hub of inferops, and of OCM."""

    async def pages(self, kind: Kind, selector: str = "", **more: Any) -> AsyncIterator[tuple[list[Object], int]]:
        namespace = more.get("namespace", "")
        async for items, version in super().pages(kind, selector, **more):
            yield [each for each in items if not namespace or each["metadata"].get("namespace") == namespace], version

    async def follow(
        self, kind: Kind, selector: str, version: int, timeout: float, *, namespace: str = ""
    ) -> AsyncIterator[tuple[str, Object]]:
        label, _, value = selector.partition("=")
        end, seen = now() + timeout, 0
        while now() < end:
            news, seen = self.changes[seen:], len(self.changes)
            for event, of, raw in news:
                meta = raw["metadata"]
                ours = not label or (meta.get("labels") or {}).get(label) == value
                here = not namespace or meta.get("namespace") == namespace
                if of is kind and ours and here and int(meta["resourceVersion"]) > version:
                    version = int(meta["resourceVersion"])
                    yield event, clone(raw)
            await asyncio.sleep(0.5)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """What has a finalizer is only marked."""
        raw = self.read(kind, namespace, name)
        if raw is None or not raw["metadata"].get("finalizers") or raw["metadata"]["uid"] != uid:
            await super().delete(kind, namespace, name, uid)
            return
        self.requests.append(("delete", kind.kind, name))
        if not raw["metadata"].get("deletionTimestamp"):
            raw["metadata"]["deletionTimestamp"] = self.now()
            self.put(kind, raw)
        await self.killer.wrote()

    def manage(self, name: str, available: str = "True", message: str = "", *, accepted: bool = True) -> None:
        """As OCM tells of a cluster."""
        condition = {"type": "ManagedClusterConditionAvailable", "status": available, "message": message}
        raw = {
            "metadata": {"name": name},
            "spec": {"hubAcceptsClient": accepted},
            "status": {"conditions": [condition]},
        }
        self.put(MANAGED_CLUSTER, raw)

    def works(self, cluster: str) -> dict[str, Object]:
        """Those of a cluster by the kinds of what they bring, and its name."""
        found = [each for each in self.all(MANIFEST_WORK) if each["metadata"]["namespace"] == cluster]
        return {f"{manifest_of(each)['kind']}/{manifest_of(each)['metadata']['name']}": each for each in found}


@dataclass
class Agent:
    """OCM's agent in `member`, and the member's own inferops as far as it tells of its capacity."""

    hub: OcmHub
    name: str
    member: Member
    down: bool = False
    refuses: str = ""  # what the member's API server says of InferenceServices instead of taking them
    forbids: str = ""  # what it says instead of showing them
    lacks: str = ""  # why it knows no such kinds at all
    seen: dict[str, int] = field(default_factory=dict)  # versions of works that it has dealt with
    applied: dict[str, tuple[int, float]] = field(default_factory=dict)  # generation, and when
    owned: set[tuple[str, str, str]] = field(default_factory=set)
    looked: float = 0.0
    silent: float | None = None
    counted: int = -1  # the member's version that was told of

    async def run(self) -> None:
        self.hub.manage(self.name)
        while True:
            self.tick()
            await asyncio.sleep(1.0)

    def tick(self) -> None:
        self._count()
        if self.down:
            self.silent = now() if self.silent is None else self.silent
            if now() - self.silent >= LEASE:
                self.hub.manage(self.name, "Unknown", "Registration agent stopped updating its lease.")
            return
        if self.silent is not None:
            self.silent = None
            self.hub.manage(self.name)
        due = now() - self.looked >= POLL
        self.looked = now() if due else self.looked
        for work in [each for each in self.hub.all(MANIFEST_WORK) if each["metadata"]["namespace"] == self.name]:
            if due or self.seen.get(work["metadata"]["uid"]) != int(work["metadata"]["resourceVersion"]):
                self._sync(clone(work))

    def _sync(self, work: Object) -> None:
        meta, manifest = work["metadata"], manifest_of(work)
        kind = KINDS[manifest["kind"]]
        where = kind.kind, manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        if meta.get("deletionTimestamp"):
            if where in self.owned and where in self.member.objects:
                self.member.remove(kind, where[1], where[2])
            self.owned.discard(where)
            self.hub.remove(MANIFEST_WORK, meta["namespace"], meta["name"])
            return
        if FINALIZER not in meta.get("finalizers", ()):
            meta["finalizers"] = [FINALIZER]
            self.hub.put(MANIFEST_WORK, work, "agent")
            return
        error = self.lacks
        if strategy_of(work) == "ServerSideApply" and not error:
            error = self._apply(kind, work, where)
        blind = self.forbids if kind is INFERENCE_SERVICE else ""
        live = None if self.lacks or blind else self.member.read(kind, where[1], where[2])
        status = answer(work, live, error, at().strftime("%Y-%m-%dT%H:%M:%SZ"), blind)
        if _timeless(status) != _timeless(work.get("status") or {}):
            self.hub.put(MANIFEST_WORK, {**work, "status": status}, "agent")
        self.seen[meta["uid"]] = int(
            self.hub.objects[MANIFEST_WORK.kind, meta["namespace"], meta["name"]]["metadata"]["resourceVersion"]
        )

    def _apply(self, kind: Kind, work: Object, where: tuple[str, str, str]) -> str:
        generation, at_ = self.applied.get(work["metadata"]["uid"], (0, 0.0))
        manifest = manifest_of(work)
        if kind is INFERENCE_SERVICE and self.refuses:
            return self.refuses
        if generation != work["metadata"]["generation"] or now() - at_ >= AGAIN:
            self.applied[work["metadata"]["uid"]] = work["metadata"]["generation"], now()
            live = self.member.read(kind, where[1], where[2]) or {}
            meta = live.get("metadata") or {}
            marks = {**(meta.get("annotations") or {}), **(manifest["metadata"].get("annotations") or {})}
            labels = {**(meta.get("labels") or {}), **(manifest["metadata"].get("labels") or {})}
            merged = {**meta, **manifest["metadata"], "annotations": marks, "labels": labels}
            self.member.put(kind, {**live, "spec": clone(manifest["spec"]), "metadata": merged}, "agent")
            self.owned.add(where)
        return ""

    def _count(self) -> None:
        """The member's own inferops tells what it has, where it is asked."""
        if self.counted == self.member.version:
            return
        for raw in self.member.all(INFERENCE_CLUSTER):
            capacity = Capacity()
            for kind in (NODE, POD):
                for each in self.member.all(kind):
                    capacity.copies[kind].put(each)
            told = Summary(
                capacity.free(accelerators(), ()), capacity.nodes, capacity.scheduled(), capacity.waiting(), {}
            )
            uid = self.member.objects[NAMESPACE.kind, "", "kube-system"]["metadata"]["uid"]
            ready = {"type": "Ready", "status": "True", "reason": "Ready", "message": ""}
            status = {"clusterUID": uid, "summary": summarize(told), "conditions": [ready]}
            if raw.get("status") != status:
                self.member.put(INFERENCE_CLUSTER, {**raw, "status": status}, "operator")
        self.counted = self.member.version


def _timeless(status: Any) -> Any:
    """All but times: when a condition changed is no change."""
    if isinstance(status, dict):
        return {key: _timeless(value) for key, value in status.items() if key != "lastTransitionTime"}
    return [_timeless(each) for each in status] if isinstance(status, list) else status
