"""From requests at a gateway to the load that the operator scales by: the real stream between the two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import pytest

from inferops.controller import demand as reading
from inferops.controller.demand import Demands
from inferops.controller.following import Ask
from inferops.controller.gateways import Gateway as Listed
from inferops.controller.gateways import Gateways
from inferops.controller.loads import Loads
from inferops.controller.store import Key
from inferops.core.load import Load
from inferops.gateway.signals import demand as telling
from inferops.gateway.signals.demand import Demand
from inferops.gateway.table import Table
from unit.gateway.engines import COUNTS, DONE, STREAMED, Engine, streams, token
from unit.gateway.fronted import Gateway, backend, gateway, serving
from unit.signals.scraped import serving as served

LLAMA = Key("InferenceService", "chat", "llama")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on how long these are."""
    monkeypatch.setattr(telling, "TICK", 0.02)
    monkeypatch.setattr(reading, "FIRST_WAIT", 0.01)


@asynccontextmanager
async def counting(*running: Gateway) -> AsyncIterator[Loads]:
    """Whoever counts what is asked of llama at these gateways."""
    tells = [Demand(each.fleet, each.parts.meters, "g", each.clock) for each in running]
    stack = AsyncExitStack()
    ports = [await stack.enter_async_context(served(each.handle)) for each in tells]  # type: ignore[arg-type]
    listed = Gateways()
    listed.listed = tuple(Listed(f"127.0.0.1:{port}", f"127.0.0.1:{port}", True) for port in ports)
    clock = asyncio.get_running_loop().time
    demands = Demands(
        listed, clock, lambda key: None, asleep=lambda *name: False, managed=lambda: (), everything=lambda: ()
    )
    loads = Loads(lambda: datetime.now(UTC), demands)
    following = asyncio.create_task(demands.read())
    try:
        await demands.heard(30)
        loads.want(LLAMA, Ask(source="gateway"))
        yield loads
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        for tell in tells:
            tell.close()
        await stack.aclose()


async def until(loads: Loads, arrivals: int) -> Load:
    """The load since the start, once it holds so many requests and all of them have ended."""
    async with asyncio.timeout(30):
        while True:
            load, _ = loads.load(LLAMA, None)
            if load is not None and load.arrivals == arrivals and load.ended + load.missed >= arrivals:
                return load
            await asyncio.sleep(0.01)


async def test_what_clients_asked_is_what_is_counted() -> None:
    engine = Engine(streams(token("a"), token("b"), COUNTS, DONE))
    async with serving(engine, ttft=60.0, tpot=60.0) as first, gateway(backend(engine)) as second:
        await first.post(STREAMED)  # before anybody counts
        async with counting(first, second) as loads:
            await asyncio.gather(*(each.post(STREAMED) for each in (first, second) for _ in range(5)))
            load = await until(loads, 10)
            assert (load.ended, load.tokens_in, load.tokens_out) == (10, 70, 20)
            assert (load.judged, load.missed) == (5, 0), "only one of them knows of an SLO"
            assert load.ttft is not None and 0 < load.ttft < 60
            assert load.tpot is not None and 0 <= load.tpot < 60
            assert 0 < load.busy <= load.seconds * 10
            assert (load.in_flight, load.waiting, load.source) == (0, 0, "gateway")


async def test_who_waits_and_who_is_turned_away() -> None:
    engine = Engine(streams(token("a"), COUNTS, DONE))
    async with (
        serving(engine) as running,
        gateway(backend(revisions=(), max_queue=2)) as empty,
        counting(empty) as loads,
    ):
        waiting = [asyncio.create_task(empty.post(STREAMED)) for _ in range(2)]
        async with asyncio.timeout(30):
            while (load := loads.load(LLAMA, None)[0]) is None or load.waiting < 2:
                await asyncio.sleep(0.01)
        assert (load.arrivals, load.ended, load.in_flight) == (2, 0, 0)
        answer, _ = await empty.post(STREAMED)
        assert answer.status == 429
        empty.fleet.update(Table([running.fleet.table.by_key[backend().key]]))
        await asyncio.gather(*waiting)
        load = await until(loads, 3)
        assert (load.ended, load.judged, load.missed) == (2, 1, 1)
        assert load.queued > 0
