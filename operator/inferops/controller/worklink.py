"""The way to a member over ManifestWorks of Open Cluster Management (OCM), for clusters that the hub does not reach.

The hub of inferops is OCM's hub too. Nothing is sent to the member: what it is to have is written into works in the
hub, which OCM's agent there fetches and applies, and what it has is read in the works' status, as old as the agent's
last look. Whether it answers is whether its agent renews its lease, as the ManagedCluster tells.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from inferops.api.conditions import Reason
from inferops.controller.children import Children
from inferops.controller.link import Answer, Counted, Ends
from inferops.controller.memberaccess import NoAccess
from inferops.controller.shapes import listed, mapping, text
from inferops.controller.worktold import as_written, child_of, status_of, told
from inferops.core.clusters.naming import HUB
from inferops.core.engine import Obstacle
from inferops.core.summary import Unreadable, read
from inferops.kube.breaker import Calls
from inferops.kube.client import KubeError, Reader
from inferops.kube.kinds import MANAGED_CLUSTER, MANIFEST_WORK, Kind
from inferops.kube.mirror import Mirror
from inferops.kube.owned import Object
from inferops.render.manifestwork import HERE, HERE_WORK, render_here, render_work, work_name

log = logging.getLogger(__name__)

AVAILABLE = "ManagedClusterConditionAvailable"
AGENT = 10.0  # seconds that are waited for OCM's agent, which answers in one or two
EVERY = 60.0  # seconds after which it is looked whether the member is still asked to count
WAITS = "OCM's agent there has not done it yet"
INSTALL = "is OCM installed here, and is the name right?"
RIGHTS = "grant the operator manifests/install/ocm.yaml"


async def check(hub: Reader, name: str) -> None:
    """Whether there is such a ManagedCluster, and we may write its works. Raises NoAccess if not, KubeError where the
    hub does not tell."""
    try:
        found = await hub.get(MANAGED_CLUSTER, "", name)
        await hub.get(MANIFEST_WORK, name, HERE_WORK)
    except KubeError as error:
        if error.status != 403:
            raise
        why = f"spec.access.managedCluster: {error.message}; {RIGHTS}"
        raise NoAccess(Obstacle(Reason.MANAGED_CLUSTER_REFUSED, why)) from None
    if found is None:
        why = f"spec.access.managedCluster: there is no ManagedCluster {name}; {INSTALL}"
        raise NoAccess(Obstacle(Reason.MANAGED_CLUSTER_NOT_FOUND, why))


class WorkLink:
    """To the managed cluster `name`; `namespace`: of the member's own inferops, the same as ours."""

    def __init__(self, hub: Calls, name: str, namespace: str, ends: Ends) -> None:
        self.mark = name
        self._hub, self._name, self._namespace, self._ends = hub, name, namespace, ends
        self._works = Works(ends.children, self._count)
        self._mirror = Mirror(hub, MANIFEST_WORK, self._works, selector=ends.children.selector, namespace=name)
        self._tasks: list[asyncio.Task[None]] = []
        self._why, self._counted = "", ""

    @property
    def listed(self) -> bool:
        return self._mirror.live

    async def ask(self) -> Answer:
        """Raises KubeError, of the hub, which says nothing of the member."""
        found = await self._hub.get(MANAGED_CLUSTER, "", self._name) or {}
        if not mapping(found.get("spec")).get("hubAcceptsClient"):
            return Answer(True, denied=True, why=f"ManagedCluster {self._name} has no spec.hubAcceptsClient: true")
        conditions = listed(mapping(found.get("status")).get("conditions"))
        lease = next((each for each in conditions if each.get("type") == AVAILABLE), {})
        if lease.get("status") != "True":
            why = text(lease.get("message"))[:512] or "its agent has not reported yet"
            return Answer(False, why=f"ManagedCluster {self._name}: {why}")
        return Answer(True, denied=bool(self._why), why=self._why)

    async def follow(self) -> None:
        if not self._tasks:
            running = self._mirror.run(), self._write(), self._keep_counting()
            self._tasks = [asyncio.create_task(each) for each in running]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self) -> None:
        """Bring about what services are to have there, once it is known what they have."""
        await self._mirror.filled.wait()
        self._ends.filled()
        await self._ends.children.run(Writing(self._hub, self._name, self._ends.children.hub, self._works))

    async def _keep_counting(self) -> None:
        """Have the member's own inferops count what it has, for as long as it is followed."""
        await self._mirror.filled.wait()
        probes: set[str] = set()
        while True:
            there = self._works.there.get(HERE_WORK)
            if there is None or not there.as_written:
                try:
                    here = render_here(self._name, self._ends.children.hub, self._namespace)
                    await self._hub.apply(MANIFEST_WORK, here, force=True)
                except KubeError as error:
                    log.warning("member cluster %s is not asked to count what it has: %s", self._name, error)
            await asyncio.sleep(EVERY)
            probes = await self._forget_probes(probes)

    async def _forget_probes(self, before: set[str]) -> set[str]:
        """Delete the works that only look and were there before: who asked by them has ended, or wants it no more.
        Returns those that are left."""
        left = {each.uid: name for name, each in self._works.there.items() if each.reads}
        for uid in before & left.keys():
            with suppress(KubeError):
                await self._hub.delete(MANIFEST_WORK, self._name, left[uid], uid)
        return left.keys() - before

    def _count(self, work: Object) -> None:
        """What the member's own inferops tells of it has changed."""
        seen = told(work)
        values = seen.values
        conditions = listed(status_of(values).get("conditions"))
        ready = next((each for each in conditions if each.get("type") == "Ready"), {})
        where = f"InferenceCluster {self._namespace}/{HERE} there"
        self._why = ""
        if seen.applied is False:
            self._why = f"{where}: {seen.why}; is inferops installed there, with manifests/member/ocm.yaml?"
        elif ready.get("reason") == Reason.SAME_CLUSTER:
            self._why = f"{where}: {ready.get('message', '')}"
        summary = values.get("status.summary", "")
        if not summary or summary == self._counted:
            return
        try:
            found = read(summary)
        except Unreadable as error:
            self._why = f"{where}: its status.summary cannot be read ({error}); update inferops there or here"
            return
        self._counted = summary
        uid = values.get("status.clusterUID", "")
        self._ends.counted(Counted(found.free, found.nodes, found.scheduled, found.waiting, found.quotas, uid))


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a work. All of them whole would be much."""

    uid: str
    version: int
    generation: int
    leaving: bool
    brings: tuple[str, str] | None  # namespace and name of a service
    reads: bool  # it only looks
    whose: str  # the hub's that the object's label tells
    applied: bool | None
    there: bool | None
    known: bool
    why: str
    as_written: bool
    raw: Object | None  # all of it, while somebody asks for that


class Works:
    """The works of one member, as a mirror's copy. `children` are told of those that bring services."""

    def __init__(self, children: Children, here: Callable[[Object], None]) -> None:
        """`here`: told of the work by which the member counts."""
        self.there: dict[str, Kept] = {}
        self._children, self._here = children, here
        self._namespace = ""
        self._whole: set[str] = set()
        self._news = asyncio.Event()

    def put(self, raw: Object) -> None:
        name, self._namespace = raw["metadata"]["name"], raw["metadata"]["namespace"]
        now, before = _kept(raw, whole=name in self._whole), self.there.get(name)
        if before is not None and now.version < before.version:
            return  # what came of a write was overtaken by what happened since
        self.there[name] = now
        self._tell()
        found = child_of(raw)
        if name == HERE_WORK:
            self._here(raw)
        elif found is not None and now.brings is not None:
            self._children.put(found)
        elif not now.reads:
            log.warning("ManifestWork %s/%s has our label and is none of ours", self._namespace, name)

    def remove(self, namespace: str, name: str, version: int) -> None:
        gone = self.there.pop(name, None)
        self._tell()
        if gone is not None and gone.brings is not None:
            self._children.remove(*gone.brings, version)

    def names(self) -> Iterable[tuple[str, str]]:
        return [(self._namespace, name) for name in self.there]

    async def until(self, name: str, is_so: Callable[[Kept | None], bool], doing: str) -> Kept | None:
        """The work once it is so. Raises KubeError where the agent takes longer than it should."""
        try:
            async with asyncio.timeout(AGENT):
                while not is_so(self.there.get(name)):
                    await self._news.wait()
        except TimeoutError:
            raise KubeError(doing, 0, "NotYet", WAITS) from None
        return self.there.get(name)

    @contextmanager
    def whole(self, name: str) -> Iterator[None]:
        """From now on all of this work is kept, whoever tells of it."""
        self._whole.add(name)
        try:
            yield
        finally:
            self._whole.discard(name)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Writing:
    """What `Children` asks of a member, by works."""

    def __init__(self, hub: Calls, cluster: str, uid: str, works: Works) -> None:
        self._hub, self._cluster, self._uid, self._works = hub, cluster, uid, works

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """What has the name there, by a work that only looks. Raises KubeError, final where it may not look."""
        doing, of = f"look for {kind.kind} {namespace}/{name}", work_name(namespace, name)
        child = {"kind": kind.kind, "metadata": {"namespace": namespace, "name": name}}
        await self._works.until(of, lambda work: work is None or not work.leaving, doing)
        if of not in self._works.there:
            probe = render_work(self._cluster, self._uid, child, strategy="ReadOnly")
            self._works.put(await self._hub.apply(MANIFEST_WORK, probe, force=True))
        work = await self._works.until(of, _looked, doing)
        if work is None or not work.reads or (work.there is False and work.applied):
            return None
        if work.whose != self._uid:  # else the same work brings it from now on
            await self._hub.delete(MANIFEST_WORK, self._cluster, of, work.uid)
        if work.there:
            return {"metadata": {"labels": {HUB: work.whose} if work.whose else {}}}
        raise KubeError(doing, 403, "NotFetched", work.why)

    async def apply(self, kind: Kind, desired: Object, *, force: bool, subresource: str = "") -> Object:
        """Write the work that brings it, and wait until it was applied. Raises KubeError, final where the member
        refused it: what was never there does not stay."""
        meta = desired["metadata"]
        doing, name = (
            f"apply {kind.kind} {meta['namespace']}/{meta['name']}",
            work_name(meta["namespace"], meta["name"]),
        )
        work = render_work(self._cluster, self._uid, desired, strategy="ServerSideApply")
        if "uid" in meta:
            work["metadata"]["uid"] = meta["uid"]
        with self._works.whole(name):
            written = await self._hub.apply(MANIFEST_WORK, work, force=True)
            self._works.put(written)
            generation = written["metadata"]["generation"]
            done = await self._works.until(name, lambda each: each is None or _tried(each, generation), doing)
        if done is None:
            raise KubeError(doing, 0, "Gone", "its work was deleted meanwhile")
        if done.applied is False:
            if not done.known:
                await self._hub.delete(MANIFEST_WORK, self._cluster, name, done.uid)
            raise KubeError(doing, 422, "NotApplied", done.why)
        found = child_of(done.raw or written)
        assert found is not None, "what was written brings one"
        return found

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete its work; the agent then deletes what it brought, and only then is the work gone."""
        await self._hub.delete(MANIFEST_WORK, self._cluster, work_name(namespace, name), uid)


def _kept(raw: Object, *, whole: bool) -> Kept:
    seen, meta = told(raw), raw["metadata"]
    named = mapping(seen.manifest.get("metadata"))
    where = text(named.get("namespace")), text(named.get("name"))
    ours = not seen.reads and seen.manifest.get("kind") == "InferenceService" and work_name(*where) == meta["name"]
    return Kept(
        text(meta.get("uid")),
        int(meta.get("resourceVersion") or 0),
        int(meta.get("generation") or 0),
        bool(meta.get("deletionTimestamp")),
        where if ours else None,
        seen.reads,
        seen.values.get(HUB, ""),
        seen.applied,
        seen.there,
        seen.known,
        seen.why,
        as_written(raw),
        raw if whole else None,
    )


def _looked(work: Kept | None) -> bool:
    """Whether the agent has looked what is there, or cannot."""
    return work is not None and (not work.reads or work.there is not None or bool(work.why))


def _tried(work: Kept, generation: int) -> bool:
    """Whether the agent has tried to apply that generation, or a later one."""
    return work.generation >= generation and work.applied is not None
