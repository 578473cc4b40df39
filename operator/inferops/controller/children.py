"""What we write into one member: an InferenceService for each service that is placed there, and nothing else.

What is wanted is handed over and brought about by workers of the member's own, so that a member that is slow or gone
holds up nobody. Nothing is deleted because nobody wants it: only where somebody says so of that very service.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from inferops.controller.childtold import Found, child, given_version, resource_version
from inferops.controller.queue import Closed, Queue
from inferops.controller.shapes import mapping
from inferops.controller.store import Key
from inferops.core.clusters.naming import HUB, hub_name, parent_name
from inferops.kube.client import Fenced, KubeError
from inferops.kube.doing import doing
from inferops.kube.kinds import INFERENCE_SERVICE, Kind
from inferops.kube.owned import Accepted, Object, accept, stands
from inferops.kube.tracing import root

log = logging.getLogger(__name__)

WORKERS = 4
REFUSED = 60.0  # seconds for which what a member refused counts as refused, the first time; then twice as long
REFUSED_MOST = 3600.0


class Writing(Protocol):
    """What is asked of a member here."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None: ...

    async def apply(self, kind: Kind, desired: Object, *, force: bool, subresource: str = "") -> Object: ...

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None: ...


class Children:
    """The children in one member. `found` is kept by a mirror; call `run` for as long as the member is reached."""

    def __init__(self, hub: str, changed: Callable[[Key], None], *, here: bool = False) -> None:
        """`hub`: the UID by which what is ours is known; `changed`: told of every service of which there is news;
        `here`: it is the hub's own cluster, where children have names of their own."""
        self.hub, self._changed, self._here = hub, changed, here
        self.found: dict[Key, Found] = {}
        self._services: dict[tuple[str, str], Key] = {}  # by the names of their children
        self._wanted: dict[Key, Object | None] = {}  # None: to be gone
        self._refused: dict[Key, tuple[float, int, str]] = {}  # until when, how often in a row, and why
        self._accepted: Accepted = {}
        self._unsure: set[Key] = set()  # may have been made, though no answer says so
        self._gone: dict[Key, int] = {}  # versions at which these were gone again
        self._queue: Queue[Key] = Queue(asyncio.get_running_loop().time)

    @property
    def selector(self) -> str:
        """What is ours."""
        return f"{HUB}={self.hub}"

    def there(self, service: Key) -> Key:
        """What a service is there."""
        return service._replace(name=hub_name(service.name)) if self._here else service

    def want(self, key: Key, desired: Object | None) -> None:
        """From now on there is to be `desired`; None: nothing. Takes effect once the member is reached."""
        before = self._wanted.get(key)
        if key in self._wanted and before == desired:
            if key in self._refused:
                self._queue.add(key)  # it may be time to try again
            return
        if before is not None and desired is not None and given_version(before) != given_version(desired):
            self._refused.pop(key, None)  # that may have been what was wrong with it
        if desired is not None or self.may_have(key):
            self._wanted[key] = desired
            self._queue.add(key)
        else:
            self._wanted.pop(key, None)

    def forget(self, key: Key) -> None:
        """The service is gone from the hub. Whatever there is stays as it is."""
        self._wanted.pop(key, None)
        self._refused.pop(key, None)

    def may_have(self, key: Key) -> bool:
        """Whether it is there, or is being made just now, or was asked to be made by somebody who heard no answer."""
        return key in self.found or key in self._unsure

    def refused(self, key: Key) -> str:
        """Why what is wanted was refused, of late; empty: it was not."""
        until, _, why = self._refused.get(key, (0.0, 0, ""))
        return why if asyncio.get_running_loop().time() < until else ""

    async def run(self, kube: Writing) -> None:
        """Bring about what is wanted, until cancelled. Requires that `found` is complete."""
        for key in self._wanted:
            self._queue.add(key)
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work(kube))

    async def _work(self, kube: Writing) -> None:
        while True:
            try:
                key = await self._queue.get()
            except Closed:
                return
            with doing(**key._asdict()), root("member write", **key._asdict()):
                await self._work_on(kube, key)

    async def _work_on(self, kube: Writing, key: Key) -> None:
        try:
            await self._bring(kube, key)
            self._queue.done(key)
        except asyncio.CancelledError:
            self._queue.done(key)
            raise
        except (KubeError, Fenced, TimeoutError) as error:
            wait = self._queue.failed(key, at_least=getattr(error, "retry_after", None) or 0.0)
            log.warning("%s/%s in a member: %s; again in %.1f s", key.namespace, key.name, error, wait)
        except Exception:  # one service must not break the others'
            wait = self._queue.failed(key)
            log.exception("%s/%s in a member: unexpected error; again in %.1f s", key.namespace, key.name, wait)

    async def _bring(self, kube: Writing, key: Key) -> None:
        """Write what differs. Raises KubeError where it is to be tried again."""
        if key not in self._wanted or self.refused(key):
            return
        desired, found = self._wanted[key], self.found.get(key)
        if desired is None:
            if found is None:
                await self._look_for(kube, key)
            elif not found.view.deleting:
                await kube.delete(INFERENCE_SERVICE, key.namespace, self.there(key).name, found.view.uid)
            return
        if found is not None and found.view.deleting:
            return  # the mirror tells when it is gone
        if found is not None and stands(self._accepted, found.view.uid, found.digest, desired):
            return
        try:
            await self._apply(kube, key, desired, found)
        except KubeError as error:
            if not error.final and error.status != 409:
                raise
            self._refuse(key, f"it refuses InferenceService {key.namespace}/{self.there(key).name}: {error.message}")

    async def _apply(self, kube: Writing, key: Key, desired: Object, found: Found | None) -> None:
        """Apply it. A namesake that is not ours is never touched."""
        meta: dict[str, Any] = dict(desired["metadata"])
        if found is None:
            name = self.there(key).name
            live = await kube.get(INFERENCE_SERVICE, key.namespace, name)
            labels = ((live or {}).get("metadata") or {}).get("labels") or {}
            if live is not None and labels.get(HUB) != self.hub:
                whose = f"another hub's ({labels[HUB]})" if HUB in labels else "not of this hub"
                told = f"InferenceService {key.namespace}/{name} is there and {whose}; it is left alone"
                self._refuse(key, f"{told}. Label it {HUB}={self.hub} there to hand it over")
                return
            if self._wanted.get(key) is not desired:
                return  # something else by now; it stands in the queue again
            ours = live is not None  # and somebody has taken away by what it is known whose child it is
            meta |= {"uid": live["metadata"]["uid"]} if live is not None else {}
        else:
            ours, meta["uid"] = True, found.view.uid
        self._unsure.add(key)
        self._gone.pop(key, None)
        try:
            answer = await kube.apply(INFERENCE_SERVICE, {**desired, "metadata": meta}, force=ours)
        except KubeError as error:
            if 0 < error.status < 500:
                self._unsure.discard(key)
            raise
        self._hear(key, answer)
        self._unsure.discard(key)
        self._refused.pop(key, None)
        now = self.found.get(key)
        if now is not None:
            accept(self._accepted, now.view.uid, now.digest, desired)

    async def _look_for(self, kube: Writing, key: Key) -> None:
        """See whether one that is to be gone was made after all. Raises KubeError."""
        live = await kube.get(INFERENCE_SERVICE, key.namespace, self.there(key).name) if key in self._unsure else None
        self._unsure.discard(key)
        if live is not None:
            self._hear(key, live)
        if key in self.found:
            self._queue.add(key)
        else:
            self._wanted.pop(key)
            self._changed(key)

    def _hear(self, key: Key, answer: Object) -> None:
        """An answer tells what it is, unless the mirror has told of something newer while it was on its way."""
        found = self.found.get(key)
        if resource_version(answer) >= (found.version if found is not None else self._gone.get(key, 0)):
            self.put(answer)

    def _refuse(self, key: Key, why: str) -> None:
        times = self._refused.get(key, (0.0, 0, ""))[1]
        self._refused[key] = asyncio.get_running_loop().time() + min(REFUSED * 2**times, REFUSED_MOST), times + 1, why
        self._changed(key)

    # As the mirror's copy

    def put(self, raw: Object) -> None:
        """It is there, as it is now."""
        key, found = self._service(raw), child(raw)
        if key is None or (raw["metadata"].get("labels") or {}).get(HUB) != self.hub:
            return
        before = self.found.get(key)
        if before == found:
            self.found[key] = found  # of a newer version
            return
        if before is None:
            self._refused.pop(key, None)  # it is ours now, whosever it was
        self.found[key] = found
        self._services[key.namespace, raw["metadata"]["name"]] = key
        self._changed(key)
        if before is None or before.digest != found.digest or found.view.deleting:
            self._queue.add(key)

    def remove(self, namespace: str, name: str, version: int) -> None:
        """It is gone."""
        key = self._services.pop((namespace, name), None)
        gone = self.found.pop(key, None) if key is not None else None
        if key is not None and gone is not None:
            self._accepted.pop(gone.view.uid, None)
            if key in self._unsure:
                self._gone[key] = version
            self._changed(key)
            self._queue.add(key)

    def names(self) -> Iterable[tuple[str, str]]:
        """All that are there."""
        return list(self._services)

    def _service(self, raw: Object) -> Key | None:
        """The service whose child it is. Somebody may have taken the name of that one away; it is put back."""
        meta = raw["metadata"]
        namespace, name = meta.get("namespace", ""), str(meta["name"])
        told = parent_name(name, mapping(meta.get("annotations"))) if self._here else name
        if told:
            return Key(INFERENCE_SERVICE.kind, namespace, told)
        there = Key(INFERENCE_SERVICE.kind, namespace, name)
        return self._services.get((namespace, name)) or next((e for e in self._wanted if self.there(e) == there), None)
