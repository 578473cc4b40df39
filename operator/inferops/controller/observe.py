"""The store -> an Observation of one InferenceService."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import ValidationError

from inferops.api.base import Toleration
from inferops.api.conditions import Reason
from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.api.problems import problems
from inferops.api.resources import InferenceService
from inferops.api.traffic import GatewayRef
from inferops.controller.autoscaling import Autoscaling
from inferops.controller.autoscaling import Told as Load
from inferops.controller.parents import FINALIZER
from inferops.controller.routes import with_pools
from inferops.controller.sizer import Sized, Sizer
from inferops.controller.store import WORKLOADS, Child, Key, Store
from inferops.core.engine import Obstacle
from inferops.core.observation import (
    Demand,
    ExportView,
    GateView,
    Observation,
    PodView,
    RevisionView,
    RouteView,
    WorkloadView,
)
from inferops.core.revision import revision_name
from inferops.core.signal import Window
from inferops.kube.kinds import (
    BUDGET,
    CLAIM_TEMPLATE,
    ENDPOINT_SLICE,
    HTTP_ROUTE,
    INFERENCE_POOL,
    RECORD,
    SERVICE,
    SERVICE_EXPORT,
)
from inferops.render.gatewayslice import slice_name
from inferops.render.record import Record, read_record, tolerations_of
from inferops.runtimes import ENGINES


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An InferenceService whose spec this version cannot read, though the API server accepted it."""

    namespace: str
    name: str
    uid: str
    generation: int
    status: InferenceServiceStatus
    obstacle: Obstacle


def content(store: Store, key: Key) -> dict[str, Any] | None:
    """The resource as the API server has it, or None where it is gone or going."""
    parent = store.parent(key)
    if parent is None:
        return None
    raw: dict[str, Any] = json.loads(zlib.decompress(parent.content))
    return None if raw["metadata"].get("deletionTimestamp") else raw


@dataclass(frozen=True, slots=True)
class Leaving:
    """An InferenceService that is to leave all member clusters."""

    uid: str
    generation: int
    status: InferenceServiceStatus
    orphan: bool = False  # whether what runs in members stays there
    deleted: bool = True  # whether it was deleted; else it is only to run elsewhere


def leaving(store: Store, key: Key) -> Leaving | None:
    """A service that is deleted and kept until members are rid of it. None: it is not."""
    parent = store.parent(key)
    if parent is None:
        return None
    raw: dict[str, Any] = json.loads(zlib.decompress(parent.content))
    meta = raw["metadata"]
    if not meta.get("deletionTimestamp") or FINALIZER not in meta.get("finalizers", ()):
        return None
    service = _read(key, raw)
    orphan = isinstance(service, InferenceService) and service.spec.placement.deletion_policy == "Orphan"
    return Leaving(str(meta.get("uid", "")), int(meta.get("generation") or 0), service.status, orphan)


class Told(Protocol):
    """What the built-in gateways tell, as `demand.Demands` puts it together."""

    @property
    def addresses(self) -> tuple[str, ...]: ...

    def of(self, key: Key) -> Demand | None: ...


class Rollouts(Protocol):
    """What was counted for a rollout, and what its gates say, as `rollouts.Rollouts` puts it together."""

    def window(
        self, key: Key, service: InferenceService, revisions: Sequence[RevisionView]
    ) -> tuple[Window | None, str]: ...

    def gates(self, key: Key) -> Mapping[str, GateView]: ...


def observe(
    key: Key,
    store: Store,
    now: datetime,
    sizer: Sizer | None = None,
    gateway: GatewayRef | None = None,
    told: Told | None = None,
    rollouts: Rollouts | None = None,
    autoscaling: Autoscaling | None = None,
) -> Observation | Unreadable | None:
    """What a decision about `key` may depend on, where `gateway` is for services that name none.

    None where the service is gone or being deleted.
    """
    raw = content(store, key)
    if raw is None:
        return None
    service = _read(key, raw)
    if isinstance(service, Unreadable):
        return service
    runtimes = store.runtimes()
    runtime = runtimes.get(service.spec.runtime.name)
    engine = ENGINES.get(runtime.engine) if runtime is not None else None
    accelerators = store.accelerators()
    sized = sizer.size(key, service.spec, engine, runtime, accelerators) if sizer is not None else Sized()
    stable = store.children(key, SERVICE).get(key.name)
    revisions = _revisions(store, key, service.metadata.uid)
    window, uncounted = rollouts.window(key, service, revisions) if rollouts is not None else (None, "")
    counted = autoscaling.told(key, service, revisions, now.timestamp()) if autoscaling is not None else Load()
    return Observation(
        service=service,
        now=now,
        runtime=runtime,
        runtime_names=tuple(sorted(runtimes)),
        engine=engine,
        accelerators=accelerators,
        nodes=store.nodes(),
        kinds=store.offered(),
        revisions=revisions,
        sizing=sized.sizing,
        sizable=sized.sizable,
        looking=sized.looking,
        unsized=sized.why,
        routed_to=str(stable.view) if stable is not None and stable.owner == service.metadata.uid else "",
        route=_route(store, key, service.metadata.uid),
        export=_export(store, key, service.metadata.uid),
        default_gateway=gateway,
        gateways=told.addresses if told is not None else (),
        demand=told.of(key) if told is not None else None,
        load=counted.load,
        unloaded=counted.why,
        looked=counted.looked,
        held_since=_held_since(store, key, service.metadata.uid),
        window=window,
        uncounted=uncounted,
        gates=rollouts.gates(key) if rollouts is not None else {},
    )


