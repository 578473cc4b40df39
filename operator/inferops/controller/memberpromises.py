"""What services were promised in a member cluster, and what is left there for others once all of it has come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inferops.controller.store import Key
from inferops.core.offers import Free
from inferops.core.quotas import Quota, without

Scheduled = Counter[tuple[str, str]]  # replicas that have their nodes, by namespace and service


@dataclass(frozen=True, slots=True)
class Promise:
    """What a service was given in a cluster, of which not all may have a node yet."""

    accelerator: str
    spot: bool
    count: int  # accelerators of a replica
    replicas: int
    nodes: int = 1  # that a replica spans

    @property
    def kind(self) -> tuple[str, bool]:
        return self.accelerator, self.spot


class Promises:
    """Those of one cluster. What is left is kept until something changes: every service asks it of every cluster."""

    def __init__(self) -> None:
        self._promises: dict[Key, Promise] = {}
        self._kept: tuple[Sequence[Free], Scheduled, tuple[Free, ...]] | None = None

    def put(self, service: Key, promise: Promise | None) -> None:
        """What the service is given from now on; None: nothing."""
        if self._promises.get(service) == promise:
            return
        if promise is None:
            del self._promises[service]
        else:
            self._promises[service] = promise
        self._kept = None

    def services(self) -> set[Key]:
        """Those that were given something."""
        return set(self._promises)

    def left(self, service: Key, free: Sequence[Free], scheduled: Scheduled) -> tuple[Free, ...]:
        """What finds a place besides what others were promised. `free` and `scheduled` are counted together, and
        replaced, not changed, when they are counted anew."""
        own = self._promises.get(service)
        if own is not None and own.replicas > scheduled[service.namespace, service.name]:
            return self._without(free, scheduled, service)
        if self._kept is None or self._kept[0] is not free or self._kept[1] is not scheduled:
            self._kept = free, scheduled, self._without(free, scheduled, None)
        return self._kept[2]

    def quotas(
        self, service: Key, quotas: Sequence[Quota], free: Sequence[Free], made: Mapping[tuple[str, str], int]
    ) -> tuple[Quota, ...]:
        """What quotas of the service's namespace leave besides what others in it were promised. `made`: replicas whose
        pods exist, by namespace and service: those are used already."""
        if not quotas:
            return ()
        names = {(each.accelerator, each.spot): each.counted_as for each in free}
        promised: Counter[str] = Counter()
        for other, promise in self._promises.items():
            if other != service and other.namespace == service.namespace and promise.kind in names:
                more = promise.replicas - made.get((other.namespace, other.name), 0)
                promised[names[promise.kind]] += max(more, 0) * promise.count
        return without(quotas, promised)

    def oldest(self, waiting: Mapping[tuple[str, str], Sequence[float]]) -> dict[tuple[str, bool], float]:
        """Since when a replica is without a node, the first of each accelerator, out of those of all services; of these
        only what was promised something says on which accelerator it is to be."""
        found: dict[tuple[str, bool], float] = {}
        for service, promise in self._promises.items():
            for since in waiting.get((service.namespace, service.name), ())[:1]:
                found[promise.kind] = min(since, found.get(promise.kind, since))
        return found

    def _without(self, free: Sequence[Free], scheduled: Scheduled, but: Key | None) -> tuple[Free, ...]:
        left = list(free)
        # in one order, whoever was promised something first: the largest first, since the smaller fit beside them
        for service, promise in sorted(self._promises.items(), key=lambda each: (-each[1].count, each[0])):
            outstanding = promise.replicas - scheduled[service.namespace, service.name]
            if service != but and outstanding > 0:
                left = [
                    each.without(promise.count, outstanding, promise.nodes)
                    if (each.accelerator, each.spot) == promise.kind
                    else each
                    for each in left
                ]
        return tuple(left)
