"""The cache: what the watches said last, kept small, and which service each object belongs to.

An answer of an apply is put here too, so that the next reconcile sees its own writes; older versions that a
watch still delivers are passed over (resource versions of one kind are ordered, KEP-5504).
"""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pydantic import ValidationError

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.controller.exports import export_view
from inferops.controller.jobs import JobView, job_view
from inferops.controller.parents import Parent, parent_view
from inferops.controller.routes import Objection, pool_objection, route_view
from inferops.controller.slices import by_node, slice_view
from inferops.controller.views import REVISION_LABEL, SERVICE_LABEL, node_view, pod_view, workload_view
from inferops.core.observation import ExportView, Nodes, PodView, RouteView, WorkloadView
from inferops.kube.kinds import (
    ACCELERATOR,
    BUDGET,
    CLAIM_TEMPLATE,
    DEPLOYMENT,
    DEVICE_SLICE,
    ENDPOINT_SLICE,
    HTTP_ROUTE,
    INFERENCE_CLUSTER,
    INFERENCE_POOL,
    INFERENCE_SERVICE,
    JOB,
    LEADER_WORKER_SET,
    NODE,
    POD,
    RECORD,
    SERVICE,
    SERVICE_EXPORT,
    SERVING_RUNTIME,
    Kind,
)
from inferops.kube.owned import digest, owned

Raw = Mapping[str, Any]

# The kinds that are watched; children only where they carry our label.
PARENTS = (INFERENCE_SERVICE, INFERENCE_CLUSTER)
CATALOGUE = (SERVING_RUNTIME, ACCELERATOR, NODE)
# ... which not every cluster has
OPTIONAL = (LEADER_WORKER_SET, CLAIM_TEMPLATE, DEVICE_SLICE, HTTP_ROUTE, INFERENCE_POOL, SERVICE_EXPORT)
WORKLOADS = (DEPLOYMENT, LEADER_WORKER_SET)
ROUTES = (HTTP_ROUTE, INFERENCE_POOL, SERVICE_EXPORT)
CHILDREN = (RECORD, *WORKLOADS, CLAIM_TEMPLATE, SERVICE, BUDGET, ENDPOINT_SLICE, *ROUTES, JOB, POD)
WATCHED: tuple[Kind, ...] = tuple(kind for kind in (*CATALOGUE, *CHILDREN, *PARENTS) if kind not in OPTIONAL)
SPECS = {ACCELERATOR: AcceleratorSpec, SERVING_RUNTIME: ServingRuntimeSpec}
VIEWS: Mapping[Kind, Callable[[Raw], Any]] = {POD: pod_view, NODE: node_view, DEVICE_SLICE: slice_view}

# What is kept of a child: of a record its data, of a Service its revision, of a pool what is wrong with it.
View = WorkloadView | RouteView | ExportView | Objection | JobView | bytes | str | None

REMEMBERED = 4096  # deletions; an answer is late by milliseconds


