"""How replicas are exchanged: beside each other, one for the other, or one after the other."""

from __future__ import annotations

import pytest

from inferops.core.rollout import Splitter
from unit.core.rollout.building import A, B, Behaviour, World, serving, spec


def gpus_used(world: World) -> int:
    return sum(bool(pod.node) for pod in world.pods.values())


def live(world: World, hash_: str) -> int:
    return sum(pod.revision == hash_ and not pod.deleting for pod in world.pods.values())


def most_used(world: World, seconds: int = 400) -> int:
    """The most GPUs at once until the rollout has ended."""
    most = 0
    for _ in range(seconds):
        world.run(1)
        most = max(most, gpus_used(world))
        if world.state.phase in ("Retaining", "Succeeded", "RolledBack"):
            return most
    raise AssertionError(world.state.message)


def test_the_canary_is_sized_for_its_share_and_stable_keeps_all() -> None:
    world = serving(replicas=5).until("Observing")
    assert world.workloads == {A: 5, B: 1}
    world.until("Gated", "Shifting").until("Observing")
    assert (world.state.weight, world.workloads) == (50, {A: 5, B: 3})
    world.until("Retaining")
    assert world.workloads == {A: 5, B: 5}


@pytest.mark.parametrize(
    ("case", "strategy", "gpus", "most"),
    [
        ("surge takes up to twice as many", "surge", 100, 8),
        ("auto does where there are", "auto", 100, 8),
        ("auto takes none beyond what there is", "auto", 4, 4),
        ("auto takes the one that is free", "auto", 5, 5),
        ("swap takes no more than before, free ones or not", "swap", 100, 4),
        ("recreate neither", "recreate", 100, 4),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_gpus(case: str, strategy: str, gpus: int, most: int) -> None:
    world = serving(replicas=4, gpus=gpus, spec=spec(strategy=strategy))
    assert most_used(world) == most
    assert (world.stable, world.weights) == (B, {B: 100})


@pytest.mark.parametrize("strategy", ["auto", "swap"])
def test_no_request_is_lost_while_replicas_are_swapped(strategy: str) -> None:
    world = serving(replicas=3, gpus=3, spec=spec(strategy=strategy)).until("Succeeded")
    assert (world.stable, world.lost) == (B, 0)


def test_auto_waits_for_the_scheduler_before_stable_yields() -> None:
    world = serving(replicas=4, gpus=4).run(12)
    assert (world.state.phase, world.state.yielded, world.workloads[A]) == ("WaitingForCapacity", 0, 4)
    assert "gives up one at a time" in world.state.message
    world.run(8)
    assert (world.state.strategy, world.state.yielded, world.workloads[A]) == ("swap", 1, 3)


def test_at_most_one_replica_is_missing_while_nobody_knows_how_many_are_needed() -> None:
    world = serving(replicas=4, gpus=4)
    for _ in range(400):
        world.run(1)
        assert live(world, A) + world.ready(B) >= 3
        if world.state.phase == "Succeeded":
            return
    raise AssertionError(world.state.message)


@pytest.mark.parametrize(("needed", "yields"), [(4, False), (3, True), (1, True), (None, True)])
def test_stable_yields_only_what_requests_do_not_need(needed: int | None, yields: bool) -> None:
    world = serving(replicas=4, gpus=4, needed=needed).run(60)
    assert (world.state.yielded > 0) == yields
    if not yields:
        assert world.state.phase == "WaitingForCapacity"
        assert "gives up one at a time while requests do not need all; else free a GPU" in world.state.message


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("auto", "the only replica that serves is not given up; free a GPU, or set strategy: recreate"),
        ("surge", "free GPUs, or set spec.rollout.strategy to auto, swap or recreate"),
    ],
)
def test_the_only_replica_is_not_given_up(strategy: str, words: str) -> None:
    world = serving(replicas=1, gpus=1, spec=spec(strategy=strategy, deadlines={"capacity": "60s"})).run(50)
    assert (world.state.phase, world.workloads, world.lost) == ("WaitingForCapacity", {A: 1, B: 1}, 0)
    assert words in world.state.message
    world.gpus = 2
    world.until("Retaining")
    assert (world.stable, world.lost) == (B, 0)


