"""Random walks of a service that follows its load: rates that jump, silence, GPUs that come and go, new versions, other
bounds, windows, and an operator that ends at any write. Whatever happens it stays within its bounds, what nobody tells
takes nothing away, and the end is the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import ceil
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from inferops.core import fleet, scalinglook, schedule
from inferops.core.autoscale.history import History
from inferops.core.autoscale.rule import Recommendation
from inferops.core.autoscale.terms import Goals, Numbers, Signals
from inferops.core.decide import Decision, decide
from inferops.core.observation import NodeView, Observation
from unit.core.building import node
from unit.core.rules import holds
from unit.core.scaled import EVERY
from unit.core.scaledcluster import CARRIES, Scaled

MODEL = {"uri": "hf://org/a"}
LUNCH = {"cron": "0 11 * * *", "duration": "20h", "minReplicas": 3}  # the walks begin at noon, and end before
BOUNDS: list[dict[str, Any]] = [
    {"maxReplicas": 6},
    {"minReplicas": 2, "maxReplicas": 4},
    {"maxReplicas": 6, "schedule": [LUNCH]},
    {"maxReplicas": 6, "mode": "queueDepth"},
    {"maxReplicas": 6, "mode": "latency"},
]
SLO = {"ttft": "20s", "tpot": "400ms"}
QUICK = (Phase.explicit, Phase.reuse, Phase.generate)  # what fails is short enough to be read
Step = tuple[str, Any]


def reconcile(cluster: Scaled, crash_after: int | None) -> None:
    seen = cluster.seen()
    decision = decide(seen)
    holds_for_scaling(seen, decision)
    cluster.reconcile(crash_after)
    if crash_after is not None:
        cluster.restart()


def holds_for_scaling(seen: Observation, decision: Decision) -> None:
    """Every decision is within bounds, windows included; and takes something away only on somebody's word."""
    scaling, status = seen.service.spec.scaling, seen.service.status
    before, after = status.desired_replicas, decision.status.desired_replicas
    lowest = max(scaling.min_replicas, schedule.floor(scaling.schedule, seen.now).replicas or 0, 1)
    assert after is not None and lowest <= after <= fleet.highest(scaling)
    kept = min(max(before or 0, lowest), fleet.highest(scaling))
    if seen.load is None or seen.looked.at is None or status.rollout.phase in ("Loading", "Promoting", "RollingBack"):
        assert after >= kept, "nobody told, a start, or a rollout"
    assert decide(seen) == decision


DOES: dict[str, Callable[[Scaled, Any], None]] = {
    "reconcile": reconcile,
    "kubelet": lambda cluster, ready: cluster.run_pods(ready),
    "rate": lambda cluster, rate: setattr(cluster, "rate", rate),
    "wait": lambda cluster, seconds: setattr(cluster, "now", cluster.now + timedelta(seconds=seconds)),
    "bounds": lambda cluster, scaling: cluster.change(scaling=scaling),
    "model": lambda cluster, name: cluster.change(model={"uri": f"hf://org/{name}"}),
    "gpus": lambda cluster, count: cluster.nodes.update(big=gpus(count)),
}


def gpus(count: int) -> NodeView:
    return node("big", "l4", count)


steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("reconcile"), st.none() | st.integers(0, 4)),
    st.tuples(st.just("reconcile"), st.none()),
    st.tuples(st.just("kubelet"), st.just(True) | st.booleans()),
    st.tuples(st.just("rate"), st.none() | st.sampled_from([0.0, 1.0, 8.0, 40.0, 4000.0])),
    st.tuples(st.just("wait"), st.sampled_from([1.0, EVERY, 60.0, 900.0])),
    st.tuples(st.just("bounds"), st.sampled_from(BOUNDS)),
    st.tuples(st.just("model"), st.sampled_from("ab")),
    st.tuples(st.just("gpus"), st.integers(1, 12)),
)  # fmt: skip


