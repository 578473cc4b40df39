"""Accelerators by dynamic resource allocation: claims that the real scheduler allocates, from slices a driver lists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.test_operator import User
from controlplane import Cluster
from harness import OperatorProcess, gpu_nodes, install, wait_until

DRIVER, CLASS = "gpu.example.com", "example-gpus"
NODES = [f"dra-cpu-{number}" for number in range(3)]
LARGE, SMALL = "Example H300 288GB", "Example L5 24GB"


@pytest.fixture(scope="module")
def nodes(cluster: Cluster) -> Iterator[None]:
    """Nodes without a device plugin. Two of them have four large GPUs each, the third has small ones."""
    with gpu_nodes(cluster, "3xcpu", "--mode", "report", "--name-prefix", "dra-"):
        accelerator = {
            "nodeLabels": [{"key": "example.com/gpu", "values": ["h300"]}],
            "resourceName": "example.com/gpu",
            "device": {
                "className": CLASS,
                "driver": DRIVER,
                "attributes": [{"name": "productName", "values": [LARGE]}],
            },
            "memoryGiB": 268,
            "bandwidthGBps": 8000,
            "tflops": {"bf16": 2500},
        }
        selector = {"cel": {"expression": f'device.driver == "{DRIVER}"'}}
        install(cluster)
        for resource in (
            _object("resource.k8s.io/v1", "DeviceClass", CLASS, {"selectors": [selector]}),
            _object("serving.inferops.dev/v1alpha1", "Accelerator", "example-h300", accelerator),
            *(_slice(node, LARGE if number < 2 else SMALL) for number, node in enumerate(NODES)),
        ):
            cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(resource))
        yield
        cluster.kubectl("delete", "resourceslices", *NODES)


def _object(api_version: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _slice(node: str, product: str) -> dict[str, Any]:
    gpus = [{"name": f"gpu-{number}", "attributes": {"productName": {"string": product}}} for number in range(4)]
    # One that says nothing of itself must not make the others' selection an error.
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": DRIVER, "nodeName": node, "pool": pool, "devices": [*gpus, {"name": "unknown"}]}
    return _object("resource.k8s.io/v1", "ResourceSlice", node, spec)


@pytest.fixture(scope="module")
def operator(cluster: Cluster, nodes: None) -> Iterator[OperatorProcess]:
    """The operator, as its own ServiceAccount."""
    with OperatorProcess(cluster) as running:
        wait_until("the operator leads", running.leads, 30)
        yield running


@pytest.fixture
def user(cluster: Cluster, namespace: str, operator: OperatorProcess) -> User:
    return User(cluster, namespace)


def test_a_pod_claims_its_accelerators(user: User) -> None:
    """Claimed, counted, explained, and free again for the next."""
    user.apply("claiming", accelerators=[{"type": "example-h300", "count": 3}], scaling={"replicas": 2})
    user.ready("claiming")
    pods = user.list("pods", "claiming")
    assert {pod["spec"]["nodeName"] for pod in pods} == set(NODES[:2]), "one node has room for one of them"
    claims = json.loads(user.kubectl("get", "resourceclaims", "-o", "json"))["items"]
    assert len(claims) == 2
    for claim in claims:
        results = claim["status"]["allocation"]["devices"]["results"]
        assert len(results) == 3 and {each["driver"] for each in results} == {DRIVER}
        assert {each["pool"] for each in results} <= set(NODES[:2]) and "unknown" not in [e["device"] for e in results]
    why = "\n".join(user.get("infs", "claiming")["status"]["explain"])
    assert f"DeviceClass {CLASS}" in why and "no node offers example.com/gpu" in why
    user.kubectl("scale", "infs", "claiming", "--replicas=3")
    user.wait("claiming", "Scheduled", "False", "InsufficientCapacity")
    assert f"3x {CLASS} (example-h300) on one node" in user.condition("claiming", "Scheduled")["message"]
    [template] = user.list("resourceclaimtemplates", "claiming")
    user.kubectl("delete", "resourceclaimtemplate", template["metadata"]["name"])
    wait_until("the template anew", lambda: len(user.list("resourceclaimtemplates", "claiming")) == 1, 30)
    user.kubectl("delete", "infs", "claiming")
    wait_until("all of it gone", lambda: not user.list("pods,resourceclaimtemplates", "claiming"), 60)
    little = {"resources": {"memory": "8Gi"}}
    user.apply("next", accelerators=[{"type": "example-h300", "count": 4}], runtime=little, scaling={"replicas": 2})
    user.ready("next")


def test_devices_of_another_kind_are_left_alone(user: User) -> None:
    user.apply("small", accelerators=[{"type": "example-h300", "count": 5}])
    user.wait("small", "Scheduled", "False", "NodesTooSmall")
    assert "the largest has 4" in user.condition("small", "Scheduled")["message"]