def test_surge_never_yields() -> None:
    world = serving(replicas=4, gpus=4, spec=spec(strategy="surge", deadlines={"capacity": "2m"}))
    world.until("RolledBack")
    assert all(outcome.replicas[A] == 4 for outcome in world.outcomes)


def test_recreate_stops_stable_first_and_skips_steps() -> None:
    world = serving(replicas=2, gpus=2, spec=spec(strategy="recreate")).run(3)
    assert (world.workloads[A], world.state.skipped, world.weights) == (0, True, {A: 100})
    world.until("Succeeded")
    assert (world.stable, world.workloads, world.weights) == (B, {A: 0, B: 2}, {B: 100})


def test_a_gate_before_the_first_request_holds_for_recreate_too() -> None:
    gate = {"name": "eval", "manual": True}
    world = serving(replicas=1, gpus=1, spec=spec(strategy="recreate", gates=[gate])).run(60)
    assert (world.state.phase, world.ready(B), world.weights) == ("Warming", 1, {A: 100})
    world.action = f"resume@{B}"
    world.run(3)
    assert world.stable == B


@pytest.mark.parametrize(
    ("case", "parts", "reason"),
    [
        ("without steps", {"spec": spec(steps=[])}, "RolloutStarted"),
        ("where nobody splits", {"splitter": Splitter.NOBODY}, "NobodySplits"),
    ],
)
def test_steps_are_skipped(case: str, parts: dict[str, object], reason: str) -> None:
    world = serving(replicas=2, **parts).until("Retaining")
    assert world.reasons()[0] == reason
    assert "Observing" not in world.reasons()
    assert all(outcome.weights in ({A: 100}, {B: 100}) for outcome in world.outcomes)
    assert (world.stable, world.routed_to, world.lost) == (B, B, 0)


def test_what_to_install_is_told_where_nobody_splits() -> None:
    world = serving(splitter=Splitter.NOBODY).run(3)
    assert "inferops gateway" in world.events[0].message
    assert "traffic.gatewayRef" in world.events[0].message


def test_the_splitter_that_goes_away_for_a_while_promotes_nothing() -> None:
    world = serving().until("Observing")
    world.splitter = Splitter.NOBODY
    world.run(400, each=2)
    assert (world.stable, world.state.paused is not None) == (A, True)


def test_scaling_follows_both_while_a_canary_is_observed() -> None:
    world = serving(replicas=2).until("Observing")
    world.replicas = 6
    world.run(20)
    assert world.workloads[A] == 6
    world.replicas = 1
    world.run(5)
    assert (world.workloads[A], world.weights[A] > world.weights[B]) == (1, True)


def test_replicas_that_stable_gave_up_come_back_when_fewer_are_asked_for() -> None:
    world = serving(replicas=4, gpus=4).until("Promoting")
    world.spec = spec(strategy="surge", steps=[{"weight": 5, "minDuration": "30s"}])
    world.run(5)
    assert (world.state.yielded, world.workloads[A]) == (0, 4)


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_service_at_zero_moves_at_once_and_keeps_the_old_one_cold(replicas: int) -> None:
    world = serving(replicas=replicas)
    world.replicas = 0
    world.run(10)
    assert (world.stable, world.workloads, world.state.previous) == (B, {A: 0, B: 0}, A)
    assert world.weights == {B: 100}
    world.replicas = replicas
    world.run(20)
    assert (world.ready(B), world.workloads[A]) == (replicas, 0)


def test_steps_are_taken_where_a_splitter_comes_in_time() -> None:
    """The gateway was only starting again when the rollout began."""
    world = serving(replicas=4, splitter=Splitter.NOBODY).until("Loading").run(3)
    assert (world.state.skipped, world.workloads[B]) == (True, 4)
    world.splitter = Splitter.OWN
    world.until("Observing")
    assert (world.state.skipped, world.workloads[B], world.weights) == (False, 1, {A: 95, B: 5})


def test_a_quiet_moment_does_not_cost_most_of_the_replicas() -> None:
    """Requests need one replica now. A replica takes minutes to load, and the next moment may need them all."""
    world = serving(replicas=8, gpus=8, needed=1, does={B: Behaviour(load=60.0)}).until("Promoting")
    for _ in range(400):
        world.run(1)
        assert live(world, A) + world.ready(B) >= 6
        if world.state.phase == "Succeeded":
            break
    assert (world.stable, world.lost) == (B, 0)
