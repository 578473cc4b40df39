"""All member clusters: each is asked for as long as its InferenceCluster is there, and tells when there is news."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

import aiohttp
from kubernetes.aio.client import Configuration

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.conditions import Reason
from inferops.api.inferencecluster import InferenceClusterSpec, InferenceClusterStatus, Offer
from inferops.controller.member import Asked, MemberCluster, Surroundings, answers
from inferops.controller.membercapacity import Capacity
from inferops.controller.store import Key
from inferops.core.clusterstatus import NOT_ACTED_ON, Member, restored
from inferops.core.engine import Obstacle
from inferops.core.membership import cut_off
from inferops.kube.client import Client, Reader


class _Known(NamedTuple):
    """A member, by its InferenceCluster."""

    uid: str
    since: str  # when that was created
    cluster: MemberCluster


class Members:
    """The members by the keys of their InferenceClusters. Call inside a running loop, and `close` at the end."""

    def __init__(
        self,
        kube: Reader,
        hub: Configuration,
        namespace: str,
        now: Callable[[], float],
        changed: Callable[[Key], None],
        accelerators: Callable[[], Mapping[str, AcceleratorSpec]],
        connect: Callable[[Configuration], Asked] = Client,
        ask: Callable[[aiohttp.ClientSession, str], Awaitable[bool]] = answers,
    ) -> None:
        """`namespace`: the operator's, in which InferenceClusters and their Secrets are; `now`: Unix seconds;
        `changed`: told of every member of which there is news; `ask`: whether somebody answers at a URL."""
        self._changed, self._namespace = changed, namespace
        self._accelerators = accelerators
        self._session = aiohttp.ClientSession()
        self._around = Surroundings(
            kube, hub, namespace, now, self._offers, self._cut_off, lambda url: ask(self._session, url), connect
        )
        self._members: dict[Key, _Known] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def seen(
        self, key: Key, uid: str, since: str, spec: InferenceClusterSpec, status: InferenceClusterStatus
    ) -> Member | Obstacle | None:
        """What is known of a member now; None: no more than its status has. From the first call on it is asked, until
        it is forgotten."""
        if key.namespace != self._namespace:
            where = f"an InferenceCluster counts in the operator's namespace alone: create it in {self._namespace}"
            return Obstacle(Reason.NOT_ACTED_ON, where)
        if spec.access.cluster_profile is not None:
            self.forget(key)
            return NOT_ACTED_ON
        known = self._members.get(key)
        if known is None or known.uid != uid or known.cluster.spec != spec:
            same = known is not None and known.uid == uid and known.cluster.spec.access == spec.access
            health = known.cluster.health if known is not None and same else restored(status)
            self.forget(key)
            cluster = MemberCluster(key.name, spec, health, self._around, lambda: self._changed(key))
            self._members[key] = _Known(uid, since, cluster)
        if status.conditions and not self._members[key].cluster.settled:
            return None
        return self._told(key)

    def forget(self, key: Key) -> None:
        """It is gone."""
        gone = self._members.pop(key, None)
        if gone is None:
            return
        task = asyncio.create_task(gone.cluster.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        for other, known in self._members.items():
            if known.cluster.uid and known.cluster.uid == gone.cluster.uid:
                self._changed(other)

    async def close(self) -> None:
        """Hang up everywhere."""
        for key in list(self._members):
            self.forget(key)
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._session.close()

    def _told(self, key: Key) -> Member | Obstacle:
        member, since = self._members[key].cluster, self._members[key].since
        if member.obstacle is not None:
            return member.obstacle
        same = [(each.since, other.name) for other, each in self._members.items() if each.cluster.uid == member.uid]
        if member.uid and (first := min(same)) < (since, key.name):
            return Obstacle(
                Reason.SAME_CLUSTER,
                f"it is the same cluster as InferenceCluster {first[1]} (its namespace kube-system has the UID "
                f"{member.uid}), and would count twice: delete one of the two",
            )
        nodes, ready = member.nodes
        return Member(member.health, self._cut_off(), member.uid, nodes, ready, member.offers)

    def _offers(self, capacity: Capacity, spec: InferenceClusterSpec) -> tuple[Offer, ...]:
        return capacity.offers(self._accelerators(), spec.tolerations)

    def _cut_off(self) -> bool:
        """The hub is no witness: it always answers itself."""
        others = [each.cluster for each in self._members.values() if not each.cluster.spec.access.hub]
        return cut_off([each.health for each in others], self._around.now())
