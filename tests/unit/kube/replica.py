"""One replica of the operator, as far as the lease goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from inferops.kube.lease import Elector, LeaseLost
from unit.kube.leases import Fault, Line, Server
from unit.kube.virtualtime import now


@dataclass
class Replica:
    """One replica of the operator, as far as the lease goes."""

    server: Server
    name: str
    faults: Sequence[Fault] = ()
    silent: bool = False
    lost: list[float] = field(default_factory=list)
    won: list[float] = field(default_factory=list)
    dead: bool = False
    stopped: bool = False

    def __post_init__(self) -> None:
        self.line = Line(self.server, self.faults, self.silent)
        self.elector = Elector(self.line, "inferops-system", "operator", self.name)
        self.task = asyncio.ensure_future(self._live())

    async def _live(self) -> None:
        await self.elector.acquire()
        self.won.append(now())
        try:
            await self.elector.keep()
        except LeaseLost:
            self.lost.append(now())

    @property
    def leads(self) -> bool:
        return self.elector.leads() and not self.dead

    async def kill(self) -> None:
        """End without a word."""
        self.dead = True
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def stop(self) -> None:
        """End in order: workers are drained before this, then the lease is given up."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.stopped = True
        await self.elector.release()


async def until(condition: Callable[[], object], limit: float = 120) -> float:
    """Wait until it holds. Returns when."""
    end = now() + limit
    while not condition():
        assert now() < end, "it never happened"
        await asyncio.sleep(0.01)
    return now()
