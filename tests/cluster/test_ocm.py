"""A hub of Open Cluster Management, and a member that nothing connects to, both real, each with its own operator: what
is placed there goes through works, which stand in for OCM's agent by one that does what its source says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.ocmagent import Agent
from cluster.services import denied, gpu_nodes, manifest
from controlplane import Cluster
from harness import NAMESPACE, ROOT, OperatorProcess, install, wait_until

FAR = "far-away"  # as OCM knows it
AGENT = "klusterlet-work-sa"
CHAT = "placed-by-works"
HERE = Path(__file__).parent
SOON = 40.0


class Stage:
    """The hub, the member and the agent in it."""

    def __init__(self, hub: Cluster, member: Cluster, operators: tuple[OperatorProcess, ...], agent: Agent) -> None:
        self.hub, self.member, self.operators, self.agent = hub, member, operators, agent

    def cluster(self, name: str, at: Cluster | None = None) -> dict[str, Any]:
        raw = json.loads((at or self.hub).kubectl("get", "inferencecluster", name, "-n", NAMESPACE, "-o", "json"))
        found: dict[str, Any] = raw.get("status") or {}
        return found

    def why(self, name: str) -> str:
        conditions = self.cluster(name).get("conditions") or ()
        return next((each["reason"] for each in conditions if each["type"] == "Ready"), "")


@pytest.fixture(scope="module")
def stage(cluster: Cluster, member: Cluster) -> Iterator[Stage]:
    prepare(cluster, member, HERE / "ocm.yaml")
    status = {"conditions": [{"type": "ManagedClusterConditionAvailable", "status": "True"}]}
    merge = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    cluster.kubectl("patch", "managedcluster", FAR, *merge)
    reach = cluster.kubeconfig, member.kubeconfig_for("default", AGENT)
    with (
        gpu_nodes(member, "1x8xnvidia-h100-80gb", "far-"),
        gpu_nodes(cluster, "1x8xnvidia-h100-80gb", "home-"),
        OperatorProcess(member, "far") as far,
        OperatorProcess(cluster) as home,
        Agent(FAR, *reach) as agent,
    ):
        yield Stage(cluster, member, (home, far), agent)


def prepare(hub: Cluster, member: Cluster, kinds: Path) -> None:
    """As the docs have users do it. On the bench the agent's rights are bound directly, in OCM by their label."""
    for each in (hub, member):
        install(each)
        each.kubectl("delete", "inferenceclusters", "--all", "-n", NAMESPACE)
        each.kubectl("create", "namespace", CHAT)
    hub.kubectl("apply", "--server-side", "-f", str(kinds))
    hub.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    hub.kubectl("apply", "-f", str(ROOT / "manifests" / "install" / "ocm.yaml"))
    hub.kubectl("create", "namespace", FAR)
    rights = "--clusterrole=inferops-works", f"--serviceaccount={NAMESPACE}:inferops-operator"
    hub.kubectl("create", "rolebinding", "inferops-works", "-n", FAR, *rights)
    raw = {"apiVersion": "cluster.open-cluster-management.io/v1", "kind": "ManagedCluster", "metadata": {"name": FAR},
           "spec": {"hubAcceptsClient": True}}  # fmt: skip
    hub.kubectl("apply", "-f", "-", input=json.dumps(raw))
    member.kubectl("apply", "-f", str(ROOT / "manifests" / "member" / "ocm.yaml"))
    member.kubectl("create", "serviceaccount", AGENT, "-n", "default")
    whose = "--clusterrole=inferops-ocm-agent", f"--serviceaccount=default:{AGENT}"
    member.kubectl("create", "clusterrolebinding", "inferops-ocm-agent", *whose)
    for name, access in {"far": {"managedCluster": FAR}, "home": {"hub": True}}.items():
        meta = {"name": name, "namespace": NAMESPACE}
        found = {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceCluster", "metadata": meta,
                 "spec": {"access": access}}  # fmt: skip
        hub.kubectl("apply", "-f", "-", input=json.dumps(found))


def test_the_members_own_inferops_tells_what_it_has(stage: Stage) -> None:
    wait_until("both clusters are ready", lambda: stage.why("far") == stage.why("home") == "Ready", SOON, 0.2)
    status = stage.cluster("far")
    uid = stage.member.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
    assert status["clusterUID"] == uid
    [offer] = status["offers"]
    assert (offer["accelerator"], offer["total"], offer["free"]) == ("nvidia-h100-80gb", 8, 8)
    assert not stage.cluster("home").get("summary") and stage.cluster("here", stage.member)["summary"]


def test_a_service_is_placed_there_and_deleted(stage: Stage) -> None:
    raw = manifest("llama")
    raw["spec"] |= {"scaling": {"replicas": 2}, "placement": {"clusters": {}, "minClusters": 2}}
    stage.hub.kubectl("apply", "-n", CHAT, "-f", "-", input=json.dumps(raw))
    stage.hub.kubectl("wait", "--for=condition=Ready", "infs/llama", "-n", CHAT, "--timeout=60s")
    where = "jsonpath={range .status.placement.clusters[*]}{.cluster}:{.readyReplicas} {end}"
    assert sorted(stage.hub.kubectl("get", "infs", "llama", "-n", CHAT, "-o", where).split()) == ["far:1", "home:1"]
    child = json.loads(stage.member.kubectl("get", "infs", "llama", "-n", CHAT, "-o", "json"))
    assert child["metadata"]["labels"]["inferops.dev/hub"] == stage.cluster("home")["clusterUID"]
    assert child["spec"]["scaling"]["replicas"] == 1
    stage.hub.kubectl("delete", "infs", "llama", "-n", CHAT, "--timeout=60s")
    assert not stage.member.kubectl("get", "infs", "-n", CHAT, "-o", "name")
    assert len(stage.hub.kubectl("get", "manifestworks", "-n", FAR, "-o", "name").split()) == 1  # that counts


def test_nothing_is_denied_and_nothing_unexpected_happened(stage: Stage) -> None:
    assert not stage.agent.errors and not denied(stage.hub)
    for each in stage.operators:
        assert 'result="bug"' not in each.get("/metrics")[1], each.tail()
