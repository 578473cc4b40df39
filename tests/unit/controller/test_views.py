"""Raw objects -> views: only what decisions read, and nothing that is missing or odd breaks it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.controller.views import MESSAGE_LIMIT, node_view, pod_view, workload_view
from inferops.core.observation import PodView, Taint
from inferops.kube.kinds import DEPLOYMENT, NODE
from unit.controller.building import node, pod, raw

READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2025-11-03T12:00:05Z"}
WAITS = {"waiting": {"reason": "ContainerCreating"}}
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
BACKOFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
KILLED = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}


def lasting(time: str) -> dict[str, Any]:
    """A run that took so long."""
    times = {"startedAt": "2025-11-03T00:00:00Z", "finishedAt": f"2025-11-03T{time}Z"}
    return {"terminated": {**KILLED["terminated"], **times}}


def engine(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "engine", "restartCount": 0, **state}]}


@pytest.mark.parametrize(
    ("case", "status", "expected"),
    [
        ("nothing yet", {}, {}),
        ("ready", {"conditions": [READY], "podIP": "10.0.0.9", **engine(state={"running": {}}, started=True)},
         {"ready": True, "ready_since": datetime(2025, 11, 3, 12, 0, 5, tzinfo=UTC), "started": True,
          "address": "10.0.0.9"}),
        ("ready, nobody knows since when", {"conditions": [{**READY, "lastTransitionTime": None}]}, {"ready": True}),
        ("loading", {"conditions": [{**READY, "status": "False"}], **engine(state={"running": {}}, started=False)},
         {"started": True}),
        ("beside a sidecar that runs", {"containerStatuses": [{"name": "proxy", "state": {"running": {}}},
                                                              *engine(state=WAITS)["containerStatuses"]]},
         {"waiting": "ContainerCreating"}),
        ("not ready", {"conditions": [{**READY, "status": "False"}]}, {}),
        ("without a node", {"conditions": [UNSCHEDULABLE]}, {"unschedulable": "0/3 nodes"}),
        ("held back", {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]},
         {"unschedulable": "SchedulingGated"}),
        ("with a node", {"conditions": [{**UNSCHEDULABLE, "status": "True"}]}, {}),
        ("starting", engine(state={"waiting": {"reason": "ContainerCreating"}}), {"waiting": "ContainerCreating"}),
        ("in a crash loop", engine(state=BACKOFF, lastState=KILLED, restartCount=3),
         {"started": True, "waiting": "CrashLoopBackOff", "restarts": 3, "exit": "OOMKilled (exit code 137)"}),
        ("in a crash loop, running in between", engine(state={"running": {}}, lastState=lasting("00:09:59"),
                                                       restartCount=2),
         {"started": True, "waiting": "CrashLoopBackOff", "restarts": 2, "exit": "OOMKilled (exit code 137)"}),
        ("in a crash loop, just ended", engine(state=lasting("00:01:00"), lastState=lasting("00:01:00"),
                                               restartCount=2),
         {"started": True, "waiting": "CrashLoopBackOff", "restarts": 2, "exit": "OOMKilled (exit code 137)"}),
        ("running after its first crash", engine(state={"running": {}}, lastState=lasting("00:01:00"), restartCount=1),
         {"started": True, "restarts": 1, "exit": "OOMKilled (exit code 137)"}),
        ("running after a long run", engine(state={"running": {}}, lastState=lasting("00:10:01"), restartCount=5),
         {"started": True, "restarts": 5, "exit": "OOMKilled (exit code 137)"}),
        ("without an image", engine(state={"waiting": {"reason": "ErrImagePull", "message": "not found"}}),
         {"waiting": "ErrImagePull", "waiting_message": "not found"}),
        ("running again", engine(state={"running": {}}, lastState=KILLED, restartCount=1),
         {"started": True, "restarts": 1, "exit": "OOMKilled (exit code 137)"}),
        ("just ended", engine(state={"terminated": {"exitCode": 1}}), {"started": True, "exit": "exit (exit code 1)"}),
        ("evicted", {"phase": "Failed"}, {"deleting": True}),
        ("completed", {"phase": "Succeeded"}, {"deleting": True}),
        ("beside a sidecar", {"containerStatuses": [{"name": "a-proxy", "restartCount": 9, "state": {"running": {}}},
                                                    *engine(state=BACKOFF)["containerStatuses"]]},
         {"waiting": "CrashLoopBackOff"}),
        ("beside a stuck sidecar", {"containerStatuses": [*engine(state={"running": {}})["containerStatuses"],
                                                          {"name": "proxy", "restartCount": 2, "state": BACKOFF}]},
         {"started": True, "waiting": "CrashLoopBackOff", "restarts": 2}),
        ("behind a stuck initialization",
         {"initContainerStatuses": [{"name": "istio-init", "restartCount": 2, "state": BACKOFF}],
          **engine(state={"waiting": {"reason": "PodInitializing"}})},
         {"waiting": "CrashLoopBackOff", "restarts": 2}),
        ("while it is initialized",
         {"initContainerStatuses": [{"name": "istio-init", "restartCount": 0, "state": {"running": {}}}],
          **engine(state={"waiting": {"reason": "PodInitializing"}})}, {"waiting": "PodInitializing"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_pods(case: str, status: dict[str, Any], expected: dict[str, Any]) -> None:
    expected = {"name": "p", "revision": "r1", "node": "n1", **expected}
    assert pod_view(pod("p", revision="r1", node="n1", status=status)) == PodView(**expected)


def test_a_pod_that_is_being_deleted_does_not_count() -> None:
    found = pod("p", metadata={"deletionTimestamp": "2025-11-03T12:00:00Z"}, status={"conditions": [READY]})
    assert pod_view(found).deleting


def test_nothing_changes_while_nothing_happens() -> None:
    """Kubelet writes a pod's status again and again; only what matters may bring its service back."""
    status = {"conditions": [READY], **engine(state={"running": {"startedAt": "2025-11-03T12:00:00Z"}}, started=True)}
    told = {**status, "conditions": [{**READY, "lastProbeTime": "2025-11-03T12:09:00Z"}], "hostIP": "192.0.2.1"}
    assert pod_view(pod("p", 1, status=status)) == pod_view(pod("p", 2, status=told))


