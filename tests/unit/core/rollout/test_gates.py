"""Gates: asked when the canary is ready and after each step, by hand, by webhooks and by Jobs."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.core.observation import GateView
from inferops.core.rollout import gate_name
from unit.core.rollout.building import A, B, World, serving, spec

WEBHOOK = {"name": "judge", "webhook": {"url": "http://judge.ml.svc/canary"}, "wait": "60s"}
JOB = {"name": "eval", "job": {"image": "eval:1"}, "wait": "60s"}
MANUAL = {"name": "ok", "manual": True}
PASSED, FAILED, WAITING = GateView("Passed", "fine"), GateView("Failed", "score 0.3"), GateView("Waiting", "runs")


def gated(*gates: dict[str, Any], says: dict[str, GateView] | None = None, at: list[int] | None = None) -> World:
    """A rollout with gates, at 0 unless told otherwise."""
    return serving(spec=spec(gates=[{**gate, "at": at or [0]} for gate in gates]), says=says or {})


@pytest.mark.parametrize("gate", [WEBHOOK, JOB], ids=["webhook", "job"])
def test_no_request_comes_before_the_gates_have_passed(gate: dict[str, Any]) -> None:
    world = gated(gate).until("Warming").run(30)
    assert (world.ready(B), world.weights, world.state.reason) == (1, {A: 100}, "GateWaits")
    [wanted] = world.asked
    assert (wanted.canary, wanted.stable, wanted.weight, wanted.gate.name) == (B, A, 0, gate["name"])
    assert wanted.name == gate_name(world.state, 0, gate["name"])
    world.says = {gate["name"]: PASSED}
    world.run(2)
    assert (world.weights, world.asked, world.state.gates[0].verdict) == ({A: 95, B: 5}, (), "Passed")
    world.until("Retaining")
    assert world.stable == B


@pytest.mark.parametrize("at", [[0], [5], [50]])
def test_a_gate_that_says_no_rolls_back(at: list[int]) -> None:
    world = gated(JOB, says={"eval": FAILED}, at=at).until("RolledBack")
    assert (world.stable, world.state.reason) == (A, "GateFailed")
    assert "score 0.3" in world.state.rejected[0].message
    assert all(outcome.weights.get(B, 0) <= at[0] for outcome in world.outcomes)


@pytest.mark.parametrize(("at", "most"), [([5], 5), ([50], 50)])
def test_a_steps_gates_are_asked_after_its_analysis(at: list[int], most: int) -> None:
    world = gated(WEBHOOK, says={"judge": WAITING}, at=at).until("Gated").run(20)
    assert (world.state.weight, world.weights[B]) == (most, most)
    assert world.state.analysis.verdict == "NoWorse"
    assert "webhook" in world.state.message
    world.says = {"judge": PASSED}
    world.until("Retaining")


def test_a_gate_that_comes_to_no_verdict_pauses_and_is_asked_on() -> None:
    world = gated(JOB, says={"eval": WAITING}).until("Warming").run(55)
    assert world.state.paused is None
    world.run(10)
    assert world.state.paused is not None
    assert (world.state.paused.reason, world.weights) == ("GateWaits", {A: 100})
    assert [wanted.gate.name for wanted in world.asked] == ["eval"]
    world.action = f"resume@{B}/1"
    world.run(30)
    assert world.state.paused is None, "it may take as long again"
    world.says = {"eval": PASSED}
    world.until("Retaining")


def test_nobody_hurries_a_person() -> None:
    world = gated({**MANUAL, "wait": "1s"}, at=[5]).until("Gated").run(3000, each=10)
    assert (world.state.phase, world.state.paused, world.asked) == ("Gated", None, ())
    assert "inferops rollout resume" in world.state.message
    world.action = f"resume@{B}"
    world.run(5)
    assert (world.state.step, world.state.weight) == (1, 50)


def test_each_manual_gate_is_opened_by_itself() -> None:
    world = gated(MANUAL, {"name": "security", "manual": True}).until("Warming").run(5)
    world.action = f"resume@{B}/1"
    world.run(5)
    assert [gate.verdict for gate in world.state.gates] == ["Passed", "Waiting"]
    assert world.weights == {A: 100}
    world.action = f"resume@{B}/2"
    world.run(2)
    assert world.weights == {A: 95, B: 5}


def test_promote_by_hand_skips_gates() -> None:
    world = gated(MANUAL, JOB).until("Warming").run(5)
    world.action = f"promote@{B}"
    world.until("Retaining")
    assert world.stable == B
    assert {gate.verdict for gate in world.state.gates} == {"Passed"}
    assert "promoted by hand" in world.state.gates[0].message


def test_the_same_gate_is_asked_anew_at_each_weight_and_in_each_rollout() -> None:
    world = gated(JOB, says={"eval": PASSED}, at=[0, 5, 50])
    names = set()
    for _ in range(300):
        world.run(1)
        names |= {wanted.name for wanted in world.asked}
        if world.state.phase == "Retaining":
            break
    assert len(names) == 3
    assert [(gate.weight, gate.verdict) for gate in world.state.gates] == [(0, "Passed"), (5, "Passed"), (50, "Passed")]


def test_many_gates_at_many_steps_keep_within_the_status() -> None:
    gates = [{"name": f"gate-{number}", "job": {"image": "e:1"}, "at": [0, 5, 50]} for number in range(8)]
    says = {f"gate-{number}": PASSED for number in range(8)}
    world = serving(spec=spec(gates=gates), says=says).until("Retaining")
    assert (world.stable, len(world.state.gates)) == (B, 16)


def test_going_back_asks_no_gate() -> None:
    world = gated(JOB, says={"eval": PASSED}).until("Retaining")
    world.target, world.says = A, {}
    world.run(2)
    assert world.stable == A
