"""Services as a gateway sees them, and pools of them, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from inferops.gateway.balance.fleet import Fleet
from inferops.gateway.balance.lease import Lease
from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.balance.pool import Pool
from inferops.gateway.table import Backend, Replica, Revision, ServiceKey, Table
from inferops.runtimes.base import Api

KEY = ServiceKey("chat", "llama")
API = Api("openai", ("/v1/",))


def revision(hash_: str, weight: int, *names: str) -> Revision:
    return Revision(hash_, weight, tuple(Replica(name, f"{name}.pods:8000") for name in names))


def backend(*revisions: Revision, **fields: Any) -> Backend:
    return Backend(**{"key": KEY, "api": API, "names": ("llama",), "revisions": revisions, **fields})


def fleet_of(clock: Callable[[], float], *backends: Backend, peers: int = 1) -> Fleet:
    fleet = Fleet(clock, jitter=lambda: 0.0)
    fleet.update(Table(backends), peers)
    return fleet


def pool_of(clock: Callable[[], float], *backends: Backend, peers: int = 1) -> Pool:
    """The pool of the first."""
    pool = fleet_of(clock, *backends, peers=peers).pool(backends[0].key)
    assert pool is not None
    return pool


async def take(pool: Pool, **wishes: Any) -> Lease:
    """A lease for a request without wishes, but for those given."""
    return await pool.acquire(**{"session": None, "affinity": None, **wishes})


async def fails(pool: Pool, name: str, outcome: Outcome = Outcome.FAILED, times: int = 5) -> None:
    """So many requests at the replica of this name end so."""
    others = {member.replica.name for member in pool.members()} - {name}
    for lease in [await take(pool, exclude=others) for _ in range(times)]:
        lease.done(outcome)


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def waits(pool: Pool, **wishes: object) -> asyncio.Task[Lease]:
    return asyncio.create_task(take(pool, **wishes))


async def owner(pool: Pool, key: bytes) -> str:
    lease = await take(pool, affinity=key)
    lease.done(Outcome.OK)
    return lease.replica.name
