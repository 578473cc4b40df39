"""`inferops why`: for each way in which a service is not as asked for, the verdict, what it rests on, what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inferops.api.inferencecluster import InferenceClusterStatus
from inferops.cli.events import Told
from inferops.cli.lines import line
from inferops.cli.why.ask import as_data, told
from inferops.cli.why.chain import explain
from inferops.cli.why.seen import Explanation, Seen
from inferops.core.observation import PodView
from inferops.core.quotas import Quota
from inferops.kube.kinds import NODE
from unit.cli.scenes import NEW, OBSERVING, OLD, PROMOTED, at, gated, paused, retaining, rolled_back, service
from unit.cli.why.worlds import busy, homeless, scene, seen, waiting, world
from unit.controller.building import node

FULL = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."
READY = [
    {"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": at()},
    {"type": "Valid", "status": "True", "reason": "Valid", "lastTransitionTime": at()},
]


def text(of: Seen) -> str:
    return "\n".join(line(each).plain for each in told(of, explain(of), []))


def first(of: Seen) -> Explanation:
    return explain(of)[0]


async def test_of_a_service_that_serves_nothing_is_wrong() -> None:
    found = first(seen(await world()))
    assert not found.wrong and found.verdict.startswith("nothing is wrong: 1 of 1 replicas of revision ")
    assert "at http://llama.chat.svc" in found.evidence


async def test_a_replica_without_a_node_says_which_gpus_where_and_what_is_free() -> None:
    made = await world(homeless(FULL), accelerators=[{"type": "nvidia-l4", "count": 8}])
    [name] = [meta["name"] for meta in (raw["metadata"] for raw in made.fake.all(NODE))]
    found = first(seen(made, others=[busy(name, 3), busy("gone", 2, "late")]))
    assert found.wrong and found.verdict == (
        "1 of 1 replicas finds no node: each needs 8x nvidia-l4, and 5 of 8 are free, at most 5 on one node"
    )
    evidence = "\n".join(found.evidence)
    assert FULL in evidence and "nvidia-l4: 5 of 8 free on 1 nodes (node by node: 5)" in evidence
    assert f"node {name}: 8x nvidia-l4" in evidence and "in use by team/other (3)" in evidence
    assert "late" not in evidence, "its node is not there any more"
    assert any("spec.accelerators" in each for each in found.todo)


async def test_a_type_that_no_node_has() -> None:
    made = await world(homeless("0/1 nodes are available"), accelerators=[{"type": "nvidia-h200"}])
    found = first(seen(made))
    assert found.verdict.endswith("each needs 1x nvidia-h200, and no node has that accelerator")
    assert "none of the 1 nodes is a node with nvidia-h200" in found.evidence
    assert found.todo[0].startswith("add a node with nvidia-h200")


async def test_nodes_that_are_cordoned() -> None:
    made = await world(homeless("cordoned"))
    [name] = [raw["metadata"]["name"] for raw in made.fake.all(NODE)]
    made.fake.edit(NODE, "", name, lambda raw: raw.setdefault("spec", {}).update(unschedulable=True))
    await made.settle()
    found = first(seen(made))
    assert "all nodes that have it are cordoned, not ready or tainted" in found.verdict
    assert any(" cordoned" in each for each in found.evidence)


async def test_a_quota_that_is_used_up_is_told() -> None:
    made = await world(homeless(FULL))
    found = first(seen(made, (Quota("gpus", "requests.nvidia.com/gpu", 4, 4),)))
    assert "ResourceQuota gpus: 4 of 4 requests.nvidia.com/gpu used" in found.evidence
    assert "have the quota raised, or scale another service of the namespace down" in found.todo


async def test_without_the_right_to_see_nodes_the_rest_is_told() -> None:
    made = await world(homeless(FULL), accelerators=[{"type": "nvidia-l4", "count": 8}])
    found = first(seen(made, capacity=None))
    assert found.verdict == "1 of 1 replicas finds no node: each needs 8x nvidia-l4"
    assert any(FULL in each for each in found.evidence)


@pytest.mark.parametrize(
    ("reason", "verdict", "remedy"),
    [
        ("CrashLoopBackOff", "crashes again and again", "logs llama -n chat --revision"),
        ("ImagePullBackOff", "cannot pull its image", "kubectl describe pod"),
        ("CreateContainerConfigError", "misses a Secret or ConfigMap that it names", "kubectl get secrets -n chat"),
    ],
)
async def test_pods_that_are_stuck(reason: str, verdict: str, remedy: str) -> None:
    found = first(seen(await world(waiting(reason, "because", 5))))
    assert found.wrong and found.verdict == f"1 of 1 replicas {verdict}"
    assert reason in found.evidence[0] and any(remedy in each for each in found.todo)


async def test_replicas_that_load_take_their_time() -> None:
    running = {"name": "engine", "state": {"running": {"startedAt": at()}}}
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]
    found = first(seen(await world({"conditions": conditions, "containerStatuses": [running]})))
    assert found.wrong and found.verdict.startswith("1 of 1 replicas load the model: ")


@pytest.mark.parametrize(
    ("spec", "words", "remedy"),
    [
        ({"accelerators": [{"type": "nvidia-h1000"}]}, "nvidia-h1000", "kubectl get accelerators"),
        ({"runtime": {"name": "vlm"}}, "vlm", "kubectl get servingruntimes"),
        ({"runtime": {"args": ["--port=1"]}}, "--port", "diff -n chat -f FILE"),
    ],
)
async def test_a_spec_that_cannot_be_served(spec: Any, words: str, remedy: str) -> None:
    made = await world()
    made.ask(**spec)
    await made.settle()
    found = first(seen(made))
    assert found.verdict.startswith("its spec cannot be served: ") and words in found.verdict
    assert any(each.endswith("1 replicas are ready") for each in found.evidence)
    assert any(remedy in each for each in found.todo)


async def test_what_nobody_has_judged() -> None:
    made = await world()
    made.ask(load={"concurrency": 9})
    found = first(seen(made))
    assert found.verdict == "the operator has not judged generation 2 of the spec yet"
    assert found.evidence[0].startswith("it judged generation 1 last")


async def test_at_zero_by_hand_says_how_to_come_back() -> None:
    made = await world(scaling={"replicas": 0})
    answers = explain(seen(made))
    assert not answers[0].wrong
    assert any("scaled to zero by hand" in each.verdict for each in answers)
    assert any("scale llama -n chat --auto" in todo for each in answers for todo in each.todo)


def test_a_rollback_tells_its_evidence_and_what_to_do() -> None:
    whole = rolled_back(analysis=OBSERVING["analysis"])
    found = first(scene(service(whole)))
    assert found.verdict == (
        f"revision {NEW} was rolled back: HarmShown: errorRate: 40/120 bad of the canary, 2/400 of stable"
    )
    assert f"revision {OLD} serves all requests" in found.evidence
    assert any(
        each.startswith("ttft: 61 of 1201 bad of the canary, 140 of 3702 of stable; ") for each in found.evidence
    )
    assert any("rollout retry llama -n chat" in each for each in found.todo)


def test_a_pause_says_who_must_act() -> None:
    found = first(scene(service(paused())))
    assert found.verdict == f"the rollout of {NEW} is paused: no requests of the canary for 30m"
    assert "since 5m" in found.evidence and "rollout resume llama -n chat" in found.todo[0]


def test_a_manual_gate_says_who_must_act() -> None:
    found = first(scene(service(gated())))
    assert found.verdict == f"the rollout of {NEW} waits at the manual gate owner until somebody opens it"
    assert "for 7m" in found.evidence


def test_a_rollout_that_goes_on_is_not_wrong() -> None:
    answers = explain(scene(service(OBSERVING, conditions=READY)))
    assert not answers[0].wrong and answers[0].verdict.startswith("nothing is wrong")
    assert answers[1].verdict.startswith(f"revision {NEW} is being rolled out, and nothing is to be done: Observing")


def test_a_service_that_is_not_ready_for_a_rollout_alone_is_fine() -> None:
    unknown = [{**READY[0], "status": "Unknown", "reason": "Undecided"}, READY[1]]
    pod = PodView("llama-x", NEW, node="gpu-1", started=True)
    answers = explain(scene(service(OBSERVING, conditions=unknown), pods=(pod,)))
    assert not any(each.wrong for each in answers)
    assert answers[0].verdict.startswith(f"revision {NEW} is being rolled out, and nothing is to be done")
    assert any("1 of 5 replicas load the model" in each.verdict for each in answers)


def test_what_was_promoted_is_fine() -> None:
    assert not first(scene(service(retaining(), **PROMOTED, conditions=READY))).wrong


@pytest.mark.parametrize(
    ("reason", "wrong", "remedy"),
    [
        ("Maximum", True, "scale llama -n chat --max 7"),
        ("NoSignals", True, "--prometheus URL"),
        ("NoNode", True, "make room"),
        ("Held", False, "scaleDown.after"),
        ("Steady", False, ""),
    ],
)
def test_why_so_many_replicas(reason: str, wrong: bool, remedy: str) -> None:
    scaling = {
        "mode": "auto", "reason": reason, "message": "because", "arrivalsPerSecond": "12", "forecastPerSecond": "14",
        "capacityPerSecond": "2.5", "utilization": "0.8",
    }  # fmt: skip
    raw = service(conditions=READY, scaling=scaling, desiredReplicas=4, latestRevision=OLD)
    answers = explain(scene(raw))
    found = next(each for each in answers if "4 replicas are wanted" in each.verdict)
    assert found.verdict == f"4 replicas are wanted (auto: {reason}): because" and found.wrong is wrong
    assert "so 7 replicas would carry it" in found.evidence and "a replica carries 2.5 requests/s" in str(
        found.evidence
    )
    assert remedy in " ".join(found.todo)


def test_a_number_by_hand_is_named_as_such() -> None:
    raw = service(conditions=READY, desiredReplicas=3)
    raw["spec"] = {**raw["spec"], "scaling": {"replicas": 3}}
    assert any("since spec.scaling.replicas is 3" in each.verdict for each in explain(scene(raw)))


PLACED = {
    "clusters": [
        {"cluster": "eu", "state": "Serving", "readyReplicas": 2, "replicas": 2, "accelerator": "1x nvidia-l4"},
        {"cluster": "us", "state": "Lost", "readyReplicas": 0, "replicas": 2, "message": "silent for 6m"},
    ],
    "notChosen": [{"cluster": "asia", "reason": "NoRoom", "message": "no room for a replica of 1x nvidia-l4"}],
}


def test_a_lost_cluster_is_what_is_wrong() -> None:
    found = first(scene(service(conditions=READY, placement=PLACED)))
    assert found.verdict == "cluster us is Lost: silent for 6m"
    assert "eu: Serving, 2 ready" in found.evidence and any(
        each.startswith("not in asia: NoRoom") for each in found.evidence
    )


@pytest.mark.parametrize(
    ("cluster", "verdict", "wrong"),
    [
        ("asia", "it is not placed in asia: NoRoom: no room for a replica of 1x nvidia-l4", True),
        ("eu", "it is placed in eu: Serving, 2 of 2 replicas ready", False),
        ("mars", "it is not placed in mars: the operator tells of no such InferenceCluster", True),
    ],
)
def test_a_cluster_that_is_asked_about(cluster: str, verdict: str, wrong: bool) -> None:
    raw = service(conditions=READY, placement=PLACED)
    raw["spec"] = {**raw["spec"], "placement": {"clusters": {}}}
    asia = InferenceClusterStatus.model_validate(
        {"offers": [{"accelerator": "nvidia-l4", "nodes": 1, "total": 4, "free": 0}]}
    )
    [found] = explain(scene(raw, cluster=cluster, clusters={"asia": asia}))
    assert (found.verdict, found.wrong) == (verdict, wrong)
    if cluster == "asia":
        assert "nvidia-l4: 0 of 4 free on 1 nodes" in found.evidence


def test_where_it_is_not_placed_at_all_another_cluster_has_nothing_of_it() -> None:
    [found] = explain(scene(service(conditions=READY), cluster="eu"))
    assert "it runs in this cluster alone" in found.verdict


def test_requests_that_do_not_reach_it() -> None:
    routed = {
        "type": "Routed",
        "status": "False",
        "reason": "NotAllowedByListeners",
        "message": "no listener allows it",
    }
    raw = service(conditions=[*READY, {**routed, "lastTransitionTime": at()}], latestRevision=OLD)
    found = first(scene(raw))
    assert found.verdict == "requests do not reach it: no listener allows it"
    assert "kubectl describe httproute llama -n chat" in found.todo[0]


def test_one_that_goes_says_what_holds_it() -> None:
    raw = service(conditions=READY, placement=PLACED)
    raw["metadata"] = {**raw["metadata"], "deletionTimestamp": at(minutes=-3), "finalizers": ["inferops.dev/members"]}
    found = first(scene(raw))
    assert (
        found.verdict == "it is being deleted, begun 3m ago"
        and "held by the finalizer inferops.dev/members" in found.evidence
    )


async def test_the_answer_begins_with_the_verdict_and_ends_with_what_was_not_seen() -> None:
    made = await world(homeless(FULL), accelerators=[{"type": "nvidia-l4", "count": 8}], nodes=[node("gpu-2")])
    of = replace(seen(made), events=(Told("Unschedulable", "no node [red]", count=3),))
    lines = [line(each).plain for each in told(of, explain(of), ["you may not list nodes: what is free is not told"])]
    assert lines[0].startswith("chat/llama: 1 of 1 replicas finds no node")
    assert "  - Unschedulable (x3): no node [red]" in lines
    assert lines[-2:] == ["not seen", "  - you may not list nodes: what is free is not told"]
    assert as_data(of, explain(of), [])["explanations"][0]["verdict"] in lines[0]
