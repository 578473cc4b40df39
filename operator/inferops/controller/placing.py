"""A service that is placed on members: what is decided of its clusters is put on record, then handed to them.

Nothing here waits for a member. Whatever is to be in one is on record before it is written there, and stays on record
until it is gone from there: so nothing is forgotten, whenever the operator ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inferops.api import API_VERSION
from inferops.api.conditions import Condition, ConditionType, Reason
from inferops.api.placement import ClusterPlacement, PlacementStatus
from inferops.api.rollout import ACTION
from inferops.controller.apply import Applier, Refused
from inferops.controller.hubpart import lead
from inferops.controller.memberpromises import Promise
from inferops.controller.members import Members
from inferops.controller.observe import Leaving
from inferops.controller.parents import FINALIZER
from inferops.controller.store import Key, Store
from inferops.core import choices, validity
from inferops.core.clusters import home
from inferops.core.clusters.news import events
from inferops.core.clusters.place import Placement, place_service
from inferops.core.clusters.seen import ClusterView
from inferops.core.clusters.selecting import selected
from inferops.core.clusters.told import placed_status, terminating
from inferops.core.clusters.waves import passed_on
from inferops.core.event import Event
from inferops.core.observation import Observation
from inferops.core.told import describe
from inferops.kube.kinds import HTTP_ROUTE, INFERENCE_SERVICE, SERVICE_EXPORT
from inferops.render.child import render_child

BLOCKED = 10.0  # seconds until it is looked again whether a cluster is rid of a service
SOON = 1.0  # ... whether Kubernetes has listed the pods behind a Service


@dataclass(slots=True)
class Placing:
    """What a service is placed with."""

    store: Store
    applier: Applier
    members: Members
    now: Callable[[], datetime]
    later: Callable[[Key, float], None]  # asks for another run in so many seconds

    async def place(self, key: Key, seen: Observation) -> tuple[Event, ...]:
        """Bring the service to the clusters that are to have it. Returns what is new. Raises KubeError, of the hub
        alone."""
        if not self.members.knows(self.store.clusters(), key):
            return ()
        views = self._views(key, seen)
        obstacle = validity.obstacle(seen, validity.ANYWHERE)
        placed = place_service(seen, views) if obstacle is None else None
        if placed is not None:  # before anything is waited for: others are placed meanwhile
            self.members.promise(key, _promises(seen, placed))
        meta, before = seen.service.metadata, seen.service.status
        if placed is not None and placed.record.clusters and FINALIZER not in meta.finalizers:
            await self._keep(key, meta.uid, kept=True)
        after = placed_status(seen, views, placed, obstacle)
        await self.applier.write_status(key, meta.uid, before, after)
        if placed is None:
            return ()
        self._hand_over(key, seen, placed, views)
        ready = any(each.type == ConditionType.READY and each.status == "True" for each in after.conditions)
        told = await self._in_hub(key, seen, views, ready=ready)
        self.later(key, placed.again)
        if ready:
            await self._leave_home(key, seen, views)
        elif seen.revisions and any(each.spec.access.hub for each in views):
            self.later(key, BLOCKED)
            if (gives := home.giving(seen, placed.record, views)) is not None:
                await self.applier.resize(key, meta.uid, *gives)
        return (*events(before.placement, after.placement), *told)

    async def leave(self, key: Key, going: Leaving) -> bool:
        """Bring it out of all clusters. Returns whether it is gone from all of them. Raises KubeError, of the hub."""
        before = going.status
        if going.orphan:
            await self.let_go(key, going.uid)
            return True
        if not self.members.knows(self.store.clusters(), key):
            return False
        views = self.members.views(key)
        on_record = {each.cluster: each for each in before.placement.clusters}
        left = []
        for view in views:
            unmade = view.child is None and not self.members.may_have(key, view.name)
            if unmade and (view.healthy or view.name not in on_record):
                continue
            self.members.want(key, view.name, None)
            known = on_record.get(view.name, ClusterPlacement(cluster=view.name, state="Removing"))
            left.append(known.model_copy(update={"state": "Removing", "message": _blocked(view)}))
        record = PlacementStatus(clusters=left)
        after = before.model_copy(update={"placement": record})
        if going.deleted and left:
            after = terminating(before, going.generation, record, self.now())
        if left or not going.deleted:
            await self.applier.write_status(key, going.uid, before, after)
        if left:
            self.later(key, BLOCKED)
            return False
        await self.let_go(key, going.uid)
        return True

    async def come_home(self, key: Key, seen: Observation, conditions: Sequence[Condition]) -> None:
        """It is placed on members no more: they are rid of it once it serves here."""
        part = home.part_of(self.members.views(key))
        if part is not None and part.child is not None and part.child.ready and home.homeless(conditions):
            self._make_room(key, seen, conditions, part)
        elif any(each.type == ConditionType.AVAILABLE and each.status == "True" for each in conditions):
            meta = seen.service.metadata
            await self.leave(key, Leaving(meta.uid, meta.generation, seen.service.status, deleted=False))

    async def let_go(self, key: Key, uid: str) -> None:
        """It is in no member any more, or is to stay there as it is."""
        self.members.forget_service(key)
        await self._keep(key, uid, kept=False)

    async def _keep(self, key: Key, uid: str, *, kept: bool) -> None:
        """Have the API server keep the service until the members are rid of it, or not any more."""
        meta: dict[str, Any] = {"name": key.name, "namespace": key.namespace, "uid": uid}
        if kept:
            meta["finalizers"] = [FINALIZER]
        desired = {"apiVersion": API_VERSION, "kind": key.kind, "metadata": meta}
        await self.applier.kube.apply(INFERENCE_SERVICE, desired, force=True)

    def _views(self, key: Key, seen: Observation) -> list[ClusterView]:
        """The clusters that the selector means, and those that have something of the service, or may have."""
        selector = seen.service.spec.placement.clusters
        on_record = {each.cluster for each in seen.service.status.placement.clusters}
        return [
            view
            for view in self.members.views(key, home.gives(seen) if seen.revisions else None)
            if view.name in on_record
            or view.child is not None
            or (selector is not None and selected(selector, view.labels))
        ]

    def _hand_over(self, key: Key, seen: Observation, placed: Placement, views: Sequence[ClusterView]) -> None:
        """Tell the clusters' own workers what is to be there."""
        urls = {each.name: each.spec.gateway.url for each in views if each.spec.gateway is not None}
        here = {each.name for each in views if each.spec.access.hub}
        tolerated = {each.name: each.spec.tolerations for each in views}
        serving = [each.cluster for each in placed.record.clusters if each.state not in ("Lost", "Standby", "Removing")]
        action = passed_on(seen.service.metadata.annotations.get(ACTION, ""), placed.record.rollout)
        for cluster, plan in placed.children.items():
            child = render_child(
                seen.service,
                self.members.hub_uid,
                plan.choice,
                plan.least,
                plan.most,
                fixed=plan.fixed,
                others=[(name, urls[name]) for name in _nearest(cluster, serving, views) if name in urls],
                version=plan.version,
                action=action,
                ttft=plan.ttft,
                tolerations=tolerated[cluster],
                here=cluster in here,
            )
            self.members.want(key, cluster, child)
        for cluster in placed.removed:
            self.members.want(key, cluster, None)

    async def _leave_home(self, key: Key, seen: Observation, views: Sequence[ClusterView]) -> None:
        """What ran in the hub before it was placed on members goes once they serve."""
        uid = seen.service.metadata.uid
        await self.applier.remove(key, uid, HTTP_ROUTE, key.name)  # it leads to nothing but that
        if home.part_of(views) is None:
            await self.applier.remove(key, uid, SERVICE_EXPORT, key.name)  # its Service leads to nobody
        for revision in seen.revisions:
            await self.applier.remove_revision(key, uid, revision.hash)

    async def _in_hub(
        self, key: Key, seen: Observation, views: Sequence[ClusterView], *, ready: bool
    ) -> tuple[Event, ...]:
        """Have the service's name lead to its part in the hub, once that has as much as what ran there before."""
        part, own = home.part_of(views), home.answering(seen)
        if part is None or part.child is None or not (ready or part.child.ready >= own):
            return ()
        try:
            done = await lead(self.applier, key, seen, part.child)
        except Refused as refused:
            return (Event(True, refused.obstacle.reason, refused.obstacle.message),)
        if not done:
            self.later(key, SOON)
        return ()

    def _make_room(self, key: Key, seen: Observation, conditions: Sequence[Condition], part: ClusterView) -> None:
        """Have the part in the hub give a replica up for those that the service has there itself."""
        number, child = home.lessened(seen, conditions, part), part.child
        found = (each for each in choices.each_choice(seen) if child is not None and describe(each) == child.way)
        choice = next(found, None)
        if number is not None and choice is not None:
            less = render_child(seen.service, self.members.hub_uid, choice, 0, number, fixed=True, here=True)
            self.members.want(key, part.name, less)


