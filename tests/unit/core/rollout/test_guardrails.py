"""What rolls back at once, without statistics, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inferops.core.rollout import Splitter
from unit.core.rollout.building import A, B, Behaviour, World, serving, spec


def rolled_back(world: World, reason: str) -> None:
    world.until("RolledBack")
    assert (world.stable, world.weights, world.workloads) == (A, {A: 100}, {A: world.replicas})
    assert (world.state.reason, world.state.rejected[0].hash) == (reason, B)
    assert world.state.history[0].outcome == "RolledBack"
    assert world.state.history[0].message
    assert reason in world.reasons()


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("splitter", Splitter)
@pytest.mark.parametrize(
    ("behaviour", "reason"), [(Behaviour(crashes=True), "CrashLoop"), (Behaviour(runs_out=True), "OutOfMemory")]
)
def test_crashes_and_memory_need_no_metrics(
    behaviour: Behaviour, reason: str, counted: bool, splitter: Splitter
) -> None:
    steps = [{"weight": 5, "minDuration": "60s"}]
    world = serving(does={B: behaviour}, counted=counted, splitter=splitter, spec=spec(steps=steps))
    if splitter is Splitter.NOBODY and reason == "OutOfMemory":
        world.until("Retaining")  # it serves by then, and goes back
    rolled_back(world, reason)


@pytest.mark.parametrize("phase", ["Loading", "Warming", "Observing", "Promoting"])
def test_a_crash_takes_all_requests_back_in_the_next_step(phase: str) -> None:
    world = serving(replicas=3).until(phase)
    name = next(name for name, pod in world.pods.items() if pod.revision == B)
    world.pods[name] = replace(world.pods[name], ready=False, waiting="CrashLoopBackOff", restarts=2)
    world.reconcile()
    assert (world.state.phase, world.state.urgent, world.weights) == ("RollingBack", True, {A: 100})
    assert name in world.state.message


def test_a_pod_that_ended_is_not_held_against_it() -> None:
    world = serving(replicas=3).until("Observing")
    name = next(name for name, pod in world.pods.items() if pod.revision == B)
    world.pods[name] = replace(world.pods[name], ready=False, waiting="CrashLoopBackOff", deleting=True)
    world.reconcile()
    assert world.state.phase == "Observing"


@pytest.mark.parametrize("paused", [False, True])
def test_a_burst_of_errors_rolls_back_within_seconds(paused: bool) -> None:
    world = serving(rate=100, spec=spec(steps=[{"weight": 50, "minDuration": "10m"}])).until("Observing")
    if paused:
        world.action = f"pause@{B}"
        world.run(2)
        assert world.state.paused is not None
    world.does = {B: Behaviour(errors=1.0)}
    for _ in range(15):
        world.run(1)
        if world.weights == {A: 100}:
            break
    assert world.state.reason in ("ErrorBurst", "HarmShown")
    rolled_back(world, world.state.reason)


@pytest.mark.parametrize(
    ("case", "canary", "stable", "is_one"),
    [
        ("ten failures, half of all", (10, 20), (0, 100), True),
        ("too few", (9, 9), (0, 100), False),
        ("a minority", (10, 21), (0, 100), False),
        ("stable fails too", (20, 20), (21, 100), False),
        ("stable fails less", (20, 20), (20, 100), True),
        ("stable is out as well", (20, 20), (0, 0), True),
        ("stable has nothing but failures", (100, 100), (50, 100), False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_burst(case: str, canary: tuple[int, int], stable: tuple[int, int], is_one: bool) -> None:
    world = serving().until("Warming")
    world.run(2)
    world.sent = [(world.now, "b", B, *canary), (world.now, "a", A, *stable)]
    world.reconcile()
    assert (world.state.reason == "ErrorBurst") == is_one


def test_an_image_that_cannot_be_pulled_waits_for_the_deadline_and_is_told() -> None:
    world = serving(does={B: Behaviour(pull=1e6)}, spec=spec(deadlines={"pull": "60s"})).until("Loading")
    name = next(name for name, pod in world.pods.items() if pod.revision == B)
    world.pods[name] = replace(world.pods[name], waiting="ImagePullBackOff")
    world.run(2)
    assert "ImagePullBackOff" in world.state.message
    rolled_back(world, "PullDeadlineExceeded")


@pytest.mark.parametrize(
    ("broken", "previous", "goes_back"),
    [(1, "warm", True), (2, "warm", True), (1, "cold", False), (2, "cold", True), (0, "warm", False)],
)
def test_one_that_fails_after_its_promotion_goes_back(broken: int, previous: str, goes_back: bool) -> None:
    world = serving(replicas=2, spec=spec(keepWarm="5m" if previous == "warm" else "0s"))
    world.until("Retaining", "Succeeded")
    if previous == "cold":
        world.until("Succeeded").run(5)
        assert world.workloads == {A: 0, B: 2}
    for name in [name for name, pod in world.pods.items() if pod.revision == B][:broken]:
        world.pods[name] = replace(world.pods[name], ready=False, waiting="CrashLoopBackOff", restarts=5)
        world.does = {B: Behaviour(crashes=True)} if broken == 2 else {}
    world.reconcile()
    assert (world.stable == A, world.state.phase == "RollingBack") == (goes_back, goes_back)
    if goes_back:
        assert world.weights == {A: 100}
        rolled_back(world, "CrashLoop")


def test_memory_that_ran_out_long_ago_does_not_hinder_going_back() -> None:
    world = serving().until("Retaining")
    for name in [name for name, pod in world.pods.items() if pod.revision == A]:
        world.pods[name] = replace(world.pods[name], exit="OOMKilled", restarts=1)
    world.target = A
    world.run(2)
    assert (world.stable, world.state.previous) == (A, B)
