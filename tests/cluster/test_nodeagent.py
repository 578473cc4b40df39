"""Fake GPU nodes on a real control plane: pods on them live, answer, fail and end as on real ones."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from controlplane import Cluster
from nodeagent import NodeAgent
from nodeagent.client import Client, load_kubeconfig

Json = dict[str, Any]
SCALE = 10.0  # kubelet's waits go by ten times as fast
MODEL = "Qwen/Qwen3-0.6B"
QUESTION = {"model": MODEL, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
PATIENCE = 30.0  # seconds; nothing here takes nearly as long


@pytest.fixture
async def api(cluster: Cluster) -> AsyncIterator[Client]:
    async with Client(load_kubeconfig(cluster.kubeconfig)) as client:
        yield client


@pytest.fixture
async def agent(cluster: Cluster) -> AsyncIterator[NodeAgent]:
    """One node with 8 H100 and one with 4 L4, on which an engine loads for 1 s."""
    nodes = ["8xnvidia-h100-80gb", "4xnvidia-l4"]
    async with NodeAgent(cluster.kubeconfig, nodes, load_seconds=1, time_scale=SCALE, engine_time_scale=1) as agent:
        yield agent


def vllm(**changes: Any) -> Json:
    """vLLM's container, as an operator would write it."""
    probe = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 2}
    return {
        "name": "engine",
        "image": "vllm-openai:v1",
        "command": ["vllm", "serve", MODEL],
        "args": ["--port", "8000", "--shutdown-timeout", "60"],
        "ports": [{"name": "http", "containerPort": 8000}],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
        "startupProbe": {**probe, "failureThreshold": 100},
        "readinessProbe": probe,
        "livenessProbe": probe,
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    } | changes


def deployment(name: str, container: Json, replicas: int = 1, gpu: str = "NVIDIA-H100-80GB-HBM3", **pod: Any) -> Json:
    labels = {"app": name}
    spec = {
        "containers": [container],
        "terminationGracePeriodSeconds": 120,
        "nodeSelector": {"nvidia.com/gpu.product": gpu},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec | pod},
        },
    }


