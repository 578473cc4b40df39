"""Sizing on a real Kubernetes: three lines of spec become pods on the cheapest accelerator that the cluster has."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cluster.test_operator import User
from controlplane import Cluster
from harness import OperatorProcess, gpu_nodes, install, wait_until

NODES = "1x8xnvidia-h100-80gb,1x4xnvidia-l4"
SHAPE = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
    "torch_dtype": "bfloat16",
}


@pytest.fixture(scope="module")
def operator(cluster: Cluster) -> Iterator[OperatorProcess]:
    install(cluster)
    with (
        gpu_nodes(cluster, NODES, "--load-seconds", "20", "--time-scale", "20", "--name-prefix", "sizing-"),
        OperatorProcess(cluster) as running,
    ):
        wait_until("the operator leads", running.leads, 30)
        yield running


@pytest.fixture
def user(cluster: Cluster, namespace: str) -> User:
    return User(cluster, namespace)


def ask(user: User, name: str, uri: str, **spec: object) -> None:
    model = {"uri": uri, **spec.pop("model", {})}  # type: ignore[dict-item]
    resource = {
        "apiVersion": "serving.inferops.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"model": model, **spec},
    }
    user.kubectl("apply", "-f", "-", input=json.dumps(resource))


def test_a_model_and_an_slo_become_pods_on_the_cheapest_that_the_cluster_has(
    operator: OperatorProcess, cluster: Cluster, user: User
) -> None:
    small = {"maxModelLen": 8192}
    ask(user, "small", "hf://meta-llama/Llama-3.1-8B-Instruct", model=small, slo={"tpot": "100ms"})
    ask(user, "fast", "hf://meta-llama/Llama-3.1-8B-Instruct", model=small, slo={"tpot": "15ms"})
    for name, accelerator, node in (("small", "1x nvidia-l4", "l4"), ("fast", "1x nvidia-h100-80gb", "h100")):
        user.wait(name, "Ready", "True")
        status = user.get("infs", name)["status"]
        assert status["revisions"][0]["accelerator"] == accelerator
        assert any(line.startswith(f"sizing chose {accelerator} at bf16 out of") for line in status["explain"])
        assert accelerator in [option["accelerator"] for option in status["sizing"]["options"]]
        (pod,) = user.list("pods", name)
        assert node in pod["spec"]["nodeName"]
    assert "too slow" in " ".join(user.get("infs", "fast")["status"]["sizing"]["rejected"])
    pods = {pod["metadata"]["uid"] for name in ("small", "fast") for pod in user.list("pods", name)}
    operator.stop()
    with OperatorProcess(cluster) as again:
        wait_until("the other operator leads", again.leads, 30)
        user.kubectl("annotate", "infs", "--all", "touched=yes")
        ask(user, "small", "hf://meta-llama/Llama-3.1-8B-Instruct", model=small, slo={"tpot": "90ms"})
        wait_until("the new wish judged", lambda: _judged(user, "small"), 30)
        assert {pod["metadata"]["uid"] for name in ("small", "fast") for pod in user.list("pods", name)} == pods


def _judged(user: User, name: str) -> bool:
    found = user.get("infs", name)
    return bool(found["status"]["observedGeneration"] == found["metadata"]["generation"])


def test_a_model_that_nobody_knows_is_served_once_its_config_is_there(
    operator: OperatorProcess, cluster: Cluster, user: User
) -> None:
    with OperatorProcess(cluster) as running:
        wait_until("the operator leads", running.leads, 30)
        ask(user, "own", "hf://acme/own-llama-3-8b")
        user.wait("own", "Valid", "False", "ModelUnknown")
        assert "spec.model.config" in user.condition("own", "Valid")["message"]
        ask(user, "own", "hf://acme/own-llama-3-8b", model={"config": {"name": "shape"}})
        user.wait("own", "Valid", "False", "ModelUnknown")
        wait_until("told", lambda: "ConfigMap" in user.condition("own", "Valid")["message"], 30)
        user.kubectl("create", "configmap", "shape", f"--from-literal=config.json={json.dumps(SHAPE)}")
        user.wait("own", "Ready", "True")
        assert "8.03 billion parameters" in user.get("infs", "own")["status"]["sizing"]["model"]
