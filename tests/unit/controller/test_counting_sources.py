"""Who answers for a service in a rollout, and who is asked at all: gateways, Prometheus and pods come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from inferops.controller import following as module
from inferops.controller.counting import Counting
from inferops.controller.following import Ask
from inferops.controller.store import Key
from inferops.core.observation import PodView
from inferops.core.signal import Window
from inferops.runtimes import ENGINES
from inferops.signals.cumulative import Tally
from inferops.signals.reading import Reading, Target
from unit.controller.counted import LLAMA, Gateways, both
from unit.signals.scraped import fixture, serving

QWEN = Key("InferenceService", "chat", "qwen")
START = datetime(2025, 11, 3, 12, tzinfo=UTC)
VLLM = ENGINES["vllm"]
PODS = {
    name: PodView(name, revision, ready=True, started=True, address="127.0.0.1")
    for name, revision in (("s1", "aaa"), ("c1", "bbb"))
}
ASK = Ask(pods=PODS, engine=VLLM.metrics, ports={"http": 8000}, ttft=0.8)


def reading(stable: int, canary: int, bound: float = 1.0) -> Reading:
    tallies = {"s1": Tally((0, stable, 0), requests=stable), "c1": Tally((0, canary, 0), requests=canary)}
    return Reading(tallies, {"s1": 1, "c1": 2}, frozenset({"ttft"}), (bound, None))


@dataclass
class Source:
    """One that answers what a test puts into it, each time that it is let."""

    answers: dict[Key, Reading | str] = field(default_factory=dict)
    asked: list[Mapping[Key, Target]] = field(default_factory=list)
    breaks: bool = False

    async def read(self, targets: Mapping[Key, Target]) -> dict[Key, Reading | str]:
        self.asked.append(targets)
        if self.breaks:
            raise AttributeError("nobody thought of that")
        return {key: self.answers.get(key, "it has nothing") for key in targets}

    async def close(self) -> None: ...


class World:
    """Counting, asked by hand: a poll is one turn of both sources."""

    def __init__(self, prometheus: str | None = "http://prometheus") -> None:
        self.time = 0.0
        self.gateways = Gateways()
        self.counting = Counting(lambda: START + timedelta(seconds=self.time), self.gateways, prometheus)
        self.prometheus, self.pods = Source(), Source()

    async def poll(self, seconds: float = 5.0) -> None:
        """Let time pass, and ask whoever is to be asked then."""
        self.time += seconds
        await self.counting.ask("prometheus", self.prometheus)
        await self.counting.ask("pods", self.pods)
        self.time += 1.0

    def window(self, since: float | None = None, key: Key = LLAMA) -> Window:
        window, why = self.counting.window(key, START + timedelta(seconds=since) if since is not None else None)
        assert window is not None, why
        return window

    def why(self) -> str:
        window, why = self.counting.window(LLAMA, None)
        assert window is None
        return why

    def requests(self, since: float | None = None) -> dict[str, int]:
        return {each.pod: each.requests for each in self.window(since).replicas}


async def test_prometheus_counts_where_no_gateway_does() -> None:
    world = World()
    world.counting.want(LLAMA, ASK)
    world.prometheus.answers[LLAMA] = reading(1000, 0)
    await world.poll()
    world.prometheus.answers[LLAMA] = reading(1009, 1)
    await world.poll()
    window, unknown = world.counting.window(LLAMA, None)
    assert window is not None
    assert window.source == "prometheus"
    assert window.in_flight == {"s1": 1, "c1": 2}
    assert [list(each.counts) for each in window.replicas] == [["ttft"], ["ttft"]]
    assert unknown == "Prometheus does not tell of errorRate"
    assert world.requests() == {"s1": 9, "c1": 1}
    world.prometheus.answers[LLAMA] = reading(1010, 1)
    await world.poll()
    assert world.requests(since=(window.until - START).total_seconds()) == {"s1": 1, "c1": 0}


async def test_the_first_that_has_counts_of_both_is_taken_and_kept() -> None:
    world = World()
    world.counting.want(LLAMA, ASK)
    world.gateways.tell(both(0, 0))
    world.pods.answers[LLAMA] = reading(10, 10)
    await world.poll()
    assert world.window().source == "gateway", "nobody has counts yet"
    world.pods.answers[LLAMA] = reading(20, 20)
    await world.poll()
    assert world.window().source == "pods", "requests go past the gateway"
    world.gateways.tell(both(5, 5))
    await world.poll()
    assert world.window().source == "pods", "the gateway may count requests that the pods counted before"
    assert len(world.pods.asked) == 3
    assert len(world.prometheus.asked) == 2, "nor is anybody else asked any more"


async def test_while_gateways_count_nobody_else_is_asked() -> None:
    world = World()
    world.counting.want(LLAMA, ASK)
    world.gateways.tell(both(0, 0))
    await world.poll()
    world.gateways.tell(both(5, 5))
    await world.poll()
    assert world.window().source == "gateway"
    asked = len(world.pods.asked)
    for _ in range(5):
        await world.poll()
        assert world.window().source == "gateway"
    assert (len(world.pods.asked), len(world.prometheus.asked)) == (asked, asked)
    world.gateways.told.clear()
    world.pods.answers[LLAMA] = reading(100, 100)
    assert "no gateway tells" in world.why()
    await world.poll(20)
    world.pods.answers[LLAMA] = reading(104, 102)
    await world.poll()
    assert world.window().source == "pods"
    assert world.requests() == {"s1": 4, "c1": 2}, "it counts from where it was asked first"


@pytest.mark.parametrize("source", ["gateway", "prometheus", "pods"])
async def test_a_source_that_is_named_is_taken_alone(source: Any) -> None:
    world = World()
    world.counting.want(LLAMA, replace(ASK, source=source))
    for number in (1, 5):
        world.gateways.tell(both(number, number))
        world.prometheus.answers[LLAMA] = world.pods.answers[LLAMA] = reading(number, number)
        await world.poll()
    assert world.window().source == source
    assert (len(world.prometheus.asked) > 0) == (source == "prometheus")
    assert (len(world.pods.asked) > 0) == (source == "pods")
    world.gateways.told.clear()
    world.prometheus.answers[LLAMA] = world.pods.answers[LLAMA] = "it is gone"
    await world.poll(30)
    assert world.why() == ("no gateway tells of replicas of two revisions" if source == "gateway" else "it is gone")


async def test_a_source_that_fails_holds_and_goes_on_without_loss() -> None:
    world = World()
    world.counting.want(LLAMA, replace(ASK, source="prometheus"))
    world.prometheus.answers[LLAMA] = reading(10, 10)
    await world.poll()
    world.prometheus.answers[LLAMA] = reading(11, 11)
    await world.poll()
    until = (world.window().until - START).total_seconds()
    world.prometheus.answers[LLAMA] = "Prometheus does not tell: there is no connection to it"
    await world.poll()
    assert world.window(until).since == world.window(until).until, "once is not always"
    await world.poll(10)
    assert world.why() == "Prometheus does not tell: there is no connection to it"
    world.prometheus.breaks = True
    await world.poll(10)
    assert world.why() == "what prometheus tells cannot be read"
    world.prometheus.breaks = False
    world.prometheus.answers[LLAMA] = reading(20, 15)
    await world.poll()
    assert world.requests(until) == {"s1": 9, "c1": 4}


async def test_counts_by_another_bound_are_not_mixed() -> None:
    world = World()
    world.counting.want(LLAMA, replace(ASK, source="pods"))
    for answer in (reading(10, 10), reading(15, 10), reading(900, 900, bound=2.5), reading(901, 903, bound=2.5)):
        world.pods.answers[LLAMA] = answer
        await world.poll()
    assert world.requests() == {"s1": 6, "c1": 3}


async def test_who_cannot_be_asked_says_so() -> None:
    world = World(prometheus=None)
    world.counting.want(LLAMA, replace(ASK, source="prometheus"))
    assert world.why() == "the operator knows no Prometheus (--prometheus)"
    world.counting.want(LLAMA, replace(ASK, source="pods"))
    assert world.why() == "the first counts are about to come"
    loading = {**PODS, "c1": replace(PODS["c1"], started=False)}
    for ask, why in [
        (replace(ASK, engine=None), "its engine has no metrics that are known"),
        (replace(ASK, ports={"grpc": 1}), "its engine has no metrics that are known"),
        (replace(ASK, pods=loading), "no pods of two revisions have started"),
    ]:
        world.counting.want(LLAMA, replace(ask, source="pods"))
        await world.poll()
        assert world.why() == why
    assert world.pods.asked == []


async def test_a_worker_of_a_group_is_not_asked() -> None:
    world = World()
    group = {**PODS, "c1-1": replace(PODS["c1"], name="c1-1", worker=True)}
    world.counting.want(LLAMA, replace(ASK, source="pods", pods=group))
    await world.poll()
    [asked] = world.pods.asked
    assert asked[LLAMA] == Target("chat", {"s1": "127.0.0.1", "c1": "127.0.0.1"}, VLLM.metrics, 8000, 0.8, None)


@asynccontextmanager
async def running(counting: Counting) -> AsyncIterator[None]:
    task = asyncio.create_task(counting.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_pods_and_prometheus_are_followed_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(module, "POLL", 0.01)
    monkeypatch.setattr(module, "REST", 0.01)
    asked: set[str] = set()

    async def handle(request: web.Request) -> web.Response:
        asked.add(request.path)
        return web.Response(body=fixture("vllm-0.32.0-metrics-after"))

    async with serving(handle) as port:
        counting = Counting(lambda: datetime.now(UTC), None, f"http://127.0.0.1:{port}")
        counting.want(LLAMA, replace(ASK, ports={"http": port}))
        counting.want(QWEN, replace(ASK, source="prometheus"))
        async with running(counting), asyncio.timeout(10):
            while counting.window(LLAMA, None)[0] is None:
                await asyncio.sleep(0.01)
            while "does not tell" not in counting.window(QWEN, None)[1]:
                await asyncio.sleep(0.01)
        window, _ = counting.window(LLAMA, None)
        assert window is not None
        assert window.source == "pods"
        assert {each.pod for each in window.replicas} == {"s1", "c1"}
        assert counting.window(QWEN, None)[1] == "Prometheus does not tell: its answer is none of Prometheus"
    assert asked == {"/metrics", "/api/v1/query"}
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()], "nothing is left behind"