def service(name: str, port: int = 8000) -> Json:
    return {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": port}]}}


async def apply(api: Client, namespace: str, workload: Json) -> None:
    await api.create(f"/apis/apps/v1/namespaces/{namespace}/deployments", workload)


async def pods(api: Client, namespace: str) -> list[Json]:
    return list((await api.get(f"/api/v1/namespaces/{namespace}/pods"))["items"])


async def until(api: Client, namespace: str, holds: Callable[[Json], bool]) -> tuple[Json, list[Json]]:
    """The first pod for which `holds`, and every state of its first container that was seen until then."""
    seen: list[Json] = []
    async with asyncio.timeout(PATIENCE):
        while True:
            for pod in await pods(api, namespace):
                if holds(pod):
                    return pod, seen
                seen += pod["status"].get("containerStatuses", [])[:1]
            await asyncio.sleep(0.05)


def is_ready(pod: Json) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def first(pod: Json) -> Json:
    """The status of a pod's first container."""
    return next(iter(pod["status"].get("containerStatuses", [])), {})


def waits_for(reason: str) -> Callable[[Json], bool]:
    return lambda pod: first(pod).get("state", {}).get("waiting", {}).get("reason") == reason


async def answers(pod: Json) -> bool:
    """Whether somebody listens at a pod's address."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(f"http://{pod['status']['podIP']}:8000/health"):
                return True
        except aiohttp.ClientConnectionError:
            return False


async def test_a_deployment_is_served(cluster: Cluster, api: Client, agent: NodeAgent, namespace: str) -> None:
    await api.create(f"/api/v1/namespaces/{namespace}/services", service("chat"))
    await apply(api, namespace, deployment("chat", vllm()))
    pod, before = await until(api, namespace, is_ready)
    assert any("running" in status["state"] and not status["ready"] for status in before), "ready before it had loaded"
    assert pod["spec"]["nodeName"] == "h100-80gb-0"

    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    async with asyncio.timeout(PATIENCE):
        while not (found := [e for s in (await api.get(slices))["items"] for e in s["endpoints"] or []]):
            await asyncio.sleep(0.05)
    assert [endpoint["addresses"] for endpoint in found] == [[pod["status"]["podIP"]]]

    path = f"/api/v1/namespaces/{namespace}/services/chat:8000/proxy/v1/chat/completions"
    answer = await api.create(path, QUESTION | {"max_tokens": 8})
    assert answer["usage"]["completion_tokens"] == 8
    assert answer["choices"][0]["message"]["content"]
    name = pod["metadata"]["name"]
    models = await api.get(f"/api/v1/namespaces/{namespace}/pods/{name}:8000/proxy/v1/models")
    assert models["data"][0]["id"] == MODEL
    logs = await asyncio.to_thread(cluster.kubectl, "logs", "-n", namespace, name)
    assert logs.splitlines() == list(agent.pods[f"{namespace}/{name}"].log())


async def test_triton_is_told_by_its_command(api: Client, agent: NodeAgent, namespace: str) -> None:
    probe = {"httpGet": {"path": "/v2/health/ready", "port": 8000}, "periodSeconds": 2, "failureThreshold": 100}
    container = vllm(
        command=["tritonserver"], args=["--model-repository=/models"], startupProbe=probe, readinessProbe=probe
    )
    del container["livenessProbe"]
    await apply(api, namespace, deployment("triton", container, gpu="NVIDIA-L4"))
    pod, _ = await until(api, namespace, is_ready)
    assert pod["spec"]["nodeName"] == "l4-0"


async def test_a_wrong_probe_path_is_never_ready(api: Client, agent: NodeAgent, namespace: str) -> None:
    wrong = {"httpGet": {"path": "/helth", "port": 8000}, "periodSeconds": 5, "failureThreshold": 5}
    await apply(api, namespace, deployment("chat", vllm(startupProbe=wrong)))
    pod, before = await until(api, namespace, lambda pod: first(pod).get("restartCount", 0) >= 1)
    assert not any(status["ready"] or status["started"] for status in before)
    assert not is_ready(pod)
    async with asyncio.timeout(PATIENCE):
        while not any("statuscode: 404" in event["message"] for event in await events(api, namespace)):
            await asyncio.sleep(0.05)


async def events(api: Client, namespace: str) -> list[Json]:
    return list((await api.get(f"/api/v1/namespaces/{namespace}/events"))["items"])


async def test_a_crash_restarts_and_the_next_one_backs_off(api: Client, agent: NodeAgent, namespace: str) -> None:
    await apply(api, namespace, deployment("chat", vllm()))
    pod, _ = await until(api, namespace, is_ready)
    key = f"{namespace}/{pod['metadata']['name']}"
    agent.pods[key].crash(code=139)
    pod, _ = await until(api, namespace, lambda pod: is_ready(pod) and first(pod)["restartCount"] == 1)
    assert first(pod)["lastState"]["terminated"]["exitCode"] == 139
    path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}"
    await api.patch(path, {"metadata": {"annotations": {"bench.inferops.dev/crash": "again:137"}}})
    pod, _ = await until(api, namespace, waits_for("CrashLoopBackOff"))
    assert first(pod)["lastState"]["terminated"]["reason"] == "OOMKilled"
    assert pod["status"]["phase"] == "Running"
    pod, _ = await until(api, namespace, lambda pod: first(pod)["restartCount"] == 2)
    assert pod["metadata"]["name"] == key.split("/")[1], "a crash makes no new pod"


async def test_a_hung_engine_passes_its_probes_and_answers_nothing(
    api: Client, agent: NodeAgent, namespace: str
) -> None:
    """As real ones do: only its metrics give it away."""
    await apply(api, namespace, deployment("chat", vllm()))
    pod, _ = await until(api, namespace, is_ready)
    agent.pods[f"{namespace}/{pod['metadata']['name']}"].hang()
    url = f"http://{pod['status']['podIP']}:8000"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(TimeoutError):
            await session.post(url + "/v1/chat/completions", json=QUESTION, timeout=aiohttp.ClientTimeout(total=1))
        assert (await session.get(url + "/health")).status == 200
    (pod,) = await pods(api, namespace)
    assert is_ready(pod)
    assert first(pod)["restartCount"] == 0


async def test_a_deleted_pod_finishes_the_answer_it_began(api: Client, agent: NodeAgent, namespace: str) -> None:
    hook = {"preStop": {"sleep": {"seconds": 1}}}
    await apply(api, namespace, deployment("chat", vllm(lifecycle=hook)))
    pod, _ = await until(api, namespace, is_ready)
    engine = agent.pods[f"{namespace}/{pod['metadata']['name']}"]
    url = f"http://{pod['status']['podIP']}:8000/v1/chat/completions"
    asked = QUESTION | {"stream": True, "max_tokens": 1000, "ignore_eos": True}
    async with aiohttp.ClientSession() as session, session.post(url, json=asked) as response:
        lines = aiter(response.content)
        text = [await anext(lines)]
        await api.delete(f"/apis/apps/v1/namespaces/{namespace}/deployments/chat")
        async with asyncio.timeout(PATIENCE):
            while not any("SIGTERM" in line for line in engine.log()):
                text.append(await anext(lines))  # fails when the answer is over before the signal comes
        text += [line async for line in lines]
    assert text[-2].strip() == b"data: [DONE]"
    assert sum(line.startswith(b"data: {") for line in text) >= 1000
    async with asyncio.timeout(PATIENCE):
        while await pods(api, namespace):
            await asyncio.sleep(0.05)
    assert not await answers(pod)


async def test_a_missing_secret_holds_the_container_back(api: Client, agent: NodeAgent, namespace: str) -> None:
    reference = {"secretKeyRef": {"name": "hf-token", "key": "token"}}
    await apply(api, namespace, deployment("chat", vllm(env=[{"name": "HF_TOKEN", "valueFrom": reference}])))
    pod, _ = await until(api, namespace, waits_for("CreateContainerConfigError"))
    assert first(pod)["state"]["waiting"]["message"] == 'secret "hf-token" not found'
    secret = {"metadata": {"name": "hf-token"}, "stringData": {"token": "hush"}}
    await api.create(f"/api/v1/namespaces/{namespace}/secrets", secret)
    await until(api, namespace, is_ready)


async def test_an_image_that_cannot_be_pulled(api: Client, agent: NodeAgent, namespace: str) -> None:
    agent.fail_pulls("vllm-openai:*")
    await apply(api, namespace, deployment("chat", vllm()))
    await until(api, namespace, waits_for("ErrImagePull"))
    await until(api, namespace, waits_for("ImagePullBackOff"))
    agent.allow_pulls("vllm-openai:*")
    await until(api, namespace, is_ready)


async def test_a_lost_node_tells_nobody_and_its_pods_start_again(api: Client, agent: NodeAgent, namespace: str) -> None:
    await apply(api, namespace, deployment("chat", vllm()))
    pod, _ = await until(api, namespace, is_ready)
    assert await answers(pod)
    node = agent.node("h100-80gb-0")
    await node.lose()
    assert not await answers(pod)
    (same,) = await pods(api, namespace)
    assert is_ready(same), "only the node could have told"
    await node.recover()
    pod, _ = await until(api, namespace, lambda pod: is_ready(pod) and first(pod)["restartCount"] == 1)
    assert pod["metadata"]["uid"] == same["metadata"]["uid"]
    assert pod["status"]["podIP"] == same["status"]["podIP"]


async def test_reported_pods_cost_one_write_each(cluster: Cluster, api: Client, namespace: str) -> None:
    """200 pods on 25 nodes, filled to the last GPU."""
    container = {"name": "engine", "image": "any", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    async with NodeAgent(cluster.kubeconfig, ["25x8xnvidia-h100-80gb"], mode="report", name_prefix="scale-"):
        await apply(api, namespace, deployment("many", container, replicas=200))
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/many"
        async with asyncio.timeout(60):
            while (await api.get(path))["status"].get("readyReplicas") != 200:
                await asyncio.sleep(0.1)
        asked = [event for event in cluster.audit_events() if event.namespace == namespace]
        mine = [event for event in asked if event.user == "kubernetes-admin" and event.resource.startswith("pods")]
        written = [event.name for event in mine if event.verb not in ("get", "list", "watch")]
        assert len(written) == len(set(written)) == 200
        placed = [pod["spec"]["nodeName"] for pod in await pods(api, namespace)]
        assert all(placed.count(node) == 8 for node in placed)
        await api.delete(path)
        async with asyncio.timeout(60):
            while await pods(api, namespace):
                await asyncio.sleep(0.1)


async def test_init_containers_sidecars_and_jobs(api: Client, agent: NodeAgent, namespace: str) -> None:
    """What runs before, beside and to its end."""
    spec = {
        "restartPolicy": "Never",
        "tolerations": [{"operator": "Exists"}],
        "initContainers": [
            {"name": "fetch", "image": "any"},
            {"name": "proxy", "image": "any", "restartPolicy": "Always"},
        ],
        "containers": [{"name": "work", "image": "any"}],
    }
    await api.create(f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": "job"}, "spec": spec})
    pod, _ = await until(api, namespace, lambda pod: pod["status"]["phase"] == "Succeeded")
    codes = [status["state"]["terminated"]["exitCode"] for status in pod["status"]["initContainerStatuses"]]
    assert codes == [0, 0]
    assert first(pod)["state"]["terminated"]["reason"] == "Completed"


def child(cluster: Cluster, *options: str) -> subprocess.Popen[str]:
    """A node agent of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "nodeagent", "--kubeconfig", str(cluster.kubeconfig), *options],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )


