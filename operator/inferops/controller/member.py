"""One member cluster: reached with its credentials, asked whether it answers, its capacity told.

It has a link and a pace of its own, so that one that is slow or gone delays no other. Credentials are read again once
a minute, and at once when they are refused: who renews them restarts nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import uniform

import aiohttp
from kubernetes.aio.client import Configuration

from inferops.api.inferencecluster import InferenceClusterSpec, Offer
from inferops.controller import worklink
from inferops.controller.children import Children
from inferops.controller.link import Answer, Asked, Counted, DirectLink, Ends, Link
from inferops.controller.memberaccess import NoAccess, Sources, credentials
from inferops.controller.membercapacity import Capacity, Quotas, Waiting
from inferops.controller.store import Key
from inferops.core import offers
from inferops.core.engine import Obstacle
from inferops.core.membership import Health, Patience, Probe, probed
from inferops.core.summary import Summary, summarize
from inferops.kube.breaker import Calls
from inferops.kube.client import REQUEST_TIMEOUT, KubeError

log = logging.getLogger(__name__)

RENEWED = 60.0  # seconds after which credentials are read again
GATEWAY_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all members share."""

    sources: Sources  # of credentials
    now: Callable[[], float]  # Unix seconds
    uid: str  # of the hub, by which what we write into members is known
    changed: Callable[[Key], None]  # told of services of which a member tells news
    free: Callable[[Capacity, InferenceClusterSpec], tuple[offers.Free, ...]]
    cut_off: Callable[[], bool]
    answers: Callable[[str], Awaitable[bool]]  # whether somebody answers at a URL
    connect: Callable[[Configuration], Asked]
    patience: Patience
    works: Calls | None  # the hub, where ManifestWorks are written
    namespaces: tuple[str, ...]  # whose services are ours


