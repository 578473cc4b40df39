"""Engines that hang are out within 10 s of traffic and their requests end; those that are only busy are left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from inferops.gateway.balance.breaker import Cause
from inferops.gateway.balance.fleet import Fleet
from inferops.gateway.balance.health import Verdict
from inferops.gateway.balance.lease import Lease
from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.balance.pool import Pool
from inferops.gateway.balance.probing import LIMIT, Prober
from inferops.gateway.table import Backend, Replica, ServiceKey, Table
from unit.gateway.pools import KEY, backend, fleet_of, revision, take
from unit.kube.virtualtime import now, run

OK = Outcome.OK
Say = Callable[[], "Verdict | None"]  # None: nothing, for as long as a probe waits


@dataclass
class World:
    """Replicas that say what they are told to, and a gateway that looks after them."""

    names: str = "ab"
    fields: dict[str, Any] = field(default_factory=dict)
    says: dict[str, Say] = field(default_factory=dict)  # by the replica's name; others are alive
    probed: list[tuple[str, float]] = field(default_factory=list)
    fleet: Fleet = field(init=False)

    @property
    def pool(self) -> Pool:
        pool = self.fleet.pool(KEY)
        assert pool is not None
        return pool

    async def ask(self, backend: Backend, replica: Replica) -> Verdict:
        self.probed.append((replica.name, now()))
        said = self.says.get(replica.name, lambda: Verdict.ALIVE)()
        await asyncio.sleep(LIMIT if said in (None, Verdict.BUSY) else 0.01)
        return said or Verdict.SILENT

    async def on(self, name: str) -> Lease:
        """A request at this replica."""
        return await take(self.pool, exclude=set(self.names) - {name})

    def out(self) -> dict[str, Cause]:
        return {m.replica.name: m.breaker.cause for m in self.pool.members() if m.breaker.cause is not None}

    def play(self, scene: Callable[[], Any]) -> None:
        async def everything() -> None:
            self.fleet = fleet_of(now, backend(revision("v1", 100, *self.names), **self.fields))
            watching = asyncio.create_task(Prober(self.fleet, self.ask, now).run())
            await scene()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

        run(everything())


def silent() -> None:
    return None


@dataclass
class Client:
    """Waits for an answer, and gives up when its lease is lost."""

    lease: Lease
    lost_at: float | None = None

    def __post_init__(self) -> None:
        self.lease.on_lost = self.lost

    def lost(self) -> None:
        assert self.lease.lost
        self.lost_at = now()
        self.lease.done(Outcome.TIMEOUT)


def test_a_hung_engine_is_out_within_10_s_of_traffic_and_its_requests_end() -> None:
    async def scene() -> None:
        world.says["a"] = silent
        clients = [Client(await world.on("a")) for _ in range(3)]
        await asyncio.sleep(10)
        assert world.out() == {"a": Cause.HUNG}
        assert all(client.lost_at is not None and client.lost_at < 9 for client in clients)
        assert world.pool.in_flight == 0
        assert {(await take(world.pool)).replica.name for _ in range(4)} == {"b"}

    world = World()
    world.play(scene)


def test_one_that_hangs_right_after_it_answered_a_probe_is_out_within_10_s_too() -> None:
    async def scene() -> None:
        client = Client(await world.on("a"))
        await asyncio.sleep(3.2)  # it was probed, and answered
        assert world.probed == [("a", 3.0)]
        world.says["a"] = silent
        hung = now()
        await asyncio.sleep(10)
        assert client.lost_at is not None
        assert client.lost_at - hung < 10

    world = World()
    world.play(scene)


def test_clients_that_give_up_early_do_not_hide_a_hung_engine() -> None:
    async def scene() -> None:
        world.says["a"] = silent
        for _ in range(10):
            lease = await world.on("a") if "a" not in world.out() else None
            await asyncio.sleep(1)
            if lease is not None:
                lease.done(Outcome.GONE)
        assert world.out() == {"a": Cause.HUNG}

    world = World()
    world.play(scene)


def test_an_engine_that_answers_others_is_not_even_asked() -> None:
    async def scene() -> None:
        long = Client(await world.on("a"))
        for _ in range(60):
            lease = await world.on("a")
            await asyncio.sleep(1)
            lease.done(OK)
        stream = await world.on("a")
        for _ in range(60):
            await asyncio.sleep(1)
            stream.progress()
        assert (world.probed, long.lost_at) == ([], None)

    world = World()
    world.play(scene)


def test_an_engine_that_works_on_one_long_answer_is_asked_politely_and_left_alone() -> None:
    async def scene() -> None:
        client = Client(await world.on("a"))
        await asyncio.sleep(120)
        assert (client.lost_at, world.out()) == (None, {})
        assert 20 <= len(world.probed) <= 30

    world = World()
    world.play(scene)


def test_a_probe_that_waits_in_a_full_batch_ejects_nobody_while_anything_comes() -> None:
    async def scene() -> None:
        world.says["a"] = silent
        clients = [Client(await world.on("a")) for _ in range(30)]
        for client in clients:
            await asyncio.sleep(7)  # longer than SUSPECT, so that it is asked; then one is answered
            client.lease.done(OK)
        assert len(world.probed) >= 20
        assert (world.out(), {client.lost_at for client in clients}) == ({}, {None})

    world = World()
    world.play(scene)


def test_what_arrives_as_the_time_of_a_probe_ends_counts() -> None:
    async def scene() -> None:
        world.says["a"] = silent
        client = Client(await world.on("a"))
        await asyncio.sleep(3 + LIMIT + 0.01)
        client.lease.progress()
        await asyncio.sleep(1)
        assert (client.lost_at, world.out()) == (None, {})

    world = World()
    world.play(scene)


def test_a_full_batch_whose_counters_move_ejects_nobody() -> None:
    async def scene() -> None:
        world.says["a"] = lambda: Verdict.BUSY
        client = Client(await world.on("a"))
        await asyncio.sleep(300)
        assert (client.lost_at, world.out()) == (None, {})

    world = World()
    world.play(scene)


def test_a_hung_one_comes_back_only_when_a_probe_is_answered_and_waiters_get_it() -> None:
    async def scene() -> None:
        world.says["a"] = silent
        Client(await world.on("a"))
        await asyncio.sleep(10)
        waiting = asyncio.create_task(take(world.pool))
        await asyncio.sleep(8)
        assert world.pool.waiting == 1
        world.says["a"] = lambda: Verdict.BUSY
        await asyncio.sleep(40)
        assert world.out() == {"a": Cause.HUNG}
        del world.says["a"]
        lease = await waiting
        assert world.out() == {}
        assert lease.queued < 90

    world = World(names="a", fields={"queue_timeout": 120.0})
    world.play(scene)


def test_one_that_is_out_is_probed_at_its_breakers_pace() -> None:
    async def scene() -> None:
        world.says["a"] = silent
        Client(await world.on("a"))
        await asyncio.sleep(300)
        assert 8 <= len(world.probed) <= 16

    world = World()
    world.play(scene)


def test_one_without_connections_comes_back_by_a_probe_and_costs_no_request() -> None:
    async def scene() -> None:
        world.says["a"] = lambda: Verdict.UNREACHABLE
        for lease in [await world.on("a"), await world.on("a")]:
            lease.done(Outcome.UNREACHABLE)
        for _ in range(20):
            lease = await take(world.pool)
            assert lease.replica.name == "b"
            await asyncio.sleep(0.5)
            lease.done(OK)
        del world.says["a"]
        await asyncio.sleep(10)
        assert world.out() == {}

    world = World()
    world.play(scene)


@pytest.mark.parametrize(
    ("said", "cause"),
    [(Verdict.FAILING, Cause.ERRORS), (Verdict.UNREACHABLE, Cause.UNREACHABLE), (Verdict.FULL, None)],
)
def test_one_that_answers_a_probe_badly_is_out_but_keeps_its_requests(said: Verdict, cause: Cause | None) -> None:
    async def scene() -> None:
        world.says["a"] = lambda: said
        client = Client(await world.on("a"))
        await asyncio.sleep(30)
        assert (world.out().get("a"), client.lost_at) == (cause, None)

    world = World()
    world.play(scene)


def test_what_drains_and_takes_no_connections_may_finish_its_long_answer() -> None:
    async def scene() -> None:
        client = Client(await world.on("a"))
        world.fleet.update(Table([backend(revision("v1", 100, "b"))]))
        world.says["a"] = lambda: Verdict.UNREACHABLE
        await asyncio.sleep(120)
        assert client.lost_at is None
        client.lease.done(OK)
        probes = len(world.probed)
        await asyncio.sleep(60)
        assert len(world.probed) == probes  # nobody asks for it any more

    world = World()
    world.play(scene)


@pytest.mark.parametrize("table", [Table([backend(revision("v1", 100, "b"))]), Table([])])
def test_what_left_and_then_vanished_with_its_node_ends_its_requests(table: Table) -> None:
    async def scene() -> None:
        client = Client(await world.on("a"))
        world.fleet.update(table)
        world.says["a"] = silent
        await asyncio.sleep(10)
        assert client.lost_at is not None

    world = World()
    world.play(scene)


def test_idle_replicas_are_not_asked() -> None:
    async def scene() -> None:
        (await world.on("a")).done(OK)
        await asyncio.sleep(300)
        assert world.probed == []

    world = World()
    world.play(scene)


def test_one_whose_only_client_left_is_asked_once() -> None:
    async def scene() -> None:
        (await world.on("a")).done(Outcome.GONE)
        await asyncio.sleep(300)
        assert world.probed == [("a", 3.0)]

    world = World()
    world.play(scene)


def test_each_of_many_services_is_looked_after() -> None:
    async def scene() -> None:
        keys = [ServiceKey("chat", f"llama-{number}") for number in range(100)]
        world.fleet.update(Table([backend(revision("v1", 100, "a"), key=key) for key in keys]))
        world.says["a"] = silent
        clients = [Client(await take(pool)) for pool in world.fleet.pools()]
        await asyncio.sleep(10)
        assert len(clients) == 100
        assert all(client.lost_at is not None for client in clients)

    world = World()
    world.play(scene)
