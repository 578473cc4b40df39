"""Scaling by load against an API server in memory: what is remembered and when, what is written, and who ends when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil

import pytest

from inferops.controller.autoscaling import LONGEST, Autoscaling
from inferops.controller.following import Ask
from inferops.controller.store import Key
from inferops.core import scalinglook
from inferops.core.autoscale.history import History
from inferops.core.autoscale.rule import Recommendation
from inferops.core.autoscale.terms import Goals, Numbers, Signals
from inferops.core.load import Load
from inferops.core.observation import Looked
from inferops.kube.kinds import DEPLOYMENT, INFERENCE_SERVICE
from unit.controller.building import NAMESPACE
from unit.controller.fakekube import Crash, refusal
from unit.controller.world import LLAMA, World
from unit.controller.zero import replicas

EACH = 5.0  # requests a second that one replica carries, by the rule below
SCALED = {"scaling": {"maxReplicas": 8}}


@dataclass
class Counted:
    """Somebody who counts so many requests a second."""

    rate: float | None = 4.0
    now: float = 0.0
    wanted: dict[Key, Ask] = field(default_factory=dict)
    asked: list[float | None] = field(default_factory=list)  # since when

    def want(self, key: Key, ask: Ask) -> None:
        self.wanted[key] = ask

    def forget(self, key: Key) -> None:
        self.wanted.pop(key, None)

    def load(self, key: Key, since: float | None) -> tuple[Load | None, str]:
        self.asked.append(since)
        if self.rate is None or since is None or since >= self.now:
            return None, "nobody counts"
        requests = round(self.rate * (self.now - since))
        return Load(since, self.now, "gateway", requests, requests, float(requests)), ""


def rule(history: History, signals: Signals, goals: Goals, now: float) -> Recommendation:
    """As many replicas as today's requests need; it counts its looks."""
    after = History(looked=now, judged=history.judged + 1)
    if signals.load is None:
        return Recommendation(signals.fleet.wanted, "NoSignals", signals.why, Numbers(), after, 15.0)
    rate = signals.load.arrivals / signals.load.seconds
    return Recommendation(ceil(rate / EACH), "Demand", "so many come", Numbers(arrivals=rate), after, 15.0)


@pytest.fixture(autouse=True)
def simple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scalinglook, "recommend", rule)
    monkeypatch.setattr(scalinglook.memory, "written", lambda history, before: "learned")


async def scaled(rate: float | None = 4.0) -> tuple[World, Counted]:
    """A world in which `llama` is served by as many as it needs."""
    world, counted = World(), Counted(rate)
    world.loads = counted
    world.restart()
    world.ask(**SCALED)
    await look(world, counted)
    await look(world, counted)
    return world, counted


async def look(world: World, counted: Counted, seconds: float = 20) -> None:
    """Time goes on, and with it what is counted."""
    world.time += timedelta(seconds=seconds)
    counted.now = world.time.timestamp() - 1
    world.pending[LLAMA] = None
    await world.settle()


def looked(world: World) -> Looked:
    assert world.autoscaling is not None
    return world.autoscaling._looked.get(LLAMA, Looked())


async def test_replicas_follow_the_load_and_a_look_is_asked_for_in_time() -> None:
    world, counted = await scaled()
    assert replicas(world) == [1] and world.status()["desiredReplicas"] == 1
    assert 0 < world.later[LLAMA] <= 15
    counted.rate = 22.0
    await look(world, counted)
    assert replicas(world) == [5] and world.status()["scaling"]["arrivalsPerSecond"] == "22"
    assert world.conditions()["Ready"] == ("True", "Ready")
    assert ("ScaledUp", 1) in world.events()
    counted.rate = 3.0
    await look(world, counted)
    assert replicas(world) == [1]


async def test_each_window_begins_where_the_one_before_was_looked_at() -> None:
    world, counted = await scaled()
    before = looked(world).at
    counted.asked.clear()
    await look(world, counted)
    assert counted.asked[0] == before
    await look(world, counted, seconds=1000)
    assert counted.asked[-1] is not None and world.time.timestamp() - counted.asked[-1] <= LONGEST + 5