async def test_a_child_process_takes_its_nodes_along(cluster: Cluster, api: Client) -> None:
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    with child(cluster, "--name-prefix", "child-", "--nodes", "1xmig,4xnvidia-l4:spot") as process:
        try:
            assert process.stdout
            line = await asyncio.to_thread(process.stdout.readline)
            names = line.removeprefix("nodes: ").strip().split(", ")
            assert names == ["child-h100-80gb-mig-1g-10gb-0", "child-l4-0"]
            mig = await api.get(f"/api/v1/nodes/{names[0]}")
            assert mig["status"]["allocatable"]["nvidia.com/mig-1g.10gb"] == "56"
            assert set(names) <= {lease["metadata"]["name"] for lease in (await api.get(leases))["items"]}
        finally:
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    for path in ("/api/v1/nodes", leases):
        left = {found["metadata"]["name"] for found in (await api.get(path))["items"]}
        assert not left & set(names)


async def test_what_a_killed_agent_left_is_adopted_or_left_alone(cluster: Cluster, api: Client) -> None:
    with child(cluster, "--name-prefix", "left-", "--nodes", "4xnvidia-l4") as process:
        try:
            assert process.stdout
            assert await asyncio.to_thread(process.stdout.readline) == "nodes: left-l4-0\n"
        finally:
            process.kill()
    before = await api.get("/api/v1/nodes/left-l4-0")
    async with NodeAgent(cluster.kubeconfig, ["4xnvidia-l4"], name_prefix="left-") as other:
        assert list(other.nodes) == ["left-l4-1"]
        assert other.node("left-l4-1").place.addresses.node != before["status"]["addresses"][0]["address"]
    async with NodeAgent(cluster.kubeconfig, ["4xnvidia-l4"], name_prefix="left-", adopt=True) as agent:
        after = await api.get("/api/v1/nodes/left-l4-0")
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert agent.node("left-l4-0").place.addresses.node == before["status"]["addresses"][0]["address"]
    assert "left-l4-0" not in {node["metadata"]["name"] for node in (await api.get("/api/v1/nodes"))["items"]}
