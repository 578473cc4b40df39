"""The gateway of a cluster and those of others where its requests may go, all on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from inferops.gateway.balance.pool import Pool
from inferops.gateway.proxy import upstream
from inferops.gateway.table import Backend, Cluster, Table
from unit.gateway.engines import Engine, engines
from unit.gateway.fronted import KEY, Gateway, Secrets, backend, gateway
from unit.waiting import SECONDS, until

HERE, THERE = {"id": "here"}, {"id": "there"}  # what engines say


@dataclass(frozen=True, slots=True)
class Site:
    """A cluster: its engines, and the fields of its service."""

    engines: tuple[Engine, ...]
    fields: dict[str, Any]

    def backend(self, **fields: Any) -> Backend:
        return backend(*self.engines, **{**self.fields, **fields})


def at(*engines: Engine, **fields: Any) -> Site:
    return Site(engines, fields)


@asynccontextmanager
async def clusters(
    own: Site, *others: Site | Engine | str, secrets: Secrets | None = None
) -> AsyncIterator[list[Gateway]]:
    """The gateway that is asked, then those of the sites where its requests may go: c0, c1 and so on, nearest first.

    Of an engine it is taken for a gateway; an address is one that somebody else answers, or nobody.
    """
    async with AsyncExitStack() as stack:
        # A busy machine may take seconds to get to it, and the other cluster would be taken for one that is not there.
        stack.enter_context(patch.object(upstream, "CONNECT_FAR", SECONDS))
        urls, running = list[str](), list[Gateway]()
        for each in others:
            if isinstance(each, str):
                urls.append(each)
                continue
            await stack.enter_async_context(engines(*((each,) if isinstance(each, Engine) else each.engines)))
            if isinstance(each, Engine):
                urls.append(f"http://{each.address}")
                continue
            running.append(await stack.enter_async_context(gateway(each.backend(), secrets=secrets)))
            urls.append(running[-1].url)
        await stack.enter_async_context(engines(*own.engines))
        first = own.backend(spillover=neighbours(*urls))
        yield [await stack.enter_async_context(gateway(first, secrets=secrets)), *running]


def neighbours(*urls: str) -> tuple[Cluster, ...]:
    return tuple(Cluster(f"c{number}", url) for number, url in enumerate(urls))


def configured(running: Gateway, *backends: Backend) -> None:
    """Go by these from now on."""
    running.fleet.update(Table(backends))


def pool_of(running: Gateway) -> Pool:
    pool = running.fleet.pool(KEY)
    assert pool is not None
    return pool


def sent(running: Gateway) -> dict[tuple[str, str], int]:
    """The requests that other clusters were sent, by cluster and result."""
    series = running.parts.meters.services.get(KEY)
    return {(cluster, str(result)): n for (cluster, result), n in series.spilled.items()} if series is not None else {}


def arrivals(running: Gateway) -> int:
    """The requests that are demand of this cluster."""
    series = running.parts.meters.services.get(KEY)
    return series.load.arrivals if series is not None else 0


async def held(running: Gateway, engine: Engine, requests: int, body: Any = None) -> list[asyncio.Task[Any]]:
    """So many requests more, which an engine has and does not answer."""
    seen = len(engine.seen)
    asking = [asyncio.create_task(running.post(body)) for _ in range(requests)]
    await until(lambda: len(engine.seen) >= seen + requests)
    return asking
