"""How rollouts end: promotion and what is kept, another version meanwhile, a spec that changes or is invalid."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from inferops.core.rollout import step
from inferops.core.signal import Window
from unit.core.rollout.building import A, B, Behaviour, C, D, World, serving, spec


def test_no_pod_of_the_canary_is_touched_by_its_promotion() -> None:
    world = serving(replicas=3).until("Promoting")
    world.run(30)
    before = {name for name, pod in world.pods.items() if pod.revision == B}
    world.until("Succeeded", limit=900).run(30)
    assert before == {name for name, pod in world.pods.items() if pod.revision == B}
    assert (len(before), world.lost) == (3, 0)


def test_the_old_one_is_kept_warm_then_cold_then_not_at_all() -> None:
    world = serving(spec=spec(keepWarm="60s", retainPrevious="10m")).until("Retaining")
    assert (world.workloads, world.state.rollback.ready, world.state.rollback.to) == ({A: 2, B: 2}, "Instant", A)
    world.run(55)
    assert world.workloads == {A: 2, B: 2}
    world.run(10)
    assert (world.state.phase, world.workloads) == ("Succeeded", {A: 0, B: 2})
    assert (world.state.rollback.ready, world.state.rollback.seconds) == ("Cold", world.state.loaded_in)
    world.run(500)
    assert A in world.records
    world.run(60)
    assert (world.records.keys(), world.state.previous) == ({B}, "")
    assert (world.state.rollback.ready, world.state.rollback.to) == ("Impossible", "")


def test_it_stays_warm_while_requests_end_there_but_not_for_ever() -> None:
    world = serving(spec=spec(keepWarm="10s")).until("Retaining").run(60)
    assert world.state.phase == "Succeeded"
    world = serving(spec=spec(keepWarm="10s")).until("Retaining")
    pod = next(name for name, pod in world.pods.items() if pod.revision == A)
    view = replace(world.view(), window=Window(world.now, world.now, "gateway", in_flight={pod: 1}))
    for seconds, phase in ((30, "Retaining"), (590, "Retaining"), (625, "Succeeded")):
        later = replace(view, now=world.now + timedelta(seconds=seconds))
        assert step(world.state, later).state.phase == phase


@pytest.mark.parametrize("keep", ["0s", "60s"])
def test_nothing_goes_that_a_gateway_still_sends_to(keep: str) -> None:
    world = serving(spec=spec(keepWarm=keep, retainPrevious=keep)).until("Promoting")
    world.delay = 1e9  # its controller is away
    world.run(300)
    assert (world.stable, world.ready(A), world.lost) == (B, 2, 0)
    world.delay = 1.0
    world.run(5)
    assert A not in world.records


def test_going_back_by_the_spec_is_instant_and_needs_no_canary() -> None:
    world = serving(replicas=3).until("Retaining").run(20)
    world.target = A
    world.run(1)
    assert (world.stable, world.weights, world.state.skipped) == (A, {A: 100}, True)
    assert (world.state.previous, world.state.rejected, world.lost) == (B, [], 0)


def test_an_older_one_goes_when_a_newer_takes_its_place() -> None:
    world = serving(spec=spec(keepWarm="10m")).until("Retaining")
    world.target = C
    world.run(5)
    assert (world.workloads[A], world.state.previous) == (0, A)
    world.until("Retaining").run(5)
    assert (world.records.keys(), world.state.previous) == ({B, C}, B)


def test_history_is_bounded_and_the_newest_comes_first() -> None:
    world = serving(spec=spec(steps=[]))
    for number in range(13):
        world.target = f"rev{number:02d}"
        world.until("Loading").until("Succeeded", "Retaining")
    assert len(world.state.history) == 10
    assert world.state.history[0].revision == world.stable == "rev12"
    assert all(ended.outcome == "Promoted" and ended.started <= ended.ended for ended in world.state.history)


def test_rejections_are_bounded() -> None:
    names = [f"rev{number:02d}" for number in range(13)]
    world = serving(does={name: Behaviour(crashes=True) for name in names})
    for name in names:
        world.target = name
        world.until("Loading").until("RolledBack")
    assert [one.hash for one in world.state.rejected] == names[:2:-1]


@pytest.mark.parametrize("phase", ["WaitingForCapacity", "Loading", "Warming", "Observing", "Promoting"])
@pytest.mark.parametrize("gpus", [100, 3])
def test_another_version_takes_the_canarys_place_before_the_same_stable(phase: str, gpus: int) -> None:
    world = serving(replicas=3, gpus=gpus).until(phase)
    world.target = C
    world.run(2)
    assert world.weights.get(B, 0) == 0 or gpus == 3
    world.until("Warming", "Promoting").until("Observing")
    assert (world.state.canary, world.state.stable, world.state.step) == (C, A, 0)
    assert world.state.analysis.metrics == [] or world.state.analysis.metrics[0].canary.total <= world.got[C]
    world.until("Retaining", "Succeeded")
    assert (world.stable, world.lost, B in world.records) == (C, 0, False)
    assert [(ended.revision, ended.outcome) for ended in world.state.history] == [(C, "Promoted"), (B, "Superseded")]
    assert world.state.rejected == []


@pytest.mark.parametrize("phase", ["Loading", "Observing", "Promoting"])
@pytest.mark.parametrize("gpus", [100, 3])
def test_back_to_stable_in_the_middle(phase: str, gpus: int) -> None:
    world = serving(replicas=3, gpus=gpus).until(phase)
    world.target = A
    world.run(1)
    world.until("Idle", "Succeeded").run(3)
    assert (world.stable, world.workloads, world.weights, world.lost) == (A, {A: 3}, {A: 100}, 0)
    assert [(ended.revision, ended.outcome) for ended in world.state.history] == [(B, "Superseded")]
    world.target = B
    world.until("Retaining", "Succeeded")
    assert world.stable == B, "nothing was held against it"


def test_a_rejected_one_that_is_asked_for_again_is_told() -> None:
    world = serving(does={B: Behaviour(crashes=True)}).until("RolledBack")
    world.target = C
    world.until("Loading").until("Retaining")
    world.target = B
    world.run(60)
    assert (world.stable, world.state.phase, world.state.reason) == (C, "RolledBack", "RejectedBefore")
    assert "inferops rollout retry" in world.state.message
    world.target = C
    world.run(2)
    assert (world.state.phase, world.stable) == ("Succeeded", C)


@pytest.mark.parametrize("phase", ["Loading", "Warming", "Observing"])
def test_an_invalid_spec_holds_the_step(phase: str) -> None:
    world = serving().until(phase)
    world.target = ""
    weights = world.weights
    world.run(150)
    assert (world.state.phase, world.stable) == (phase, A)
    assert world.weights.get(B, 0) >= weights.get(B, 0)
    assert world.records.keys() == {A, B}
    world.target = B
    world.until("Retaining")


def test_guardrails_act_while_the_spec_is_invalid() -> None:
    world = serving(does={B: Behaviour(runs_out=True)}).until("Warming")
    world.target = ""
    world.until("RolledBack")
    assert (world.stable, world.workloads) == (A, {A: 2})


def test_an_invalid_spec_begins_nothing_and_removes_nothing() -> None:
    world = serving()
    world.target = ""
    world.records[C], world.workloads[C] = 7, 1
    world.run(60)
    assert (world.workloads, world.weights) == ({A: 2, C: 1}, {A: 100})


def test_a_stable_that_does_not_answer_is_replaced_in_a_hurry() -> None:
    world = serving(replicas=2, spec=spec(steps=[{"weight": 5, "minDuration": "1h"}]))
    world.does = {A: Behaviour(loads=False)}
    for name, pod in list(world.pods.items()):
        world.pods[name] = replace(pod, ready=False, ready_since=None)
        world.since[name] = world.now
    world.run(50)
    assert (world.stable, world.state.skipped) == (A, False)
    world.run(60)
    assert world.stable == B


def test_a_first_revision_serves_with_its_first_replica_and_is_no_rollout() -> None:
    world = World(replicas=3, gpus=1).run(20)
    assert (world.stable, world.state.phase, world.weights) == (A, "Idle", {A: 100})
    assert (world.state.history, world.events) == ([], [])


def test_one_that_never_served_makes_room_for_its_correction() -> None:
    world = World(replicas=2, gpus=2, does={A: Behaviour(crashes=True)}).run(30)
    world.target = B
    world.run(30)
    assert (world.stable, world.records.keys()) == (B, {B})


def test_a_newcomer_that_serves_nobody_is_not_held_on_to() -> None:
    world = serving(does={B: Behaviour(loads=False)}).until("Loading").run(10)
    world.target = D
    world.run(3)
    assert world.records.keys() == {A, D}


def test_steps_that_are_taken_away_meanwhile() -> None:
    world = serving().until("Observing").until("Shifting").until("Observing")
    assert world.state.step == 1
    world.spec = spec(steps=[{"weight": 20, "minDuration": "10s"}])
    world.run(3)
    assert (world.state.step, world.state.steps, world.state.weight, world.weights[B]) == (0, 1, 20, 20)
    world.spec = spec(steps=[])
    world.until("Retaining")
    assert world.stable == B


@pytest.mark.parametrize("strategy", ["surge", "swap", "recreate"])
@pytest.mark.parametrize("gpus", [100, 4])
def test_another_strategy_meanwhile(strategy: str, gpus: int) -> None:
    world = serving(replicas=4, gpus=gpus).until("Observing")
    world.spec = spec(strategy=strategy, deadlines={"capacity": "60s"})
    world.until("Retaining", "Succeeded", "RolledBack")
    assert world.stable == (A if strategy == "surge" and gpus == 4 else B)
    world.run(30)
    assert world.ready(world.stable) == 4


@pytest.mark.parametrize("strategy", ["auto", "surge", "swap"])
@pytest.mark.parametrize("gpus", [100, 4])
def test_stable_comes_back_where_it_was_not_to_stop_after_all(strategy: str, gpus: int) -> None:
    world = serving(replicas=4, gpus=gpus, spec=spec(strategy="recreate"), does={B: Behaviour(load=30.0)})
    world.until("Loading").run(5)
    assert world.ready(A) == 0
    world.spec = spec(strategy=strategy, deadlines={"capacity": "60s"})
    world.until("Retaining", "Succeeded", "RolledBack")
    world.run(30)
    assert world.ready(world.stable) == 4