class MemberCluster:
    """What is known of one member, and the task that keeps it true."""

    def __init__(
        self, name: str, spec: InferenceClusterSpec, health: Health, around: Surroundings, news: Callable[[], None]
    ) -> None:
        self.spec, self.health = spec, health
        self.uid = ""
        self.obstacle: Obstacle | None = None
        self.free: tuple[offers.Free, ...] | None = None
        self.offers: tuple[Offer, ...] | None = None
        self.nodes = (0, 0)
        self.scheduled: Counter[tuple[str, str]] = Counter()  # pods by namespace and service, when `free` was counted
        self.waiting: Waiting = {}
        self.quotas: Quotas = {}
        self.probed = False
        self._name, self._around, self._news = name, around, news
        self._capacity = Capacity()
        self.children = Children(around.uid, around.changed, here=spec.access.hub)
        free = self._around.free
        self._ends = Ends(self._capacity, self.children, lambda held: free(held, self.spec), self._counted, news)
        self._link: Link | None = None
        self._read_at = float("-inf")
        self._lapses = float("-inf")
        patience = around.patience
        self._judges = asyncio.get_running_loop().time() + patience.suspect + 2 * patience.every + REQUEST_TIMEOUT
        self._told: object = (self.obstacle, health, self.uid, self.settled, False)
        self._task = asyncio.create_task(self._run(), name=f"member {name}")

    @property
    def settled(self) -> bool:
        """Whether more is known of it than its status had when this operator began."""
        state = self.health.state
        return self.obstacle is not None or (
            self.probed and state != "Probing" and (state != "Healthy" or self.offers is not None)
        )

    @property
    def known(self) -> bool:
        """Whether it is known how it is, and if it answers also what it has."""
        if self.obstacle is not None or self.health.state in ("Suspect", "Lost"):
            return True
        return self.probed and (self.health.state != "Healthy" or (self.listed and self.free is not None))

    @property
    def listed(self) -> bool:
        """Whether all that we wrote there is known, as it is now. A watch that was dropped is passed over for as long
        as a silence is, and while it is silent, until it is judged for that."""
        if self._link is not None and self._link.listed:
            return True
        passed_over = self._lapses > float("-inf") and self.health.state == "Healthy" and self.health.silent is not None
        return passed_over or asyncio.get_running_loop().time() < self._lapses

    @property
    def made(self) -> Counter[tuple[str, str]]:
        """Replicas whose pods exist, by namespace and service."""
        return self.scheduled + Counter({service: len(since) for service, since in self.waiting.items()})

    @property
    def summary(self) -> str | None:
        """All that was counted, for another hub; None: nothing was yet."""
        if self.free is None:
            return None
        return summarize(Summary(self.free, self.nodes, self.scheduled, self.waiting, self.quotas))

    def change(self, spec: InferenceClusterSpec) -> None:
        """It is described anew, and reached as before."""
        self.spec = spec
        self._capacity.news.set()  # tolerations count in it

    def without(self, service: Key, replicas: int) -> tuple[tuple[offers.Free, ...] | None, Counter[tuple[str, str]]]:
        """What finds a place once so many replicas of a service have given theirs up, and which have one now."""
        held = self._capacity.without(service.namespace, service.name, replicas)
        return None if self.free is None else self._around.free(held, self.spec), held.scheduled()

    async def close(self) -> None:
        """Stop and hang up."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while True:
                began = asyncio.get_running_loop().time()  # which nobody sets back
                try:
                    await self._round()
                except Exception:  # a mistake of ours must not end all asking
                    log.exception("member cluster %s: a round went wrong, and the next one comes", self._name)
                pace = self._around.patience.every * uniform(0.9, 1.1)
                await asyncio.sleep(max(0.0, began + pace - asyncio.get_running_loop().time()))
        finally:
            await self._hang_up()

    async def _round(self) -> None:
        """One probe, with what it needs and what follows from it. Whatever goes wrong is told, and tried again."""
        try:
            await self._connect()
            probe = await self._probe()
            if probe is not None:
                # Until the others have been asked for long enough as well, nobody knows whether it is the hub.
                alone = self._around.cut_off() or asyncio.get_running_loop().time() < self._judges
                self.health = probed(self.health, probe, self._around.now(), alone, self._around.patience)
                self.probed = True
            if self._link is not None and probe is not None and probe.answered and not probe.denied:
                await self._link.follow()
        except KubeError as error:  # of the hub, or of a member that fell silent just now
            log.warning("member cluster %s: %s", self._name, error)
        if self._link is not None and self._link.listed:
            patience = self._around.patience
            self._lapses = asyncio.get_running_loop().time() + patience.suspect + patience.every
        now = (self.obstacle, self.health, self.uid, self.settled, self.listed)
        if now != self._told or self._around.cut_off():
            self._told = now
            self._news()

    async def _connect(self) -> None:
        """Have a link with the credentials of now; with those of before, while the hub does not tell them. Raises
        KubeError where there are none yet."""
        now, denied = asyncio.get_running_loop().time(), self.health.state == "Unauthorized"
        if self._link is not None and now < self._read_at + RENEWED and not denied:
            return
        around, mark = self._around, self._link.mark if self._link is not None else ""
        try:
            if self.spec.access.managed_cluster is not None and around.works is not None:
                await self._connect_works(around.works, self.spec.access.managed_cluster)
                self._read_at = now
                return
            found = await credentials(around.sources, self.spec.access, mark, denied=denied)
        except NoAccess as refused:
            await self._hang_up()
            self.obstacle = refused.obstacle
            return
        except KubeError as error:
            if self._link is None:
                raise
            log.warning("member cluster %s keeps its credentials: %s", self._name, error)
            return
        self._read_at = now
        if found.configuration is None:
            return
        await self._hang_up()
        self.obstacle = None
        client = around.connect(found.configuration)
        self._link = DirectLink(found.mark, client, self._ends, self._around.namespaces)

    async def _connect_works(self, hub: Calls, name: str) -> None:
        """Have a link over ManifestWorks. Raises NoAccess and KubeError."""
        await worklink.check(hub, name)
        self.obstacle = None
        if self._link is None:
            self._link = worklink.WorkLink(hub, name, self._around.sources.namespace, self._ends)

    async def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _probe(self) -> Probe | None:
        """Ask it which cluster it is. None: it cannot be asked."""
        if self._link is None:
            return None
        url = self.spec.gateway.url if self.spec.gateway is not None else None
        asked = asyncio.ensure_future(self._around.answers(url)) if url is not None else None
        answer: Answer = await self._link.ask()
        self.uid = answer.uid or self.uid
        return Probe(answer.answered, answer.denied, await asked if asked is not None else None, answer.why)

    def _counted(self, found: Counted) -> None:
        self.uid = found.uid or self.uid
        self.scheduled, self.quotas = found.scheduled, found.quotas
        if (found.free, found.nodes, found.waiting) != (self.free, self.nodes, self.waiting):
            self.free, self.nodes, self.waiting = found.free, found.nodes, found.waiting
            self.offers = tuple(offers.told(found.free))
            self._news()


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether somebody answers there over HTTP, whatever he says."""
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=GATEWAY_TIMEOUT), ssl=False):
            return True
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