def walk(taken: list[Step]) -> Scaled:
    cluster = Scaled(spec={"model": MODEL, "scaling": BOUNDS[0], "slo": SLO})
    cluster.settle()
    for name, how in taken:
        DOES[name](cluster, how)
    return cluster


def go_on(cluster: Scaled, rate: float | None, seconds: float) -> None:
    """For so long all is well, and so many requests come."""
    cluster.rate = rate
    cluster.nodes["big"] = gpus(64)
    until = cluster.now + timedelta(seconds=seconds)
    while cluster.now < until:
        cluster.run_pods()
        cluster.reconcile()
        cluster.now += timedelta(seconds=EVERY - 1)  # to see takes a second


@settings(max_examples=8, phases=QUICK)
@given(st.lists(steps, max_size=25))
def test_it_stays_within_its_bounds_and_ends_where_its_load_has_it(taken: list[Step]) -> None:
    cluster = walk(taken)
    scaling = cluster.seen().service.spec.scaling
    go_on(cluster, 4000.0, 600)
    assert cluster.status.desired_replicas == fleet.highest(scaling), "more than all of them carry"
    seen = cluster.seen()
    holds(seen, decide(seen))
    assert len(cluster.workloads) == 1 and sum(pod.ready for pod in cluster.pods.values()) == fleet.highest(scaling)


@settings(max_examples=8, phases=QUICK)
@given(st.lists(steps, max_size=25))
def test_where_nobody_tells_it_stays_as_it_is(taken: list[Step]) -> None:
    cluster = walk(taken)
    cluster.rate = None
    go_on(cluster, None, 120)
    before = cluster.status.desired_replicas
    go_on(cluster, None, 300)
    assert cluster.status.desired_replicas == before


@settings(max_examples=8, phases=QUICK)
@given(st.lists(steps, max_size=20), st.sampled_from([1.0, 8.0, 40.0]))
def test_a_steady_load_comes_to_rest_and_what_is_learned_of_it_turns_nothing_back(
    taken: list[Step], rate: float
) -> None:
    cluster = walk(taken)
    go_on(cluster, rate, 1800)
    numbers, spoken = [], 0
    for _ in range(16):
        before = cluster.status
        go_on(cluster, rate, EVERY)
        numbers.append(cluster.status.desired_replicas or 0)
        spoken += cluster.status != before
    assert numbers in (sorted(numbers), sorted(numbers, reverse=True))
    assert max(numbers) - min(numbers) <= 1 and spoken <= 4


def by_rate(history: History, signals: Signals, goals: Goals, now: float) -> Recommendation:
    """As many replicas as today's requests need, whatever was learned: what is learned depends on who has seen it."""
    load, kept = signals.load, signals.fleet.wanted
    if load is None:
        return Recommendation(kept, "NoSignals", signals.why, Numbers(), History(looked=now), EVERY)
    number = ceil(load.arrivals / load.seconds / CARRIES)
    return Recommendation(number, "Demand", "so many come", Numbers(), History(looked=now), EVERY)


@pytest.mark.parametrize("rate", [8.0, 25.0, 4000.0])
@pytest.mark.parametrize("crash_after", [1, 2, 3])
def test_an_operator_that_ends_between_two_writes_comes_to_the_same_end(
    rate: float, crash_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scalinglook, "recommend", by_rate)

    def grown(crashes: bool) -> Scaled:
        cluster = Scaled(spec={"model": MODEL, "scaling": BOUNDS[0], "slo": SLO}, rate=15.0)
        cluster.settle()
        go_on(cluster, 15.0, 60)
        assert cluster.status.desired_replicas == 2
        cluster.rate = rate
        cluster.now += timedelta(seconds=EVERY)
        reconcile(cluster, crash_after if crashes else None)
        go_on(cluster, rate, 120)
        return cluster

    end = grown(crashes=False)
    assert grown(crashes=True).end() == end.end()
    assert end.status.desired_replicas == min(ceil(rate / CARRIES), 6)
