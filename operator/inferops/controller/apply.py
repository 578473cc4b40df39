"""A Decision -> the cluster: the objects that differ are server-side applied, in an order that may end anywhere.

The order: the record of a new revision with its Service and budget; the traffic, which moves only to what is ready;
the pods; the route of the Gateway API, on which nothing inside the cluster waits; then the status; then what is left
behind goes. Each step is harmless when repeated, and the next reconcile decides again from what there is, so the
operator can be killed between any two writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from inferops.api import API_VERSION
from inferops.api.conditions import ConditionType, Reason
from inferops.api.inferencecluster import InferenceClusterStatus
from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.controller.gateways import lists_pods
from inferops.controller.observe import record_of
from inferops.controller.store import PARENTS, WORKLOADS, Key, Store
from inferops.core import devices, scheduling
from inferops.core.decide import Decision, RevisionPlan
from inferops.core.engine import Obstacle
from inferops.core.observation import Observation
from inferops.core.revision import revision_name
from inferops.kube.client import Kube, KubeError
from inferops.kube.kinds import (
    BUDGET,
    BY_KIND,
    CLAIM_TEMPLATE,
    ENDPOINT_SLICE,
    HTTP_ROUTE,
    INFERENCE_POOL,
    RECORD,
    SERVICE,
    SERVICE_EXPORT,
    Kind,
)
from inferops.kube.owned import Accepted, Object, accept, stands
from inferops.render.gatewayslice import render_gateway_slice, slice_name
from inferops.render.httproute import render_httproute
from inferops.render.inferencepool import http_port, render_inferencepool
from inferops.render.record import CLAIMS, Record, render_record
from inferops.render.revision import render_revision, with_replicas
from inferops.render.serviceexport import render_export
from inferops.render.stable import render_stable
from inferops.runtimes import ENGINES
from inferops.runtimes.base import Api

Status = InferenceServiceStatus | InferenceClusterStatus
PARENT_KINDS = {kind.kind: kind for kind in PARENTS}


class Refused(Exception):
    """The API server refuses an object for good; people must act."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle.message)
        self.obstacle = obstacle


class Unroutable(Refused):
    """It refuses the HTTPRoute, or an InferencePool."""

    def noted(self, seen: Observation) -> Observation:
        """`seen`, in which this is known: by what is decided then it is not asked for again."""
        return replace(seen, unroutable=self.obstacle)


class Unexportable(Unroutable):
    """It refuses the ServiceExport."""

    def noted(self, seen: Observation) -> Observation:
        return replace(seen, unexportable=self.obstacle)


