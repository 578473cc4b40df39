"""Scaling while a rollout is under way, in a cluster whose GPUs come to an end: neither is in the other's way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import pytest

from inferops.core import scalinglook
from inferops.core.autoscale.history import History
from inferops.core.autoscale.rule import Recommendation
from inferops.core.autoscale.terms import Goals, Numbers, Signals
from inferops.core.scalinglook import LOST, RETRY
from unit.core.building import node
from unit.core.scaled import EVERY
from unit.core.scaledcluster import Scaled

STEPS = {"steps": [{"weight": 50, "minDuration": "30s"}], "analysis": {"metrics": ["errorRate"], "warmUp": "10s"}}


@dataclass
class Asks:
    """A rule that asks for so many, whatever is counted."""

    replicas: int

    def __call__(self, history: History, signals: Signals, goals: Goals, now: float) -> Recommendation:
        return Recommendation(self.replicas, "Demand", "so it says", Numbers(), History(looked=now), 15.0)


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> Asks:
    found = Asks(3)
    monkeypatch.setattr(scalinglook, "recommend", found)
    monkeypatch.setattr(scalinglook.memory, "written", lambda history, before: before)
    return found


def serving(gpus: int, **rollout: object) -> Scaled:
    cluster = Scaled(
        spec={
            "model": {"uri": "hf://org/a"},
            "scaling": {"maxReplicas": 8},
            "rollout": {"steps": [], "retainPrevious": "0s", **rollout},
        }
    )
    cluster.nodes = {"big": node("big", "l4", gpus)}
    return go_on(cluster, 120)


def go_on(cluster: Scaled, seconds: float, each: float = 5.0) -> Scaled:
    for _ in range(round(seconds / each)):
        cluster.run_pods()
        cluster.reconcile()
        cluster.now += timedelta(seconds=each - 1)  # to see takes a second
    return cluster


def ready(cluster: Scaled) -> int:
    return sum(pod.ready for pod in cluster.pods.values())


def test_a_rollout_does_without_replicas_for_which_there_is_no_gpu(asks: Asks) -> None:
    cluster = serving(gpus=5)
    asks.replicas = 8
    go_on(cluster, LOST + 60)
    assert (cluster.status.desired_replicas, ready(cluster)) == (8, 5), "they wait for a GPU"
    old = cluster.status.stable_revision
    cluster.change(model={"uri": "hf://org/b"})
    go_on(cluster, 300)
    assert cluster.status.stable_revision not in ("", old) and cluster.status.rollout.rejected == []
    assert ready(cluster) == 5
    go_on(cluster, RETRY)
    assert cluster.status.desired_replicas == 8, "and wait again afterwards"


def test_meanwhile_none_are_added_and_taken_away_again_and_again(asks: Asks) -> None:
    cluster = serving(gpus=5)
    asks.replicas = 8
    go_on(cluster, LOST + 60)
    cluster.change(model={"uri": "hf://org/b"}, rollout={"steps": [{"weight": 50, "minDuration": "30s"}]})
    numbers = []
    for _ in range(20):
        go_on(cluster, EVERY)
        if cluster.status.rollout.phase in ("Succeeded", "Retaining", "Idle"):
            break
        numbers.append(cluster.status.desired_replicas)
    turns = sum(before != after for before, after in pairwise(numbers))
    assert turns <= 1 and set(numbers) <= {8, 5}


def test_a_node_that_has_to_be_bought_is_waited_for(asks: Asks) -> None:
    cluster = serving(gpus=3)
    cluster.change(model={"uri": "hf://org/b"}, rollout={"strategy": "surge", "steps": []})
    asks.replicas = 4
    go_on(cluster, LOST - 60)
    assert cluster.status.desired_replicas == 4 and ready(cluster) == 3
    cluster.nodes["new"] = node("new", "l4", 8)
    go_on(cluster, 120)
    new = cluster.status.stable_revision
    assert cluster.status.desired_replicas == 4 and new == cluster.status.latest_revision
    assert sum(pod.ready for pod in cluster.pods.values() if pod.revision == new) == 4


def test_replicas_added_in_a_rollout_are_added_to_both(asks: Asks) -> None:
    cluster = serving(gpus=64)
    old = cluster.status.stable_revision
    cluster.gateways = ("10.1.0.1:8080",)
    cluster.change(model={"uri": "hf://org/b"}, rollout=STEPS)
    go_on(cluster, 60)
    assert cluster.status.rollout.phase == "Observing"
    asks.replicas = 6
    go_on(cluster, 30)
    new = cluster.status.rollout.canary
    assert cluster.workloads == {old: 6, new: 3}
    asks.replicas = 1
    go_on(cluster, 120)
    assert cluster.workloads == {old: 6, new: 3} and cluster.status.desired_replicas == 6
    assert any("rollout is under way" in sentence for sentence in cluster.status.explain)
    cluster.action = f"promote@{new}"
    go_on(cluster, 60)
    assert cluster.status.stable_revision == new
    go_on(cluster, 60)
    assert cluster.workloads[new] == 1, "what it held on to goes when the rollout is over"