def _promises(seen: Observation, placed: Placement) -> dict[str, Promise]:
    """What the service was given, by cluster."""
    found = {describe(each): each for each in choices.each_choice(seen)}
    return {
        entry.cluster: Promise(
            choice.type, choice.spot, choice.count, max(entry.desired_replicas, entry.min_replicas), choice.nodes
        )
        for entry in placed.record.clusters
        if (choice := found.get(entry.accelerator)) is not None
    }


def _nearest(cluster: str, serving: Sequence[str], views: Sequence[ClusterView]) -> list[str]:
    """The other clusters that serve, those of the same zone first, then those of the same region."""
    where = {each.name: each.spec for each in views}
    here = where[cluster]

    def distance(name: str) -> tuple[bool, bool, str]:
        there = where[name]
        return there.region is None or there.region != here.region, there.zone is None or there.zone != here.zone, name

    return sorted((name for name in serving if name != cluster), key=distance)


def _blocked(view: ClusterView) -> str:
    """Why a cluster is not rid of the service yet."""
    if view.healthy:
        return f"{Reason.TERMINATING}: it ends there"
    why = view.problem or f"it is {view.state}"
    return (
        f"it cannot be removed there: {why}. It is once the cluster is back; delete the InferenceCluster if it never "
        "will be, or set placement.deletionPolicy: Orphan to leave what runs"
    )
