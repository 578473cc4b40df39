"""The main job on a real Kubernetes: what is applied with kubectl becomes pods that answer, and stays so."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from cluster.reading import reader
from cluster.services import AT_ONCE, OPERATOR, denied
from controlplane import Cluster
from harness import ROOT, OperatorProcess, environ, gpu_nodes, install, wait_until

SAMPLES = ROOT / "manifests" / "samples"
NODES = "2x8xnvidia-h100-80gb,1x4xnvidia-l4"
CHILDREN = "deployments,services,poddisruptionbudgets,controllerrevisions,pods"
SCALE = 20.0  # how much faster than real time pods start and end


@pytest.fixture(scope="module")
def nodes(cluster: Cluster) -> Iterator[None]:
    """GPU nodes that run simulated engines."""
    with gpu_nodes(cluster, NODES, "--load-seconds", "20", "--time-scale", str(SCALE)):
        yield


@pytest.fixture(scope="module")
def operator(cluster: Cluster, nodes: None) -> Iterator[OperatorProcess]:
    """The operator, as its own ServiceAccount."""
    install(cluster)
    with OperatorProcess(cluster) as running:
        wait_until("the operator leads", running.leads, 30)
        yield running


class User:
    """Somebody with kubectl in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace

    def kubectl(self, *args: str, **options: Any) -> str:
        answer: str = self.cluster.kubectl("-n", self.namespace, *args, **options)
        return answer

    def apply(self, name: str, **spec: Any) -> None:
        self.kubectl("apply", "-f", "-", input=json.dumps(self.resource(name, **spec)))

    @staticmethod
    def resource(name: str, **spec: Any) -> dict[str, Any]:
        """A service on one H100, with parts of its spec as told."""
        whole = {
            "model": {"uri": "hf://meta-llama/Llama-3.1-8B-Instruct"},
            "accelerators": [{"type": "nvidia-h100-80gb"}],
            "rollout": AT_ONCE,
            **spec,
        }
        head = {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceService"}
        return {**head, "metadata": {"name": name}, "spec": whole}

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return reader(self.cluster).get(kind, self.namespace, name)

    def list(self, kinds: str, service: str) -> list[dict[str, Any]]:
        return reader(self.cluster).list(kinds, self.namespace, f"inferops.dev/service={service}")

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        conditions = self.get("infs", name).get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def wait(self, name: str, kind: str, status: str, reason: str | None = None, timeout: float = 60) -> None:
        def so() -> bool:
            now = self.condition(name, kind)
            return now.get("status") == status and reason in (None, now.get("reason"))

        try:
            wait_until(f"{name}: {kind}={status} {reason or ''}", so, timeout, every=0.2)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it is {self.get('infs', name).get('status')}") from error

    def ready(self, name: str, timeout: float = 60) -> None:
        self.kubectl("wait", "--for=condition=Ready", f"infs/{name}", f"--timeout={timeout:.0f}s")

    def post(self, service: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        url = f"/api/v1/namespaces/{self.namespace}/services/{service}:http/proxy{path}"
        answer: dict[str, Any] = json.loads(
            self.cluster.kubectl("create", "--raw", url, "-f", "-", input=json.dumps(body))
        )
        return answer


@pytest.fixture
def user(cluster: Cluster, namespace: str, operator: OperatorProcess) -> User:
    return User(cluster, namespace)


def test_the_sample_serves(user: User) -> None:
    user.kubectl("create", "secret", "generic", "hf-token", "--from-literal=HF_TOKEN=x")
    sample = yaml.safe_load((SAMPLES / "llama-8b.yaml").read_text())
    del sample["metadata"]["namespace"]
    user.kubectl("apply", "-f", "-", input=json.dumps(sample))
    user.ready("llama-8b")
    [deployment] = user.list("deployments", "llama-8b")
    pod = deployment["spec"]["template"]["spec"]
    engine = pod["containers"][0]
    assert engine["command"] + engine["args"][:1] == ["vllm", "serve", "meta-llama/Llama-3.1-8B-Instruct"]
    assert engine["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert engine["startupProbe"]["httpGet"]["path"] == "/health"
    assert engine["startupProbe"]["periodSeconds"] * engine["startupProbe"]["failureThreshold"] >= 1800
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-H100-80GB-HBM3"]} in [
        expression for term in terms for expression in term["matchExpressions"]
    ]
    [running] = user.list("pods", "llama-8b")
    assert running["spec"]["nodeName"].startswith("h100")
    question = {"model": "llama-8b", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
    answer = user.post("llama-8b", "/v1/chat/completions", question)
    assert answer["usage"]["completion_tokens"] == 5


def test_triton_serves_with_all_its_ports(user: User) -> None:
    user.kubectl("apply", "-f", "-", input=json.dumps(_claim("models")))
    user.apply("resnet", model={"uri": "pvc://models/repository"}, runtime={"name": "triton"},
               accelerators=[{"type": "nvidia-l4"}])  # fmt: skip
    user.ready("resnet")
    ports = {port["name"]: port["port"] for port in user.get("service", "resnet")["spec"]["ports"]}
    assert ports["http"] == 80 and "grpc" in ports
    url = f"/api/v1/namespaces/{user.namespace}/services/resnet:http/proxy/v2/health/ready"
    user.cluster.kubectl("get", "--raw", url)  # raises unless it answers 200


def _claim(name: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": name}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "capacity": {"storage": "1Gi"},
            "nfs": {"server": "127.0.0.1", "path": "/"},
        },
    }
    for part in (claim, volume):
        part["spec"]["storageClassName"] = ""
    return {"apiVersion": "v1", "kind": "List", "items": [claim, volume]}


def test_children_come_back_and_pods_are_not_touched(user: User) -> None:
    user.apply("repaired")
    user.ready("repaired")
    before = {pod["metadata"]["uid"] for pod in user.list("pods", "repaired")}
    hash_ = user.get("infs", "repaired")["status"]["stableRevision"]
    own = f"repaired-{hash_}"
    user.kubectl("patch", "service", "repaired", "-p", '{"spec":{"selector":{"inferops.dev/revision":"none"}}}')
    user.kubectl("label", "deployment", own, "inferops.dev/service-", "app.kubernetes.io/managed-by-")
    for kind in ("service", "pdb", "controllerrevision"):
        user.kubectl("delete", kind, own)

    def whole() -> bool:
        kinds = sorted(child["kind"] for child in user.list(CHILDREN, "repaired"))
        selector = user.get("service", "repaired")["spec"]["selector"]["inferops.dev/revision"]
        return selector == hash_ and kinds == [
            "ControllerRevision", "Deployment", "Pod", "PodDisruptionBudget", "Service", "Service",
        ]  # fmt: skip

    wait_until("all children back", whole, 30, every=0.2)
    assert {pod["metadata"]["uid"] for pod in user.list("pods", "repaired")} == before


def test_a_deployment_comes_back(user: User) -> None:
    user.apply("again")
    user.ready("again")
    [deployment] = user.list("deployments", "again")
    user.kubectl("delete", "deployment", deployment["metadata"]["name"])
    wait_until("a new one", lambda: [d["metadata"]["uid"] for d in user.list("deployments", "again")]
               not in ([], [deployment["metadata"]["uid"]]), 30, every=0.2)  # fmt: skip
    user.wait("again", "Ready", "True")


def test_an_update_moves_traffic_only_to_what_is_ready(user: User) -> None:
    user.apply("updated")
    user.ready("updated")
    old = user.get("infs", "updated")["status"]["stableRevision"]
    [pod] = user.list("pods", "updated")
    user.apply("updated", runtime={"args": ["--max-num-seqs=64"]})

    def moved() -> bool:
        # The Service before the pods: what it selects must have been ready by then.
        selected = user.get("service", "updated")["spec"]["selector"]["inferops.dev/revision"]
        answering = {
            pod["metadata"]["labels"]["inferops.dev/revision"]
            for pod in user.list("pods", "updated")
            if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
        }
        assert selected in answering, "the Service selects a revision without a ready pod"
        return selected != old

    wait_until("the traffic moved", moved, 60, every=0.1)

    def told() -> bool:  # the Service is written first, and its status after it
        status = user.get("infs", "updated")["status"]
        return bool(status["stableRevision"] == status["latestRevision"] != old)

    wait_until("the status says so", told, 30, every=0.2)
    user.ready("updated")
    status = user.get("infs", "updated")["status"]
    wait_until(
        "the old revision gone",
        lambda: (
            {child["metadata"]["labels"].get("inferops.dev/revision") for child in user.list(CHILDREN, "updated")}
            <= {status["stableRevision"], None}
        ),
        60,
        every=0.2,
    )
    assert pod["metadata"]["uid"] not in {p["metadata"]["uid"] for p in user.list("pods", "updated")}


def test_a_revision_that_never_served_gives_its_gpus_to_the_correction(user: User) -> None:
    everything = [{"type": "nvidia-l4", "count": 4}]  # the only node with them
    user.apply("wrong", model={"uri": "hf://meta-llama/Llama-3.3-70B-Instruct"}, accelerators=everything)
    user.wait("wrong", "Stalled", "True", "CrashLoop")  # out of memory
    assert "restarts" in user.condition("wrong", "Ready")["message"]
    user.apply("wrong", accelerators=everything)
    user.ready("wrong")


def test_what_is_missing_is_said_and_heals_when_a_node_comes(user: User, operator: OperatorProcess) -> None:
    user.apply("big", accelerators=[{"type": "nvidia-h200", "count": 2}])
    user.wait("big", "Scheduled", "False", "NoMatchingNode")
    message = user.condition("big", "Ready")["message"]
    assert "2x nvidia.com/gpu (nvidia-h200)" in message and "none of the 3 nodes" in message
    told = _inferops("status", "big", "-n", user.namespace, "--kubeconfig", str(user.cluster.kubeconfig))
    assert told.returncode == 1 and "2x nvidia.com/gpu (nvidia-h200)" in told.stdout
    late = ("--name-prefix", "late-", "--load-seconds", "1", "--time-scale", str(SCALE))
    with gpu_nodes(user.cluster, "1x8xnvidia-h200", *late):
        user.ready("big")
        told = _inferops("status", "big", "-n", user.namespace, "--kubeconfig", str(user.cluster.kubeconfig))
        assert told.returncode == 0 and "on late-" in told.stdout
        user.kubectl("delete", "infs", "big")
        wait_until("nothing left", lambda: not user.list("pods", "big"), 60, every=0.2)


def test_too_many_for_one_node_is_said_with_numbers(user: User) -> None:
    user.apply("wide", accelerators=[{"type": "nvidia-l4", "count": 8}])
    user.wait("wide", "Scheduled", "False", "NodesTooSmall")
    message = user.condition("wide", "Scheduled")["message"]
    assert "1 of 3 nodes have nvidia-l4, the largest has 4" in message


def test_the_second_choice_is_taken_and_explained(user: User) -> None:
    model = {"uri": "hf://meta-llama/Llama-3.1-8B-Instruct", "maxModelLen": 4096}  # its own limit is too much for it
    user.apply("choosy", model=model, accelerators=[{"type": "nvidia-b200"}, {"type": "nvidia-l4"}])
    user.ready("choosy")
    status = user.get("infs", "choosy")["status"]
    assert status["revisions"][0]["accelerator"] == "1x nvidia-l4"
    assert "not on 1x nvidia-b200" in status["explain"][0]


# By name: what is asked for, the reason for which it cannot be had, and a part of what is said.
INVALID: dict[str, tuple[dict[str, Any], str, str]] = {
    "runtime": ({"runtime": {"name": "nonesuch"}}, "RuntimeNotFound", "there are: bentoml, onnxruntime, sglang"),
    "accelerator": ({"accelerators": [{"type": "nvidia-x1"}]}, "AcceleratorNotFound", "spec.accelerators[0].type"),
    "model": ({"accelerators": [], "model": {"uri": "hf://acme/secret"}}, "ModelUnknown", "spec.model.config"),
    "slo": ({"accelerators": [], "slo": {"tpot": "1ms"}}, "NoAcceleratorFits", "relax spec.slo"),
    "unsized": (
        {"accelerators": [], "model": {"uri": "pvc://m"}, "runtime": {"name": "triton"}},
        "AcceleratorRequired",
        "name",
    ),
    "port": ({"runtime": {"args": ["--port=1"]}}, "ArgumentNotAllowed", "spec.runtime.args[0]"),
    "remote-code": ({"runtime": {"args": ["--trust-remote-code"]}}, "ArgumentNotAllowed", "userArgs"),
    "source": ({"runtime": {"name": "triton"}}, "SourceNotSupported", "spec.model.uri"),
    "schedule": (
        {"scaling": {"schedule": [{"cron": "99 8 * * 1-5", "duration": "1h", "minReplicas": 1}]}},
        "InvalidSpec",
        "spec.scaling.schedule[0].cron: '99 8 * * 1-5' cannot be read: bad minute",
    ),
}


@pytest.fixture(scope="module")
def invalid(cluster: Cluster, operator: OperatorProcess) -> Iterator[User]:
    """All of them, applied at once."""
    cluster.kubectl("create", "namespace", "invalid")
    user = User(cluster, "invalid")
    items = [user.resource(name, **spec) for name, (spec, _, _) in INVALID.items()]
    user.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    yield user
    cluster.kubectl("delete", "namespace", "invalid", "--wait=false")


@pytest.mark.parametrize("name", INVALID)
def test_what_cannot_be_served_is_said_and_creates_nothing(invalid: User, name: str) -> None:
    _, reason, says = INVALID[name]
    invalid.wait(name, "Stalled", "True", reason)
    assert says in invalid.condition(name, "Ready")["message"]
    assert invalid.condition(name, "Ready")["status"] == "False"
    assert invalid.list(CHILDREN, name) == []


def test_an_invalid_update_leaves_what_serves(user: User) -> None:
    user.apply("stays")
    user.ready("stays")
    before = {child["metadata"]["uid"] for child in user.list(CHILDREN, "stays")}
    user.apply("stays", runtime={"name": "nonesuch"})
    user.wait("stays", "Stalled", "True", "RuntimeNotFound")
    assert user.condition("stays", "Available")["status"] == "True"
    assert {child["metadata"]["uid"] for child in user.list(CHILDREN, "stays")} == before
    user.apply("stays")
    user.wait("stays", "Ready", "True")
    assert {child["metadata"]["uid"] for child in user.list(CHILDREN, "stays")} == before


def test_a_taken_name_is_left_alone(user: User) -> None:
    user.kubectl("create", "service", "clusterip", "taken", "--tcp=80:80")
    before = user.get("service", "taken")["metadata"]["resourceVersion"]
    user.apply("taken")
    user.wait("taken", "Stalled", "True", "NameConflict")
    assert user.get("service", "taken")["metadata"]["resourceVersion"] == before
    user.kubectl("delete", "service", "taken")
    user.wait("taken", "Ready", "True")


def test_the_admins_runtime_changes_no_running_pod(user: User) -> None:
    runtime = {
        "apiVersion": "serving.inferops.dev/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": f"own-{user.namespace}"},
        "spec": {"engine": "vllm", "image": "registry.example/vllm:v1"},
    }
    user.kubectl("apply", "-f", "-", input=json.dumps(runtime))
    user.apply("pinned", runtime={"name": f"own-{user.namespace}"})
    user.ready("pinned")
    before = [(pod["metadata"]["uid"], pod["spec"]["containers"][0]["image"]) for pod in user.list("pods", "pinned")]
    assert before[0][1] == "registry.example/vllm:v1"
    runtime["spec"]["image"] = "registry.example/vllm:v2"  # type: ignore[index]
    user.kubectl("apply", "-f", "-", input=json.dumps(runtime))

    def told() -> bool:
        return any("keeps the image registry.example/vllm:v1" in line
                   for line in user.get("infs", "pinned")["status"]["explain"])  # fmt: skip

    wait_until("the status says so", told, 30, every=0.2)
    after = [(pod["metadata"]["uid"], pod["spec"]["containers"][0]["image"]) for pod in user.list("pods", "pinned")]
    assert after == before


def test_replicas_by_kubectl_scale(user: User) -> None:
    user.apply("scaled")
    user.ready("scaled")
    [first] = user.list("pods", "scaled")
    user.kubectl("scale", "infs/scaled", "--replicas=3")
    wait_until("three ready", lambda: user.get("infs", "scaled")["status"]["readyReplicas"] == 3, 60, every=0.2)
    user.kubectl("scale", "infs/scaled", "--replicas=0")
    wait_until("none left", lambda: not user.list("pods", "scaled"), 60, every=0.2)
    user.wait("scaled", "Ready", "True")
    assert user.condition("scaled", "Available")["status"] == "False"
    assert (
        first["metadata"]["labels"]["inferops.dev/revision"] == user.get("infs", "scaled")["status"]["latestRevision"]
    )


def test_deletion_leaves_nothing(user: User) -> None:
    user.apply("gone")
    user.ready("gone")
    assert user.get("infs", "gone")["metadata"].get("finalizers") is None
    user.kubectl("delete", "infs", "gone", "--timeout=20s")
    wait_until("nothing left", lambda: not user.list(CHILDREN, "gone"), 60, every=0.2)


def test_what_is_not_acted_on_is_said(user: User) -> None:
    user.apply("later", slo={"errorRate": 0.01}, traffic={"hostnames": ["a.example.com"]})
    user.ready("later")
    fields = {part["field"] for part in user.get("infs", "later")["status"]["notActedOn"]}
    assert fields == {"spec.slo.errorRate", "spec.traffic.hostnames"}
    member = {
        "apiVersion": "serving.inferops.dev/v1alpha1",
        "kind": "InferenceCluster",
        "metadata": {"name": "east"},
        "spec": {"access": {"hub": True}},
    }
    user.kubectl("apply", "-f", "-", input=json.dumps(member))
    wait_until("its status", lambda: bool(user.get("inferencecluster", "east").get("status", {}).get("conditions")), 30)
    assert user.get("inferencecluster", "east")["status"]["conditions"][0]["reason"] == "NotActedOn"


def test_users_resources_are_left_alone(user: User) -> None:
    user.apply("mine")
    user.ready("mine")
    meta = user.get("infs", "mine")["metadata"]
    assert set(meta.get("annotations", {})) == {"kubectl.kubernetes.io/last-applied-configuration"}
    full = json.loads(user.kubectl("get", "infs", "mine", "-o", "json", "--show-managed-fields"))
    ours = [entry for entry in full["metadata"]["managedFields"] if entry["manager"] == "inferops"]
    assert [list(entry["fieldsV1"]) for entry in ours] == [["f:status"]]
    written = {
        (event.verb, event.resource)
        for event in user.cluster.audit_events()
        if event.user == OPERATOR and event.resource.startswith("inference") and event.verb not in ("list", "watch")
    }
    assert written <= {("patch", "inferenceservices/status"), ("patch", "inferenceclusters/status")}


def test_git_sees_no_drift(user: User) -> None:
    """What Argo CD and Flux find when they compare by server-side apply: nothing, whoever else has done what is his."""
    asked, manager = json.dumps(user.resource("kept", scaling={"maxReplicas": 3})), "--field-manager=argocd-controller"
    user.kubectl("apply", "--server-side", manager, "-f", "-", input=asked)
    user.ready("kept")
    user.kubectl("scale", "infs/kept", "--replicas=2")
    user.kubectl("annotate", "infs/kept", "inferops.dev/action=pause@0000000000", "--field-manager=inferops-cli")
    user.ready("kept")
    assert user.kubectl("diff", "--server-side", manager, "-f", "-", input=asked) == ""  # raises where there is one
    service = user.get("infs", "kept")
    assert service["spec"]["scaling"]["replicas"] == 2 and "inferops.dev/action" in service["metadata"]["annotations"]


def test_nothing_is_denied_to_the_operator(user: User) -> None:
    assert denied(user.cluster) == set()


def test_the_operator_tells_its_health_and_metrics(operator: OperatorProcess) -> None:
    assert operator.get("/healthz")[0] == operator.get("/readyz")[0] == 200
    metrics = operator.get("/metrics")[1]
    for name in ("inferops_reconciles_total", "inferops_kube_requests_total", "inferops_queue_depth", "process_cpu"):
        assert name in metrics
    assert 'result="bug"' not in metrics


def _inferops(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferops", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ())
