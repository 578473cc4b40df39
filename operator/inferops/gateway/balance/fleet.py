"""The live state of all services, kept while tables come and go."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from inferops.gateway.balance.pool import Pool
from inferops.gateway.table import Backend, ServiceKey, Table


class Fleet:
    """The pools of all services of the table in force."""

    def __init__(self, clock: Callable[[], float], jitter: Callable[[], float] = random.random) -> None:
        """`clock`: that of the loop; `jitter`: numbers in [0, 1)."""
        self.table = Table()
        self.peers = 1  # ready gateway replicas, this one included: queues and concurrency are shared out by it
        self.on_demand: Callable[[ServiceKey], None] = lambda _: None  # a room is not empty any more, or is again
        self._clock = clock
        self._jitter = jitter
        self._pools: dict[ServiceKey, Pool] = {}
        self._closed: list[Pool] = []  # of services that went away, with requests in flight

    def update(self, table: Table, peers: int | None = None) -> None:
        """Go by `table` from now on; `peers` left out: as many gateways as before."""
        peers = self.peers if peers is None else max(peers, 1)
        resized = peers != self.peers
        self.table, self.peers = table, peers
        for key in self._pools.keys() - table.by_key.keys():
            gone = self._pools.pop(key)
            gone.close()
            self._closed.append(gone)
        for key, backend in table.by_key.items():
            pool = self._pools.get(key)
            if pool is None:
                self._pools[key] = self._new(key, backend)
            elif resized or pool.backend != backend:
                pool.update(backend, peers)

    def pool(self, key: ServiceKey) -> Pool | None:
        return self._pools.get(key)

    def pools(self) -> Iterable[Pool]:
        return self._pools.values()

    def watched(self) -> Iterator[Pool]:
        """The pools whose replicas may hold requests: also those of services that went away."""
        self._closed = [pool for pool in self._closed if pool.in_flight]
        yield from [*self._pools.values(), *self._closed]

    def _new(self, key: ServiceKey, backend: Backend) -> Pool:
        return Pool(backend, self.peers, self._clock, self._jitter, partial(self._demand, key))

    def _demand(self, key: ServiceKey) -> None:
        self.on_demand(key)
