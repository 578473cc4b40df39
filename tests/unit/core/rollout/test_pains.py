"""What hurts with other tools, each as a test. Stages over clusters are left out: there is one cluster yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from inferops.api.inferenceservice import SLOSpec
from inferops.api.rollout import AnalysisSpec
from inferops.api.rolloutstatus import AnalysisStatus
from inferops.core.evidence import Arms, judge
from inferops.core.signal import Count, ReplicaCounts, Window
from unit.core.rollout.building import A, B, Behaviour, serving, spec


@pytest.mark.parametrize("replicas", [2, 4])
def test_without_a_spare_gpu_there_is_neither_a_deadlock_nor_a_double_cost(replicas: int) -> None:
    world = serving(replicas=replicas, gpus=replicas).until("Succeeded")
    assert (world.stable, world.lost) == (B, 0)


def test_scaling_decides_for_stable_and_the_canary_follows_its_share() -> None:
    """No autoscaler averages over both: one number is decided, and each revision has its part of it."""
    world = serving(replicas=2).until("Observing")
    for replicas in (8, 3, 20):
        world.replicas = replicas
        world.run(20)
        assert world.workloads == {A: replicas, B: max(-(-replicas * world.state.weight // 100), 1)}


@pytest.mark.parametrize("gpus", [4, 6, 100])
def test_an_abort_neither_overloads_nor_deadlocks(gpus: int) -> None:
    world = serving(replicas=4, gpus=gpus).until("Promoting").run(20)
    world.action = f"abort@{B}"
    for _ in range(200):
        world.run(1)
        ready = {A: world.ready(A), B: world.ready(B)}
        for hash_, weight in world.weights.items():
            assert weight <= 100 * (ready[hash_] + 1) / 4, "no more than its replicas carry, but for one"
        if world.state.phase == "RolledBack":
            break
    assert (world.weights, world.workloads, world.lost) == ({A: 100}, {A: 4}, 0)


def test_a_promotion_restarts_nothing() -> None:
    world = serving(replicas=2).until("Promoting").run(20)
    pods = {name: pod for name, pod in world.pods.items() if pod.revision == B}
    world.until("Retaining").run(60)
    assert {name: pod for name, pod in world.pods.items() if pod.revision == B} == pods


@pytest.mark.parametrize("on_no_data", ["Hold", "Pause"])
@pytest.mark.parametrize(("case", "parts"), [("no requests", {"rate": 0}), ("no source of counts", {"counted": False})])
def test_without_data_it_neither_promotes_nor_rolls_back(case: str, parts: dict[str, int], on_no_data: str) -> None:
    world = serving(**parts, spec=spec(analysis={"onNoData": on_no_data, "maxHold": "3m"})).until("Observing")
    world.run(60)
    assert (world.stable, world.state.step) == (A, 0)
    assert (world.state.paused is not None) == (on_no_data == "Pause")
    world.run(240)
    assert world.state.paused is not None
    assert world.state.paused.reason == "NoData"
    world.run(2000, each=5)
    assert (world.stable, world.state.phase, world.state.rejected) == (A, "Observing", [])


def test_no_requests_are_written_about_again_and_again() -> None:
    world = serving(rate=0).until("Observing").run(40)
    before = world.written
    world.run(100)
    assert world.written == before


def test_little_traffic_is_waited_for() -> None:
    world = serving(rate=20, spec=spec(steps=[{"weight": 5, "minDuration": "0s"}])).until("Observing").run(10)
    assert world.state.phase == "Observing"
    world.until("Retaining")
    assert world.state.analysis.metrics[0].canary.total >= 50


def test_a_verdict_comes_with_its_evidence() -> None:
    world = serving(rate=100, does={B: Behaviour(errors=0.3)}).until("RolledBack")
    [ended] = world.state.history
    counts = world.state.analysis.metrics[0]
    assert (ended.outcome, counts.verdict) == ("RolledBack", "Harm")
    assert f"{counts.canary.total:,}" in ended.message
    assert f"{counts.stable.total:,}" in ended.message
    assert ended.message in world.state.message or world.state.rejected[0].message in world.state.message


def test_both_are_compared_over_the_same_windows() -> None:
    """What befalls both at the same time is not the canary's fault."""
    world = serving(rate=60).until("Observing")
    world.does = {A: Behaviour(errors=0.3), B: Behaviour(errors=0.3)}
    world.run(90)
    assert world.state.rejected == []


def test_a_crashing_canary_loses_its_weight_although_nothing_is_ready() -> None:
    world = serving(replicas=2).until("Observing")
    for name, pod in list(world.pods.items()):
        if pod.revision == A:
            world.pods[name] = replace(pod, ready=False, ready_since=None)  # stable is not all there either
            break
    world.does = {B: Behaviour(crashes=True)}
    world.run(2)
    assert (world.state.phase in ("RollingBack", "RolledBack"), world.weights) == (True, {A: 100})


def test_the_weight_follows_what_is_ready() -> None:
    world = serving(replicas=4).until("Promoting")
    for _ in range(60):
        world.run(1)
        if world.stable == A:
            assert world.weights.get(B, 0) <= 100 * world.ready(B) // 4
    assert world.weights == {B: 100}


def test_only_the_share_that_a_step_allows_is_sent() -> None:
    world = serving(rate=100).until("Observing")
    world.got.clear()
    world.run(20)
    assert world.got[B] == pytest.approx(0.05 * sum(world.got.values()), rel=0.2)


def test_nothing_is_written_in_the_steady_state() -> None:
    world = serving().until("Retaining").run(5)
    before = world.written
    world.run(300)
    assert world.written == before


def test_cold_caches_do_not_excuse_errors() -> None:
    world = serving(spec=spec(analysis={"warmUp": "60s"}), does={B: Behaviour(errors=0.3)}).until("Warming")
    begun = world.now
    world.until("RolledBack")
    assert (world.now - begun).total_seconds() < 30
    assert world.state.history[0].reason == "HarmShown"


def test_late_requests_to_cold_caches_are_not_judged() -> None:
    late = {"ttft": Count(bad=30, total=40), "errorRate": Count(bad=0, total=40)}
    good = {"ttft": Count(bad=0, total=40), "errorRate": Count(bad=0, total=40)}
    since = datetime(2025, 11, 3, 12, 0, tzinfo=UTC)
    replicas = (ReplicaCounts("new-0", "new", late, 40), ReplicaCounts("old-0", "old", good, 40))
    seen = Window(since, since + timedelta(seconds=5), "gateway", replicas)
    cold = Arms("new", "old", frozenset({"old-0"}))
    judged = judge(AnalysisStatus(), seen, cold, AnalysisSpec(metrics=["errorRate", "ttft"]), SLOSpec(ttft="1s"))
    assert [metric.canary.total for metric in judged.metrics] == [40, 0]