class Key(NamedTuple):
    """What a reconcile is for: one InferenceService, or one InferenceCluster."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Child:
    """An object that we applied, as it is now."""

    uid: str
    owner: str  # uid of its controller
    revision: str
    digest: str  # of the fields that are ours
    deleting: bool
    view: View = None


@dataclass(frozen=True, slots=True)
class Entry:
    version: int
    owner: Key | None
    view: Any


class Store:
    """The objects by kind and name, and by the service that they belong to."""

    def __init__(self, accelerators: Mapping[str, AcceleratorSpec], runtimes: Mapping[str, ServingRuntimeSpec]) -> None:
        self._builtin_accelerators, self._builtin_runtimes = accelerators, runtimes
        self._objects: dict[Kind, dict[tuple[str, str], Entry]] = {kind: {} for kind in (*WATCHED, *OPTIONAL)}
        self._nodes: Nodes | None = None  # with their devices; None: to be put together anew
        self._offers: dict[Kind, Mapping[str, Any]] = {}  # of the catalogue's kinds: built in and the admin's
        self._offered: set[Kind] = set()
        self._owned: defaultdict[Key, dict[tuple[Kind, str], Entry]] = defaultdict(dict)
        self._gone: OrderedDict[tuple[Kind, tuple[str, str]], int] = OrderedDict()  # version at which it was gone

    def put(self, kind: Kind, raw: Raw) -> set[Key]:
        """Take in an object. Returns the keys for which something that matters has changed."""
        meta = raw["metadata"]
        where = (meta.get("namespace", ""), meta["name"])
        version = int(meta.get("resourceVersion") or 0)
        before = self._objects[kind].get(where)
        oldest = before.version if before is not None else self._gone.get((kind, where), -1) + 1
        if version < oldest:
            return set()
        owner = self._owner(kind, raw)
        entry = Entry(version, owner, self._view(kind, raw))
        moved = self._disown(kind, where[1], before) if before is not None and before.owner != owner else set()
        self._objects[kind][where] = entry
        if owner is not None and kind in CHILDREN:
            self._owned[owner][kind, where[1]] = entry
        if before is not None and before.view == entry.view:
            return moved
        self._changed(kind)
        return self._affected(kind, owner) | moved

    def remove(self, kind: Kind, namespace: str, name: str, not_after: int | None = None) -> set[Key]:
        """Forget an object, unless it is newer than `not_after`. Returns the keys that this concerns."""
        entry = self._objects[kind].get((namespace, name))
        if entry is not None and not_after is not None and entry.version > not_after:
            return set()
        self._remember_gone((kind, (namespace, name)), not_after if not_after is not None else -1)
        if entry is None:
            return set()
        del self._objects[kind][namespace, name]
        self._changed(kind)
        self._disown(kind, name, entry)
        return self._affected(kind, entry.owner)

    def offer(self, kind: Kind, there: bool) -> set[Key]:
        """Take in whether the cluster has an optional kind. Returns the keys that this concerns."""
        if there == (kind in self._offered):
            return set()
        (self._offered.add if there else self._offered.discard)(kind)
        return self.unsettled()

    def offered(self) -> frozenset[str]:
        """The optional kinds that the cluster has."""
        return frozenset(kind.kind for kind in self._offered)

    def names(self, kind: Kind) -> Iterable[tuple[str, str]]:
        """Namespaces and names of all objects of a kind."""
        return tuple(self._objects[kind])

    def number(self, kind: Kind) -> int:
        """How many objects of a kind there are."""
        return len(self._objects[kind])

    def newest(self, kind: Kind) -> int:
        """The highest resource version of a kind's objects; 0 where there is none."""
        return max((entry.version for entry in self._objects[kind].values()), default=0)

    def parent(self, key: Key) -> Parent | None:
        kind = INFERENCE_SERVICE if key.kind == INFERENCE_SERVICE.kind else INFERENCE_CLUSTER
        entry = self._objects[kind].get((key.namespace, key.name))
        return entry.view if entry is not None else None

    def children(self, key: Key, kind: Kind) -> dict[str, Child]:
        """The service's children of a kind, by name."""
        return {name: entry.view for (of, name), entry in self._owned.get(key, {}).items() if of is kind}

    def unserved(self, key: Key) -> bool:
        """Whether a service has no pods to come yet: somebody waits for them, so it goes before the others' news."""
        return key.kind == INFERENCE_SERVICE.kind and not any(self.children(key, kind) for kind in WORKLOADS)

    def pods(self, key: Key) -> list[PodView]:
        return sorted(
            (entry.view for (of, _), entry in self._owned.get(key, {}).items() if of is POD), key=lambda pod: pod.name
        )

    def nodes(self) -> Nodes:
        """The nodes, each with the devices that drivers list for it. The same object until one of them changes."""
        if self._nodes is None:
            self._nodes = self._join_nodes()
        return self._nodes

    def _join_nodes(self) -> Nodes:
        devices = by_node(entry.view for entry in self._objects[DEVICE_SLICE].values())
        nodes = (entry.view for entry in self._objects[NODE].values())
        return Nodes(replace(node, devices=devices[node.name]) if node.name in devices else node for node in nodes)

    def accelerators(self) -> Mapping[str, AcceleratorSpec]:
        """The built-in ones and the admin's, which win. The same object until one of them changes."""
        return self._merged(ACCELERATOR, self._builtin_accelerators)

    def runtimes(self) -> Mapping[str, ServingRuntimeSpec]:
        """The built-in ones and the admin's, which win. The same object until one of them changes."""
        return self._merged(SERVING_RUNTIME, self._builtin_runtimes)

    def all_keys(self) -> set[Key]:
        """All that can be reconciled."""
        return {Key(kind.kind, *where) for kind in PARENTS for where in self._objects[kind]}

    def unsettled(self) -> set[Key]:
        return {
            Key(INFERENCE_SERVICE.kind, *where)
            for where, entry in self._objects[INFERENCE_SERVICE].items()
            if not entry.view.settled
        }

    def managed(self) -> set[Key]:
        """The services that depend on which gateways there are, and on what they tell."""
        return {
            Key(INFERENCE_SERVICE.kind, *where)
            for where, entry in self._objects[INFERENCE_SERVICE].items()
            if entry.view.managed
        }

    def placed(self) -> set[Key]:
        """The services that are, or are to be, in member clusters."""
        return {
            Key(INFERENCE_SERVICE.kind, *where)
            for where, entry in self._objects[INFERENCE_SERVICE].items()
            if entry.view.placed
        }

    def clusters(self) -> list[Key]:
        """All InferenceClusters."""
        return [Key(INFERENCE_CLUSTER.kind, *where) for where in self._objects[INFERENCE_CLUSTER]]

    def asleep(self, namespace: str, name: str) -> bool:
        """Whether there is such a service, and scaling has it at zero replicas until somebody asks."""
        entry = self._objects[INFERENCE_SERVICE].get((namespace, name))
        return entry is not None and entry.view.asleep

    def rolling(self, key: Key) -> bool:
        """Whether a rollout of the service is under way."""
        entry = self._objects[INFERENCE_SERVICE].get((key.namespace, key.name))
        return key.kind == INFERENCE_SERVICE.kind and entry is not None and entry.view.rolling

    def _remember_gone(self, what: tuple[Kind, tuple[str, str]], version: int) -> None:
        """The answer to an apply may come after the event of a deletion: it must not bring the object back."""
        self._gone[what] = max(version, self._gone.pop(what, -1))
        if len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)

    def _disown(self, kind: Kind, name: str, entry: Entry) -> set[Key]:
        if entry.owner is None or kind not in CHILDREN:
            return set()
        children = self._owned[entry.owner]
        children.pop((kind, name), None)
        if not children:
            del self._owned[entry.owner]
        return {entry.owner}

    def _changed(self, kind: Kind) -> None:
        """What was put together from objects of this kind is no longer so."""
        self._offers.pop(kind, None)
        if kind in (NODE, DEVICE_SLICE):
            self._nodes = None

    def _merged(self, kind: Kind, built_in: Mapping[str, Any]) -> Mapping[str, Any]:
        if kind not in self._offers:
            admins = {at[1]: entry.view for at, entry in self._objects[kind].items() if entry.view is not None}
            self._offers[kind] = {**built_in, **admins}
        return self._offers[kind]

    def _affected(self, kind: Kind, owner: Key | None) -> set[Key]:
        if kind in (NODE, DEVICE_SLICE):
            return self.unsettled()
        if kind in CATALOGUE:
            return {key for key in self.all_keys() if key.kind == INFERENCE_SERVICE.kind}
        return {owner} if owner is not None else set()

    def _owner(self, kind: Kind, raw: Raw) -> Key | None:
        meta = raw["metadata"]
        if kind in PARENTS:
            return Key(kind.kind, meta.get("namespace", ""), meta["name"])
        service = (meta.get("labels") or {}).get(SERVICE_LABEL)
        return Key(INFERENCE_SERVICE.kind, meta.get("namespace", ""), service) if service else None

    def _view(self, kind: Kind, raw: Raw) -> Any:
        if kind in PARENTS:
            return parent_view(raw)
        if kind in SPECS:
            return _spec(SPECS[kind], raw)
        read = VIEWS.get(kind)
        return read(raw) if read is not None else _child(kind, raw)


