"""Deadlines fire by time alone, each by itself, and only while what they are for is waited for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from inferops.core.rollout import step
from inferops.core.rollout.clocks import parse
from unit.core.rollout.building import A, B, Behaviour, World, serving, spec

SHORT = {"capacity": "60s", "pull": "60s", "load": "60s", "warmUp": "60s"}
CASES = [
    ("capacity", {"gpus": 1, "replicas": 1}, "CapacityDeadlineExceeded"),
    ("pull", {"does": {B: Behaviour(pull=1e6)}}, "PullDeadlineExceeded"),
    ("load", {"does": {B: Behaviour(loads=False)}}, "LoadDeadlineExceeded"),
]


def asleep_until_due(world: World, limit: int = 20) -> None:
    """Nothing happens but that the operator looks again when it said it would."""
    for _ in range(limit):
        outcome = step(world.state, world.view())
        assert outcome.again is not None
        world.reconcile()
        if world.state.phase == "RollingBack":
            return
        world.now += timedelta(seconds=outcome.again)
    raise AssertionError(world.state.message)


@pytest.mark.parametrize(("part", "parts", "reason"), CASES, ids=[case[0] for case in CASES])
def test_each_deadline_fires_without_any_event(part: str, parts: dict[str, object], reason: str) -> None:
    world = serving(**parts, spec=spec(deadlines=SHORT)).run(10)
    due = parse(world.state.deadline)
    assert due is not None
    asleep_until_due(world)
    assert due <= world.now <= due + timedelta(seconds=1)
    assert world.state.reason == reason
    world.until("RolledBack")
    assert (world.stable, world.workloads, world.weights) == (A, {A: world.replicas}, {A: 100})
    assert f"deadlines.{part}" in world.state.message


def test_warming_up_has_a_deadline_of_its_own() -> None:
    world = serving(spec=spec(deadlines=SHORT, analysis={"warmUp": "20s"})).until("Warming")
    for _ in range(200):
        world.run(1)
        for name, pod in world.pods.items():
            if pod.revision == B and pod.ready and pod.ready_since and (world.now - pod.ready_since).seconds > 8:
                world.pods[name] = replace(pod, ready_since=world.now)
        if world.state.phase != "Warming":
            break
    assert world.state.reason == "WarmUpDeadlineExceeded"


def test_a_warm_up_longer_than_its_deadline_does_not_roll_everything_back() -> None:
    world = serving(spec=spec(deadlines=SHORT, analysis={"warmUp": "90s"}))
    world.until("Observing")


@pytest.mark.parametrize("before", [5, 30, 50])
def test_flapping_does_not_begin_a_clock_anew(before: int) -> None:
    """A replica that loses its node again and again."""
    world = serving(does={B: Behaviour(loads=False)}, spec=spec(deadlines=SHORT)).until("Loading")
    begun = world.now
    while world.state.phase in ("Loading", "WaitingForCapacity"):
        world.run(1)
        if (world.now - begun).seconds % before == 0:
            for name in [name for name, pod in world.pods.items() if pod.revision == B]:
                del world.pods[name]
    assert world.now - begun <= timedelta(seconds=150)
    assert world.state.phase == "RollingBack"


def test_deadlines_do_not_run_while_it_is_paused() -> None:
    world = serving(does={B: Behaviour(loads=False)}, spec=spec(deadlines=SHORT)).until("Loading").run(20)
    world.action = f"pause@{B}"
    world.run(30)
    assert (world.state.deadline, world.state.phase) == ("", "Loading")
    world.action = f"resume@{B}"
    world.run(30)
    assert world.state.phase == "Loading", "the time of the pause does not count"
    world.until("RollingBack", limit=20)
    assert world.state.reason == "LoadDeadlineExceeded"


def test_a_swap_of_many_replicas_has_its_deadlines_by_replica() -> None:
    """Each takes longer to load than capacity's deadline: stable makes room for the next only then."""
    deadlines = {**SHORT, "load": "3m", "capacity": "40s"}
    world = serving(replicas=4, gpus=4, does={B: Behaviour(load=60.0)}, spec=spec(deadlines=deadlines))
    world.until("Succeeded")
    assert world.stable == B


@pytest.mark.parametrize("back", [1, 3600, 86400 * 400])
def test_a_clock_that_is_set_back_counts_as_no_time(back: int) -> None:
    world = serving(does={B: Behaviour(loads=False)}, spec=spec(deadlines=SHORT)).until("Loading").run(5)
    before = world.state
    outcome = step(before, replace(world.view(), now=world.now - timedelta(seconds=back)))
    assert outcome.state == before
    assert outcome.again is not None


def test_how_long_it_took_to_load_is_remembered() -> None:
    world = serving(does={B: Behaviour(pull=3.0, load=20.0)}).until("Warming")
    assert world.state.loaded_in is not None
    assert 20 <= world.state.loaded_in <= 25


def test_a_canary_is_not_given_up_because_scaling_asks_for_more_than_there_is() -> None:
    manual = [{"name": "ok", "manual": True, "at": [50]}]
    world = serving(replicas=2, gpus=4, spec=spec(deadlines=SHORT, gates=manual)).until("Gated")
    world.replicas = 8
    world.run(200)
    assert (world.state.phase, world.state.deadline) == ("Gated", "")
