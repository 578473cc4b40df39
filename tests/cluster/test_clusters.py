"""A hub and a member, both real: the member is reached by a kubeconfig, told of, cut off and back; nothing is written
into it."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
import yaml

import harness
from cluster.faultproxy import Fault, FaultProxy
from cluster.services import denied, gpu_nodes, manifest
from controlplane import Cluster
from harness import (
    NAMESPACE,
    ROOT,
    GatewayProcess,
    OperatorProcess,
    begin_namespace,
    install,
    install_gateway,
    wait_until,
)
from inferops.core.membership import Patience

HUB_ACCOUNT = "inferops-hub"
QUOTED = "quoted"
PLACED = "placed"
PACE = ("--time-scale", "20", "--load-seconds", "0.5")
# Silences are shorter than usual; virtual time has the usual ones.
PATIENCE = Patience(suspect=9.0, lost=90.0, stable=9.0)
FLAGS = ("--member-suspect-after=9s", "--member-lost-after=90s", "--member-stable-after=9s")
EVERY, SUSPECT = PATIENCE.every, PATIENCE.suspect
SOON = 30.0


class Hub:
    """The hub with the operator in it, and the member behind a proxy."""

    def __init__(self, cluster: Cluster, member: Cluster, proxy: FaultProxy, operator: OperatorProcess) -> None:
        self.cluster, self.member, self.proxy, self.operator = cluster, member, proxy, operator
        self.direct = member.kubeconfig_for(NAMESPACE, HUB_ACCOUNT)

    def secret(self, name: str, kubeconfig: Path) -> None:
        """As the docs have users do it."""
        made = self.cluster.kubectl(
            "create", "secret", "generic", name, "-n", NAMESPACE, f"--from-file=kubeconfig={kubeconfig}",
            "--dry-run=client", "-o", "json",
        )  # fmt: skip
        self.cluster.kubectl("apply", "-f", "-", input=made)

    def register(self, name: str, **access: Any) -> None:
        found = access or {"kubeconfigSecret": {"name": name, "key": "kubeconfig"}}
        meta = {"name": name, "namespace": NAMESPACE}
        raw = {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceCluster", "metadata": meta,
               "spec": {"access": found}}  # fmt: skip
        self.cluster.kubectl("apply", "-f", "-", input=json.dumps(raw))

    def status(self, name: str) -> dict[str, Any]:
        raw = json.loads(self.cluster.kubectl("get", "inferencecluster", name, "-n", NAMESPACE, "-o", "json"))
        found: dict[str, Any] = raw.get("status") or {}
        return found

    def why(self, name: str, kind: str = "Ready") -> str:
        conditions = self.status(name).get("conditions") or ()
        return next((each["reason"] for each in conditions if each["type"] == kind), "")

    def until(self, name: str, reason: str, timeout: float, kind: str = "Ready") -> float:
        return wait_until(f"{name} {kind} {reason}", lambda: self.why(name, kind) == reason, timeout, 0.2)

    def free(self, name: str) -> int:
        return sum(offer["free"] for offer in self.status(name).get("offers") or ())


def inventory() -> dict[str, Any]:
    """The kind ClusterProfile, by its real name, with the parts that count here."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
               "subresources": {"status": {}}}  # fmt: skip
    names = {"kind": "ClusterProfile", "listKind": "ClusterProfileList", "plural": "clusterprofiles",
             "singular": "clusterprofile"}  # fmt: skip
    meta = {"name": "clusterprofiles.multicluster.x-k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"}}  # fmt: skip
    spec = {"group": "multicluster.x-k8s.io", "scope": "Namespaced", "names": names, "versions": [version]}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": meta, "spec": spec}


def providers(folder: Path, member: Cluster) -> Path:
    """The admin's file, with a provider whose command knows the token of our account in the member."""
    version = "client.authentication.k8s.io/v1"
    token = yaml.safe_load(member.kubeconfig_for(NAMESPACE, HUB_ACCOUNT).read_text())["users"][0]["user"]["token"]
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": {"token": token}}
    (folder / "answer.json").write_text(json.dumps(answer))
    command = {"apiVersion": version, "command": "cat", "args": [str(folder / "answer.json")]}
    file = folder / "providers.json"
    file.write_text(json.dumps({"providers": [{"name": "bench", "execConfig": command}]}))
    return file


