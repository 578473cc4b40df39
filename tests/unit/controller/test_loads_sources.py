"""Who answers for a service that follows its load, who is asked at all, and how often: gateways, Prometheus, pods."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from inferops.controller import following
from inferops.controller import loads as module
from inferops.controller.engineload import STALE
from inferops.controller.following import Ask
from inferops.controller.loads import CHECK, EVERY, Loads
from inferops.controller.store import Key
from inferops.core.observation import PodView
from inferops.core.signal import Source
from inferops.runtimes import ENGINES
from inferops.signals.reading import Reading, Readout, Target, read
from unit.controller.loaded import LLAMA, START, Gateway, World
from unit.signals.scraped import fixture, serving

VLLM = ENGINES["vllm"].metrics
PODS = {name: PodView(name, "aaa", ready=True, started=True, address="127.0.0.1") for name in ("a", "b")}
ASK = Ask(pods=PODS, engine=VLLM, ports={"http": 8000}, ttft=0.8)
NOTHING = "it has nothing"


@dataclass
class Engines:
    """A source that answers what a test puts into it, each time that it is let."""

    counts: dict[str, tuple[int, int]] | str = NOTHING  # requests that ended, and that are there, by pod
    asked: list[Mapping[Key, Target]] = field(default_factory=list)
    breaks: bool = False

    async def read(self, targets: Mapping[Key, Target]) -> dict[Key, Reading | str]:
        self.asked.append(targets)
        if self.breaks:
            raise AttributeError("nobody thought of that")
        return {key: self._answer(target) for key, target in targets.items()}

    def _answer(self, target: Target) -> Reading | str:
        if isinstance(self.counts, str):
            return self.counts
        told = {pod: Readout(good=ended, there=there, waiting=there // 2)
                for pod, (ended, there) in self.counts.items() if pod in target.pods}  # fmt: skip
        return read(told, target.metrics, target.ttft, target.tpot)

    async def close(self) -> None: ...


class Sources(World):
    """A world with Prometheus and pods, asked by hand."""

    def __init__(self, *gateways: str, prometheus: str | None = "http://prometheus") -> None:
        super().__init__(*gateways, prometheus=prometheus)
        self.prometheus, self.pods = Engines(), Engines()

    async def poll(self, seconds: float = 5.0, times: int = 1) -> None:
        """Let time pass, and ask whoever is to be asked then."""
        for _ in range(times):
            self.time += seconds
            for source, asked in (("prometheus", self.prometheus), ("pods", self.pods)):
                if source == "pods" or self.loads._prometheus is not None:
                    await self.loads.ask(source, asked)  # type: ignore[arg-type]

    def asks(self, source: Engines) -> int:
        return sum(LLAMA in each for each in source.asked)


def without() -> Sources:
    """A world without gateways."""
    world = Sources()
    world.gateways.listed.clear()
    return world


async def test_prometheus_and_then_pods_where_no_gateway_runs() -> None:
    world = without()
    world.want(ASK)
    world.pods.counts = {"a": (10, 1), "b": (10, 1)}
    await world.poll(times=2)
    world.pods.counts = {"a": (15, 2), "b": (12, 1)}
    await world.poll()
    load = world.load()
    assert (load.source, load.arrivals, load.ended) == ("pods", 8, 7)
    assert (load.in_flight, load.waiting, load.busy) == (3, 1, 2 * 5 + 2.5 * 5)
    world.prometheus.counts = {"a": (90, 0), "b": (0, 0)}
    await world.poll(times=8)
    load = world.load()
    assert (load.source, load.arrivals) == ("prometheus", 0), "it comes first"
    before = world.asks(world.pods)
    await world.poll(times=12)
    assert world.asks(world.pods) == before, "and the pods are not asked any more"
    world.prometheus.counts = "Prometheus does not tell: there is no connection to it"
    await world.poll(times=16)
    assert world.load().source == "pods", "while it does not tell, they are"


async def test_whoever_is_asked_is_not_asked_too_often() -> None:
    world = without()
    world.want(ASK)
    world.prometheus.counts = {"a": (1, 0), "b": (1, 0)}
    await world.poll(times=60)
    assert world.asks(world.prometheus) == 300 / EVERY["prometheus"]


async def test_gateways_that_have_requests_are_believed_and_engines_seldom_asked() -> None:
    world = Sources(prometheus=None)
    world.want(ASK)
    world.pods.counts = {"a": (0, 0), "b": (0, 0)}
    for turn in range(1, 121):
        world.pods.counts = {"a": (2 * turn, 0), "b": (2 * turn, 0)}
        await world.poll()
        world.gateways.tell(arrivals=4, ended=4)
        if turn > 2:
            load = world.load(world.time - 5)
            assert (load.source, load.arrivals, load.seconds) == ("gateway", 4, 5.0)
    assert world.asks(world.pods) <= 600 / CHECK + 1


async def test_requests_that_go_past_the_gateways_are_seen() -> None:
    """Somebody tried the gateway once; everybody else asks the pods."""
    world = Sources(prometheus=None)
    world.want(ASK)
    world.gateways.tell(arrivals=1, ended=1)
    world.pods.counts = {"a": (1, 0), "b": (0, 0)}
    seen: list[Source] = []
    for turn in range(1, 80):
        world.gateways.tell()
        world.pods.counts = {"a": (30 * turn, 3), "b": (30 * turn, 3)}
        await world.poll()
        load, _ = world.loads.load(LLAMA, None)
        if load is not None:
            seen.append(load.source)
    assert seen[0] == "gateway" and set(seen[26:]) == {"pods"}
    load = world.load(world.time - 5)
    assert (load.arrivals, load.in_flight) == (60, 6)
    world.pods.counts = "no pod tells: a does not answer"
    await world.poll(times=20)
    world.gateways.tell()
    assert world.why().startswith("requests go past the gateways; the operator knows no Prometheus")
    assert world.why().endswith("no pod tells: a does not answer")


async def test_once_requests_come_through_the_gateways_these_are_believed_again() -> None:
    world = Sources(prometheus=None)
    world.want(ASK)
    ended = 0
    for turn in range(1, 160):
        ended += 10
        world.gateways.tell(arrivals=20 if turn > 40 else 0, ended=20 if turn > 40 else 0)
        world.pods.counts = {"a": (ended, 0), "b": (ended, 0)}
        await world.poll()
        if turn in (40, 159):
            assert world.load(world.time - 10).source == ("pods" if turn == 40 else "gateway")


async def test_a_gateway_without_any_request_says_nothing_alone() -> None:
    world = Sources(prometheus=None)
    world.want(ASK)
    await world.poll()
    assert world.why() == "no request came through the gateways so far; the operator knows no Prometheus " \
        "(--prometheus); it has nothing"  # fmt: skip
    world.pods.counts = {"a": (5, 0), "b": (5, 0)}
    await world.poll(times=2)
    load = world.load()
    assert (load.source, load.arrivals) == ("gateway", 0), "the engines have none either"
    asked = world.asks(world.pods)
    await world.poll(times=24)
    assert world.asks(world.pods) - asked == 2, "and are asked now and then"


async def test_where_no_engine_has_started_gateways_say_all() -> None:
    world = Sources(prometheus=None)
    world.want(replace(ASK, pods={}))
    world.gateways.tell(waiting=2)
    await world.poll()
    load = world.load()
    assert (load.source, load.waiting) == ("gateway", 2)


async def test_gateways_that_fall_silent_are_stood_in_for() -> None:
    world = Sources(prometheus=None)
    world.want(ASK)
    world.pods.counts = {"a": (0, 0), "b": (0, 0)}
    for _ in range(4):
        world.gateways.tell(arrivals=5, ended=5)
        await world.poll()
    assert world.load().source == "gateway"
    world.gateways.listed["g"].tells = False
    world.pods.counts = {"a": (5, 0), "b": (5, 0)}
    await world.poll(times=4)
    assert world.load(world.time - 10).source == "pods"
    world.gateways.listed["g"].tells = True
    world.gateways.tell(arrivals=5, ended=5)
    assert world.load(world.time - 10).source == "gateway"


@pytest.mark.parametrize("source", ["gateway", "prometheus", "pods"])
async def test_a_source_that_is_named_is_taken_alone(source: Any) -> None:
    world = Sources()
    world.want(replace(ASK, source=source))
    for number in (1, 2, 3, 4):
        world.gateways.tell(arrivals=1, ended=1)
        world.prometheus.counts = world.pods.counts = {"a": (number, 0), "b": (0, 0)}
        await world.poll(15)
    load = world.load()
    assert (load.source, load.arrivals) == (source, 3 if source != "gateway" else load.arrivals)
    assert (world.asks(world.prometheus) > 0) == (source == "prometheus")
    assert (world.asks(world.pods) > 0) == (source == "pods")
    world.gateways.listed["g"].tells = False
    world.prometheus.counts = world.pods.counts = "it is gone"
    await world.poll(60)
    assert world.why() == "it is gone" if source != "gateway" else "do not tell" in world.why()


async def test_queues_within_engines_are_looked_into_where_they_matter() -> None:
    world = Sources(prometheus=None)
    world.want(replace(ASK, source="gateway", queues=True))
    for turn in range(6):
        world.gateways.tell(waiting=1, in_flight=9, arrivals=5, ended=5)
        world.pods.counts = {"a": (turn, 4), "b": (turn, 5)}
        await world.poll()
    load = world.load()
    assert (load.source, load.waiting, load.in_flight) == ("gateway", 1 + 4, 9)
    assert world.asks(world.pods) == 6


async def test_a_replica_that_does_not_tell_is_waited_for_and_then_left_out() -> None:
    world = without()
    three = {**PODS, "c": replace(PODS["a"], name="c")}
    world.want(replace(ASK, source="pods", pods=three))
    world.pods.counts = {"a": (0, 0), "b": (0, 0), "c": (0, 0)}
    await world.poll(times=2)
    until = world.load().until - START
    world.pods.counts = {"a": (10, 0), "b": (10, 0)}
    await world.poll(times=4)
    assert world.load(until).seconds == 0.0, "what some of them say looks like less load"
    world.pods.counts = {"a": (10, 0), "b": (10, 0), "c": (7, 0)}
    await world.poll()
    assert world.load(until).arrivals == 27
    until = world.time
    world.pods.counts = {"a": (20, 0), "b": (10, 0)}
    await world.poll(5.0, times=8)
    assert world.load(until).seconds == 0.0
    await world.poll(5.0, times=3)
    assert world.load(until).arrivals == 10, "one that is broken must not keep the others from being scaled"
    world.pods.counts = {"a": (30, 0)}
    await world.poll(5.0, times=20)
    assert world.why() == "2 of 3 replicas that are ready do not tell their metrics"


async def test_a_new_replica_is_not_waited_for_and_counts_once_it_is_found() -> None:
    world = without()
    world.want(replace(ASK, source="prometheus"))
    world.prometheus.counts = {"a": (10, 0), "b": (10, 0)}
    await world.poll(15, times=2)
    since = world.load().until - START
    new = replace(PODS["a"], name="c", ready_since=world.now())
    world.want(replace(ASK, source="prometheus", pods={**PODS, "c": new}))
    world.prometheus.counts = {"a": (15, 0), "b": (15, 0)}
    await world.poll(15)
    assert world.load(since).arrivals == 10
    world.prometheus.counts = {"a": (15, 0), "b": (15, 0), "c": (6, 1)}
    await world.poll(15)
    assert world.load(since).arrivals == 17, "all that it had since it began"


async def test_what_is_too_old_says_nothing() -> None:
    world = without()
    world.want(replace(ASK, source="prometheus"))
    world.prometheus.counts = {"a": (0, 0), "b": (0, 0)}
    await world.poll(15, times=2)
    world.prometheus.breaks = True
    await world.poll(STALE - 1)
    assert world.load().source == "prometheus"
    await world.poll(2)
    assert world.why() == "what prometheus tells cannot be read"


async def test_who_cannot_be_asked_says_so() -> None:
    world = without()
    for ask, why in [
        (replace(ASK, engine=None), "its engine has no metrics that are known"),
        (replace(ASK, ports={"grpc": 1}), "its engine has no metrics that are known"),
        (replace(ASK, pods={"a": replace(PODS["a"], started=False)}), "none of its pods has started"),
    ]:
        world.want(replace(ask, source="pods"))
        await world.poll()
        assert world.why() == why
    world.want(replace(ASK, source="prometheus"))
    assert world.pods.asked == world.prometheus.asked == []
    alone = Sources(prometheus=None)
    alone.want(replace(ASK, source="prometheus"))
    assert alone.why() == "the operator knows no Prometheus (--prometheus)"


async def test_services_take_turns_where_pods_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PODS", 4)
    world = without()
    keys = [Key("InferenceService", "chat", f"s{number}") for number in range(7)]
    for key in keys:
        world.loads.want(key, replace(ASK, source="pods"))
    many = Key("InferenceService", "chat", "many")
    world.loads.want(
        many, replace(ASK, source="pods", pods={f"p{n}": replace(PODS["a"], name=f"p{n}") for n in range(9)})
    )
    world.pods.counts = {}
    await world.poll(times=9)
    asked = [key for each in world.pods.asked for key in each]
    assert set(asked) == {*keys, many}
    assert max(map(len, world.pods.asked)) == 2
    counts = [asked.count(key) for key in keys]
    assert max(counts) - min(counts) <= 1


async def test_a_loop_asks_pods_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "POLL", 0.01)
    monkeypatch.setattr(following, "REST", 0.01)
    monkeypatch.setitem(module.EVERY, "pods", 0.0)

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=fixture("vllm-0.32.0-metrics-busy"))

    async with serving(handle) as port:
        loads = Loads(lambda: datetime.now(UTC))
        loads.want(LLAMA, replace(ASK, ports={"http": port}))
        task = asyncio.create_task(loads.run())
        async with asyncio.timeout(30):
            while (found := loads.load(LLAMA, None)[0]) is None:
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (found.source, found.in_flight, found.waiting, found.arrivals) == ("pods", 80, 72, 0)
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()], "nothing is left behind"


def test_a_gateway_that_is_not_ready_is_none() -> None:
    world = World()
    world.gateways.listed["g"] = Gateway(ready=False)
    world.want()
    assert world.why().startswith("no built-in gateway takes requests")
