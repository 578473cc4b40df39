"""What the conditions say, and in which words: the world, then Ready, the stage that is open, and its sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.api.conditions import Condition, Reason
from inferops.api.inferencecluster import InferenceClusterStatus
from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.core.clusterstatus import NOT_ACTED_ON, cluster_status
from inferops.core.decide import decide
from inferops.core.engine import Obstacle
from inferops.core.observation import LEADER_WORKER_SET, Observation, PodView, RevisionView
from inferops.core.status import MESSAGE_LIMIT, invalid
from unit.core.building import NOW, by_type, node, revision, seen, service, told
from unit.core.rules import conditions_are_kstatus, holds

TWO = service(scaling={"replicas": 2})
NEXT = service(scaling={"replicas": 2}, model={"uri": "hf://org/next"})
old = revision(TWO, ready=2)
IN_USE: dict[str, Any] = {"unschedulable": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."}
QUOTA = 'pods "llama-x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1'
RESTRICTED = 'pods "llama-x" is forbidden: violates PodSecurity "restricted:latest"'


PAIRS = service({"type": "l4", "count": 16, "nodes": 2}, scaling={"replicas": 2})
LWS = frozenset({LEADER_WORKER_SET})


def group(*groups: int, node: str = "", ready: bool = False, worker: Mapping[str, Any] | None = None) -> RevisionView:
    """A revision with these groups of two pods. Workers run, and so are ready, as soon as they have a node; with
    `worker` they have none."""
    found = revision(PAIRS)
    lost = {"node": "", "ready": False} if worker else {}
    return replace(
        found,
        pods=tuple(
            pod
            for number in map(str, groups)
            for pod in (
                PodView(f"l-{number}", found.hash, number, node=node, ready=ready),
                PodView(
                    f"l-{number}-1",
                    found.hash,
                    number,
                    **{"worker": True, "node": node, "ready": True, **lost, **(worker or {})},
                ),
            )
        ),
    )


def crash(waiting: str, message: str = "") -> dict[str, Any]:
    return {"waiting": waiting, "waiting_message": message, "restarts": 3, "exit": "OOMKilled (exit code 137)"}


# fmt: off
PROGRESS = [
    ("nothing exists yet", seen(TWO),
     "Unknown", "Scheduled", "Creating", ["is being created"]),
    ("the record exists", seen(TWO, replace(revision(TWO), workload=None)),
     "Unknown", "Scheduled", "Creating", ["is being created"]),
    ("no pod exists yet", seen(TWO, revision(TWO)),
     "Unknown", "Scheduled", "Creating", ["0 of 2 replicas have a node"]),
    ("one has a node", seen(TWO, revision(TWO, loading=1, homeless=1)),
     "Unknown", "Scheduled", "Creating", ["1 of 2 replicas have a node"]),
    ("of two groups one has its nodes", seen(PAIRS, group(0, node="node-1"), kinds=LWS),
     "Unknown", "Scheduled", "Creating", ["1 of 2 replicas have a node"]),
    ("no node is free for a worker", seen(PAIRS, group(0, 1, node="node-1", worker=IN_USE), kinds=LWS),
     "Unknown", "Scheduled", "NodesTooSmall", ["2 of 2 replicas pending", "on 2 nodes, 8 on each"]),
    ("a group loads", seen(PAIRS, group(0, 1, node="node-1"), kinds=LWS),
     "Unknown", "RolledOut", "Loading", ["0 of 2 replicas ready"]),
    ("no node is free", seen(TWO, revision(TWO, loading=1, homeless=1, **IN_USE)),
     "Unknown", "Scheduled", "InsufficientCapacity",
     ["1 of 2 replicas pending", "1x nvidia.com/gpu (l4)", "the scheduler says"]),
    ("no node fits", seen(TWO, revision(TWO, homeless=2, **IN_USE), nodes=[node("a", "h100")]),
     "Unknown", "Scheduled", "NoMatchingNode", ["2 of 2 replicas pending", "spec.accelerators"]),
    ("no node fits, and the record is lost",
     seen(NEXT, replace(old, spec=None), replace(revision(NEXT, homeless=2, **IN_USE), spec=None), stable=old),
     "Unknown", "Scheduled", "Unschedulable", ["2 of 2 replicas pending", "the scheduler says: 0/1 nodes"]),
    ("the quota refuses its pods", seen(TWO, revision(TWO, failure=QUOTA)),
     "Unknown", "Scheduled", "PodsRefused", [QUOTA, "raise the quota"]),
    ("pod security refuses its pods", seen(TWO, revision(TWO, failure=RESTRICTED)),
     "Unknown", "Scheduled", "PodsRefused", [RESTRICTED, "policy of the namespace"]),
    ("they load", seen(TWO, revision(TWO, loading=2)),
     "Unknown", "RolledOut", "Loading", ["0 of 2 replicas ready"]),
    ("one has loaded", seen(TWO, revision(TWO, ready=1, loading=1), routed_to=revision(TWO)),
     "Unknown", "RolledOut", "Loading", ["1 of 2 replicas ready"]),
    ("a pod that goes does not count", seen(TWO, replace(old, pods=(replace(old.pods[0], deleting=True), old.pods[1])),
                                            stable=old, routed_to=old),
     "Unknown", "Scheduled", "Creating", ["1 of 2 replicas have a node"]),
    ("the Service does not follow yet", seen(TWO, old),
     "Unknown", "Routed", "Creating", ["the Service does not select"]),
    ("an update loads beside stable", seen(NEXT, old, revision(NEXT, 2, loading=2), stable=old, routed_to=old),
     "Unknown", "RolledOut", "Loading", ["0 of 2 replicas ready"]),
    ("an update finds no room beside stable",
     seen(NEXT, old, revision(NEXT, 2, homeless=2, **IN_USE), stable=old, routed_to=old),
     "Unknown", "Scheduled", "InsufficientCapacity", ["2 of 2 replicas pending"]),
    ("a stuck update", seen(NEXT, old, revision(NEXT, 2, loading=2, **crash("CrashLoopBackOff")), stable=old),
     "Unknown", "RolledOut", "RollingBack", ["ran out of memory", "is rolled back"]),
]
STUCK = [
    ("a crash loop", seen(TWO, revision(TWO, loading=1, **crash("CrashLoopBackOff", "back-off 5m0s"))),
     "False", "RolledOut", "CrashLoop",
     ["CrashLoopBackOff: back-off 5m0s", "OOMKilled (exit code 137)", "3 restarts",
      "kubectl logs --previous llama-"]),
    ("an image that cannot be pulled", seen(TWO, revision(TWO, loading=2, **crash("ErrImagePull", "not found"))),
     "False", "RolledOut", "ImagePullFailed", ["not found", "image and imagePullSecrets of the ServingRuntime vllm"]),
    ("an image, later", seen(TWO, revision(TWO, loading=2, **crash("ImagePullBackOff"))),
     "False", "RolledOut", "ImagePullFailed", ["ImagePullBackOff"]),
    ("a Secret that is not there",
     seen(TWO, revision(TWO, loading=2, **crash("CreateContainerConfigError", 'secret "hf-token" not found'))),
     "False", "RolledOut", "ContainerConfigInvalid",
     ['secret "hf-token" not found', "spec.model.credentialsSecret", "spec.runtime.env"]),
    ("one of many replicas", seen(TWO, revision(TWO, ready=1, loading=1, **crash("CrashLoopBackOff")), stable=old),
     "False", "RolledOut", "CrashLoop", ["CrashLoopBackOff"]),
]
WELL = [
    ("all serve", seen(TWO, old, stable=old, routed_to=old), ["all requests go to revision"]),
    ("all groups serve", seen(PAIRS, group(0, 1, node="n", ready=True), stable=group(), routed_to=group(), kinds=LWS),
     ["all requests"]),
    ("more than all serve", seen(TWO, revision(TWO, ready=3), stable=old, routed_to=old), ["all requests"]),
    ("zero as asked", seen(service(scaling={"replicas": 0}), revision(TWO), stable=old, routed_to=old),
     ["zero replicas as asked"]),
    ("a pod that crashed once and serves",
     seen(TWO, replace(old, pods=tuple(replace(pod, restarts=1, exit="Error") for pod in old.pods)),
          stable=old, routed_to=old), ["all requests"]),
    ("the crash loop of a pod that goes",
     seen(TWO, replace(old, pods=(*old.pods, PodView("x", old.hash, "n", deleting=True, waiting="CrashLoopBackOff"))),
          stable=old, routed_to=old), ["all requests"]),
]
# fmt: on


@pytest.mark.parametrize(
    ("case", "world", "ready", "stage", "reason", "parts"),
    [*PROGRESS, *STUCK],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_what_is_open(case: str, world: Observation, ready: str, stage: str, reason: str, parts: list[str]) -> None:
    decision = decide(world)
    conditions_are_kstatus(world, decision)
    conditions = by_type(decision.status.conditions)
    assert (conditions["Ready"].status, conditions["Ready"].reason) == (ready, reason)
    assert conditions[stage].reason == reason and conditions[stage].status != "True"
    assert conditions["Ready"].message == conditions[stage].message
    for part in parts:
        assert part in conditions["Ready"].message


@pytest.mark.parametrize(
    ("case", "world", "parts"), WELL, ids=lambda value: value if isinstance(value, str) and " " in value else ""
)
def test_what_is_ready(case: str, world: Observation, parts: list[str]) -> None:
    decision = decide(world)
    conditions_are_kstatus(world, decision)
    ready = by_type(decision.status.conditions)["Ready"]
    assert (ready.status, ready.reason) == ("True", "Ready")
    for part in parts:
        assert part in ready.message


@pytest.mark.parametrize("world", [row[1] for row in STUCK], ids=[row[0] for row in STUCK])
def test_a_stuck_revision_says_so_itself(world: Observation) -> None:
    decision = decide(world)
    stuck = by_type(decision.status.conditions)["RolledOut"].message
    assert [one.message for one in decision.status.revisions if one.message] == [stuck]


@pytest.mark.parametrize(
    ("case", "world", "available", "routed"),
    [
        ("an update does not touch it", seen(NEXT, old, revision(NEXT, 2, loading=2), stable=old, routed_to=old),
         ("True", "MinimumReplicasAvailable"), ("True", "ServiceRouted")),
        ("one replica is enough", seen(TWO, revision(TWO, ready=1, loading=1), stable=old, routed_to=old),
         ("True", "MinimumReplicasAvailable"), ("True", "ServiceRouted")),
        ("none answers", seen(TWO, revision(TWO, loading=2), stable=old, routed_to=old),
         ("False", "NoReplicaAvailable"), ("Unknown", "NoEndpoints")),
        ("an unreadable accelerator changes nothing", seen(service("tpu"), old, stable=old, routed_to=old),
         ("True", "MinimumReplicasAvailable"), ("True", "ServiceRouted")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_available_says_whether_requests_are_answered(
    case: str, world: Observation, available: tuple[str, str], routed: tuple[str, str]
) -> None:
    conditions = told(decide(world).status.conditions)
    assert (conditions["Available"], conditions["Routed"]) == (available, routed)


def test_under_an_obstacle_no_stage_claims_to_go_on() -> None:
    world = seen(service("tpu"), old, stable=old, routed_to=old)
    conditions = by_type(decide(world).status.conditions)
    for stage in ("Scheduled", "RolledOut"):
        assert (conditions[stage].status, conditions[stage].reason) == ("Unknown", "AcceleratorNotFound")
        assert "Valid" in conditions[stage].message


def test_replicas_are_counted_over_all_revisions_and_ready_ones_of_stable() -> None:
    world = seen(NEXT, old, revision(NEXT, 2, ready=1, loading=1), stable=old, routed_to=old)
    status = decide(world).status
    assert (status.replicas, status.ready_replicas) == (4, 2)
    assert [(one.role, one.replicas, one.ready_replicas, one.weight) for one in status.revisions] == [
        ("Stable", 2, 2, 100),
        ("Canary", 2, 1, 0),
    ]
    assert (status.stable_revision, status.latest_revision) == (old.hash, revision(NEXT).hash)
    assert status.selector == "inferops.dev/service=llama,inferops.dev/role notin (worker)"
    assert status.url == "http://llama.chat.svc"
    groups = group(0, 1, node="n", ready=True)
    status = decide(seen(PAIRS, groups, stable=groups, routed_to=groups, kinds=LWS)).status
    assert (status.replicas, status.ready_replicas, status.revisions[0].ready_replicas) == (2, 2, 2)
    assert status.revisions[0].accelerator == "16x l4 on 2 nodes"


def test_the_longest_words_fit() -> None:
    long = "x" * 5000
    for world in (
        seen(TWO, revision(TWO, failure=long)),
        seen(TWO, revision(TWO, loading=1, **crash("CrashLoopBackOff", long))),
        seen(TWO, revision(TWO, homeless=1, unschedulable=long)),
        seen(TWO, refused=Obstacle(Reason.REJECTED_BY_API_SERVER, long)),
    ):
        status = decide(world).status
        assert max(len(condition.message) for condition in status.conditions) == MESSAGE_LIMIT
        InferenceServiceStatus.model_validate(status.dump())


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    loading = seen(TWO, revision(TWO, loading=2))
    first = decide(loading).status
    later = replace(loading, now=NOW + timedelta(hours=1), service=TWO.model_copy(update={"status": first}))
    assert decide(later).status == first
    crashed = replace(later, revisions=(revision(TWO, loading=2, **crash("CrashLoopBackOff")),))
    second = by_type(decide(crashed).status.conditions)
    assert {kind for kind, condition in second.items() if condition.last_transition_time != "2025-11-03T12:00:00Z"} == {
        "Ready", "Stalled", "RolledOut"
    }  # fmt: skip
    holds(crashed, decide(crashed))


UNREADABLE = Obstacle(Reason.INVALID_SPEC, "spec.model.uri: must be hf://ORG/MODEL")


def test_an_unreadable_spec_leaves_what_serves_alone() -> None:
    serving = decide(seen(TWO, old, stable=old, routed_to=old)).status
    status = invalid(serving, UNREADABLE, 7, NOW)
    conditions = told(status.conditions)
    assert conditions == {
        "Ready": ("False", "InvalidSpec"),
        "Stalled": ("True", "InvalidSpec"),
        "Valid": ("False", "InvalidSpec"),
        "Available": ("True", "MinimumReplicasAvailable"),
        "Routed": ("True", "ServiceRouted"),
    }
    assert status.observed_generation == 7
    assert {each.observed_generation for each in status.conditions if each.type in ("Ready", "Stalled", "Valid")} == {7}
    assert all(each.message == UNREADABLE.message for each in status.conditions if each.reason == "InvalidSpec")
    kept = ("stable_revision", "latest_revision", "revisions", "replicas", "ready_replicas", "selector")
    assert {name: getattr(status, name) for name in kept} == {name: getattr(serving, name) for name in kept}


@given(st.sampled_from([row[1] for row in [*PROGRESS, *STUCK, *WELL]]), st.integers(1, 9))
def test_an_unreadable_spec_is_told_once(world: Observation, generation: int) -> None:
    once = invalid(decide(world).status, UNREADABLE, generation, NOW)
    assert invalid(once, UNREADABLE, generation, NOW + timedelta(hours=1)) == once


def test_a_member_cluster_is_told_not_to_be_acted_on_yet() -> None:
    once = cluster_status(InferenceClusterStatus(), 3, NOW, NOT_ACTED_ON)
    assert told(once.conditions) == {"Ready": ("False", "NotActedOn"), "Stalled": ("True", "NotActedOn")}
    assert once.observed_generation == 3
    assert cluster_status(once, 3, NOW + timedelta(hours=1), NOT_ACTED_ON) == once


@given(st.sampled_from([row[1] for row in [*PROGRESS, *STUCK, *WELL]]))
def test_a_status_reads_back_as_it_was_written(world: Observation) -> None:
    status = decide(world).status
    assert InferenceServiceStatus.model_validate(status.dump()) == status
    assert all(isinstance(condition, Condition) for condition in status.conditions)


def test_a_condition_that_stays_is_the_same_one() -> None:
    one = revision(service(), loading=1)
    world = seen(service(), one, stable=one, routed_to=one)
    first = decide(world).status
    again = world.service.model_copy(update={"status": first})
    for before, after in zip(first.conditions, decide(replace(world, service=again)).status.conditions, strict=True):
        assert after is before
