"""Where replicas run, on the real scheduler: over several nodes, on slices, on spot nodes, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.groups import WORKER, group_controller
from cluster.test_operator import User
from controlplane import BenchError, Cluster
from harness import OperatorProcess, gpu_nodes, install, wait_until

NODES = (
    "3x8xnvidia-h100-80gb,1x4xnvidia-h100-80gb,1x4xnvidia-l4,1x4xnvidia-l4:cloud=aks:spot,1x4xnvidia-l40s,"
    "1x8xnvidia-h200:cloud=gke:spot,1x8xnvidia-h100-80gb-mig-3g.40gb"
)
PREFIX = "sched-"
CRD = Path(__file__).parent / "leaderworkersets.yaml"
KIND = "leaderworkersets.leaderworkerset.x-k8s.io"


@pytest.fixture(scope="module")
def nodes(cluster: Cluster) -> Iterator[None]:
    """GPU nodes on which every pod is ready at once."""
    with gpu_nodes(cluster, NODES, "--mode", "report", "--name-prefix", PREFIX):
        yield


@pytest.fixture(scope="module")
def operator(cluster: Cluster, nodes: None) -> Iterator[OperatorProcess]:
    """The operator, as its own ServiceAccount, begun on a cluster without LeaderWorkerSet."""
    install(cluster)
    with OperatorProcess(cluster) as running:
        wait_until("the operator leads", running.leads, 30)
        yield running


@pytest.fixture
def user(cluster: Cluster, namespace: str, operator: OperatorProcess) -> User:
    return User(cluster, namespace)


@pytest.fixture
def groups(cluster: Cluster) -> Iterator[None]:
    """The controller of LeaderWorkerSets, whose kind the test installs."""
    with group_controller(cluster):
        yield
    cluster.kubectl("delete", "crd", KIND, "--ignore-not-found", "--timeout=60s")


def pods(user: User, service: str) -> dict[str, dict[str, Any]]:
    found = user.list("pods", service)
    return {pod["metadata"]["name"]: pod for pod in found if "deletionTimestamp" not in pod["metadata"]}


def nodes_of(user: User, service: str) -> set[str]:
    return {pod["spec"].get("nodeName", "") for pod in pods(user, service).values()}


def resources(pod: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = pod["spec"]["containers"][0]["resources"]["limits"]
    return found


def addresses(user: User, service: str) -> set[str]:
    """Addresses behind the Service that are ready."""
    slices = json.loads(user.kubectl("get", "endpointslices", "-l", f"kubernetes.io/service-name={service}", "-o=json"))
    return {
        address
        for found in slices["items"]
        for endpoint in found["endpoints"] or ()
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    }


PAIR = {"type": "nvidia-h100-80gb", "count": 16, "nodes": 2}


def test_a_replica_on_two_nodes(user: User, operator: OperatorProcess, groups: None) -> None:
    """Refused with a reason while LeaderWorkerSet is missing; once it is installed, scheduled as told."""
    user.apply("large", accelerators=[PAIR])
    user.wait("large", "Valid", "False", "LeaderWorkerSetMissing")
    assert "install" in user.condition("large", "Valid")["message"]
    assert "leaderworkerset" not in operator.tail(1000).lower(), "no noise of what is not there"
    user.cluster.kubectl("apply", "--server-side", "-f", str(CRD))
    user.ready("large")
    [lws] = user.list(KIND, "large")
    name = lws["metadata"]["name"]
    found = pods(user, "large")
    assert set(found) == {f"{name}-0", f"{name}-0-1"}
    assert {pod["metadata"]["labels"][WORKER] for pod in found.values()} == {"0", "1"}
    assert all(resources(pod)["nvidia.com/gpu"] == "8" for pod in found.values())
    on = nodes_of(user, "large")
    assert len(on) == 2 and all(node.startswith(f"{PREFIX}h100-80gb-") for node in on)
    leader = found[f"{name}-0"]
    for service in ("large", name):
        assert addresses(user, service) == {leader["status"]["podIP"]}, "only leaders get requests"
    status = user.get("infs", "large")["status"]
    assert (status["replicas"], status["readyReplicas"], status["revisions"][0]["readyReplicas"]) == (1, 1, 1)
    selected = user.kubectl("get", "pods", "-l", status["selector"], "-o", "name").split()
    assert selected == [f"pod/{name}-0"], "an autoscaler counts replicas"
    group_is_kept(user, name, set(found))
    user.kubectl("delete", "infs", "large")
    wait_until("all of it gone", lambda: not user.list(f"{KIND},pods,services", "large"), 60)


def group_is_kept(user: User, name: str, members: set[str]) -> None:
    """What somebody deletes or edits comes back, and a second group waits for its nodes, since one is left."""
    user.kubectl("delete", KIND, name)
    wait_until("the group anew", lambda: set(pods(user, "large")) == members, 60)
    user.ready("large")
    user.kubectl("patch", KIND, name, "--type=merge", "-p", '{"spec":{"leaderWorkerTemplate":{"size":3}}}')

    def size() -> int:
        return int(user.get(KIND, name)["spec"]["leaderWorkerTemplate"]["size"])

    wait_until("its size restored", lambda: size() == 2, 30)
    user.kubectl("scale", "infs", "large", "--replicas=2")
    user.wait("large", "Scheduled", "False", "InsufficientCapacity")
    told = user.condition("large", "Scheduled")["message"]
    assert "1 of 2 replicas pending" in told and "on 2 nodes, 8 on each" in told
    user.kubectl("scale", "infs", "large", "--replicas=1")
    user.ready("large")


def test_a_group_that_lost_a_worker_begins_anew(user: User, groups: None) -> None:
    user.cluster.kubectl("apply", "--server-side", "-f", str(CRD))
    user.apply("large", accelerators=[{**PAIR, "count": 4}])
    user.ready("large")
    before = {name: pod["metadata"]["uid"] for name, pod in pods(user, "large").items()}
    worker = next(name for name in before if name.endswith("-0-1"))
    user.kubectl("delete", "pod", worker, "--wait=false")

    def anew() -> bool:
        now = {name: pod["metadata"]["uid"] for name, pod in pods(user, "large").items()}
        return set(now) == set(before) and not set(now.values()) & set(before.values())

    wait_until("leader and worker anew", anew, 60)
    user.ready("large")


def test_where_the_kind_is_taken_away_and_given_back(user: User, groups: None) -> None:
    user.cluster.kubectl("apply", "--server-side", "-f", str(CRD))
    user.apply("large", accelerators=[PAIR])
    user.ready("large")
    user.cluster.kubectl("delete", "crd", KIND, "--timeout=60s")
    user.wait("large", "Valid", "False", "LeaderWorkerSetMissing")
    user.cluster.kubectl("apply", "--server-side", "-f", str(CRD))
    user.ready("large")


def test_a_slice_of_a_gpu(user: User) -> None:
    """Whole GPUs of the same type are there and stay free."""
    user.apply("slice", accelerators=[{"type": "nvidia-h100-80gb-mig-3g.40gb"}], scaling={"replicas": 2})
    user.ready("slice")
    for pod in pods(user, "slice").values():
        assert resources(pod)["nvidia.com/mig-3g.40gb"] == "1" and "nvidia.com/gpu" not in resources(pod)
    [on] = nodes_of(user, "slice")
    assert on.startswith(f"{PREFIX}h100-80gb-mig-3g-40gb-")


def test_a_whole_gpu_never_lands_among_slices(user: User) -> None:
    user.apply("whole", accelerators=[{"type": "nvidia-h100-80gb", "count": 8}])
    user.ready("whole")
    [on] = nodes_of(user, "whole")
    assert on.startswith(f"{PREFIX}h100-80gb-") and "mig" not in on


def is_spot(user: User, node: str) -> bool:
    return user.get("node", node)["metadata"]["labels"].get("kubernetes.azure.com/scalesetpriority") == "spot"


@pytest.mark.parametrize("spot", [True, False], ids=["spot", "on demand"])
def test_a_spot_pool_with_its_taint(user: User, spot: bool) -> None:
    """Of two pools of L4 one is spot, with AKS' label and taint."""
    user.apply("any", accelerators=[{"type": "nvidia-l4", "spot": spot}], scaling={"replicas": 3})
    user.ready("any")
    [on] = nodes_of(user, "any")
    assert is_spot(user, on) is spot


