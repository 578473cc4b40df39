"""One member cluster: reached with its credentials, asked whether it answers, its capacity copied.

It has a client, watches and a pace of its own, so that one that is slow or gone delays no other. Credentials are read
again once a minute, and at once when they are refused: who renews them restarts nothing.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from random import uniform
from typing import Protocol

import aiohttp
from kubernetes.aio.client import Configuration

from inferops.api.conditions import Reason
from inferops.api.inferencecluster import InferenceClusterSpec, Offer
from inferops.controller.children import Children
from inferops.controller.membercapacity import ALWAYS, OPTIONAL, Capacity
from inferops.controller.store import Key
from inferops.core import offers
from inferops.core.engine import Obstacle
from inferops.core.membership import Health, Patience, Probe, probed
from inferops.kube.access import AccessRefused, member_configuration
from inferops.kube.breaker import Breaker, Calls, Guarded, judge
from inferops.kube.client import KubeError, Reader
from inferops.kube.kinds import INFERENCE_SERVICE, NAMESPACE, SECRET
from inferops.kube.mirror import Mirror

log = logging.getLogger(__name__)

HUB = "hub"
SYSTEM = "kube-system"  # the namespace whose UID tells a cluster from all others
RENEWED = 60.0  # seconds after which credentials are read again
TOGETHER = 5.0  # seconds for which news of capacity is gathered
GATEWAY_TIMEOUT = 5.0


class Asked(Calls, Protocol):
    """The part of a member's `Client` that is needed."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all members share."""

    kube: Reader  # of the hub, where the Secrets are
    hub: Configuration
    namespace: str  # of the operator
    now: Callable[[], float]  # Unix seconds
    uid: str  # of the hub, by which what we write into members is known
    changed: Callable[[Key], None]  # told of services of which a member tells news
    free: Callable[[Capacity, InferenceClusterSpec], tuple[offers.Free, ...]]
    cut_off: Callable[[], bool]
    answers: Callable[[str], Awaitable[bool]]  # whether somebody answers at a URL
    connect: Callable[[Configuration], Asked]
    patience: Patience


