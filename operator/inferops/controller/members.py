"""All member clusters: each is asked for as long as its InferenceCluster is there, and tells when there is news."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import aiohttp
from kubernetes.aio.client import Configuration

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.conditions import Reason
from inferops.api.inferencecluster import ClusterAccess, ClusterProfileRef, InferenceClusterSpec, InferenceClusterStatus
from inferops.controller.link import Asked
from inferops.controller.member import MemberCluster, Surroundings, answers
from inferops.controller.memberaccess import Sources
from inferops.controller.membercapacity import Capacity
from inferops.controller.membergrowth import Growing
from inferops.controller.memberpromises import Promise, Promises
from inferops.controller.store import Key
from inferops.core.clusters.naming import HUB, hub_name
from inferops.core.clusters.seen import ClusterView
from inferops.core.clusterstatus import Member, restored
from inferops.core.engine import Obstacle
from inferops.core.membership import USUAL, Patience, cut_off
from inferops.core.offers import Free
from inferops.core.offers import told as told_offers
from inferops.kube.breaker import Calls
from inferops.kube.client import Client, Reader
from inferops.kube.clusterprofile import Provider
from inferops.kube.owned import Object
from inferops.kube.scope import EVERYWHERE

UNKNOWN = InferenceClusterSpec(
    access=ClusterAccess(cluster_profile=ClusterProfileRef(name="unknown"))
)  # of what could never be read
AT_ONCE = 10  # services a second that look again as a member falls silent or is back
BEGINNING = 15.0  # seconds after which an operator that begins acts without those that did not answer yet


class Identity(NamedTuple):
    """Which InferenceCluster it is that is spoken of."""

    uid: str
    since: str = ""  # when it was created
    labels: Mapping[str, str] = {}


@dataclass(slots=True)
class _Known:
    """A member, by its InferenceCluster."""

    identity: Identity
    spec: InferenceClusterSpec
    cluster: MemberCluster | None = None  # None: it is not asked
    problem: Obstacle | None = None  # why not
    told: tuple[object, object] | None = None  # by what all services, and those that are there, looked last
    promises: Promises = field(default_factory=Promises)
    growing: Growing = field(default_factory=Growing)


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
        uid: str = "",
        placed: Callable[[], Iterable[Key]] = tuple,
        patience: Patience = USUAL,
        providers: Iterable[Provider] = (),
        works: Calls | None = None,
        namespaces: tuple[str, ...] = EVERYWHERE,
    ) -> None:
        """`namespace`: the operator's, in which InferenceClusters and their Secrets are; `now`: Unix seconds;
        `changed`: told of every member and service of which there is news; `ask`: whether somebody answers at a URL;
        `uid`: of the hub, by which what we write into members is known; `placed`: services that are, or are to be, in
        members; `providers`: of credentials for ClusterProfiles; `works`: the hub, where ManifestWorks are written;
        `namespaces`: whose services are ours, asked for in members one by one."""
        self._changed, self._namespace, self._placed = changed, namespace, placed
        self._accelerators = accelerators
        self._session = aiohttp.ClientSession()
        self._around = Surroundings(
            Sources(kube, hub, namespace, tuple(providers)),
            now,
            uid,
            changed,
            self._free,
            self._cut_off,
            lambda url: ask(self._session, url),
            connect,
            patience,
            works,
            namespaces,
        )
        self._members: dict[Key, _Known] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.hub_uid = uid
        loop = asyncio.get_running_loop()
        self._began, self._until = False, loop.time() + BEGINNING
        self._waiting: set[Key] = set()  # services, until all are known
        self._later: list[asyncio.TimerHandle] = []  # of services that are still to look again
        self._beginning = loop.call_at(self._until, self._release)

    def seen(
        self, key: Key, identity: Identity, spec: InferenceClusterSpec, status: InferenceClusterStatus
    ) -> Member | Obstacle | None:
        """What is known of a member now; None: no more than its status has. From the first call on it is asked, until
        it is forgotten."""
        if key.namespace != self._namespace:
            where = f"an InferenceCluster counts in the operator's namespace alone: create it in {self._namespace}"
            return Obstacle(Reason.NOT_ACTED_ON, where)
        known = self._members.get(key)
        same = known is not None and known.identity.uid == identity.uid and known.spec.access == spec.access
        if known is None or not same or known.cluster is None:
            promises = known.promises if known is not None else Promises()
            self._hang_up(key)
            health = restored(status)
            made = MemberCluster(key.name, spec, health, self._around, lambda: self._changed(key))
            self._members[key] = _Known(identity, spec, made, promises=promises, growing=Growing(status.offers))
        elif known.spec != spec:
            known.spec = spec
            known.cluster.change(spec)
        self._members[key].identity = identity
        self._look_at_growth(key)
        self._tell_services(key)
        self._release()
        asked = self._members[key].cluster
        if asked is not None and status.conditions and not asked.settled:
            return None
        return self._told(key)

    def unreadable(self, key: Key, identity: Identity, why: Obstacle) -> None:
        """Its spec cannot be read: it is asked no more, and services do without knowing how it is."""
        if key.namespace != self._namespace:
            return
        self._hang_up(key)
        known = self._members.get(key)
        spec = known.spec if known is not None else UNKNOWN
        promises = known.promises if known is not None else Promises()
        told = known.told if known is not None else None
        self._members[key] = _Known(identity, spec, None, why, told, promises)
        self._tell_services(key)
        self._release()

    def forget(self, key: Key) -> None:
        """It is gone."""
        if key in self._members:
            self._hang_up(key)
            del self._members[key]
            for each in self._placed():
                self._changed(each)
        self._release()

    async def close(self) -> None:
        """Hang up everywhere."""
        for timer in (self._beginning, *self._later):
            timer.cancel()
        for key in list(self._members):
            self._hang_up(key)
        self._members.clear()
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._session.close()

    # For services

    def knows(self, clusters: Iterable[Key], service: Key) -> bool:
        """Whether all of `clusters`, as far as they count, were seen, and asked unless that takes long: before that
        nothing is to be decided. Else the service is told once it may be so."""
        seen = all(key in self._members for key in clusters if key.namespace == self._namespace)
        if seen and self._asked():
            self._began = True
            return True
        self._waiting.add(service)
        return False

    def views(self, service: Key, gives: int | None = None) -> list[ClusterView]:
        """All clusters as they are for a service, by name. `gives`: how many of the replicas that it has in the hub
        outside its clusters give way to those that it is to have there; None: it has none."""
        firsts, cut_off = self._firsts(), self._cut_off()
        members = sorted(self._members.items())
        return [self._view(known, key.name, service, firsts, cut_off, gives) for key, known in members]

    def want(self, service: Key, cluster: str, desired: Object | None) -> None:
        """From now on the service is to have this in a cluster; None: nothing."""
        known = self._members.get(self._key(cluster))
        if known is not None and known.cluster is not None:
            known.cluster.children.want(service, desired)

    def may_have(self, service: Key, cluster: str) -> bool:
        """Whether the service is in a cluster, or may be as far as is known: what was written had no answer yet."""
        known = self._members.get(self._key(cluster))
        return known is not None and known.cluster is not None and known.cluster.children.may_have(service)

    def promise(self, service: Key, promises: Mapping[str, Promise]) -> None:
        """What a service was given, by cluster: others find no place there any more."""
        for key, known in self._members.items():
            known.promises.put(_there(known, service), promises.get(key.name))

    def forget_service(self, service: Key) -> None:
        """It is gone from the hub."""
        self.promise(service, {})
        for known in self._members.values():
            if known.cluster is not None:
                known.cluster.children.forget(service)

    def _key(self, cluster: str) -> Key:
        return Key("InferenceCluster", self._namespace, cluster)

    def _view(
        self,
        known: _Known,
        name: str,
        service: Key,
        firsts: Mapping[str, tuple[str, str]],
        cut_off: bool,
        gives: int | None,
    ) -> ClusterView:
        problem = self._problem(known, name, firsts)
        told = ClusterView(
            name,
            known.identity.labels,
            known.spec,
            problem=problem.message if problem is not None else "",
        )
        cluster = known.cluster
        if cluster is None:
            return told
        found, there = cluster.children.found.get(service), _there(known, service)
        free, scheduled = cluster.free, cluster.scheduled
        if there != service and gives is not None:  # counted anew: what gives way must not be missed, nor count twice
            free, scheduled = cluster.without(service, gives)
        grown = self._grown(known, free) if free is not None else None
        return ClusterView(
            name,
            told.labels,
            told.spec,
            cluster.health.state,
            cut_off,
            told.problem,
            known.promises.left(there, grown, scheduled) if grown is not None else None,
            cluster.listed,
            found.view if found is not None else None,
            scheduled[there.namespace, there.name],
            cluster.children.refused(service),
            cluster.waiting.get((there.namespace, there.name), ()),
            known.promises.quotas(there, cluster.quotas.get(there.namespace, ()), grown or (), cluster.made),
        )

    def _asked(self) -> bool:
        """Whether all that were seen so far were asked since this operator began, or long enough waited for: else
        services would be told that clusters are not known, and a moment later that they are."""
        return (
            self._began
            or asyncio.get_running_loop().time() >= self._until
            or all(known.cluster is None or known.cluster.known for known in self._members.values())
        )

    def _release(self) -> None:
        """Have services look again that wait until all are known: it is they who know which there are."""
        if self._waiting and self._asked():
            for each in self._waiting:
                self._changed(each)
            self._waiting.clear()

    def _tell_services(self, key: Key) -> None:
        """Have services look again where something has changed by which they are placed. How it answers concerns those
        that have something there; others look by themselves, soon where they miss something."""
        known = self._members[key]
        cluster = known.cluster
        all_: tuple[object, ...] = (known.identity, known.spec, self._problem(known, key.name, self._firsts()))
        own: tuple[object, ...] = ()
        if cluster is not None:
            listed = cluster.listed or cluster.health.state != "Healthy"  # else how it answers says more
            all_ = (*all_, listed, cluster.free is None, known.growing.trust)
            own = (cluster.health.state, self._cut_off())
        before, known.told = known.told, (all_, own)
        if before is None or before[0] != all_:
            for each in self._placed():
                self._changed(each)
        elif before[1] != own and cluster is not None:
            self._tell_by_and_by(known.promises.services() | set(cluster.children.found))

    def _tell_by_and_by(self, services: Iterable[Key]) -> None:
        """Have services look again, a few at a time: a hundred statuses at once would hold up everybody else's."""
        loop = asyncio.get_running_loop()
        self._later = [timer for timer in self._later if timer.when() > loop.time()]
        for number, each in enumerate(sorted(services)):
            if number < AT_ONCE:
                self._changed(each)
            else:
                self._later.append(loop.call_later(number / AT_ONCE, self._changed, each))

    # For itself

    def _hang_up(self, key: Key) -> None:
        known = self._members.get(key)
        if known is None or known.cluster is None:
            return
        gone, known.cluster = known.cluster, None
        known.growing.stop()
        task = asyncio.create_task(gone.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        for other, each in self._members.items():
            if each.cluster is not None and each.cluster.uid and each.cluster.uid == gone.uid:
                self._changed(other)

    def _told(self, key: Key) -> Member | Obstacle:
        known = self._members[key]
        problem, member = self._problem(known, key.name, self._firsts()), known.cluster
        if problem is not None:
            return problem
        assert member is not None, "who is not asked has a problem"
        nodes, ready = member.nodes
        offers = member.offers
        if member.free is not None and known.spec.growth:
            offers = tuple(told_offers(self._grown(known, member.free)))
        summary = member.summary if HUB in known.identity.labels else ""  # another hub wrote it, and asks for it
        return Member(member.health, self._cut_off(), member.uid, nodes, ready, offers, summary)

    def _firsts(self) -> dict[str, tuple[str, str]]:
        """By UID of the cluster, which InferenceCluster was the first to mean it: when it was created, and its name."""
        firsts: dict[str, tuple[str, str]] = {}
        for key, known in self._members.items():
            if known.cluster is not None and known.cluster.uid:
                mine = known.identity.since, key.name
                firsts[known.cluster.uid] = min(firsts.get(known.cluster.uid, mine), mine)
        return firsts

    def _problem(self, known: _Known, name: str, firsts: Mapping[str, tuple[str, str]]) -> Obstacle | None:
        """Why a cluster is not asked, or does not count."""
        member = known.cluster
        if member is None or member.obstacle is not None:
            return known.problem if member is None else member.obstacle
        if member.uid and member.uid == self.hub_uid and not known.spec.access.hub:
            return Obstacle(Reason.SAME_CLUSTER, "it is the hub itself: say so by spec.access: {hub: true}")
        if member.uid and (first := firsts[member.uid]) < (known.identity.since, name):
            return Obstacle(
                Reason.SAME_CLUSTER,
                f"it is the same cluster as InferenceCluster {first[1]} (its namespace kube-system has the UID "
                f"{member.uid}), and would count twice: delete one of the two",
            )
        return None

    def _free(self, capacity: Capacity, spec: InferenceClusterSpec) -> tuple[Free, ...]:
        return capacity.free(self._accelerators(), spec.tolerations)

    def _look_at_growth(self, key: Key) -> None:
        """See whether nodes came for the replicas that wait for them."""
        known = self._members[key]
        cluster, growth = known.cluster, known.spec.growth
        if growth and cluster is not None and cluster.free is not None and cluster.health.state == "Healthy":
            oldest, now = known.promises.oldest(cluster.waiting), self._around.now()
            known.growing.look(growth, cluster.free, oldest, now, lambda: self._changed(key))

    def _grown(self, known: _Known, free: tuple[Free, ...]) -> tuple[Free, ...]:
        return known.growing.grown(free, known.spec.growth, self._accelerators())

    def _cut_off(self) -> bool:
        """The hub is no witness: it always answers itself."""
        others = [each.cluster for each in self._members.values() if each.cluster is not None]
        healths = [each.health for each in others if not each.spec.access.hub]
        return cut_off(healths, self._around.now(), self._around.patience)


def _there(known: _Known, service: Key) -> Key:
    """What a service is in a member."""
    return service._replace(name=hub_name(service.name)) if known.spec.access.hub else service