def _read(key: Key, raw: dict[str, Any]) -> InferenceService | Unreadable:
    meta, status = raw["metadata"], _status(raw)
    try:
        return InferenceService.model_validate({**raw, "status": {}}).model_copy(update={"status": status})
    except ValidationError as error:
        obstacle = unreadable(error)
        generation = int(meta.get("generation") or 0)
        return Unreadable(key.namespace, key.name, str(meta.get("uid", "")), generation, status, obstacle)


def unreadable(error: ValidationError) -> Obstacle:
    """Why a resource of a user cannot be read: each field, and what is wrong with it."""
    return Obstacle(Reason.INVALID_SPEC, "; ".join(problems(error)))


def _held_since(store: Store, key: Key, uid: str) -> datetime | None:
    """The slice with the gateways' addresses is there for as long as the Service leads to them."""
    found = store.children(key, ENDPOINT_SLICE).get(slice_name(key.name))
    if found is None or found.owner != uid or found.deleting:
        return None
    try:
        return datetime.fromisoformat(str(found.view))
    except ValueError:
        return None


def _route(store: Store, key: Key, uid: str) -> RouteView | None:
    route = store.children(key, HTTP_ROUTE).get(key.name)
    if route is None or route.owner != uid or not isinstance(route.view, RouteView):
        return None
    pools = store.children(key, INFERENCE_POOL).items()
    told = {pool.revision: (name, pool.view) for name, pool in pools if isinstance(pool.view, tuple)}
    return with_pools(route.view, told)


def _export(store: Store, key: Key, uid: str) -> ExportView | None:
    found = store.children(key, SERVICE_EXPORT).get(key.name)
    return found.view if found is not None and found.owner == uid and isinstance(found.view, ExportView) else None


def _status(raw: dict[str, Any]) -> InferenceServiceStatus:
    """The status as last written; one that somebody made unreadable counts as none, and is written anew."""
    try:
        return InferenceServiceStatus.model_validate(raw.get("status") or {})
    except ValidationError:
        return InferenceServiceStatus()


def record_of(child: Child, key: Key, hash_: str) -> tuple[Record, int] | None:
    """What the record of a revision says, and its order. None where it is unreadable or speaks of something else."""
    try:
        raw = json.loads(zlib.decompress(child.view)) if isinstance(child.view, bytes) else {}
        record = read_record(raw["data"], revision_name(key.name, hash_), key.namespace)
        return record, int(raw.get("revision") or 0)
    except (ValidationError, KeyError, TypeError, ValueError):
        return None


def _tolerations(record: Record) -> tuple[Toleration, ...]:
    try:
        return tolerations_of(record)
    except (KeyError, TypeError, ValueError):  # of an operator that wrote them otherwise
        return ()


def _revisions(store: Store, key: Key, uid: str) -> tuple[RevisionView, ...]:
    """The revisions of which anything is there, oldest first."""
    records = {child.revision: child for child in store.children(key, RECORD).values() if child.owner == uid}
    workloads = {
        child.revision: child
        for kind in WORKLOADS
        for child in store.children(key, kind).values()
        if child.owner == uid
    }
    pods: dict[str, list[PodView]] = {}
    for pod in store.pods(key):
        pods.setdefault(pod.revision, []).append(pod)
    views = []
    others = (
        child
        for kind in (SERVICE, BUDGET, CLAIM_TEMPLATE, INFERENCE_POOL)
        for child in store.children(key, kind).values()
    )
    left = {child.revision for child in others if child.owner == uid and child.revision}
    for hash_ in {*records, *workloads, *left}:
        record = record_of(records[hash_], key, hash_) if hash_ in records else None
        workload = workloads[hash_].view if hash_ in workloads else None
        views.append(
            RevisionView(
                hash=hash_,
                spec=record[0].spec if record is not None else None,
                image=record[0].image if record is not None else "",
                tolerations=_tolerations(record[0]) if record is not None else (),
                order=record[1] if record is not None else 0,
                workload=workload if isinstance(workload, WorkloadView) else None,
                pods=tuple(pods.get(hash_, ())),
            )
        )
    return tuple(sorted(views, key=lambda view: (view.order, view.hash)))
