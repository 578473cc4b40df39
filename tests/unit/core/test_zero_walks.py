"""Random walks of a service that may be at zero: requests, gateways that fall silent, new versions, crashes. Nobody who
asks finds nothing, and nothing goes but on the word of all gateways."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from inferops.core.activation import WOKEN
from inferops.core.decide import Decision, decide
from inferops.core.observation import Demand, Observation
from unit.core.building import REFUSED_ARGUMENT
from unit.core.cluster import Cluster
from unit.core.rules import holds

AFTER = 60.0  # seconds
SCALING = {"minReplicas": 0, "scaleToZeroAfter": "60s"}
GATEWAYS = ("10.1.0.1:8080",)
ASKED, LONG = Demand(waiting=2, idle=0.0), Demand(idle=1e6)
DEMANDS = [None, Demand(idle=None), Demand(waiting=1, idle=None), Demand(idle=5.0), LONG, Demand(in_flight=1), ASKED]

Step = tuple[str, Any]


def reconcile(cluster: Cluster, crash_after: int | None) -> None:
    seen = cluster.seen()
    decision = decide(seen)
    holds(seen, decision)
    nothing_goes_unasked(seen, decision)
    whoever_asks_gets_a_replica(seen, decision)
    cluster.reconcile(crash_after)


def nothing_goes_unasked(seen: Observation, decision: Decision) -> None:
    before = seen.service.status.desired_replicas
    if before == 0 or _serving(decision) > 0:
        return
    assert before is not None, "a new service is shown to load"
    assert seen.gateways and seen.demand is not None and seen.demand.idle is not None
    assert seen.demand.idle >= AFTER and not seen.demand.waiting and not seen.demand.in_flight
    assert seen.held_since is not None and (seen.now - seen.held_since).total_seconds() >= AFTER
    assert seen.service.status.stable_revision == decision.status.stable_revision, "no version comes up just now"


def _serving(decision: Decision) -> int:
    """Replicas of the revision that serves; one where there is none yet."""
    return next((plan.replicas for plan in decision.revisions if plan.hash == decision.route_to), 1)


def whoever_asks_gets_a_replica(seen: Observation, decision: Decision) -> None:
    if seen.demand is not None and (seen.demand.waiting or seen.demand.in_flight):
        assert _serving(decision) == 1
    assert decision.gateways == (seen.gateways if decision.route_to else ())
    assert decision.status.desired_replicas in (0, 1)


DOES: dict[str, Callable[[Cluster, Any], None]] = {
    "reconcile": reconcile,
    "kubelet": lambda cluster, ready: cluster.run_pods(ready),
    "demand": lambda cluster, demand: setattr(cluster, "demand", demand),
    "gateways": lambda cluster, there: setattr(cluster, "gateways", GATEWAYS if there else ()),
    "wait": lambda cluster, seconds: setattr(cluster, "now", cluster.now + timedelta(seconds=seconds)),
    "spec": lambda cluster, change: cluster.change(**change),
}
steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("reconcile"), st.none() | st.integers(0, 5)),
    st.tuples(st.just("reconcile"), st.none()),
    st.tuples(st.just("kubelet"), st.just(True) | st.booleans()),
    st.tuples(st.just("demand"), st.sampled_from(DEMANDS)),
    st.tuples(st.just("gateways"), st.just(True) | st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 120.0])),
    st.tuples(st.just("spec"), st.sampled_from([
        {"model": {"uri": "hf://org/a"}}, {"model": {"uri": "hf://org/b"}},
        {"runtime": {"args": [REFUSED_ARGUMENT]}}, {"runtime": {}},
    ])),
)  # fmt: skip


SILENT: list[Step] = [("demand", Demand(idle=None)), ("wait", 120.0), ("reconcile", None)]
ASKED_LATE: list[Step] = [("wait", 120.0), ("demand", Demand(waiting=1, idle=1e6)), ("reconcile", None)]
NEW_VERSION: list[Step] = [
    ("wait", 120.0), ("spec", {"model": {"uri": "hf://org/b"}}), ("reconcile", None), ("reconcile", None),
    ("reconcile", None),
]  # fmt: skip


def walk(taken: list[Step]) -> Cluster:
    cluster = Cluster(spec={"model": {"uri": "hf://org/a"}, "scaling": SCALING}, gateways=GATEWAYS, demand=LONG)
    if len(taken) % 2:  # half of them begin where it serves
        cluster.settle()
    for name, how in taken:
        DOES[name](cluster, how)
    return cluster


def heal(cluster: Cluster, demand: Demand | None) -> None:
    """All is well again."""
    cluster.change(runtime={})
    cluster.gateways, cluster.demand = GATEWAYS, demand
    cluster.settle()
    cluster.now += timedelta(seconds=2 * AFTER)
    cluster.settle()


@settings(max_examples=60)
@given(st.lists(steps, max_size=25))
@example(SILENT)
@example(ASKED_LATE)
@example(NEW_VERSION)
def test_whoever_asks_at_last_is_served(taken: list[Step]) -> None:
    cluster = walk(taken)
    heal(cluster, ASKED)
    assert list(cluster.workloads.values()) == [1] and [pod.ready for pod in cluster.pods.values()] == [True]
    assert {each.type: each.status for each in cluster.status.conditions}["Ready"] == "True"
    assert WOKEN not in cluster.status.explain


@settings(max_examples=60)
@given(st.lists(steps, max_size=25))
def test_where_nobody_asks_it_is_at_zero_in_the_end(taken: list[Step]) -> None:
    cluster = walk(taken)
    heal(cluster, LONG)
    assert list(cluster.workloads.values()) == [0] and not cluster.pods
    assert {each.type: each.reason for each in cluster.status.conditions}["Ready"] == "ScaledToZero"
    assert cluster.held_since is not None


@settings(max_examples=60)
@given(st.lists(steps, max_size=25))
def test_where_nothing_is_known_it_stays_as_it_is(taken: list[Step]) -> None:
    cluster = walk(taken)
    cluster.change(runtime={})
    cluster.gateways, cluster.demand = GATEWAYS, None
    cluster.settle()
    before = cluster.status.desired_replicas
    cluster.now += timedelta(days=1)
    assert cluster.settle() == 0
    assert cluster.status.desired_replicas == before == next(iter(cluster.workloads.values()))
