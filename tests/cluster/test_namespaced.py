"""Two operators on one cluster, each of a namespace of its own and with no more rights than manifests/namespaced."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import yaml

from cluster.services import AT_ONCE, denied
from controlplane import Cluster
from harness import ROOT, Child, OperatorProcess, begin_namespace, free_port, gpu_nodes, install

RIGHTS = ROOT / "manifests" / "namespaced" / "rbac.yaml"
SERVED, NOT_SERVED = ("red", "blue"), "green"
ACCOUNTS = ("operator", "gateway")


def system(namespace: str) -> str:
    """Where the operator of a namespace is itself."""
    return f"{namespace}-system"


def account(namespace: str, part: str) -> str:
    return f"system:serviceaccount:{system(namespace)}:inferops-{part}"


def grant(cluster: Cluster, namespace: str) -> None:
    """What the manifest says to do, with the operator in a namespace of its own."""
    objects = list(yaml.safe_load_all(RIGHTS.read_text().replace("inferops-system", system(namespace))))
    for each in objects:
        if each["kind"] == "ClusterRoleBinding":
            each["metadata"]["name"] += f"-{namespace}"
    cluster.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    for part in ACCOUNTS:
        bound = f"--clusterrole=inferops-{part}-namespace", f"--serviceaccount={system(namespace)}:inferops-{part}"
        cluster.kubectl("-n", namespace, "create", "rolebinding", f"inferops-{part}", *bound)


def operator_of(cluster: Cluster, namespace: str) -> OperatorProcess:
    config = cluster.kubeconfig_for(system(namespace), "inferops-operator")
    options = ("--lease-namespace", system(namespace), "--watch-namespace", namespace)
    return OperatorProcess(cluster, f"operator-{namespace}", config, options)


def gateway_of(cluster: Cluster, namespace: str) -> tuple[Child, str]:
    """A gateway, and where it takes requests."""
    config, port, metrics = cluster.kubeconfig_for(system(namespace), "inferops-gateway"), free_port(), free_port()
    command = ["gateway", "--kubeconfig", str(config), "--watch-namespace", namespace, "--drain-delay", "0"]
    command += ["--address", "127.0.0.1", "--port", str(port), "--metrics-port", str(metrics)]
    env = {"POD_NAME": "gateway", "POD_NAMESPACE": system(namespace)}
    return Child(cluster, f"gateway-{namespace}", f"http://127.0.0.1:{metrics}", command, **env), str(port)


@pytest.fixture(scope="module")
def shared(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with a service of the same name in three namespaces, two of which are served."""
    with ExitStack() as stack:
        stack.enter_context(gpu_nodes(cluster, "3x1xnvidia-l4", "--time-scale", "20", "--load-seconds", "2"))
        install(cluster)
        for each in (*SERVED, NOT_SERVED, *map(system, SERVED)):
            begin_namespace(cluster, each)
        for each in SERVED:
            grant(cluster, each)
        operators = [operator_of(cluster, each) for each in SERVED]
        for each in operators:
            stack.enter_context(each)
        model = {"uri": "hf://Qwen/Qwen3-8B", "maxModelLen": 8192}
        spec = {"model": model, "accelerators": [{"type": "nvidia-l4"}], "rollout": AT_ONCE}
        for each in (*SERVED, NOT_SERVED):
            head = {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceService"}
            one = {**head, "metadata": {"name": "qwen", "namespace": each}, "spec": spec}
            cluster.kubectl("apply", "-f", "-", input=json.dumps(one))
        yield cluster


def test_each_serves_its_own_and_nothing_else(shared: Cluster) -> None:
    for namespace in SERVED:
        shared.kubectl("-n", namespace, "wait", "--for=condition=Ready", "infs/qwen", "--timeout=60s")
    left = json.loads(shared.kubectl("-n", NOT_SERVED, "get", "infs,deploy,svc,controllerrevisions", "-o", "json"))
    assert [(each["kind"], each["status"]["observedGeneration"]) for each in left["items"]] == [("InferenceService", 0)]


def test_its_gateway_leads_to_its_own(shared: Cluster) -> None:
    gateway, port = gateway_of(shared, "red")
    with gateway:
        url = f"http://127.0.0.1:{port}/v1/models"
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert [each["id"] for each in json.loads(answer.read())["data"]] == ["qwen"]
        told = gateway.get("/metrics")[1]
        assert 'namespace="blue"' not in told and gateway.get("/readyz")[0] == 200


def test_nothing_was_denied_and_nothing_asked_for_elsewhere(shared: Cluster) -> None:
    for namespace in SERVED:
        ours = {account(namespace, part) for part in ACCOUNTS}
        assert [denied(shared, user) for user in ours] == [set(), set()]
        asked = [event for event in shared.audit_events() if event.user in ours]
        assert {event.namespace for event in asked if event.namespace} <= {namespace, system(namespace), "kube-system"}
        whole = {event.resource for event in asked if not event.namespace and event.verb in ("list", "watch")}
        assert whole <= {"nodes", "accelerators", "servingruntimes", "resourceslices"}