@pytest.fixture(scope="module")
def hub(cluster: Cluster, member: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    install(cluster)
    member.kubectl("apply", "--server-side", "-f", str(ROOT / "manifests" / "member" / "rbac.yaml"))
    with (
        gpu_nodes(member, "2x8xnvidia-h100-80gb", "east-"),
        harness.gpu_nodes(cluster, "1x1xnvidia-h100-80gb", "--name-prefix", "home-", *PACE),
        FaultProxy(member.server, member.ca) as proxy,
        OperatorProcess(
            cluster,
            args=(*FLAGS, f"--clusterprofile-provider-file={providers(tmp_path_factory.mktemp('providers'), member)}"),
        ) as operator,
    ):
        wait_until("the operator leads", operator.leads, 30)
        yield Hub(cluster, member, proxy, operator)


def test_a_member_is_reached_and_counted_node_by_node(hub: Hub) -> None:
    hub.secret("east", hub.direct)
    hub.register("east")
    hub.until("east", "Ready", SOON)
    [offer] = hub.status("east")["offers"]
    assert (offer["accelerator"], offer["nodes"], offer["total"], offer["free"]) == ("nvidia-h100-80gb", 2, 16, 16)
    assert {each["accelerators"]: each["replicas"] for each in offer["room"]} == {1: 16, 2: 8, 4: 4, 8: 2}
    limits = {"limits": {"nvidia.com/gpu": "5"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tenant"},
           "spec": {"containers": [{"name": "x", "image": "example.com/x", "resources": limits}],
                    "tolerations": [{"operator": "Exists"}]}}  # fmt: skip
    hub.member.kubectl("wait", "--for=create", "serviceaccount/default", "-n", "default", "--timeout=30s")
    hub.member.kubectl("apply", "-n", "default", "-f", "-", input=json.dumps(pod))
    wait_until("the pod counts", lambda: hub.free("east") == 11, SOON, 0.2)
    [offer] = hub.status("east")["offers"]
    assert {each["accelerators"]: each["replicas"] for each in offer["room"]}[8] == 1
    hub.member.kubectl("cordon", "-l", "nvidia.com/gpu.product")
    wait_until("no node is left", lambda: hub.free("east") == 0, SOON, 0.2)
    hub.member.kubectl("uncordon", "-l", "nvidia.com/gpu.product")


def test_a_quota_in_the_member_is_read_and_told(hub: Hub) -> None:
    """With no more rights than manifests/member/rbac.yaml grants."""
    hub.member.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))  # or nothing may be placed there
    for cluster in (hub.cluster, hub.member):
        cluster.kubectl("create", "namespace", QUOTED)
    hub.member.kubectl("create", "quota", "gpus", "-n", QUOTED, "--hard=requests.nvidia.com/gpu=1")
    raw = manifest("llama")
    raw["spec"] |= {"placement": {"clusters": {}}, "accelerators": [{"type": "nvidia-h100-80gb", "count": 2}]}
    hub.cluster.kubectl("apply", "-n", QUOTED, "-f", "-", input=json.dumps(raw))
    why = "jsonpath={range .status.placement.notChosen[*]}{.reason} {.message}{end}"
    told = ("get", "infs", "llama", "-n", QUOTED, "-o", why)
    wait_until("the quota is told", lambda: hub.cluster.kubectl(*told).startswith("Quota"), SOON, 0.2)
    assert "ResourceQuota gpus" in hub.cluster.kubectl(*told)
    hub.cluster.kubectl("delete", "infs", "llama", "-n", QUOTED)


def test_the_same_cluster_counts_once(hub: Hub) -> None:
    hub.register("twin", kubeconfigSecret={"name": "east", "key": "kubeconfig"})
    hub.until("twin", "SameCluster", SOON)
    assert hub.why("east") == "Ready"
    hub.cluster.kubectl("delete", "inferencecluster", "twin", "-n", NAMESPACE)


def test_a_cluster_of_an_inventory_is_reached_by_the_admins_command(hub: Hub) -> None:
    """Which is seen by that it finds there the cluster that is a member already."""
    hub.register("listed", clusterProfile={"name": "east"})
    hub.until("listed", "ClusterProfileNotFound", SOON)
    hub.cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(inventory()))
    hub.cluster.kubectl("wait", "--for=condition=Established", "crd/clusterprofiles.multicluster.x-k8s.io")
    ca = b64encode(Path(hub.member.ca).read_bytes()).decode()
    there = {"server": hub.member.server, "certificate-authority-data": ca}
    raw = {"apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ClusterProfile",
           "metadata": {"name": "east", "namespace": NAMESPACE}, "spec": {},
           "status": {"accessProviders": [{"name": "bench", "cluster": there}]}}  # fmt: skip
    for part in ((), ("--subresource=status",)):
        hub.cluster.kubectl("apply", "--server-side", *part, "-f", "-", input=json.dumps(raw))
    hub.until("listed", "SameCluster", SOON)
    assert "InferenceCluster east" in hub.status("listed")["conditions"][0]["message"]
    hub.cluster.kubectl("delete", "inferencecluster", "listed", "-n", NAMESPACE)