def test_long_words_are_cut() -> None:
    long = "x" * 10_000
    state = {"waiting": {"reason": "ErrImagePull", "message": long}}
    status = {"conditions": [{**UNSCHEDULABLE, "message": long}], **engine(state=state)}
    view = pod_view(pod("p", status=status))
    assert len(view.unschedulable) == len(view.waiting_message) == MESSAGE_LIMIT
    failure = {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": long}]}
    assert len(workload_view(raw(DEPLOYMENT, "d", status=failure)).failure) == MESSAGE_LIMIT


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ({}, ""),
        ({"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]}, "exceeded quota"),
        ({"conditions": [{"type": "ReplicaFailure", "status": "False", "message": "exceeded quota"}]}, ""),
        ({"conditions": [{"type": "Available", "status": "True", "message": "ok"}]}, ""),
    ],
)
def test_workloads(status: dict[str, Any], failure: str) -> None:
    assert workload_view(raw(DEPLOYMENT, "d", status=status)).failure == failure
    assert not workload_view(raw(DEPLOYMENT, "d", status=status)).deleting


def test_nodes_keep_their_labels_and_extended_resources() -> None:
    view = node_view(node("n", gpus=4))
    assert (view.name, view.ready, view.cordoned) == ("n", True, False)
    assert view.allocatable == {"nvidia.com/gpu": 4}
    assert view.labels == {"nvidia.com/gpu.product": "NVIDIA-L4"}


def test_nodes_that_hold_nothing() -> None:
    assert node_view(node("n", unschedulable=True)).cordoned
    assert not node_view(raw(NODE, "n")).ready
    assert node_view(raw(NODE, "n", status={"allocatable": {"example.com/odd": "1500m"}})).allocatable == {}


GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("case", "taints", "kept"),
    [
        ("none", None, ()),
        ("as clouds set it", [GPU_TAINT], (Taint("nvidia.com/gpu", "present", "NoSchedule"),)),
        ("with a time, without a value", [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute",
                                           "timeAdded": "2025-11-03T12:00:00Z"}],
         (Taint("node.kubernetes.io/unreachable", "", "NoExecute"),)),
        ("a wish", [{**GPU_TAINT, "effect": "PreferNoSchedule"}], ()),
        ("without a key", [{"effect": "NoSchedule"}, {**GPU_TAINT, "key": 5}], ()),
        ("of an effect that is none", [{**GPU_TAINT, "effect": ["NoSchedule"]}, {"key": "a"}], ()),
        ("with a value that is none", [{**GPU_TAINT, "value": 1}], (Taint("nvidia.com/gpu", "", "NoSchedule"),)),
        ("no list", {"key": "a", "effect": "NoSchedule"}, ()),
        ("no objects", ["NoSchedule", None, 3], ()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_taints_that_keep_pods_off(case: str, taints: Any, kept: tuple[Taint, ...]) -> None:
    assert node_view(raw(NODE, "n", spec={"taints": taints})).taints == kept


def test_the_order_of_taints_is_no_news() -> None:
    taints = [GPU_TAINT, {"key": "dedicated", "value": "a", "effect": "NoExecute"}]
    assert node_view(node("n", taints=taints)) == node_view(node("n", 2, taints=taints[::-1]))


@pytest.mark.parametrize(
    ("amount", "units"),
    [("8", 8), (8, 8), ("0", 0), ("1k", 1000), ("1500m", None), ("-1", None), ("\u00b2", None), ("9" * 5000, None),
     (None, None), (True, None), ({}, None), ("", None)],
)  # fmt: skip
def test_amounts_of_extended_resources(amount: Any, units: int | None) -> None:
    found = node_view(raw(NODE, "n", status={"allocatable": {"nvidia.com/gpu": amount, "cpu": "8"}})).allocatable
    assert found == ({} if units is None else {"nvidia.com/gpu": units})


words = st.none() | st.text(max_size=5) | st.integers(0, 2) | st.sampled_from(["Ready", "True", "engine"])
conditions = st.lists(
    st.dictionaries(st.sampled_from(["type", "status", "reason", "message", "lastTransitionTime"]), words), max_size=2
)
state = st.none() | st.dictionaries(
    st.sampled_from(["reason", "message", "exitCode", "startedAt", "finishedAt"]), words
)
states = st.dictionaries(st.sampled_from(["waiting", "running", "terminated"]), state)
containers = st.lists(
    st.fixed_dictionaries(
        {},
        optional={"name": words, "state": st.none() | states, "lastState": st.none() | states,
                  "started": words, "restartCount": st.none() | st.integers(0, 9)},
    ),
    max_size=2,
)  # fmt: skip
statuses = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "conditions": st.none() | conditions,
        "containerStatuses": st.none() | containers,
        "initContainerStatuses": st.none() | containers,
        "phase": words,
        "podIP": words,
        "allocatable": words | st.dictionaries(st.sampled_from(["a/b", "cpu"]), words),
    },
)


@given(statuses, st.sampled_from([{}, {"spec": None}, {"spec": {}}]))
def test_whatever_is_missing_reads_as_not_there_yet(status: Any, more: dict[str, Any]) -> None:
    odd = {"metadata": {"name": "x"}, "status": status, **more}
    assert pod_view(odd).name == "x"
    assert node_view(odd).name == "x"
    assert not workload_view(odd).deleting


@pytest.mark.parametrize(
    ("meta", "created"),
    [
        ({"creationTimestamp": "2025-11-03T12:00:05Z"}, datetime(2025, 11, 3, 12, 0, 5, tzinfo=UTC)),
        ({}, None),
        ({"creationTimestamp": None}, None),
        ({"creationTimestamp": "this morning"}, None),
    ],
)
def test_since_when_a_pod_is_there(meta: dict[str, Any], created: datetime | None) -> None:
    assert pod_view(pod("p", metadata=meta)).created == created
