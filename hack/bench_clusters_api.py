"""The API server of a simulated member: what the hub asks for, over HTTP, and no more.

No rights are checked, one manager alone applies, and lists come in one page.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from inferops.kube.owned import FIELD_MANAGER, Object

SILENCE = 60.0  # seconds for which one that is silent holds a request, longer than anybody waits
KEPT = 20000  # events from which a watch may go on
SERVICES = "inferenceservices"
PLURALS = ("nodes", "pods", "resourcequotas", SERVICES)
GROUP = "/apis/serving.inferops.dev/v1alpha1"


class Store:
    """Objects by plural, namespace and name, and what happened to them."""

    def __init__(self) -> None:
        self.version = 1
        self.forgotten = 0  # the newest version of which the event is not kept
        self.changes: deque[tuple[int, str, bytes]] = deque()
        self.watches: dict[asyncio.Queue[bytes], str] = {}
        self._objects: dict[tuple[str, str, str], Object] = {}

    def all(self, plural: str) -> Iterator[Object]:
        return (raw for (of, _, _), raw in self._objects.items() if of == plural)

    def get(self, plural: str, namespace: str, name: str) -> Object | None:
        return self._objects.get((plural, namespace, name))

    def put(self, plural: str, raw: Object) -> Object:
        """Create or replace an object, which must not be changed from then on."""
        meta = raw["metadata"]
        where = (plural, meta.get("namespace", ""), meta["name"])
        event = "MODIFIED" if where in self._objects else "ADDED"
        self._objects[where] = self._tell(event, plural, raw)
        return self._objects[where]

    def remove(self, plural: str, namespace: str, name: str) -> None:
        self._tell("DELETED", plural, self._objects.pop((plural, namespace, name)))

    def _tell(self, event: str, plural: str, raw: Object) -> Object:
        self.version += 1
        raw = {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}}
        line = json.dumps({"type": event, "object": raw}).encode() + b"\n"
        self.changes.append((self.version, plural, line))
        if len(self.changes) > KEPT:
            self.forgotten = self.changes.popleft()[0]
        for queue, of in self.watches.items():
            if of == plural:
                queue.put_nowait(line)
        return raw


class Api:
    """Answers requests about a store. `silent`: it accepts them and answers no more, also not on watches that run."""

    def __init__(self, name: str, store: Store, changed: Callable[[str, str], None], *, silent: bool = False) -> None:
        """`changed`: told of the services that somebody wrote."""
        self.name, self.store, self.silent = name, store, silent
        self.asked: Counter[str] = Counter()  # by verb and what
        self._changed = changed

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        root, plural, namespace, name = _parts(request.path)
        watched = "watch" in request.query
        self.asked[_verb(request, root, plural, name, watched)] += 1
        if self.silent:
            await asyncio.sleep(SILENCE)
            return _told({}, 504)
        if (plural, name) == ("namespaces", "kube-system"):
            return _told({"metadata": {"name": name, "uid": f"uid-{self.name}"}})
        if root == GROUP and not plural:
            return _told({"resources": [{"name": SERVICES}]})
        if plural not in PLURALS:
            return _told({"reason": "NotFound"}, 404)
        if not name:
            return await self._watch(request, plural) if watched else self._list(plural)
        return await self._one(request, plural, namespace, name)

    async def _one(self, request: web.BaseRequest, plural: str, namespace: str, name: str) -> web.Response:
        if request.method == "PATCH":
            return self._apply(namespace, name, json.loads(await request.read()))
        found = self.store.get(plural, namespace, name)
        if found is None:
            return _told({"reason": "NotFound"}, 404)
        if request.method == "DELETE":
            self.store.remove(plural, namespace, name)
            self._changed(namespace, name)
        return _told(found)

    def _list(self, plural: str) -> web.Response:
        meta = {"resourceVersion": str(self.store.version)}
        return _told({"metadata": meta, "items": list(self.store.all(plural))})

    async def _watch(self, request: web.BaseRequest, plural: str) -> web.StreamResponse:
        since, seconds = int(request.query["resourceVersion"]), float(request.query["timeoutSeconds"])
        if since < self.store.forgotten:
            return _told({"reason": "Expired"}, 410)
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        for version, of, line in self.store.changes:
            if of == plural and version > since:
                queue.put_nowait(line)
        self.store.watches[queue] = plural
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            await response.prepare(request)
            await self._pour(response, queue, seconds)
        except ConnectionError:  # the hub has hung up
            pass
        finally:
            del self.store.watches[queue]
        return response

    async def _pour(self, response: web.StreamResponse, queue: asyncio.Queue[bytes], seconds: float) -> None:
        """What happens, for so long; of one that is silent not even the end is told."""
        try:
            async with asyncio.timeout(seconds):
                while not self.silent:
                    line = await queue.get()
                    if not self.silent:
                        await response.write(line)
        except TimeoutError:
            pass
        if self.silent:
            await asyncio.sleep(SILENCE)

    def _apply(self, namespace: str, name: str, wanted: Object) -> web.Response:
        meta, live = wanted["metadata"], self.store.get(SERVICES, namespace, name)
        if "uid" in meta and (live is None or live["metadata"]["uid"] != meta["uid"]):
            return _told({"reason": "Conflict"}, 409)
        mine = {part: meta.get(part, {}) for part in ("labels", "annotations")}
        kept = live["metadata"] if live is not None else self._born(namespace, name)
        same = live is not None and live["spec"] == wanted["spec"]
        if live is not None and same and all(kept[part] == mine[part] for part in mine):
            return _told(live)  # as on a real API server, a write that changes nothing is none
        fields = _fields({"metadata": mine, "spec": wanted["spec"]})
        manager = {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields}
        generation = kept["generation"] + (not same)
        raw = {
            "apiVersion": wanted["apiVersion"],
            "kind": wanted["kind"],
            "metadata": {**kept, **mine, "generation": generation, "managedFields": [manager]},
            "spec": wanted["spec"],
            "status": live["status"] if live is not None else {},
        }
        made = self.store.put(SERVICES, raw)
        self._changed(namespace, name)
        return _told(made)

    def _born(self, namespace: str, name: str) -> Object:
        uid = f"{self.name}-{self.store.version}"
        return {"name": name, "namespace": namespace, "uid": uid, "creationTimestamp": stamp(), "generation": 0}


def stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parts(path: str) -> tuple[str, str, str, str]:
    """Group, plural, namespace and name of `/apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL/NAME`, or less of it."""
    steps = path.strip("/").split("/")
    size = 3 if steps[0] == "apis" else 2
    root, rest = "/" + "/".join(steps[:size]), steps[size:]
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name = [*rest, "", ""][:2]
    return root, plural, namespace, name


def _verb(request: web.BaseRequest, root: str, plural: str, name: str, watched: bool) -> str:
    if root == "/":
        return "get its gateway"
    if not plural:
        return f"discover {root.split('/')[2]}"
    verb = {"PATCH": "apply", "DELETE": "delete"}.get(request.method, "get" if name else "list")
    return f"{'watch' if watched else verb} {plural}"


def _told(content: Object, status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(content).encode(), status=status, content_type="application/json")


def _fields(value: Any) -> Object:
    """All fields of an object as managedFields have them; a list is one field."""
    if not isinstance(value, dict):
        return {}
    return {f"f:{key}": _fields(part) for key, part in value.items()}