def test_the_hub_is_a_member_too(hub: Hub) -> None:
    hub.register("here", hub=True)
    hub.until("here", "Ready", SOON)
    assert hub.status("here")["clusterUID"] != hub.status("east")["clusterUID"]


def test_a_service_that_is_placed_in_the_hub_answers_there_by_its_name(hub: Hub) -> None:
    """By the gateway and behind its Service, though what serves there has another name; and is gone with it."""
    kubectl, path = hub.cluster.kubectl, f"/services/{PLACED}/llama/v1/chat/completions"
    kubectl("label", "inferencecluster", "here", "-n", NAMESPACE, "it=here")
    begin_namespace(hub.cluster, PLACED)
    install_gateway(hub.cluster)
    with GatewayProcess(hub.cluster, 0) as gateway:
        wait_until("its node counts", lambda: hub.free("here") == 1, SOON, 0.2)
        raw = manifest("llama")
        raw["spec"]["placement"] = {"clusters": {"matchLabels": {"it": "here"}}}
        kubectl("apply", "-n", PLACED, "-f", "-", input=json.dumps(raw))
        told = ("get", "infs", "llama", "-n", PLACED, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')
        wait_until("it is ready", lambda: kubectl(*told) == "True", SOON, 0.2)
        body = json.dumps({"model": "llama", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 2})
        asked = Request(gateway.url + path, body.encode(), {"Content-Type": "application/json"})
        wait_until("it answers", lambda: _answers(asked), SOON, 0.2)
        pods = kubectl("get", "pods", "-n", PLACED, "-o", "jsonpath={.items[*].status.podIP}").split()
        listed = ("get", "endpointslices", "-n", PLACED, "-l", "kubernetes.io/service-name=llama", "-o")
        wait_until(
            "its Service leads there", lambda: kubectl(*listed, "jsonpath={..addresses[*]}").split() == pods, SOON
        )
        kubectl("delete", "infs", "llama", "-n", PLACED, "--timeout=60s")
        assert not kubectl("get", "infs", "-n", PLACED, "-o", "name")


def _answers(asked: Request) -> bool:
    try:
        with urlopen(asked, timeout=10) as answer:
            return json.load(answer)["model"] == "llama"
    except URLError:
        return False


def test_a_dangerous_kubeconfig_is_refused_by_its_field(hub: Hub) -> None:
    through = hub.proxy.kubeconfig(hub.direct, "through-proxy")  # over http
    hub.secret("west", through)
    hub.register("west")
    hub.until("west", "KubeconfigRefused", SOON)
    conditions = hub.status("west")["conditions"]
    assert "spec.access.allow: [InsecureTLS]" in conditions[0]["message"]
    hub.cluster.kubectl("delete", "inferencecluster", "west", "-n", NAMESPACE)


def test_a_member_that_refuses_us_or_falls_silent_and_comes_back(hub: Hub) -> None:
    """By the one member twice: all that is asked goes through the proxy."""
    hub.secret("east", hub.proxy.kubeconfig(hub.direct, "through-proxy"))
    hub.register("east", kubeconfigSecret={"name": "east", "key": "kubeconfig"}, allow=["InsecureTLS"])
    hub.until("east", "Ready", SOON)
    wait_until("asked through the proxy", lambda: len(hub.proxy.journal) > 3, SOON)
    with hub.proxy.fault(Fault(status=429, retry_after=1, path="/namespaces/")):
        time.sleep(EVERY + 2)
        assert hub.why("east") == "Ready"
    with hub.proxy.fault(Fault(drop="before")):
        hub.proxy.cut_watches()
        # The only other cluster is all others: it may as well be the hub that is alone.
        took = hub.until("east", "HubCutOff", 2 * SUSPECT, "ControlPlaneHealthy")
        assert took > SUSPECT - EVERY
        assert hub.why("east", "CapacityFresh") == "Stale" and hub.status("east")["offers"]
        assert hub.why("here") == "Ready"
    hub.until("east", "Returning", SOON, "ControlPlaneHealthy")
    assert not [entry for entry in hub.proxy.journal if entry.method != "GET"]


def test_nothing_is_denied_and_nothing_unexpected_happened(hub: Hub) -> None:
    assert not denied(hub.cluster)
    assert 'result="bug"' not in hub.operator.get("/metrics")[1], hub.operator.tail()