async def test_a_steady_load_writes_nothing() -> None:
    world, counted = await scaled()
    world.fake.requests.clear()
    for _ in range(40):
        await look(world, counted)
    assert world.fake.requests == []
    assert looked(world).history is not None and looked(world).history.judged > 40  # type: ignore[union-attr]


async def test_what_could_not_be_written_is_not_remembered() -> None:
    world, counted = await scaled()
    before = looked(world)
    counted.rate = 22.0
    world.fake.refuses = lambda verb, desired: refusal(500) if desired["kind"] == "InferenceService" else None
    await look(world, counted)
    assert world.errors and looked(world) == before
    world.fake.refuses = lambda verb, desired: None
    await look(world, counted, seconds=1)
    assert replicas(world) == [5] and looked(world) != before


@pytest.mark.parametrize("writes", range(1, 5))
async def test_an_operator_that_ends_in_between_ends_up_the_same(writes: int) -> None:
    world, counted = await scaled()
    counted.rate = 22.0
    world.fake.requests.clear()
    world.fake.crash_after = writes
    try:
        await look(world, counted)
    except Crash:
        world.restart()
    world.fake.crash_after = None
    for _ in range(3):
        await look(world, counted)
    assert replicas(world) == [5] and world.status()["desiredReplicas"] == 5


async def test_a_new_operator_takes_nothing_away_before_it_has_counted() -> None:
    world, counted = await scaled(22.0)
    await look(world, counted)
    assert replicas(world) == [5]
    world.restart()
    world.fake.requests.clear()
    counted.rate = None
    for _ in range(3):
        await look(world, counted)
    assert replicas(world) == [5] and world.fake.requests == []
    counted.rate = 1.0
    await look(world, counted)
    assert replicas(world) == [1]


async def test_silence_takes_nothing_away_and_is_said_once() -> None:
    world, counted = await scaled(22.0)
    await look(world, counted)
    counted.rate = None
    for _ in range(5):
        await look(world, counted)
    assert replicas(world) == [5]
    assert world.status()["scaling"]["reason"] == "NoSignals" and "nobody counts" in world.status()["explain"][0]
    world.fake.requests.clear()
    for _ in range(5):
        await look(world, counted)
    assert world.fake.requests == []


async def test_who_does_not_follow_the_load_is_not_counted() -> None:
    world, counted = await scaled()
    assert set(counted.wanted) == {LLAMA}
    assert [pod.name for pod in counted.wanted[LLAMA].pods.values()] == [pod.name for pod in world.store.pods(LLAMA)]
    world.ask(scaling={"replicas": 3, "maxReplicas": 8})
    await world.settle()
    assert counted.wanted == {} and looked(world) == Looked() and replicas(world) == [3]
    assert world.status()["scaling"] == {
        name: "learned" if name == "learned" else "" for name in world.status()["scaling"]
    }
    world.ask(**SCALED)
    await look(world, counted)
    assert set(counted.wanted) == {LLAMA}
    world.fake.remove(INFERENCE_SERVICE, NAMESPACE, "llama")
    await world.settle()
    assert counted.wanted == {} and looked(world) == Looked()


async def test_of_engines_queues_is_asked_where_they_decide() -> None:
    world, counted = await scaled()
    assert not counted.wanted[LLAMA].queues
    world.ask(scaling={"maxReplicas": 8, "mode": "queueDepth"})
    await look(world, counted)
    assert counted.wanted[LLAMA].queues


async def test_a_scaler_of_somebody_elses_is_left_alone() -> None:
    world, counted = await scaled()
    world.ask(scaling={"mode": "external", "maxReplicas": 8, "replicas": 6})
    await look(world, counted)
    assert [raw["spec"]["replicas"] for raw in world.children(DEPLOYMENT).values()] == [6]


def test_nothing_is_remembered_of_a_decision_without_a_look() -> None:
    world = World()
    autoscaling = Autoscaling(Counted(), world.store)
    autoscaling.applied(LLAMA, Looked(at=5.0))
    autoscaling.applied(LLAMA, None)
    assert autoscaling._looked[LLAMA].at == 5.0