def _child(kind: Kind, raw: Raw) -> Child:
    meta = raw["metadata"]
    owners = [reference["uid"] for reference in meta.get("ownerReferences") or () if reference.get("controller")]
    view: View = None
    if kind in WORKLOADS:
        view = workload_view(raw)
    elif kind is RECORD:
        view = zlib.compress(json.dumps({"revision": raw.get("revision"), "data": raw.get("data")}).encode())
    elif kind is SERVICE:
        view = str(((raw.get("spec") or {}).get("selector") or {}).get(REVISION_LABEL, ""))
    elif kind is HTTP_ROUTE:
        view = route_view(raw)
    elif kind is INFERENCE_POOL:
        view = pool_objection(raw)
    elif kind is SERVICE_EXPORT:
        view = export_view(raw)
    elif kind is JOB:
        view = job_view(raw)
    elif kind is ENDPOINT_SLICE:
        view = str(meta.get("creationTimestamp") or "")
    return Child(
        uid=str(meta.get("uid", "")),
        owner=owners[0] if owners else "",
        revision=(meta.get("labels") or {}).get(REVISION_LABEL, ""),
        digest=digest(owned(raw)),
        deleting=bool(meta.get("deletionTimestamp")),
        view=view,
    )


def _spec(model: Any, raw: Raw) -> Any:
    """The parsed spec, or None where it is not readable: then it counts as not there."""
    try:
        return model.model_validate(raw.get("spec") or {})
    except ValidationError:
        return None
