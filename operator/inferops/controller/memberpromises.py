"""What services were promised in a member cluster, and what is left there for others once all of it has come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from inferops.controller.store import Key
from inferops.core.offers import Free

Scheduled = Counter[tuple[str, str]]  # replicas that have a node, by namespace and service


@dataclass(frozen=True, slots=True)
class Promise:
    """What a service was given in a cluster, of which not all may have a node yet."""

    accelerator: str
    spot: bool
    count: int  # accelerators of a replica
    replicas: int


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

    def left(self, service: Key, free: Sequence[Free], scheduled: Scheduled) -> tuple[Free, ...]:
        """What finds a place besides what others were promised. `free` and `scheduled` are counted together, and
        replaced, not changed, when they are counted anew."""
        own = self._promises.get(service)
        if own is not None and own.replicas > scheduled[service.namespace, service.name]:
            return self._without(free, scheduled, service)
        if self._kept is None or self._kept[0] is not free or self._kept[1] is not scheduled:
            self._kept = free, scheduled, self._without(free, scheduled, None)
        return self._kept[2]

    def _without(self, free: Sequence[Free], scheduled: Scheduled, but: Key | None) -> tuple[Free, ...]:
        left = list(free)
        for service, promise in self._promises.items():
            outstanding = promise.replicas - scheduled[service.namespace, service.name]
            if service != but and outstanding > 0:
                left = [
                    each.without(promise.count, outstanding)
                    if (each.accelerator, each.spot) == (promise.accelerator, promise.spot)
                    else each
                    for each in left
                ]
        return tuple(left)
