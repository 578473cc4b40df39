"""Raw InferenceServices, ServingRuntimes and EndpointSlices -> the Backends that requests are routed by.

Only what requests depend on is read, so that a word of a newer version elsewhere in a resource hides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from inferops.api.base import Model
from inferops.api.conditions import ConditionType
from inferops.api.formats import seconds
from inferops.api.inferenceservice import RuntimeSpec, SLOSpec
from inferops.api.traffic import AccessSpec, TrafficSpec
from inferops.core.clusters.naming import HUB, PARENT, hub_name, parent_name
from inferops.gateway.table import Access, Backend, Cluster, Limits, Replica, Revision, ServiceKey
from inferops.render.gatewayslice import MANAGED_BY, MANAGER, SERVICE_NAME
from inferops.render.labels import REVISION, SERVICE
from inferops.runtimes.base import Api

PORT = "http"
MESSAGE_LIMIT = 512
# Of a service whose engine is not known, and which has no replica, most likely: what all engines for language have.
ANY_ENGINE = Api("openai", ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"))


class _Named(Model):
    name: str


class _ModelPart(Model):
    name: str | None = None
    adapters: list[_Named] = Field(default_factory=list[_Named])


class _RuntimePart(Model):
    name: str = RuntimeSpec().name


class _ScalingPart(Model):
    mode: str = ""
    replicas: int | None = None


class _Spec(Model):
    model: _ModelPart
    runtime: _RuntimePart = _RuntimePart()
    scaling: _ScalingPart = _ScalingPart()
    slo: SLOSpec = SLOSpec()
    traffic: TrafficSpec = TrafficSpec()


class _Condition(Model):
    type: str
    status: str
    message: str = ""


class _Revision(Model):
    hash: str
    weight: int = 0
    usd_per_hour: str = ""


class _Status(Model):
    conditions: list[_Condition] = Field(default_factory=list[_Condition])
    revisions: list[_Revision] = Field(default_factory=list[_Revision])


class _Metadata(Model):
    name: str
    namespace: str = "default"
    creation_timestamp: str = ""
    uid: str = ""


class ServiceView(Model):
    """What requests depend on of an InferenceService."""

    metadata: _Metadata
    spec: _Spec
    status: _Status = _Status()
    placed: bool = False  # it is to be in clusters
    held: bool = False  # it is in some, or may be
    part_of: str = ""  # the service whose part in the hub's own cluster it says it is
    parent: str = ""  # the UID of that one

    @property
    def key(self) -> ServiceKey:
        return ServiceKey(self.metadata.namespace, self.metadata.name)

    @property
    def runtime(self) -> str:
        """The name of its ServingRuntime."""
        return self.spec.runtime.name

    @property
    def part(self) -> ServiceKey:
        """What its part in the hub's own cluster is called, where it has one."""
        return ServiceKey(self.metadata.namespace, hub_name(self.metadata.name))

    def is_part(self, whole: ServiceView) -> bool:
        """Whether it is that part of `whole`: nobody gets another's requests by saying so."""
        named = whole.part == self.key and self.part_of == whole.metadata.name
        return named and self.parent == whole.metadata.uid != "" and (whole.placed or whole.held)


@dataclass(frozen=True, slots=True)
class SliceView:
    """The replicas that one EndpointSlice of a revision's Service says are ready."""

    key: ServiceKey
    revision: str
    replicas: tuple[Replica, ...]


def service_view(raw: Mapping[str, Any]) -> ServiceView:
    """The view of an InferenceService. Raises ValidationError where what requests depend on cannot be read."""
    meta, marks = raw["metadata"], raw["metadata"].get("annotations") or {}
    ours = HUB in (meta.get("labels") or {})
    clusters = {"placed": _clusters(raw, "spec") is not None and not ours, "held": bool(_clusters(raw, "status"))}
    part = {"partOf": parent_name(meta["name"], marks), "parent": str(marks.get(PARENT) or "")} if ours else {}
    return ServiceView.model_validate({**raw, **clusters, **part})


def _clusters(raw: Mapping[str, Any], of: str) -> Any:
    found = raw.get(of)
    placement = found.get("placement") if isinstance(found, Mapping) else None
    return placement.get("clusters") if isinstance(placement, Mapping) else None


def engine_of(raw: Mapping[str, Any]) -> str:
    """The engine of a ServingRuntime."""
    return str((raw.get("spec") or {}).get("engine") or "")


def slice_view(raw: Mapping[str, Any]) -> SliceView | None:
    """The view of an EndpointSlice; None where it is not one of a revision's own Service."""
    meta = raw["metadata"]
    labels = meta.get("labels") or {}
    service, revision = labels.get(SERVICE), labels.get(REVISION)
    if not service or not revision or labels.get(SERVICE_NAME) != f"{service}-{revision}":
        return None
    if labels.get(MANAGED_BY) == MANAGER:  # addresses of gateways: they would send to themselves
        return None
    return SliceView(ServiceKey(meta.get("namespace", "default"), service), revision, tuple(_replicas(raw)))