@dataclass(slots=True)
class Applier:
    """Writes to one cluster what differs there."""

    kube: Kube
    store: Store
    changed: Callable[[Key], None]  # told of what our own writes changed: their events will bring no news
    accepted: Accepted
    wrote: Callable[[Status, Status], None] = lambda before, after: None  # told of each status that was written

    async def apply(self, key: Key, seen: Observation, decision: Decision) -> bool:
        """Make it so. Raises Refused, KubeError or kube.client.Fenced; then the same call may be repeated.

        A new revision gets its pods with the next run, which its record brings about and which comes after
        everybody's first: with a thousand services at once, the pods of the first would keep the API server from the
        names and addresses of the others. For the same reason the status comes a run after new pods. Returns whether
        the status stands as decided; else the next run decides it.
        """
        # What is known comes first: a newcomer may be refused, and what runs is kept and scaled all the same.
        known = [plan for plan in decision.revisions if plan.new is None]
        records = {plan.hash: await self._prepare(key, seen, plan) for plan in known}
        await self._route(key, seen, decision, records)
        uid = seen.service.metadata.uid
        created = False
        for plan in known:
            record = records[plan.hash]
            if record is not None:
                created |= await self.ensure(key, uid, with_replicas(record.workload, plan.replicas))
        new = [plan for plan in decision.revisions if plan.new is not None]
        if new:
            records = {plan.hash: await self._prepare(key, seen, plan) for plan in new}
            await self._route(key, seen, decision, records)
        if new or created:
            return False
        try:
            written = await self._route_by_gateway(key, seen, decision, records)
        except Refused as refused:
            raise Unroutable(refused.obstacle) from refused
        await self._export(key, seen, decision)
        if written and _says_routed(decision.status):
            self.changed(key)  # the status tells of the route as it was
            return False
        await self.write_status(key, uid, seen.service.status, decision.status)
        for hash_ in decision.removed:
            await self.remove_revision(key, uid, hash_)
        return True

    async def write_status(self, key: Key, uid: str, before: Status, after: Status) -> None:
        """Write the status where it differs. The uid keeps it off a namesake that was created meanwhile."""
        if before == after:
            return
        desired = {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid},
            "status": after.dump(),
        }
        kind = PARENT_KINDS[key.kind]
        self._take_in(kind, await self.kube.apply(kind, desired, subresource="status", force=True))
        self.wrote(before, after)

    async def _route(
        self, key: Key, seen: Observation, decision: Decision, records: Mapping[str, Record | None]
    ) -> None:
        """Point the service's own Service to the revision that gets the traffic, where it is among `records`: to its
        pods, or to the gateways, which are listed behind it before its pods are not any more."""
        to, uid, gateways = decision.route_to, seen.service.metadata.uid, decision.gateways
        record = records.get(to)
        if seen.service.status.placement.clusters and not any(each.ready for each in seen.revisions):
            return  # it comes home from its clusters: until it serves, the name leads to what it has there
        if record is not None and gateways:
            await self.ensure(key, uid, render_gateway_slice(seen.service, gateways))
        if record is not None:
            await self.ensure(
                key, uid, render_stable(seen.service, to, record, gateway=bool(gateways) or decision.closed)
            )

    async def leave_gateways(self, key: Key, seen: Observation, decision: Decision) -> bool:
        """List no gateway any more behind a Service that leads to pods. Returns False where that has to wait until
        Kubernetes lists those that are ready, since requests would find nobody meanwhile."""
        name = slice_name(key.name)
        if decision.gateways or name not in self.store.children(key, ENDPOINT_SLICE):
            return True
        ready = any(revision.ready for revision in seen.revisions if revision.hash == decision.route_to)
        if ready and not decision.closed and not await lists_pods(self.kube, key.namespace, key.name):
            return False
        if not ready and seen.gateways and any(plan.replicas for plan in decision.revisions):
            return True  # until one is, they hold the requests
        await self.remove(key, seen.service.metadata.uid, ENDPOINT_SLICE, name)
        return True

    async def _route_by_gateway(
        self, key: Key, seen: Observation, decision: Decision, records: Mapping[str, Record | None]
    ) -> bool:
        """Bring the HTTPRoute, and the InferencePools that it may name, to what is decided. Returns whether the
        route was written."""
        if seen.unroutable is not None:
            return False
        uid, route, picker = seen.service.metadata.uid, decision.route, seen.service.spec.traffic.endpoint_picker
        known = {hash_: record for hash_, record in records.items() if record is not None}
        if decision.pooled and picker is not None:
            for hash_, record in known.items():
                await self.ensure(key, uid, render_inferencepool(seen.service, hash_, record, picker))
        written = False
        api = self._api(known.get(decision.route_to))
        if route is not None and api is not None and route.weights.keys() <= known.keys():
            ports = {hash_: http_port(record) for hash_, record in known.items()}
            desired = render_httproute(seen.service, route, ports, api)
            before = self.store.children(key, HTTP_ROUTE).get(key.name)
            await self.ensure(key, uid, desired)
            written = before != self.store.children(key, HTTP_ROUTE).get(key.name)
        if decision.unrouted:
            await self.remove(key, uid, HTTP_ROUTE, key.name)
        if decision.unpooled:
            for name in self.store.children(key, INFERENCE_POOL):
                await self.remove(key, uid, INFERENCE_POOL, name)
        return written

    async def _export(self, key: Key, seen: Observation, decision: Decision) -> None:
        """Have the service's own Service exported to other clusters, or not."""
        uid = seen.service.metadata.uid
        if not decision.export:
            await self.remove(key, uid, SERVICE_EXPORT, key.name)
        elif key.name in self.store.children(key, SERVICE) and seen.unexportable is None:
            try:
                await self.ensure(key, uid, render_export(seen.service))
            except Refused as refused:
                raise Unexportable(refused.obstacle) from refused

    def _api(self, record: Record | None) -> Api | None:
        """What of its engine is open to requests. None while its runtime is unknown: its route stays as it is."""
        runtime = self.store.runtimes().get(record.spec.runtime.name) if record is not None else None
        engine = ENGINES.get(runtime.engine) if runtime is not None else None
        return engine.api if engine is not None else None

    async def _prepare(self, key: Key, seen: Observation, plan: RevisionPlan) -> Record | None:
        """Bring the revision's objects to what its record says, but for its pods. Returns the record."""
        record = await self._record(key, seen, plan)
        if record is None:
            return None  # its record is lost and the spec asks for another: what is left serves on until replaced
        for name in ("service", "pdb", CLAIMS):
            if name in record.objects:
                await self.ensure(key, seen.service.metadata.uid, record.objects[name])
        return record

    async def _record(self, key: Key, seen: Observation, plan: RevisionPlan) -> Record | None:
        uid, name = seen.service.metadata.uid, revision_name(key.name, plan.hash)
        child = self.store.children(key, RECORD).get(name)
        if plan.new is None:
            known = record_of(child, key, plan.hash) if child is not None else None
            return known[0] if known is not None else None
        if seen.runtime is None:
            return None
        if child is not None and child.owner == uid and record_of(child, key, plan.hash) is None:
            raise Refused(_unreadable(name))
        accelerator = seen.accelerators[plan.new.accelerator.type]
        engine = ENGINES[seen.runtime.engine]
        zoned, claimed = scheduling.zoned(accelerator, seen.nodes), devices.claimed(accelerator, seen.nodes)
        record = render_revision(seen.service, plan.new, seen.runtime, accelerator, engine, zoned, claimed)
        await self.ensure(key, uid, render_record(seen.service, plan.hash, plan.order, record))
        return record

    async def ensure(self, key: Key, uid: str, desired: Object) -> bool:
        """Apply `desired` unless what is ours of the live object is just that. Returns whether it was not there."""
        kind = BY_KIND[desired["kind"]]
        name = desired["metadata"]["name"]
        live = self.store.children(key, kind).get(name)
        ours = live is not None and live.owner == uid
        if live is not None and ours and (live.deleting or stands(self.accepted, live.uid, live.digest, desired)):
            return False
        # An apply is a conflict only where others set a field otherwise: not with what we applied for another service,
        # nor with a Service without a selector, to which it would add one, nor with a route that says the same. A name
        # with a hash nobody else has chosen.
        doubtful = live.owner not in ("", uid) if live is not None else name == key.name
        if doubtful and (taken := await self._taken(kind, desired, uid)) is not None:
            raise Refused(taken)
        answer = await self._write(kind, desired, uid, force=ours)
        self._take_in(kind, answer)
        self._remember(key, kind, name, desired)
        return live is None

    def _take_in(self, kind: Kind, answer: Object) -> None:
        for key in self.store.put(kind, answer):
            self.changed(key)

    def _remember(self, key: Key, kind: Kind, name: str, desired: Object) -> None:
        live = self.store.children(key, kind).get(name)
        if live is not None:
            accept(self.accepted, live.uid, live.digest, desired)

    async def _write(self, kind: Kind, desired: Object, uid: str, *, force: bool) -> Object:
        try:
            return await self.kube.apply(kind, desired, force=force)
        except KubeError as error:
            if error.status != 409 and not error.final:
                raise
            taken = await self._taken(kind, desired, uid)
            if taken is not None:
                raise Refused(taken) from error
            if error.status == 409 and not force:  # ours, and edited by somebody before the cache saw it
                return await self.kube.apply(kind, desired, force=True)
            if error.status == 409:
                raise
            name = f"{kind.kind} {desired['metadata']['name']}"
            reason = Reason.REJECTED_BY_API_SERVER
            raise Refused(Obstacle(reason, f"the API server refuses {name}: {error.message}")) from error

    async def _taken(self, kind: Kind, desired: Object, uid: str) -> Obstacle | None:
        """Whether the name belongs to somebody else's object, which is never touched."""
        meta: dict[str, Any] = desired["metadata"]
        live = await self.kube.get(kind, meta["namespace"], meta["name"])
        owners = [reference.get("uid") for reference in (live or {}).get("metadata", {}).get("ownerReferences") or ()]
        if live is None or uid in owners:
            return None
        return Obstacle(
            Reason.NAME_CONFLICT,
            f"metadata.name: {kind.kind} {meta['name']} exists and is not of this service; it is left alone. "
            "Delete it, or give the InferenceService another name",
        )

    async def resize(self, key: Key, uid: str, hash_: str, replicas: int) -> None:
        """Have so many replicas of a revision whose record is there."""
        child = self.store.children(key, RECORD).get(revision_name(key.name, hash_))
        known = record_of(child, key, hash_) if child is not None and child.owner == uid else None
        if known is not None:
            await self.ensure(key, uid, with_replicas(known[0].workload, replicas))

    async def remove_revision(self, key: Key, uid: str, hash_: str) -> None:
        """Remove a revision; its record goes last, so that an interrupted removal is taken up again."""
        name = revision_name(key.name, hash_)
        for kind in (SERVICE, BUDGET, *WORKLOADS, CLAIM_TEMPLATE, INFERENCE_POOL, RECORD):
            await self.remove(key, uid, kind, name)

    async def remove(self, key: Key, uid: str, kind: Kind, name: str) -> None:
        """Remove one object, where it is there and the service's."""
        child = self.store.children(key, kind).get(name)
        if child is not None and child.owner == uid and not child.deleting:
            await self.kube.delete(kind, key.namespace, name, child.uid)


def _says_routed(status: InferenceServiceStatus) -> bool:
    return any(each.type == ConditionType.ROUTED and each.status == "True" for each in status.conditions)


def _unreadable(name: str) -> Obstacle:
    return Obstacle(
        Reason.NAME_CONFLICT,
        f"metadata.name: ControllerRevision {name} cannot be read: a newer operator or a webhook made it so. "
        "Upgrade the operator, or delete it, and it is made anew",
    )