def test_never_on_spot_where_not_asked(user: User) -> None:
    """All nodes with H200 are spot, by a label alone, without a taint."""
    user.apply("careful", accelerators=[{"type": "nvidia-h200"}])
    user.wait("careful", "Scheduled", "False", "NoMatchingNode")
    assert nodes_of(user, "careful") == {""}
    user.kubectl("patch", "infs", "careful", "--type=merge", "-p",
                 json.dumps({"spec": {"accelerators": [{"type": "nvidia-h200", "spot": True}]}}))  # fmt: skip
    user.ready("careful")


def test_spot_nodes_of_an_admins_own(user: User) -> None:
    """On bare metal one label marks them, and one taint of the same name keeps others off."""
    node = f"{PREFIX}l40s-0"
    mark = "inferops.dev/spot"
    user.apply("steady", accelerators=[{"type": "nvidia-l40s"}])
    user.ready("steady")
    user.kubectl("delete", "infs", "steady")
    user.cluster.kubectl("label", "node", node, f"{mark}=true")
    user.cluster.kubectl("taint", "node", node, f"{mark}=true:NoSchedule")
    user.apply("cheap", accelerators=[{"type": "nvidia-l40s", "spot": True}])
    user.ready("cheap")
    assert nodes_of(user, "cheap") == {node}
    user.apply("careful", accelerators=[{"type": "nvidia-l40s"}])
    user.wait("careful", "Scheduled", "False", "NoMatchingNode")
    user.cluster.kubectl("taint", "node", node, f"{mark}-")
    user.cluster.kubectl("label", "node", node, f"{mark}-")
    user.ready("careful")


def test_a_runtime_class(user: User) -> None:
    runtime_class = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"},
                     "handler": "nvidia"}  # fmt: skip
    accelerator = {
        "apiVersion": "serving.inferops.dev/v1alpha1",
        "kind": "Accelerator",
        "metadata": {"name": "our-l40s"},
        "spec": {
            "nodeLabels": [{"key": "nvidia.com/gpu.product", "values": ["NVIDIA-L40S"]}],
            "memoryGiB": 44.99,
            "bandwidthGBps": 864,
            "tflops": {"bf16": 362},
            "runtimeClassName": "nvidia",
        },
    }
    user.kubectl("apply", "-f", "-", input=json.dumps(runtime_class))
    user.kubectl("apply", "-f", "-", input=json.dumps(accelerator))
    user.apply("classed", accelerators=[{"type": "our-l40s"}])
    user.ready("classed")
    assert {pod["spec"].get("runtimeClassName") for pod in pods(user, "classed").values()} == {"nvidia"}


def test_what_a_user_cannot_mean_is_refused_at_once(user: User) -> None:
    with pytest.raises(BenchError, match=r"spec\.accelerators\[0\]\.nodes.*must divide count"):
        user.apply("uneven", accelerators=[{"type": "nvidia-h100-80gb", "count": 8, "nodes": 3}])
