"""What people tell a rollout: each value once, of the revision that it names, whatever state it is in."""

from __future__ import annotations

import pytest

from inferops.core.rollout.actions import Action, read
from unit.core.rollout.building import A, B, Behaviour, C, World, serving, spec

EVERY = ["WaitingForCapacity", "Loading", "Warming", "Shifting", "Observing", "Promoting"]


def within(phase: str, **parts: object) -> World:
    """A rollout in a phase; stable stays short of GPUs where it would pass by too fast to be met otherwise."""
    gpus = {"gpus": 3} if phase == "WaitingForCapacity" else {}
    return serving(replicas=3, **gpus, **parts).until(phase)


@pytest.mark.parametrize(
    ("annotation", "action"),
    [
        ("promote@abc", Action("promote", "abc")),
        ("abort@abc/2025-11-03T12", Action("abort", "abc")),
        ("retry@abc/" + "x" * 32, Action("retry", "abc")),
        ("", None),
        ("promote", None),
        ("promote@", None),
        ("destroy@abc", None),
        ("promote@abc/", None),
        ("promote@abc/" + "x" * 33, None),
        ("promote@abc/a b", None),
        ("promote@abc\n", None),
        ("promote@" + "a" * 17, None),
    ],
)
def test_the_grammar(annotation: str, action: Action | None) -> None:
    assert read(annotation) == action


@pytest.mark.parametrize("phase", EVERY)
@pytest.mark.parametrize("strategy", ["auto", "swap"])
def test_abort_from_any_phase_ends_in_stable_alone(phase: str, strategy: str) -> None:
    world = within(phase, spec=spec(strategy=strategy))
    world.action = f"abort@{B}"
    world.until("RolledBack")
    assert (world.stable, world.weights, world.workloads, world.lost) == (A, {A: 100}, {A: 3}, 0)
    assert (world.state.reason, world.state.rejected[0].hash) == ("Aborted", B)
    world.run(120)
    assert (world.state.phase, world.workloads) == ("RolledBack", {A: 3})


@pytest.mark.parametrize("phase", EVERY)
def test_promote_skips_steps_but_not_readiness(phase: str) -> None:
    world = within(phase)
    world.action = f"promote@{B}"
    world.run(1)
    assert (world.state.phase in ("Promoting", "Retaining"), world.state.skipped) == (True, True)
    assert world.stable == B or world.ready(B) < 3
    world.until("Retaining", "Succeeded")
    assert (world.stable, world.ready(B), world.lost) == (B, 3, 0)


def test_promote_does_not_skip_guardrails() -> None:
    world = serving(replicas=2, does={B: Behaviour(pull=20.0, crashes=True)}).until("Loading")
    world.action = f"promote@{B}"
    world.until("RolledBack")
    assert world.stable == A


@pytest.mark.parametrize("phase", ["Loading", "Warming", "Observing"])
def test_pause_holds_the_step_until_resume(phase: str) -> None:
    world = within(phase)
    world.action = f"pause@{B}"
    world.run(200)
    assert world.state.paused is not None
    assert (world.state.phase, world.state.paused.reason) == (phase, "RolloutPaused")
    assert "inferops rollout resume" in world.state.paused.message
    weight = world.weights.get(B, 0)
    assert weight == (5 if phase != "Loading" else 0)
    world.action = f"resume@{B}"
    world.until("Retaining")
    assert world.reasons().count("RolloutPaused") == world.reasons().count("RolloutResumed") == 1


def test_the_time_of_a_pause_does_not_count_for_a_step() -> None:
    world = serving().until("Observing").run(25)
    world.action = f"pause@{B}"
    world.run(100)
    world.action = f"resume@{B}"
    world.run(3)
    assert (world.state.phase, world.state.step) == ("Observing", 0)


