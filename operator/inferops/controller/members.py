"""All member clusters: each is asked for as long as its InferenceCluster is there, and tells when there is news."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
from kubernetes.aio.client import Configuration

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.conditions import Reason
from inferops.api.inferencecluster import InferenceClusterSpec, InferenceClusterStatus, Offer
from inferops.controller.member import Asked, MemberCluster, Reader, Surroundings, answers
from inferops.controller.membercapacity import Capacity
from inferops.controller.store import Key
from inferops.core.clusterstatus import NOT_ACTED_ON, Member, restored
from inferops.core.engine import Obstacle
from inferops.core.membership import cut_off
from inferops.kube.client import Client


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
        self._members: dict[Key, tuple[str, str, MemberCluster]] = {}  # uid, since when there is one
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
        if known is None or known[0] != uid or known[2].spec != spec:
            kept = known is not None and known[0] == uid and known[2].spec.access == spec.access
            health = known[2].health if known is not None and kept else restored(status)
            self.forget(key)
            member = MemberCluster(key.name, spec, health, self._around, lambda: self._changed(key))
            self._members[key] = uid, since, member
        if status.conditions and not self._members[key][2].settled:
            return None
        return self._told(key)

    def forget(self, key: Key) -> None:
        """It is gone."""
        gone = self._members.pop(key, None)
        if gone is None:
            return
        task = asyncio.create_task(gone[2].close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        for other, (_, _, member) in self._members.items():
            if member.uid and member.uid == gone[2].uid:
                self._changed(other)

    async def close(self) -> None:
        """Hang up everywhere."""
        for key in list(self._members):
            self.forget(key)
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._session.close()

    def _told(self, key: Key) -> Member | Obstacle:
        _, since, member = self._members[key]
        if member.obstacle is not None:
            return member.obstacle
        same = [(since, other.name) for other, (_, since, each) in self._members.items() if each.uid == member.uid]
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
        others = [member for _, _, member in self._members.values() if not member.spec.access.hub]
        return cut_off([member.health for member in others], self._around.now())
