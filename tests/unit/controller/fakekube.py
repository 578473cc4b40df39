"""An API server in memory, with server-side apply, that fails and crashes its client on demand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from inferops.controller.store import OPTIONAL, WATCHED
from inferops.kube.client import Fenced, KubeError
from inferops.kube.kinds import DEPLOYMENT, EVENT, RECORD, Kind
from inferops.kube.owned import FIELD_MANAGER, Object
from statuscheck import JUDGED, against_rules
from unit.controller.fields import Path, changed, clone, drop, fields_v1, get, merge, paths

KINDS = {kind.kind: kind for kind in (*WATCHED, *OPTIONAL, EVENT)}
Where = tuple[str, str, str]  # kind, namespace, name
Manager = tuple[str, str, str]  # name, operation, subresource
OURS: Manager = (FIELD_MANAGER, "Apply", "")


class Crash(Exception):
    """The operator ends here."""


def refusal(status: int, reason: str = "", message: str = "as the test has it") -> KubeError:
    return KubeError("the fake", status, reason or {403: "Forbidden", 422: "Invalid"}.get(status, "Failed"), message)


@dataclass
class Fake:
    """The cluster. Everything that was asked of it stands in `requests`, what it did in `changes`."""

    objects: dict[Where, Object] = field(default_factory=dict)
    owners: dict[Where, dict[Manager, set[Path]]] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # verb, kind, name
    changes: list[tuple[str, Kind, Object]] = field(default_factory=list)  # event type, kind, object
    webhooks: list[Callable[[Object], None]] = field(default_factory=list)
    refuses: Callable[[str, Object], KubeError | None] = lambda verb, desired: None
    crash_after: int | None = None  # writes
    fenced: bool = False
    offered: set[Kind] = field(default_factory=set)  # kinds that not every cluster has
    version: int = 0
    now: Callable[[], str] = lambda: "2025-11-03T12:00:00Z"

    @property
    def writes(self) -> list[tuple[str, str, str]]:
        return [request for request in self.requests if request[0] != "get"]

    def copy(self) -> Fake:
        """The same cluster, apart from what happened so far."""
        owners = {where: dict(owned) for where, owned in self.owners.items()}
        return Fake(dict(self.objects), owners, webhooks=self.webhooks, refuses=self.refuses, version=self.version)

    # The protocol

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        self.requests.append(("get", kind.kind, name))
        return self.read(kind, namespace, name)

    async def pages(self, kind: Kind, selector: str = "", **_: Any) -> AsyncIterator[tuple[list[Object], int]]:
        if error := self.refuses("list", {"kind": kind.kind}):
            raise error
        yield self.all(kind, selector), self.version

    async def create(self, kind: Kind, desired: Object) -> Object:
        where = self._begin("create", kind, desired)
        if where in self.objects:
            raise refusal(409, "AlreadyExists")
        desired = json.loads(json.dumps(desired))  # as it comes over the wire
        self._store(kind, where, desired, {("inferops", "Update", ""): set(paths(desired))})
        return self._end(where)

    async def apply(self, kind: Kind, desired: Object, *, force: bool, subresource: str = "") -> Object:
        where = self._begin("apply", kind, desired)
        live, desired = self.objects.get(where), json.loads(json.dumps(desired))
        uid = desired["metadata"].get("uid")
        if live is None and (uid or subresource):
            raise refusal(409 if uid and not subresource else 404, "Conflict")
        if live is not None and uid not in (None, live["metadata"]["uid"]):
            raise refusal(422, message="metadata.uid: field is immutable")
        if subresource:
            self._put(kind, where, {**clone(live or {}), "status": clone(desired["status"])})
            if kind.plural in JUDGED:
                assert not list(against_rules(self.objects[where])), self.objects[where]["status"]
            return self._end(where)
        self._apply(kind, where, live, desired, force)
        return self._end(where)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        where = self._begin("delete", kind, {"metadata": {"namespace": namespace, "name": name}, "kind": kind.kind})
        if where in self.objects and self.objects[where]["metadata"]["uid"] == uid:
            self.remove(kind, namespace, name)
        self._end(where)

    async def watch(self, kind: Kind, namespace: str, name: str, timeout: float) -> AsyncIterator[Object]:
        raise AssertionError("a reconcile watches nothing")
        yield {}

    async def offers(self, kind: Kind) -> bool:
        if error := self.refuses("discover", {"kind": kind.kind}):
            raise error
        return kind in self.offered

    async def follow(
        self, kind: Kind, selector: str, version: int, timeout: float, *, namespace: str = ""
    ) -> AsyncIterator[tuple[str, Object]]:
        """Everything that happened after `version`, and then the end."""
        for event, of, raw in list(self.changes):
            if of is kind and int(raw["metadata"]["resourceVersion"]) > version:
                yield event, clone(raw)

    # What others do

    def read(self, kind: Kind, namespace: str, name: str) -> Object | None:
        found: Object | None = clone(self.objects.get((kind.kind, namespace, name)))
        return found

    def all(self, kind: Kind, selector: str = "") -> list[Object]:
        """The objects of a kind, to be read only."""
        label, _, value = selector.partition("=")
        return [
            found
            for (of, _, _), found in self.objects.items()
            if of == kind.kind and (not selector or (found["metadata"].get("labels") or {}).get(label) == value)
        ]

    def put(self, kind: Kind, raw: Object, manager: str = "kubectl") -> None:
        """Somebody creates or replaces an object. What they change of an object becomes theirs."""
        where = (kind.kind, raw["metadata"].get("namespace", ""), raw["metadata"]["name"])
        live, owners = self.objects.get(where, {}), self.owners.get(where, {})
        theirs, gone = changed(live, raw)
        kept = {who: owned - theirs - gone for who, owned in owners.items()}
        them = (manager, "Update", "")
        self._store(kind, where, clone(raw), {**kept, them: kept.get(them, set()) | theirs})

    def edit(self, kind: Kind, namespace: str, name: str, change: Callable[[Object], None]) -> None:
        """Somebody edits an object by hand."""
        raw = self.read(kind, namespace, name)
        assert raw is not None, f"there is no {kind.kind} {name}"
        change(raw)
        self.put(kind, raw)

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Somebody deletes an object; what it owns goes along."""
        gone = clone(self.objects.pop((kind.kind, namespace, name)))
        self.owners.pop((kind.kind, namespace, name), None)
        self.version += 1
        gone["metadata"]["resourceVersion"] = str(self.version)
        self.changes.append(("DELETED", kind, gone))
        for (of, space, owned), each in list(self.objects.items()):
            owners = each["metadata"].get("ownerReferences") or ()
            if any(owner["uid"] == gone["metadata"]["uid"] for owner in owners):
                self.remove(KINDS[of], space, owned)

    # Inside

    def _begin(self, verb: str, kind: Kind, desired: Object) -> Where:
        meta = desired["metadata"]
        if self.fenced:
            raise Fenced(f"{verb} {kind.kind} {meta['name']}: this replica does not hold the lease")
        self.requests.append((verb, kind.kind, meta["name"]))
        if (error := self.refuses(verb, desired)) is not None:
            raise error
        return (kind.kind, meta.get("namespace", ""), meta["name"])

    def _end(self, where: Where) -> Object:
        if self.crash_after is not None and len(self.writes) >= self.crash_after:
            raise Crash
        answer: Object = clone(self.objects.get(where, {}))
        return answer

    def _apply(self, kind: Kind, where: Where, live: Object | None, desired: Object, force: bool) -> None:
        owners = self.owners.get(where, {})
        mine, before = set(paths(desired)), owners.get(OURS, set())
        others = {who: owned for who, owned in owners.items() if who != OURS}
        taken = {path for owned in others.values() for path in owned & mine if get(live, path) != get(desired, path)}
        if taken and not force:
            raise refusal(409, "Conflict", f"conflicts on {len(taken)} fields")
        merged = merge(live or {}, desired)
        for path in sorted(before - mine, key=len, reverse=True):
            if not any(owned_path[: len(path)] == path for owned in others.values() for owned_path in owned):
                merged = drop(merged, path)
        if live is not None:
            _validate(kind, live, merged)
        for webhook in self.webhooks:
            webhook(merged)
        self._store(kind, where, merged, {**{who: owned - taken for who, owned in others.items()}, OURS: mine})

    def _store(self, kind: Kind, where: Where, raw: Object, owners: dict[Manager, set[Path]]) -> None:
        self.owners[where] = {who: owned for who, owned in owners.items() if owned}
        raw["metadata"]["managedFields"] = [
            {"manager": name, "operation": operation, "fieldsV1": fields_v1(owned)}
            | ({"subresource": subresource} if subresource else {})
            for (name, operation, subresource), owned in self.owners[where].items()
        ]
        self._put(kind, where, raw)

    def _put(self, kind: Kind, where: Where, raw: Object) -> None:
        live = self.objects.get(where)
        kept = (
            live["metadata"]
            if live is not None
            else {
                "uid": raw["metadata"].get("uid") or f"uid-{self.version + 1}",
                "generation": 1,
                "creationTimestamp": self.now(),
            }
        )
        given = ("uid", "generation", "resourceVersion", "creationTimestamp")
        same = {name: kept[name] for name in given if name in kept}
        raw = {"apiVersion": kind.api_version, "kind": kind.kind, **raw, "metadata": {**raw["metadata"], **same}}
        if raw == live:
            return  # as on the API server, a write that changes nothing is none
        if live is not None and raw.get("spec") != live.get("spec"):
            raw["metadata"]["generation"] += 1
        self.version += 1
        raw["metadata"]["resourceVersion"] = str(self.version)
        self.objects[where] = raw
        self.changes.append(("ADDED" if live is None else "MODIFIED", kind, clone(raw)))


def _validate(kind: Kind, live: Object, wanted: Object) -> None:
    fixed = {DEPLOYMENT: ("spec", "selector"), RECORD: ("data",)}.get(kind, ())
    before, after = live, wanted
    for step in fixed:
        before, after = before.get(step) or {}, after.get(step) or {}
    if fixed and before != after:
        raise refusal(422, message=f"{'.'.join(fixed)}: field is immutable")