@pytest.mark.parametrize(
    "action", [f"promote@{A}", f"promote@{C}", f"pause@{C}", f"abort@{A}", f"retry@{B}", f"abort@{C}/1"]
)
def test_a_hash_that_is_not_meant_does_nothing(action: str) -> None:
    told, other = serving().until("Observing"), serving().until("Observing")
    told.action = action
    told.run(20)
    other.run(20)
    assert told.state == other.state
    assert action not in told.state.handled


def test_git_may_apply_an_action_again_and_again() -> None:
    world = serving().until("Observing")
    world.action = f"abort@{B}/one"
    world.until("RolledBack").run(60)
    assert world.state.handled == [f"abort@{B}/one"]
    world.action = f"retry@{B}/one"
    world.until("Observing").run(5)
    assert world.state.rejected == []
    world.action = f"abort@{B}/one"
    world.run(20)
    assert world.state.phase == "Observing", "it was carried out before"
    world.action = f"abort@{B}/two"
    world.until("RolledBack")
    assert world.state.handled[0] == f"abort@{B}/two"


def test_what_was_handled_is_bounded() -> None:
    world = serving(spec=spec(steps=[{"weight": 5, "minDuration": "1h"}])).until("Observing")
    for number in range(40):
        world.action = f"{'resume' if world.state.paused else 'pause'}@{B}/{number}"
        world.run(1)
    assert len(world.state.handled) == 16
    assert world.state.handled[0].endswith("/39")


def test_a_rejected_revision_comes_back_by_retry_alone() -> None:
    world = serving(does={B: Behaviour(crashes=True)}).until("RolledBack").run(100)
    assert world.reasons().count("RolloutStarted") == 1
    world.does = {}
    world.run(100)
    assert (world.state.phase, world.workloads) == ("RolledBack", {A: 2})
    world.action = f"retry@{B}"
    world.until("Retaining")
    assert (world.stable, world.state.rejected) == (B, [])


@pytest.mark.parametrize(("keep_warm", "seconds"), [("10m", 1), ("0s", 30)])
def test_abort_after_the_promotion_goes_back(keep_warm: str, seconds: int) -> None:
    """In no time where the old one is warm; else once its replicas have loaded, and no request is lost either way."""
    world = serving(replicas=3, spec=spec(keepWarm=keep_warm)).until("Retaining", "Succeeded").run(10)
    world.action = f"abort@{B}"
    world.run(seconds)
    assert world.weights == {A: 100}
    world.until("RolledBack")
    assert (world.stable, world.workloads, world.lost) == (A, {A: 3}, 0)
    assert [ended.outcome for ended in world.state.history] == ["RolledBack", "Promoted"]


def test_going_back_to_a_cold_revision_without_free_gpus() -> None:
    world = serving(replicas=3, gpus=3).until("Succeeded").run(10)
    world.action = f"abort@{B}"
    world.until("RolledBack")
    assert (world.stable, world.workloads, world.lost) == (A, {A: 3}, 0)


def test_there_is_nothing_to_go_back_to() -> None:
    world = serving(spec=spec(retainPrevious="0s")).until("Succeeded").run(20)
    assert (world.state.previous, world.workloads) == ("", {B: 2})
    world.action = f"abort@{B}"
    world.run(10)
    assert (world.stable, world.state.handled) == (B, [])


def test_a_promotion_that_is_paused_keeps_the_share_it_has() -> None:
    world = serving(replicas=4, does={B: Behaviour(load=20.0)}).until("Promoting")
    world.action = f"pause@{B}"
    world.run(60)
    assert (world.ready(B), world.weights, world.stable) == (4, {A: 50, B: 50}, A)
    world.action = f"resume@{B}"
    world.run(2)
    assert world.stable == B


def test_what_it_rested_for_by_itself_is_waited_for_once_more() -> None:
    world = serving(rate=0, spec=spec(analysis={"maxHold": "60s"})).until("Observing").run(100)
    assert world.state.paused is not None
    world.action = f"resume@{B}"
    world.run(80)
    assert world.state.paused is None
    world.run(20)
    assert world.state.paused is not None
