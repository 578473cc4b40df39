"""Leader election on a Lease: one replica writes, the others wait with warm caches.

Times as Cluster API's: a lease lasts 15 s, its holder renews it every 2 s and stops writing when 10 s have gone by
without a renewal, which is 4.5 s before anybody else takes it. The waiting replica watches the Lease, so that a release
is seen at once; after a silent death it has taken over before the 15 s are up. Expiry is measured by the own clock from
the moment a renewal was seen, never by the other's clock. (client-go's leaderelection does the same, by polling.)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from inferops.kube.client import Kube, KubeError
from inferops.kube.kinds import LEASE
from inferops.kube.owned import Object

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Times:
    """All in seconds."""

    lease: float = 15.0
    early: float = 0.5  # so long before its end an unrenewed lease is taken, so that this is done by then
    renew_deadline: float = 10.0
    retry: float = 2.0


class LeaseLost(Exception):
    """The lease could not be renewed in time, or somebody else has it. The process must end."""


class Elector:
    """Acquires, keeps and releases one Lease.

    `kube` must not be fenced by this very elector: renewing is how writing becomes allowed.
    """

    def __init__(
        self, kube: Kube, namespace: str, name: str, identity: str, times: Times | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:  # fmt: skip
        self._kube = kube
        self._namespace, self._name, self.identity = namespace, name, identity
        self._times = times or Times()
        self._clock = clock or asyncio.get_running_loop().time
        self._renewed = float("-inf")  # when our last successful renewal was sent
        self._seen: tuple[str, str] = ("", "")  # holder and renewTime as last seen
        self._seen_at = float("-inf")
        self._lease: Object | None = None

    def leads(self) -> bool:
        """Whether this replica may write now."""
        return self._clock() - self._renewed < self._times.renew_deadline

    async def acquire(self) -> None:
        """Wait until the lease is free and take it."""
        while True:
            try:
                self._look(await self._kube.get(LEASE, self._namespace, self._name))
                if self._free_in() <= 0 and await self._take():
                    log.info("acquired lease %s/%s as %s", self._namespace, self._name, self.identity)
                    return
                await self._await_change()
            except KubeError as error:
                log.warning("lease %s/%s: %s", self._namespace, self._name, error)
                await asyncio.sleep(self._times.retry)

    async def keep(self) -> None:
        """Renew until cancelled. Raises LeaseLost when that fails for longer than the deadline."""
        while True:
            await asyncio.sleep(self._times.retry)
            try:
                async with asyncio.timeout(self._times.retry):
                    taken = await self._take()
            except (KubeError, TimeoutError) as error:
                log.warning("cannot renew lease %s/%s: %s", self._namespace, self._name, str(error) or "timed out")
                taken = True  # unknown; the deadline below decides
            if not taken:
                raise LeaseLost(f"lease {self._namespace}/{self._name} was taken by {self._seen[0]}")
            if not self.leads():
                raise LeaseLost(f"lease {self._namespace}/{self._name} was not renewed in time")

    async def release(self) -> None:
        """Give the lease up, so that a waiting replica takes it at once. Writes are over from here on."""
        held = self.leads()
        self._renewed = float("-inf")
        if not held:
            return
        with suppress(KubeError, TimeoutError):
            async with asyncio.timeout(self._times.retry * 2):
                # A renewal that was cut off may have come through.
                self._look(await self._kube.get(LEASE, self._namespace, self._name))
                if self._lease is not None and self._seen[0] == self.identity:
                    await self._write(holder="")

    def _look(self, lease: Object | None) -> None:
        before, self._lease = self._lease, lease
        spec = (lease or {}).get("spec") or {}
        seen = (str(spec.get("holderIdentity") or ""), str(spec.get("renewTime") or ""))
        if lease is None and self.leads():
            return  # it stays ours: we write it again
        if lease is None:  # who held it when somebody deleted it may not know yet, and has its time
            seen = ("unknown", "") if before is not None else self._seen
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()

    def _free_in(self) -> float:
        if self._seen[0] in ("", self.identity):
            return 0.0
        return self._seen_at + self._times.lease - self._times.early - self._clock()

    async def _await_change(self) -> None:
        """Until the lease is seen free, or until the holder as last seen would be too old."""
        now = asyncio.get_running_loop().time
        began = now()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(self._free_in(), 0.0)) as limit:
                # A watch begins with the state as it is, so nothing is missed since it was read.
                async for lease in self._kube.watch(LEASE, self._namespace, self._name, self._times.lease * 4):
                    self._look(lease)
                    if self._free_in() <= 0:
                        return
                    limit.reschedule(now() + self._free_in())
                if now() - began < self._times.retry:  # the watch was cut
                    await asyncio.sleep(self._times.retry)

    async def _take(self) -> bool:
        """Write the lease in our name. False where somebody else was faster."""
        sent = self._clock()
        try:
            self._look(await self._write(holder=self.identity))
        except KubeError as error:
            if error.status not in (404, 409):
                raise
            self._look(await self._kube.get(LEASE, self._namespace, self._name))
            if self._seen[0] != self.identity:
                return False
            # An earlier write of ours came through whose answer was lost, or somebody deleted the lease.
            self._look(await self._write(holder=self.identity))
        self._renewed = sent
        return True

    async def _write(self, holder: str) -> Object:
        """Write the lease over the one last seen. A race is a conflict (409): by the resource version, or by
        the name where there was none."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = (self._lease or {}).get("spec") or {}
        changed = before.get("holderIdentity") != holder
        desired: Object = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": int(self._times.lease),
                "acquireTime": now if changed else before.get("acquireTime", now),
                "renewTime": now,
                "leaseTransitions": int(before.get("leaseTransitions") or 0) + (1 if changed and holder else 0),
            },
        }
        if self._lease is None:
            return await self._kube.create(LEASE, desired)
        # The uid, since over a lease that was deleted a version alone would create another one.
        desired["metadata"] |= {name: self._lease["metadata"][name] for name in ("resourceVersion", "uid")}
        return await self._kube.apply(LEASE, desired, force=True)