@dataclass(slots=True)
class _Connection:
    """A client with what runs on it."""

    mark: str  # of the credentials
    client: Asked
    breaker: Breaker
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    mirrors: list[Mirror] = field(default_factory=list)
    children: Mirror | None = None

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.client.close()


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
        self.probed = False
        self._name, self._around, self._news = name, around, news
        self._capacity = Capacity()
        self.children = Children(around.uid, around.changed)
        self._connection: _Connection | None = None
        self._read_at = float("-inf")
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
        """Whether all that we wrote there is known, as it is now."""
        mirror = self._connection.children if self._connection is not None else None
        return mirror is not None and mirror.live

    def change(self, spec: InferenceClusterSpec) -> None:
        """It is described anew, and reached as before."""
        self.spec = spec
        self._capacity.news.set()  # tolerations count in it

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
            if self._connection is not None:
                await self._connection.close()

    async def _round(self) -> None:
        """One probe, with what it needs and what follows from it. Whatever goes wrong is told, and tried again."""
        try:
            await self._connect()
            probe = await self._probe()
            if probe is not None:
                self.health = probed(
                    self.health, probe, self._around.now(), self._around.cut_off(), self._around.patience
                )
                self.probed = True
            if probe is not None and probe.answered and not probe.denied:
                await self._follow()
        except KubeError as error:  # of the hub, or of a member that fell silent just now
            log.warning("member cluster %s: %s", self._name, error)
        now = (self.obstacle, self.health, self.uid, self.settled, self.listed)
        if now != self._told or self._around.cut_off():
            self._told = now
            self._news()

    async def _connect(self) -> None:
        """Have a client with the credentials of now; with those of before, while the hub does not tell them. Raises
        KubeError where there are none yet."""
        now = asyncio.get_running_loop().time()
        if self._connection is not None and now < self._read_at + RENEWED and self.health.state != "Unauthorized":
            return
        try:
            mark, configuration = await self._configuration()
        except AccessRefused as refused:
            await self._hang_up()
            self.obstacle = Obstacle(Reason.KUBECONFIG_REFUSED, str(refused))
            return
        except KubeError as error:
            if self._connection is None:
                raise
            log.warning("member cluster %s keeps its credentials: %s", self._name, error)
            return
        self._read_at = now
        if configuration is None or (mark == HUB and self._connection is not None):
            return
        await self._hang_up()
        self.obstacle = None
        self._connection = _Connection(mark, self._around.connect(configuration), Breaker())

    async def _configuration(self) -> tuple[str, Configuration | None]:
        """With a mark by which another one is known. None: `obstacle` says why there is none. Raises AccessRefused and
        KubeError."""
        access = self.spec.access
        if access.hub:
            return HUB, self._around.hub
        ref = access.kubeconfig_secret
        assert ref is not None, "the API has one of the ways"
        secret = await self._around.kube.get(SECRET, self._around.namespace, ref.name)
        text = ((secret or {}).get("data") or {}).get(ref.key)
        if text is None:
            await self._hang_up()
            where = f"Secret {self._around.namespace}/{ref.name}"
            what = f"{where} has no key {ref.key}" if secret is not None else f"there is no {where}"
            why = f"spec.access.kubeconfigSecret: {what}; create it with a kubeconfig, or name another"
            self.obstacle = Obstacle(Reason.KUBECONFIG_NOT_FOUND, why)
            return "", None
        content = b64decode(text)
        mark = sha256(content).hexdigest()
        same = self._connection is not None and self._connection.mark == mark
        if same and not (access.allow and self.health.state == "Unauthorized"):  # what it names may have changed
            return mark, None
        return mark, await member_configuration(content, access.allow)

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _probe(self) -> Probe | None:
        """Ask it which cluster it is. None: it cannot be asked."""
        if self._connection is None:
            return None
        url = self.spec.gateway.url if self.spec.gateway is not None else None
        asked = asyncio.ensure_future(self._around.answers(url)) if url is not None else None
        answered, denied, why = await self._asked(self._connection)
        return Probe(answered, denied, await asked if asked is not None else None, why)

    async def _asked(self, connection: _Connection) -> tuple[bool, bool, str]:
        """Whether it answered, and did so without us; why not."""
        try:
            found = await connection.client.get(NAMESPACE, "", SYSTEM)
        except KubeError as error:
            judge(connection.breaker, error, asyncio.get_running_loop().time())
            return 0 < error.status < 500, error.status in (401, 403), str(error)
        connection.breaker.succeeded()
        self.uid = str(((found or {}).get("metadata") or {}).get("uid") or "")
        return True, False, ""

    async def _follow(self) -> None:
        """Copy its capacity from now on. Raises KubeError."""
        connection = self._connection
        if connection is None or connection.mirrors:
            return
        guarded = Guarded(connection.client, connection.breaker)
        kinds = [*ALWAYS, *[kind for kind in OPTIONAL if await guarded.offers(kind)]]
        connection.mirrors = [Mirror(guarded, kind, self._capacity.copies[kind]) for kind in kinds]
        connection.tasks = [asyncio.create_task(mirror.run()) for mirror in connection.mirrors]
        connection.tasks.append(asyncio.create_task(self._count(connection)))
        if not self.spec.access.hub:  # which has the service itself
            connection.children = Mirror(guarded, INFERENCE_SERVICE, self.children, selector=self.children.selector)
            connection.tasks.append(asyncio.create_task(connection.children.run()))
            connection.tasks.append(asyncio.create_task(self._write(guarded, connection.children)))

    async def _write(self, kube: Guarded, mirror: Mirror) -> None:
        """Bring about what services are to have there, once it is known what they have."""
        await mirror.filled.wait()
        self._news()
        await self.children.run(kube)

    async def _count(self, connection: _Connection) -> None:
        """Tell what is offered, whenever that changes."""
        for mirror in connection.mirrors:
            await mirror.filled.wait()
        while True:
            self._capacity.news.clear()
            self.scheduled = self._capacity.scheduled()
            found = self._around.free(self._capacity, self.spec), self._capacity.nodes
            if found != (self.free, self.nodes):
                self.free, self.nodes = found
                self.offers = tuple(offers.told(self.free))
                self._news()
            await self._capacity.news.wait()
            await asyncio.sleep(TOGETHER)


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether somebody answers there over HTTP, whatever he says."""
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=GATEWAY_TIMEOUT), ssl=False):
            return True
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
