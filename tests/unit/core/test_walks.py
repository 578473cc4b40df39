"""Random walks of a service through specs, crashes, failing pods and nodes: the rules hold at every decision, and
when all is well again the end is the same as without any of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.core.decide import decide
from inferops.core.revision import revision_of
from unit.core.building import REFUSED_ARGUMENT
from unit.core.cluster import NODES, Cluster
from unit.core.rules import holds

Step = tuple[str, Any]


def model(name: str) -> dict[str, str]:
    return {"uri": f"hf://org/{name}"}


def spec(cluster: Cluster, change: dict[str, Any]) -> None:
    cluster.change(*change.get("choices", ()), **{name: part for name, part in change.items() if name != "choices"})


def runtime(cluster: Cluster, known: bool) -> None:
    cluster.known_runtime = known


def pod(cluster: Cluster, how: tuple[int, dict[str, Any]]) -> None:
    number, facts = how
    if cluster.pods:
        name = sorted(cluster.pods)[number % len(cluster.pods)]
        cluster.pods[name] = replace(cluster.pods[name], **{"ready": False, **facts})


def nodes(cluster: Cluster, how: tuple[str, dict[str, Any]]) -> None:
    name, facts = how
    cluster.nodes[name] = replace(cluster.nodes[name], **facts)


def reconcile(cluster: Cluster, crash_after: int | None) -> None:
    seen = cluster.seen()
    holds(seen, decide(seen))
    cluster.reconcile(crash_after)


def kubelet(cluster: Cluster, ready: bool) -> None:
    cluster.run_pods(ready)


def lose(cluster: Cluster, what: str) -> None:
    if what == "status":
        cluster.status = InferenceServiceStatus()
    elif what == "service":
        cluster.routed_to = ""
    elif what == "stable's record":
        cluster.records.pop(cluster.status.stable_revision, None)
    elif what == "latest's record":
        cluster.records.pop(cluster.status.latest_revision, None)
    else:
        cluster.workloads.pop(cluster.status.stable_revision, None)


DOES: dict[str, Callable[[Cluster, Any], None]] = {
    "spec": spec, "runtime": runtime, "pod": pod, "node": nodes,
    "reconcile": reconcile, "kubelet": kubelet, "lose": lose,
}  # fmt: skip

specs = st.one_of(
    st.builds(lambda name: {"model": model(name)}, st.sampled_from("abc")),
    st.builds(lambda count: {"scaling": {"replicas": count}}, st.integers(0, 3)),
    st.builds(lambda args: {"runtime": {"args": args}}, st.sampled_from([[], [REFUSED_ARGUMENT]])),
    st.builds(lambda choices: {"choices": choices}, st.sampled_from([("l4",), ("l4", "h100"), ("h100",), ("tpu",)])),
)
facts_of_pods = st.sampled_from(
    [{"ready": True}, {"waiting": "CrashLoopBackOff", "restarts": 2}, {"waiting": "ImagePullBackOff"}, {"node": ""},
     {"deleting": True}, {}]
)  # fmt: skip
facts_of_nodes = st.fixed_dictionaries(
    {"ready": st.booleans(), "cordoned": st.booleans()},
    optional={"allocatable": st.builds(lambda count: {"nvidia.com/gpu": count}, st.integers(0, 3))},
)
steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("reconcile"), st.none() | st.integers(0, 6)),
    st.tuples(st.just("kubelet"), st.just(True) | st.booleans()),
    st.tuples(st.just("spec"), specs),
    st.tuples(st.just("runtime"), st.booleans()),
    st.tuples(st.just("pod"), st.tuples(st.integers(0, 5), facts_of_pods)),
    st.tuples(st.just("node"), st.tuples(st.sampled_from(["big", "fast"]), facts_of_nodes)),
)
losses = st.tuples(
    st.just("lose"), st.sampled_from(["status", "service", "stable's record", "latest's record", "stable's workload"])
)
FAILS_WHILE_OLD_ONE_GOES: list[Step] = [
    ("reconcile", None), ("kubelet", True), ("kubelet", True), ("reconcile", None), ("spec", {"model": model("b")}),
    ("reconcile", None), ("kubelet", True), ("kubelet", True), ("reconcile", None), ("pod", (1, {})),
    ("reconcile", None),
]  # fmt: skip


def walk(taken: list[Step]) -> Cluster:
    cluster = Cluster(spec={"model": model("a")})
    for name, how in taken:
        DOES[name](cluster, how)
    return cluster


def heal(cluster: Cluster) -> None:
    """All is well again; what was asked for last stands, made valid."""
    cluster.known_runtime = True
    cluster.nodes = {node.name: node for node in NODES}
    cluster.change(*(() if "tpu" not in cluster.choices else ("l4",)), runtime={})
    for _ in range(2):
        cluster.run_pods()
        cluster.reconcile()
    # What was rolled back meanwhile comes back only when somebody asks for it.
    if any(one.hash == cluster.status.latest_revision for one in cluster.status.rollout.rejected):
        cluster.action = f"retry@{cluster.status.latest_revision}"


def assert_serves_what_is_asked_for(cluster: Cluster) -> None:
    seen = cluster.seen()
    [(hash_, (recorded, _))] = cluster.records.items()
    assert recorded in [revision_of(seen.service.spec, choice) for choice in seen.service.spec.accelerators]
    replicas = seen.service.spec.scaling.replicas
    assert cluster.workloads == {hash_: 1 if replicas is None else replicas}
    assert cluster.routed_to == hash_
    assert [pod.ready for pod in cluster.pods.values()] == [True] * cluster.workloads[hash_]
    assert {c.type: c.status for c in cluster.status.conditions}["Ready"] == "True"
    assert cluster.status.observed_generation == cluster.generation


@settings(max_examples=50)
@given(st.lists(steps, max_size=25))
@example(FAILS_WHILE_OLD_ONE_GOES)
def test_whatever_happens_the_rules_hold_and_the_end_is_what_was_asked_for(taken: list[Step]) -> None:
    cluster = walk(taken)
    heal(cluster)
    cluster.settle()
    assert_serves_what_is_asked_for(cluster)


@settings(max_examples=50)
@given(st.lists(steps | losses, max_size=25))
def test_losing_status_records_and_children_ends_the_same(taken: list[Step]) -> None:
    cluster = walk(taken)
    heal(cluster)
    cluster.settle()
    assert_serves_what_is_asked_for(cluster)


@settings(max_examples=50)
@given(st.lists(steps, max_size=25))
def test_deciding_twice_changes_nothing(taken: list[Step]) -> None:
    cluster = walk(taken)
    for _ in range(5):  # what follows from the writes: a revision that exists, a route that moved, one that went
        cluster.reconcile()
    seen = cluster.seen()
    decision = decide(seen)
    assert decision.status == seen.service.status
    assert not decision.events
    assert not decision.removed
    assert all(plan.new is None for plan in decision.revisions)
    assert not list(cluster.writes(decision))
    assert decide(seen) == decision


A, B, C = ({"model": model(name)} for name in "abc")
TALES = {
    "creation": [A],
    "several replicas": [{**A, "scaling": {"replicas": 3}}],
    "an update": [A, B],
    "there and back": [A, B, A],
    "scaling": [A, {"scaling": {"replicas": 3}}, {"scaling": {"replicas": 1}}],
    "to zero and back": [A, {"scaling": {"replicas": 0}}, {"scaling": {"replicas": 1}}],
    "an update at zero": [A, {"scaling": {"replicas": 0}}, B, {"scaling": {"replicas": 2}}],
    "another accelerator": [A, {"choices": ("h100", "l4")}, {"choices": ("h100",)}],
    "an error and its correction": [A, {"runtime": {"args": [REFUSED_ARGUMENT]}}, {"runtime": {}}],
}


def tell(tale: list[dict[str, Any]], chapter: int = -1, crash_after: int | None = None) -> tuple[Cluster, list[int]]:
    """The end of a tale, and how many writes each chapter took. The operator ends once within `chapter`."""
    cluster = Cluster()
    counts = []
    for number, change in enumerate(tale):
        spec(cluster, change)
        counts.append(cluster.settle(crash_after if number == chapter else None))
    return cluster, counts


@pytest.mark.parametrize("tale", TALES.values(), ids=TALES)
def test_an_end_after_any_write_leads_to_the_same_end(tale: list[dict[str, Any]]) -> None:
    cluster, counts = tell(tale)
    assert counts[0] >= 4 and all(counts), "every chapter writes something"
    for chapter, count in enumerate(counts):
        for crash_after in range(1, count):
            assert tell(tale, chapter, crash_after)[0].end() == cluster.end()


@pytest.mark.parametrize("second", [B, C, {"scaling": {"replicas": 2}}])
def test_a_change_between_any_two_writes_leads_to_the_same_end(second: dict[str, Any]) -> None:
    """The spec changes while an update is under way, which is ended at any write."""
    expected, _ = tell([A, {**B, **second}])
    _, [_, count] = tell([A, B])
    for crash_after in range(count + 1):
        cluster, _ = tell([A])
        spec(cluster, B)
        cluster.reconcile(crash_after)
        spec(cluster, second)
        cluster.settle()
        assert cluster.end()["conditions"] == expected.end()["conditions"]
        assert cluster.end()["routed to"] == expected.end()["routed to"]
        assert cluster.end()["workloads"] == expected.end()["workloads"]
