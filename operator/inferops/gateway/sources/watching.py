"""The gateway's configuration from Kubernetes: lists and follows what it routes by, and keeps the fleet up to date.

While the API server is away the last table stays in force. The first comes only when all was listed once: half a
table would turn requests away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol

from inferops.gateway.sources.state import State
from inferops.gateway.table import Table
from inferops.kube.kinds import ENDPOINT_SLICE, INFERENCE_SERVICE, SERVING_RUNTIME
from inferops.kube.mirror import Following, Mirror
from inferops.kube.scope import EVERYWHERE
from inferops.render.gatewayslice import GATEWAYS, SERVICE_NAME
from inferops.render.labels import REVISION

LEAST_GAP = 0.02  # seconds between two tables; what happens meanwhile goes into one


class Updated(Protocol):
    """Who goes by the tables: a Fleet."""

    def update(self, table: Table, peers: int | None = None) -> None: ...


class Watching:
    """Keeps `fleet` true to the cluster, for as long as it runs."""

    def __init__(
        self,
        kube: Following,
        fleet: Updated,
        namespace: str,
        service: str = GATEWAYS,
        own_hosts: Collection[str] = (),
        served: Collection[str] = EVERYWHERE,
    ) -> None:
        """`namespace` and `service`: those of the gateways themselves, whose number is told to the fleet; `own_hosts`:
        their names, which no service can claim; `served`: the namespaces of services, an empty one stands for all."""
        self.ready = asyncio.Event()  # the fleet has its first table
        self._fleet = fleet
        self._changed = asyncio.Event()
        self._state = State(self._changed.set, own_hosts)
        self._mirrors = (
            # One namespace of some that lets nobody read it must not keep the others from being served.
            *(Mirror(kube, INFERENCE_SERVICE, self._state.services, namespace=at, awaited=not at) for at in served),
            Mirror(kube, SERVING_RUNTIME, self._state.runtimes),
            *(
                Mirror(kube, ENDPOINT_SLICE, self._state.slices, selector=REVISION, namespace=at, awaited=not at)
                for at in served
            ),
            Mirror(kube, ENDPOINT_SLICE, self._state.peers, selector=f"{SERVICE_NAME}={service}", namespace=namespace),
        )

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for mirror in self._mirrors:
                tasks.create_task(mirror.run())
            for mirror in self._mirrors:
                await mirror.filled.wait()
            while True:
                self._changed.clear()
                self._fleet.update(self._state.table(), self._state.peers.ready())
                self.ready.set()
                await asyncio.sleep(LEAST_GAP)
                await self._changed.wait()
