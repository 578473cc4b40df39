"""The chart by the real Helm on a real control plane: from the first installation to the last uninstall, and again.

One test after the other, as one goes through it. Operator and gateway are processes with the chart's arguments, the
tokens of its ServiceAccounts, and so its rights and nothing more; their pods find no node.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster import kubeschemas
from cluster.services import condition, denied, gpu_nodes, is_ready, manifest
from controlplane import Cluster
from fieldtools import find
from harness import GATEWAY, ROOT, GatewayProcess, OperatorProcess, begin_namespace, environ, wait_until
from helm import CHART, NAMESPACE, RELEASE, Object, helm, key, objects, template
from inferops.kube.kinds import INFERENCE_SERVICE, SERVING_RUNTIME
from unit.chart.combinations import MANY, OFFERED

Json = dict[str, Any]

NOWHERE = {"nodeSelector": {"pool": "nowhere"}}
VALUES: Json = {
    "operator": {**NOWHERE, "hub": "off"},
    "gateway": {**NOWHERE, "drain": {"delaySeconds": 0, "timeoutSeconds": 5}},
    "runtimes": {"ours": {"engine": "vllm", "image": "registry.example.com/vllm:1"}},
}
OURS = "app.kubernetes.io/part-of=inferops"
# Every kind that the chart has objects of.
KINDS = (
    *("deployment", "service", "serviceaccount", "poddisruptionbudget", "networkpolicy", "role", "rolebinding"),
    *("clusterrole", "clusterrolebinding", "configmap", "horizontalpodautoscaler", "servingruntime", "accelerator"),
)
UNKNOWN = "PrometheusRule,ServiceMonitor,PodMonitor"  # of an operator that is not installed here


@dataclass
class Installed:
    """The release on its cluster."""

    cluster: Cluster
    folder: Path

    def helm(self, *arguments: str, values: Json | None = None) -> str:
        """Raises HelmFailed."""
        homes = {f"HELM_{name}_HOME": str(self.folder / name) for name in ("CACHE", "CONFIG", "DATA")}
        env = {**self.cluster.environ, **homes}
        return helm(*arguments, "--namespace", NAMESPACE, values=values, env=env)

    def get(self, *arguments: str) -> Json:
        found: Json = json.loads(self.cluster.kubectl("get", "-o", "json", *arguments))
        return found

    def arguments(self, name: str) -> tuple[str, ...]:
        """Those that the chart gives to the operator or the gateway."""
        (container,) = self.get("-n", NAMESPACE, "deployment", name)["spec"]["template"]["spec"]["containers"]
        return tuple(container.get("args", ()))

    def ready(self, namespace: str, name: str) -> None:
        path = INFERENCE_SERVICE.path(namespace, name)
        wait_until(f"{name} is Ready", lambda: is_ready(json.loads(self.cluster.get(path))), 60, every=0.25)

    def left(self) -> list[str]:
        """What there is of ours, as KIND/NAME, without what each replica of a Service or an operator leaves."""
        found = self.cluster.kubectl("get", ",".join(KINDS), "-A", "-l", OURS, "-o", "name", "--ignore-not-found")
        return sorted(found.split())


@pytest.fixture(scope="module")
def installed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """A first installation, into a namespace that only admits pods that Pod Security calls restricted."""
    begin_namespace(cluster, NAMESPACE)
    levels = [f"pod-security.kubernetes.io/{each}=restricted" for each in ("enforce", "warn", "audit")]
    cluster.kubectl("label", "namespace", NAMESPACE, *levels)
    release = Installed(cluster, tmp_path_factory.mktemp("helm"))
    told = release.helm("install", RELEASE, str(CHART), values=VALUES)
    assert "restricted" not in told, told
    yield release


def test_that_its_pods_are_admitted_and_its_runtimes_there(installed: Installed) -> None:
    def pods() -> int:
        found = installed.get("-n", NAMESPACE, "pods", "-l", OURS)["items"]
        return sum(each["status"]["phase"] == "Pending" for each in found)

    wait_until("two pods each", lambda: pods() == 4, 20)
    (test,) = (each for each in objects(installed.helm("get", "hooks", RELEASE)) if each["kind"] == "Pod")
    installed.cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(test))
    assert installed.get("servingruntime", "ours")["spec"]["engine"] == "vllm"
    events = installed.get("-n", NAMESPACE, "events")["items"]
    assert not [each["message"] for each in events if each["reason"] == "FailedCreate"]


def test_that_it_serves_with_its_rights_and_nothing_more(installed: Installed) -> None:
    cluster = installed.cluster
    begin_namespace(cluster, "team-a")
    cluster.kubectl("create", "-n", "team-a", "-f", "-", input=json.dumps(manifest("first")))
    with (
        gpu_nodes(cluster, "1x8xnvidia-h100-80gb", "chart-"),
        OperatorProcess(cluster, args=_rest(installed, "inferops-operator")) as operator,
        _gateway(installed) as gateway,
    ):
        installed.ready("team-a", "first")
        (test,) = (each for each in objects(installed.helm("get", "hooks", RELEASE)) if each["kind"] == "Pod")
        (container,) = test["spec"]["containers"]
        script, *urls = container["args"]
        assert urls == ["http://inferops-operator:8080/readyz", "http://inferops-gateway:9090/readyz"]
        here = [f"{operator.base}/readyz", f"{gateway.base}/readyz"]
        subprocess.run([sys.executable, "-c", script, *here], env=environ(), timeout=60, check=True)
    assert not denied(cluster)
    assert not denied(cluster, f"system:serviceaccount:{NAMESPACE}:{GATEWAY}")


def test_that_those_who_edit_a_namespace_have_its_services_and_nobody_elses(installed: Installed) -> None:
    for role in ("view", "edit"):
        binding = ("rolebinding", role, f"--clusterrole={role}", f"--user={role}")
        installed.cluster.kubectl("-n", "team-a", "create", *binding)

    def may(user: str, verb: str, resource: str, namespace: str = "team-a") -> bool:
        resource, _, subresource = resource.partition("/")
        asked = {"group": "serving.inferops.dev", "verb": verb, "resource": resource, "namespace": namespace}
        review = {"spec": {"user": user, "resourceAttributes": {**asked, "subresource": subresource}}}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(installed.cluster.post(path, review)["status"]["allowed"])

    wait_until("roles are aggregated", lambda: may("edit", "create", "inferenceservices"), 10)
    assert may("edit", "patch", "inferenceservices/scale") and may("view", "list", "inferenceclusters")
    assert not may("edit", "create", "inferenceservices", "team-b")
    assert not may("edit", "patch", "inferenceservices/status")
    for resource in ("inferenceclusters", "servingruntimes", "accelerators"):
        assert not may("edit", "create", resource) and not may("edit", "patch", resource)
    assert not may("view", "create", "inferenceservices")


def test_an_upgrade_with_a_new_schema_and_the_way_back(installed: Installed, tmp_path: Path) -> None:
    before, crd = installed.get("servingruntime", "ours"), "inferenceservices.serving.inferops.dev"
    newer = shutil.copytree(CHART, tmp_path / "inferops")
    path = newer / "templates" / "crds" / "inferenceservices.yaml"
    path.write_text(path.read_text().replace("shortNames:\n    - infs\n", "shortNames:\n    - infs\n    - infsnew\n"))
    service = installed.get("-n", "team-a", "infs", "first")

    assert "restricted" not in installed.helm("upgrade", RELEASE, str(CHART), values=VALUES)
    changed = {**VALUES, "operator": {**VALUES["operator"], "replicas": 3}}
    installed.helm("upgrade", RELEASE, str(newer), values=changed)
    assert installed.get("-n", NAMESPACE, "deployment", "inferops-operator")["spec"]["replicas"] == 3
    assert installed.get("crd", crd)["spec"]["names"]["shortNames"] == ["infs", "infsnew"]

    installed.helm("rollback", RELEASE, "2")
    assert installed.get("-n", NAMESPACE, "deployment", "inferops-operator")["spec"]["replicas"] == 2
    assert installed.get("crd", crd)["spec"]["names"]["shortNames"] == ["infs"]
    assert installed.get("servingruntime", "ours")["metadata"]["uid"] == before["metadata"]["uid"]
    assert installed.get("-n", "team-a", "infs", "first")["metadata"]["uid"] == service["metadata"]["uid"]


def test_that_named_namespaces_need_no_more_rights_than_they_get(installed: Installed) -> None:
    """From all namespaces to one of them, by an upgrade."""
    cluster, seen = installed.cluster, len(installed.cluster.audit_events())
    begin_namespace(cluster, "team-b")
    installed.helm("upgrade", RELEASE, str(CHART), values={**VALUES, "watchNamespaces": ["team-b"]})
    for namespace in ("team-a", "team-b"):
        cluster.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(manifest("second")))
    with (
        gpu_nodes(cluster, "1x8xnvidia-h100-80gb", "chart-"),
        OperatorProcess(cluster, args=_rest(installed, "inferops-operator")),
        _gateway(installed),
    ):
        installed.ready("team-b", "second")
    refused = {
        (event.user, event.verb, event.resource)
        for event in cluster.audit_events()[seen:]
        if event.user.startswith(f"system:serviceaccount:{NAMESPACE}:inferops-") and not event.allowed
    }
    assert not refused
    assert not condition(installed.get("-n", "team-a", "infs", "second"), "Ready")


def test_that_users_keep_what_they_have_and_nothing_else_is_left(installed: Installed) -> None:
    before = installed.get("-n", "team-b", "infs,deployments,services")["items"]
    told = installed.helm("uninstall", RELEASE, "--wait")
    assert "kept" in told
    wait_until("nothing of ours is left", lambda: not installed.left(), 20)
    after = installed.get("-n", "team-b", "infs,deployments,services")["items"]
    assert {key(each) for each in after} == {key(each) for each in before} and len(after) > 2
    assert len(installed.get("crd", "-l", OURS)["items"]) == 4

    again = installed.helm("install", RELEASE, str(CHART), values=VALUES)
    assert "restricted" not in again
    assert installed.get("-n", "team-b", "infs", "second")["metadata"]["uid"] == _service(before)["metadata"]["uid"]
    assert "servingruntime.serving.inferops.dev/ours" in installed.left()


def test_that_all_that_it_renders_and_all_samples_are_valid(installed: Installed, tmp_path: Path) -> None:
    renders = [template(values, *OFFERED) for values in MANY.values()]
    folders = (ROOT / "manifests" / each for each in ("install", "member", "namespaced", "samples"))
    plain = [each for folder in folders for path in folder.rglob("*.yaml") for each in objects(path.read_text())]
    everything: list[Object] = [*plain, *(each for rendered in renders for each in rendered)]
    everything = [each for each in everything if not each["apiVersion"].startswith("kustomize.config")]
    wanted = {(each["apiVersion"], each["kind"]) for each in everything}
    kubeschemas.write(json.loads(installed.cluster.get("/openapi/v2")), tmp_path, wanted)
    command = [find("kubeconform"), "-strict", "-summary", "-output", "json", "-skip", UNKNOWN]
    command += ["-schema-location", f"{tmp_path}/{kubeschemas.LOCATION}"]
    stream = "\n---\n".join(json.dumps(each) for each in everything)
    done = subprocess.run(command, input=stream, capture_output=True, text=True, timeout=60, check=False)
    told = json.loads(done.stdout)
    assert done.returncode == 0, told["resources"]
    assert told["summary"]["valid"] > 150 and not told["summary"]["errors"], told["summary"]
    assert SERVING_RUNTIME.kind in {each["kind"] for each in everything}


def _rest(installed: Installed, name: str) -> tuple[str, ...]:
    """The chart's arguments, but for what the bench says itself."""
    return tuple(each for each in installed.arguments(name) if not each.startswith("--hub"))


def _gateway(installed: Installed) -> GatewayProcess:
    return GatewayProcess(installed.cluster, 0, installed.arguments(GATEWAY))


def _service(found: list[Json]) -> Json:
    return next(each for each in found if each["kind"] == INFERENCE_SERVICE.kind)
