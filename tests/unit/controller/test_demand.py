"""The gateways' streams: what they tell is put together, wakes at once, and does no harm where it is broken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from inferops.controller import demand as module
from inferops.controller.demand import Demands, asked_of, name_of, services_of
from inferops.controller.gateways import Gateway, Gateways
from inferops.controller.store import Key
from inferops.core.observation import Demand

LLAMA, QWEN = (Key("InferenceService", "chat", name) for name in ("llama", "qwen"))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on how long these are."""
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(module, "GATHER", 0.02)


def told(waiting: int = 0, in_flight: int = 0, idle: float = 0.0) -> dict[str, Any]:
    return {"waiting": waiting, "inFlight": in_flight, "idle": idle}


def line(**services: Any) -> bytes:
    """A gateway's line; services of the namespace chat."""
    return json.dumps({"gateway": "g", "services": {f"chat/{name}": each for name, each in services.items()}}).encode()


class Teller:
    """A gateway that tells what a test puts into it. An empty line ends its stream."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.status = 200
        self.asked = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.status != 200:
            return web.Response(status=self.status, headers={"Location": "/elsewhere"})
        response = web.StreamResponse()
        await response.prepare(request)
        while text := await self.lines.get():
            await response.write(text)
        return response

    def say(self, text: bytes) -> None:
        self.lines.put_nowait(text + b"\n")

    def end(self) -> None:
        self.lines.put_nowait(b"")


class Bench:
    """Gateways on loopback, and what reads them, with a clock that stands still."""

    def __init__(self) -> None:
        self.time = 100.0
        self.gateways = Gateways()
        self.added: list[Key] = []
        self.asleep: set[Key] = set()
        self.dropped: list[str] = []
        self.known = {LLAMA, QWEN}
        self.demands = Demands(
            self.gateways,
            lambda: self.time,
            self.added.append,
            asleep=lambda namespace, name: Key("InferenceService", namespace, name) in self.asleep,
            managed=lambda: [LLAMA],
            everything=lambda: [LLAMA, QWEN],
            known=self.known.__contains__,
            dropped=self.dropped.append,
        )
        self.tellers: dict[str, Teller] = {}
        self.runners: list[web.AppRunner] = []

    async def start(self) -> Teller:
        """A gateway that is not listed yet."""
        teller = Teller()
        app = web.Application()
        app.router.add_get("/demand", teller.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.runners.append(runner)
        host, port = runner.addresses[0]
        self.tellers[f"{host}:{port}"] = teller
        return teller

    def list(self, *unready: Teller) -> None:
        """List the gateways, all of them ready but for these."""
        self.gateways.listed = tuple(
            Gateway(f"10.0.0.{number}:8080", address, teller not in unready)
            for number, (address, teller) in enumerate(self.tellers.items())
        )
        self.gateways.changed()

    async def until(self, true: Callable[[], Any]) -> None:
        async with asyncio.timeout(5):
            while not true():
                await asyncio.sleep(0.002)

    async def becomes(self, demand: Demand | None, key: Key = LLAMA) -> None:
        try:
            await self.until(lambda: self.demands.of(key) == demand)
        except TimeoutError:
            raise AssertionError(f"{self.demands.of(key)}, not {demand}") from None


@asynccontextmanager
async def bench(gateways: int = 1) -> AsyncIterator[tuple[Bench, list[Teller]]]:
    made = Bench()
    tellers = [await made.start() for _ in range(gateways)]
    made.list()
    reading = asyncio.create_task(made.demands.read())
    try:
        yield made, tellers
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        for teller in tellers:
            teller.end()
        for runner in made.runners:
            await runner.cleanup()


async def test_all_gateways_together() -> None:
    async with bench(2) as (world, [first, second]):
        first.say(line(llama=told(waiting=2, in_flight=1), qwen=told(idle=70.0)))
        await world.becomes(Demand(waiting=2, in_flight=1, idle=None))
        second.say(line(llama=told(in_flight=3, idle=0.0), qwen=told(idle=50.0)))
        await world.becomes(Demand(waiting=2, in_flight=4, idle=0.0))
        assert world.demands.of(QWEN) == Demand(idle=50.0)
        assert world.demands.telling == 2
        world.time += 2
        first.say(line())
        second.say(line(qwen=told(idle=0.5)))
        await world.becomes(Demand(idle=0.5), QWEN)
        world.time += 1
        assert world.demands.of(QWEN) == Demand(idle=1.5), "what is not mentioned had no request since"


async def test_a_silent_gateway_is_no_word() -> None:
    async with bench(2) as (world, [first, second]):
        first.say(line(llama=told(idle=600.0)))
        second.say(line(llama=told(idle=600.0)))
        await world.becomes(Demand(idle=600.0))
        world.time += 5.5
        first.say(line())
        await world.becomes(Demand(idle=None))
        world.time += 6
        assert world.demands.of(LLAMA) is None and world.demands.telling == 0


async def test_one_that_is_gone_is_asked_again_from_the_start() -> None:
    async with bench() as (world, [gateway]):
        gateway.say(line(llama=told(idle=600.0)))
        await world.becomes(Demand(idle=600.0))
        gateway.end()
        await world.becomes(None)
        gateway.say(line(qwen=told(idle=3.0)))
        await world.becomes(Demand(idle=3.0), QWEN)
        assert world.demands.of(LLAMA) is None, "what it told before it ended is not known any more"
        assert gateway.asked == 2


@pytest.mark.parametrize("status", [302, 404, 503])
async def test_one_that_refuses_is_asked_again(status: int) -> None:
    async with bench(0) as (world, _):
        gateway = await world.start()
        gateway.status = status
        world.list()
        await world.until(lambda: gateway.asked)
        gateway.status = 200
        gateway.say(line(llama=told(idle=1.0)))
        await world.becomes(Demand(idle=1.0))
        gateway.end()


async def test_one_on_its_way_out_counts_with_what_it_has() -> None:
    async with bench(2) as (world, [stays, leaves]):
        stays.say(line(llama=told(idle=600.0)))
        leaves.say(line(llama=told(in_flight=1)))
        await world.becomes(Demand(in_flight=1, idle=0.0))
        world.list(leaves)
        assert world.demands.of(LLAMA) == Demand(in_flight=1, idle=0.0), "its streams still run"
        leaves.end()
        await world.becomes(Demand(idle=600.0))
        assert world.demands.addresses == ("10.0.0.0:8080",)


async def test_who_sleeps_is_woken_at_once_and_nobody_else() -> None:
    async with bench() as (world, [gateway]):
        world.asleep = {LLAMA}
        gateway.say(line(llama=told(idle=600.0), qwen=told(waiting=1)))
        await world.becomes(Demand(waiting=1, idle=0.0), QWEN)
        assert world.added == []
        gateway.say(line(llama=told(waiting=1), other=told(waiting=1)))
        await world.until(lambda: world.added)
        assert world.added == [LLAMA]
        assert world.demands.asked(LLAMA) and world.demands.asked(QWEN)
        gateway.say(line(llama=told(idle=0.5), qwen=told(in_flight=1)))
        await world.becomes(Demand(idle=0.5))
        assert not world.demands.asked(LLAMA) and world.demands.asked(QWEN)


async def test_whoever_depends_on_the_gateways_is_told_of_them_once() -> None:
    async with bench(2) as (world, [first, second]):
        await world.until(lambda: world.added)
        assert sorted(world.added) == [LLAMA, QWEN], "there is a gateway now"
        world.added.clear()
        first.say(line(llama=told()))
        second.say(line(llama=told()))
        await world.until(lambda: world.added)
        assert world.added == [LLAMA], "both tell now"


@pytest.mark.parametrize(
    ("case", "text", "dropped"),
    [
        ("no JSON", b"hello", "line"),
        ("no text", b"\xff\xfe\x00", "line"),
        ("a list", b"[1, 2]", "line"),
        ("no services", b'{"gateway": "g"}', "line"),
        ("a list of services", b'{"services": ["chat/llama"]}', "line"),
        ("deeply nested", b"[" * 100_000, "line"),
        ("a negative number", line(llama=told(waiting=-1)), "service"),
        ("a number without end", b'{"services": {"chat/llama": {"waiting": 1, "inFlight": 0, "idle": Infinity}}}',
         "service"),
        ("a number beyond all measure", line(llama=told(in_flight=10**300)), "service"),
        ("half a request", line(llama={**told(), "waiting": 0.5}), "service"),
        ("a truth", line(llama={**told(), "waiting": True}), "service"),
        ("a text", line(llama={**told(), "idle": "0"}), "service"),
        ("nothing", line(llama=None), "service"),
        ("no name", b'{"services": {"chat": {"waiting": 1, "inFlight": 0, "idle": 0}}}', "service"),
        ("a name too long", b'{"services": {"chat/' + b"x" * 400 + b'": {}}}', "service"),
    ],
    ids=lambda value: value if isinstance(value, str) and value not in ("line", "service") else "",
)  # fmt: skip
async def test_what_is_broken_is_dropped_and_counted(case: str, text: bytes, dropped: str) -> None:
    async with bench() as (world, [gateway]):
        world.asleep = {LLAMA}
        gateway.say(line(qwen=told(idle=600.0)))
        gateway.say(text)
        gateway.say(line(qwen=told(idle=9.0)))
        await world.becomes(Demand(idle=9.0), QWEN)
        assert world.dropped == [dropped]
        assert world.demands.of(LLAMA) is None and world.added == []
        assert gateway.asked == 1


async def test_what_is_broken_of_a_service_takes_its_word_away() -> None:
    async with bench() as (world, [gateway]):
        gateway.say(line(llama=told(idle=600.0)))
        await world.becomes(Demand(idle=600.0))
        gateway.say(line(llama={"idle": "soon"}))
        await world.becomes(None)


async def test_a_line_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE", 100_000)
    async with bench() as (world, [gateway]):
        gateway.lines.put_nowait(b"x" * 300_000)
        await world.until(lambda: world.dropped)
        gateway.end()
        gateway.say(line(llama=told(idle=1.0)))
        await world.becomes(Demand(idle=1.0))
        assert world.dropped == ["line"]


async def test_names_that_nobody_has_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    async with bench() as (world, [gateway]):
        gateway.say(line(**{f"made-up-{number}": told() for number in range(25)}))
        gateway.say(line(llama=told(idle=7.0)))
        await world.becomes(Demand(idle=7.0))
        for number in range(30):
            world.known.add(Key("InferenceService", "chat", f"real-{number}"))
        gateway.say(line(**{f"real-{number}": told() for number in range(30)}, llama=told(idle=8.0)))
        await world.becomes(Demand(idle=8.0))
        assert set(world.dropped) == {"service"}


async def test_a_new_leader_waits_for_their_word_and_not_for_long() -> None:
    async with bench() as (world, [gateway]):
        await world.demands.heard(0.05)
        assert world.demands.telling == 0
        gateway.say(line())
        await world.demands.heard(5)
        assert world.demands.telling == 1


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_dropped(text: bytes) -> None:
    services = services_of(text)
    assert services is None or isinstance(services, dict)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
words = st.dictionaries(st.sampled_from(["waiting", "inFlight", "idle", "x"]), anything, max_size=4)


@given(anything | words)
def test_whatever_is_told_of_a_service_is_a_number_or_nothing(what: Any) -> None:
    asked = asked_of(what, 5.0)
    if asked is not None:
        assert asked.waiting >= 0 and asked.in_flight >= 0 and 0 <= asked.idle < float("inf")


@given(st.text(max_size=30))
def test_a_name_has_two_parts(text: str) -> None:
    name = name_of(text)
    assert name is None or ("/".join(name) == text and all(name) and not any("/" in part for part in name))