def ready_addresses(raw: Mapping[str, Any]) -> set[str]:
    """The addresses in an EndpointSlice that are ready, whatever their ports."""
    return {str(each["addresses"][0]) for each in _ready(raw)}


def backend(service: ServiceView, api: Api, slices: Iterable[SliceView]) -> Backend:
    """The service as requests see it, with the replicas of `slices`, which are its own."""
    by_revision: dict[str, dict[str, Replica]] = {}
    for each in slices:
        found = by_revision.setdefault(each.revision, {})
        for replica in each.replicas:  # a pod with two families of addresses stands in two slices
            found.setdefault(replica.name, replica)
    spec, traffic = service.spec, service.spec.traffic
    revisions = tuple(_revision(each, by_revision.get(each.hash, {})) for each in service.status.revisions)
    return Backend(
        key=service.key,
        api=api,
        names=(
            spec.model.name or service.part_of or service.key.name,
            *(adapter.name for adapter in spec.model.adapters),
        ),
        revisions=revisions,
        hostnames=tuple(traffic.hostnames),
        created=service.metadata.creation_timestamp,
        queue_timeout=seconds(traffic.queue_timeout),
        max_queue=traffic.max_queue,
        max_concurrency=traffic.max_concurrency,
        request_timeout=seconds(traffic.request_timeout),
        session_header=traffic.session_header or "",
        access=_access(traffic.access) if traffic.access is not None else None,
        ttft=seconds(spec.slo.ttft) if spec.slo.ttft is not None else None,
        tpot=seconds(spec.slo.tpot) if spec.slo.tpot is not None else None,
        spillover=tuple(Cluster(each.name, each.url) for each in traffic.spillover),
        asleep="" if any(each.replicas for each in revisions) else _asleep(service),
        elsewhere=service.part_of,
    )


def answering_for(part: Backend, whole: Backend) -> Backend:
    """A part in the hub's own cluster that gets the requests to the whole service: by its name, and as long ago as that
    one claimed its host names."""
    return replace(joined(part, whole), alias=whole.key.name, created=whole.created)


def joined(one: Backend, other: Backend) -> Backend:
    """`one`, of whose requests the replicas of `other` get their part for as long as there are some."""
    number, others = (sum(len(each.replicas) for each in of.revisions) for of in (one, other))
    if not others:
        return one
    found = {each.hash: replace(each, weight=each.weight * number) for each in one.revisions}
    for each in other.revisions:
        here = found.get(each.hash, Revision(each.hash, 0, (), each.usd_per_hour))
        replicas = tuple(sorted({*here.replicas, *each.replicas}, key=lambda replica: replica.name))
        found[each.hash] = replace(here, weight=here.weight + each.weight * others, replicas=replicas)
    return replace(one, revisions=tuple(found.values()), asleep="")


def _revision(status: _Revision, replicas: Mapping[str, Replica]) -> Revision:
    # In one order, whatever slices they stand in: hashing goes by it.
    ordered = tuple(replicas[name] for name in sorted(replicas))
    return Revision(status.hash, max(status.weight, 0), ordered, _usd(status.usd_per_hour))


def _usd(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) and found >= 0 else None


def _access(spec: AccessSpec) -> Access:
    return Access(
        secret=spec.api_keys_secret,
        limits=Limits(spec.requests_per_minute, spec.tokens_per_minute),
        clients={each.name: Limits(each.requests_per_minute, each.tokens_per_minute) for each in spec.clients},
    )


def _asleep(service: ServiceView) -> str:
    """Why no replica will come, of a service that has none."""
    scaling = service.spec.scaling
    if scaling.replicas == 0 and scaling.mode != "external":  # a scaler of somebody else's may look at who waits
        return "stopped: spec.scaling.replicas is 0; raise it"
    for condition in service.status.conditions:
        if condition.type == ConditionType.STALLED and condition.status == "True":
            return (condition.message or "it is stalled")[:MESSAGE_LIMIT]
    return ""


def _replicas(raw: Mapping[str, Any]) -> Iterable[Replica]:
    port = next((port.get("port") for port in raw.get("ports") or () if port.get("name") == PORT), None)
    if not port or raw.get("addressType") == "FQDN":
        return
    for endpoint in _ready(raw):
        address = str(endpoint["addresses"][0])
        host = f"[{address}]" if ":" in address else address
        yield Replica(str((endpoint.get("targetRef") or {}).get("name") or address), f"{host}:{port}")


def _ready(raw: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The endpoints that take requests. What is not said of one is good news, as the API has it."""
    for endpoint in raw.get("endpoints") or ():
        conditions = endpoint.get("conditions") or {}
        ready = conditions.get("ready") is not False and not conditions.get("terminating")
        if ready and endpoint.get("addresses"):
            yield endpoint
