"""Every built-in runtime on a real Kubernetes: its pods become ready on nodes of the accelerator, and it answers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from controlplane import Cluster
from harness import OperatorProcess, gpu_nodes, install, wait_until
from inferops.runtimes import ENGINES

NODES = "1x8xnvidia-h100-80gb,1x8xnvidia-l4"
SCALE = 20.0  # how much faster than real time pods start and end
NAMESPACE = "runtimes"
CHAT = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
TENSOR = {"inputs": [{"name": "INPUT0", "shape": [2], "datatype": "FP32", "data": [1.5, 2.5]}]}


@dataclass(frozen=True)
class Case:
    """A service of one runtime, a request to it, and whether the answer is right."""

    runtime: str
    spec: dict[str, Any]
    path: str
    body: dict[str, Any]
    right: Callable[[Any], bool]
    accelerator: str = "nvidia-h100-80gb"


def chats(name: str) -> Callable[[Any], bool]:
    return lambda answer: answer["usage"]["completion_tokens"] == 5 and answer["model"] == name


def echoes(answer: Any) -> bool:
    return bool(answer["outputs"][0]["data"] == [1.5, 2.5])


LLAMA = "hf://meta-llama/Llama-3.1-8B-Instruct"
CASES = {
    "a-vllm": Case(
        "vllm",
        {"model": {"uri": LLAMA, "adapters": [{"name": "sql", "uri": "hf://example/sql"}]}},
        "/v1/chat/completions",
        {"model": "sql", **CHAT},
        chats("sql"),
    ),
    "a-sglang": Case(
        "sglang", {"model": {"uri": LLAMA}}, "/v1/chat/completions", {"model": "a-sglang", **CHAT}, chats("a-sglang")
    ),
    "a-trtllm": Case(
        "tensorrt-llm", {"model": {"uri": LLAMA}}, "/v1/chat/completions", {"model": "a-trtllm", **CHAT},
        chats("a-trtllm"),
    ),
    "a-triton": Case(
        "triton", {"model": {"uri": "pvc://models/resnet"}}, "/v2/models/resnet/infer", TENSOR, echoes, "nvidia-l4"
    ),
    "an-onnx": Case(
        "onnxruntime", {"model": {"uri": "pvc://models/vision"}}, "/v2/models/vision/infer", TENSOR, echoes, "nvidia-l4"
    ),
    "a-tei": Case(
        "text-embeddings-inference",
        {"model": {"uri": "hf://BAAI/bge-large-en-v1.5"}},
        "/v1/embeddings",
        {"model": "a-tei", "input": "hello"},
        lambda answer: math.isclose(sum(value * value for value in answer["data"][0]["embedding"]), 1.0),
        "nvidia-l4",
    ),
    "a-bento": Case(
        "bentoml", {"model": {"uri": "oci://registry.example.com/fraud:1.0"}}, "/classify", {"amount": 3},
        lambda answer: bool(answer == {"amount": 3}), "nvidia-l4",
    ),
}  # fmt: skip


class Services:
    """The services of the cases, in a namespace of their own."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def kubectl(self, *args: str, **options: Any) -> str:
        answer: str = self.cluster.kubectl("-n", NAMESPACE, *args, **options)
        return answer

    def apply(self, *resources: dict[str, Any]) -> None:
        """Apply them all at once."""
        self.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": resources}))

    def post(self, service: str, path: str, body: dict[str, Any]) -> Any:
        url = f"/api/v1/namespaces/{NAMESPACE}/services/{service}:http/proxy{path}"
        return json.loads(self.cluster.kubectl("create", "--raw", url, "-f", "-", input=json.dumps(body)))


def _service(name: str, case: Case) -> dict[str, Any]:
    spec = {**case.spec, "runtime": {"name": case.runtime}, "accelerators": [{"type": case.accelerator}]}
    head = {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceService"}
    return {**head, "metadata": {"name": name}, "spec": spec}


def _claim() -> list[dict[str, Any]]:
    common = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    volume = {**common, "capacity": {"storage": "1Gi"}, "nfs": {"server": "127.0.0.1", "path": "/"}}
    claim = {**common, "resources": {"requests": {"storage": "1Gi"}}, "volumeName": f"{NAMESPACE}-models"}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"{NAMESPACE}-models"}, "spec": volume},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models"}, "spec": claim},
    ]


@pytest.fixture(scope="module")
def services(cluster: Cluster) -> Iterator[Services]:
    """All of them, applied at once."""
    with gpu_nodes(cluster, NODES, "--load-seconds", "20", "--time-scale", str(SCALE)):
        install(cluster)
        with OperatorProcess(cluster) as operator:
            wait_until("the operator leads", operator.leads, 30)
            cluster.kubectl("create", "namespace", NAMESPACE)
            cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", NAMESPACE, "--timeout=30s")
            found = Services(cluster)
            found.apply(*_claim(), *(_service(name, case) for name, case in CASES.items()))
            yield found
            cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
            cluster.kubectl("delete", "pv", f"{NAMESPACE}-models", "--wait=false")


def test_every_built_in_runtime_has_its_case() -> None:
    assert sorted(case.runtime for case in CASES.values()) == sorted(ENGINES)


@pytest.mark.parametrize("name", CASES)
def test_it_becomes_ready_where_it_was_put_and_answers(services: Services, name: str) -> None:
    case = CASES[name]
    services.kubectl("wait", "--for=condition=Ready", f"infs/{name}", "--timeout=60s")
    [pod] = json.loads(services.kubectl("get", "pods", "-l", f"inferops.dev/service={name}", "-o", "json"))["items"]
    node = json.loads(services.cluster.kubectl("get", "node", pod["spec"]["nodeName"], "-o", "json"))
    gpu = {"nvidia-h100-80gb": "NVIDIA-H100-80GB-HBM3", "nvidia-l4": "NVIDIA-L4"}[case.accelerator]
    assert node["metadata"]["labels"]["nvidia.com/gpu.product"] == gpu
    assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert case.right(services.post(name, case.path, case.body))


@pytest.mark.parametrize("name", CASES)
def test_its_metrics_are_where_the_operator_looks_for_them(services: Services, name: str) -> None:
    metrics = ENGINES[CASES[name].runtime].metrics
    [pod] = json.loads(services.kubectl("get", "pods", "-l", f"inferops.dev/service={name}", "-o", "json"))["items"]
    [port] = [each.number for each in ENGINES[CASES[name].runtime].ports if each.name == metrics.endpoint.port]
    url = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:{port}/proxy{metrics.endpoint.path}"
    text = services.cluster.kubectl("get", "--raw", url)
    assert (metrics.waiting or metrics.running) in text
    assert metrics.succeeded in text
