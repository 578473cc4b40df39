"""The built-in gateway on a real Kubernetes: requests find their service, and nothing that we do loses one."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import aiohttp
import openai
import pytest

from cluster.services import AT_ONCE
from cluster.streams import Request, Streams, access_log
from controlplane import Cluster
from harness import GatewayProcess, OperatorProcess, gpu_nodes, install, install_gateway, wait_until
from inferops.kube.kinds import DEPLOYMENT, ENDPOINT_SLICE, INFERENCE_SERVICE, POD, Kind
from nodeagent.client import MERGE, Client, load_kubeconfig

NAMESPACE, CLOSED = "gateway", "gateway-closed"  # in the other the gateway may read no Secret
NODES = "2x8xnvidia-h100-80gb,1x4xnvidia-l4"
# Pods come and go faster than in real life, and engines are slower, so that two cores do for many streams.
PACE = ("--time-scale", "20", "--engine-time-scale", "0.25", "--load-seconds", "0.5")
LLAMA = "hf://meta-llama/Llama-3.1-8B-Instruct"
KEYS = {"alice": "alice-0123456789abcdef", "slow": "slow-0123456789abcdef"}
CLIENTS, TOKENS = 24, 18
SERVICES: dict[str, dict[str, Any]] = {
    "llama": {
        "model": {"uri": LLAMA, "name": "meta/llama", "adapters": [{"name": "sql", "uri": "hf://example/sql"}]},
        "traffic": {"hostnames": ["llama.example.com"]},
    },
    "streams": {"model": {"uri": LLAMA}, "scaling": {"minReplicas": 3, "maxReplicas": 3}},
    "hangs": {"model": {"uri": LLAMA}, "scaling": {"minReplicas": 2, "maxReplicas": 2}},
    "stopped": {"model": {"uri": LLAMA}, "scaling": {"replicas": 0}},
    "guarded": {
        "model": {"uri": LLAMA},
        "traffic": {"access": {"apiKeysSecret": "keys", "clients": [{"name": "slow", "requestsPerMinute": 2}]}},
    },
    "embeds": {
        "model": {"uri": "hf://BAAI/bge-large-en-v1.5"},
        "runtime": {"name": "text-embeddings-inference"},
        "accelerators": [{"type": "nvidia-l4"}],
    },
}
UP = [name for name in SERVICES if name != "stopped"]
CHAT = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}


class Installed:
    """The operator and two gateways, each of which can be started anew."""

    def __init__(self, cluster: Cluster, stack: ExitStack) -> None:
        self.cluster, self._stack = cluster, stack
        self.gateways = [self._gateway(number) for number in range(2)]  # they start while the operator does
        self.start_operator()
        for gateway in self.gateways:
            stack.enter_context(gateway)

    @property
    def url(self) -> str:
        """Of the first gateway."""
        return self.gateways[0].url

    def start_operator(self) -> None:
        """Returns when it leads."""
        self.operator = self._stack.enter_context(OperatorProcess(self.cluster))
        wait_until("the operator leads", self.operator.leads, 30)

    def start_gateway(self, number: int) -> None:
        """Returns when it is ready."""
        self.gateways[number] = self._stack.enter_context(self._gateway(number))

    def _gateway(self, number: int) -> GatewayProcess:
        return GatewayProcess(self.cluster, number, ("--drain-delay", "1"))


def _resource(name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    head = {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceService"}
    meta = {"name": name, "namespace": namespace}
    return {
        **head,
        "metadata": meta,
        "spec": {"accelerators": [{"type": "nvidia-h100-80gb"}], "rollout": AT_ONCE, **spec},
    }


def _apply(cluster: Cluster) -> None:
    for namespace in (NAMESPACE, CLOSED):
        cluster.kubectl("create", "namespace", namespace)
        cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", namespace, "--timeout=30s")
        keys = [f"--from-literal={client}={key}" for client, key in KEYS.items()]
        cluster.kubectl("create", "secret", "generic", "keys", "-n", namespace, *keys)
    items = [_resource(name, NAMESPACE, spec) for name, spec in SERVICES.items()]
    items.append(_resource("closed", CLOSED, SERVICES["guarded"]))
    cluster.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    role, account = "--clusterrole=inferops-gateway-keys", "--serviceaccount=inferops-system:inferops-gateway"
    cluster.kubectl("create", "rolebinding", "inferops-gateway-keys", "-n", NAMESPACE, role, account)
    cluster.kubectl("wait", "--for=condition=Ready", "infs", *UP, "-n", NAMESPACE, "--timeout=60s")


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Iterator[Installed]:
    """The product with two gateways, and all services ready."""
    with ExitStack() as stack:
        stack.enter_context(gpu_nodes(cluster, NODES, "--name-prefix", "gateway-", *PACE))
        install(cluster)
        install_gateway(cluster)
        running = Installed(cluster, stack)
        _apply(cluster)
        yield running
        cluster.kubectl("delete", "namespace", NAMESPACE, CLOSED, "--wait=false")


@pytest.fixture
async def api(installed: Installed) -> AsyncIterator[Client]:
    async with Client(load_kubeconfig(installed.cluster.kubeconfig)) as client:
        yield client


@pytest.fixture
async def http(installed: Installed) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the first gateway."""
    async with aiohttp.ClientSession(installed.url, timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


async def _of(api: Client, kind: Kind, service: str) -> list[dict[str, Any]]:
    found = await api.get(kind.path(NAMESPACE), labelSelector=f"inferops.dev/service={service}")
    return list(found["items"])


# 1. Ways to a service


@pytest.mark.parametrize(
    ("case", "path", "headers", "model", "answers"),
    [
        ("by the model's name", "/v1/chat/completions", {}, "meta/llama", "meta/llama"),
        ("by an adapter's name", "/v1/chat/completions", {}, "sql", "sql"),
        ("by its own name where the model has none", "/v1/chat/completions", {}, "streams", "streams"),
        ("by a host name", "/v1/chat/completions", {"Host": "llama.example.com"}, "sql", "sql"),
        (
            "by the host of its Service",
            "/v1/chat/completions",
            {"Host": "llama.gateway.svc.cluster.local"},
            "meta/llama",
            "meta/llama",
        ),
        ("by a path", "/services/gateway/llama/v1/chat/completions", {}, "meta/llama", "meta/llama"),
    ],
)
async def test_a_request_finds_its_service(
    http: aiohttp.ClientSession, case: str, path: str, headers: dict[str, str], model: str, answers: str
) -> None:
    async with http.post(path, json={"model": model, **CHAT}, headers=headers) as response:
        answer = await response.json()
        assert response.status == 200, (case, answer)
        assert (answer["model"], answer["usage"]["completion_tokens"]) == (answers, 4)


@pytest.mark.parametrize(
    ("case", "path", "model", "status", "code"),
    [
        ("no such model", "/v1/chat/completions", "gpt-9", 404, "model_not_found"),
        ("no such service", "/services/gateway/nobody/v1/chat/completions", "x", 404, None),
        ("what changes an engine", "/services/gateway/llama/v1/load_lora_adapter", "meta/llama", 404, None),
        ("what tells of an engine", "/services/gateway/llama/metrics", "meta/llama", 404, None),
        ("a service that somebody stopped", "/v1/chat/completions", "stopped", 503, None),
    ],
)
async def test_what_is_not_there_is_refused_with_a_reason(
    http: aiohttp.ClientSession, case: str, path: str, model: str, status: int, code: str | None
) -> None:
    async with http.post(path, json={"model": model, **CHAT}) as response:
        error = (await response.json())["error"]
        assert response.status == status, (case, error)
        assert error["message"]
        assert code in (None, error["code"])


@pytest.mark.parametrize(
    ("case", "key", "status"),
    [("a client's key", KEYS["alice"], 200), ("no key", "", 401), ("a wrong key", "alice", 401)],
)
async def test_an_api_key_of_the_secret_opens(http: aiohttp.ClientSession, case: str, key: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with http.post("/v1/chat/completions", json={"model": "guarded", **CHAT}, headers=headers) as response:
        assert response.status == status, (case, await response.text())


async def test_without_the_right_to_read_keys_nobody_gets_in(installed: Installed, http: aiohttp.ClientSession) -> None:
    headers = {"Authorization": f"Bearer {KEYS['alice']}"}
    async with http.post("/services/gateway-closed/closed/v1/completions", headers=headers, json={}) as response:
        error = (await response.json())["error"]
        assert response.status == 503, error
        assert KEYS["alice"] not in json.dumps(error)
    told = "kubectl create rolebinding inferops-gateway-keys --namespace=gateway-closed"
    assert told in installed.gateways[0].log.read_text()


# 2. Operations under continuous streams


async def _weigh(api: Client, name: str, weights: dict[str, int]) -> None:
    """Set the weights of revisions, as the operator would at a step of a rollout."""
    path = INFERENCE_SERVICE.path(NAMESPACE, name)
    revisions = (await api.get(path))["status"]["revisions"]
    for revision in revisions:
        revision["weight"] = weights[revision["hash"]]
    await api.patch(f"{path}/status", {"status": {"revisions": revisions}}, kind=MERGE)


async def _ready(api: Client, service: str, revision: str) -> int:
    """The replicas of a revision that its Service lists as ready."""
    slices = await _of(api, ENDPOINT_SLICE, service)
    endpoints = [
        endpoint
        for each in slices
        if each["metadata"]["labels"].get("inferops.dev/revision") == revision
        for endpoint in each.get("endpoints") or ()
    ]
    return sum(bool(each["conditions"].get("ready")) for each in endpoints)


async def _canary(installed: Installed, api: Client, streams: Streams) -> tuple[str, str]:
    """A second revision, ready beside the first; and nobody who would shift the traffic. Returns both hashes."""
    path = INFERENCE_SERVICE.path(NAMESPACE, "streams")
    stable = (await api.get(path))["status"]["stableRevision"]
    await api.patch(path, {"spec": {"runtime": {"args": ["--max-num-seqs=64"]}}}, kind=MERGE)
    canary = ""
    async with asyncio.timeout(20):
        while not canary:
            await asyncio.sleep(0.02)
            deployments = await _of(api, DEPLOYMENT, "streams")
            found = {each["metadata"]["labels"]["inferops.dev/revision"] for each in deployments} - {stable}
            canary = next(iter(found), "")
    installed.operator.terminate()
    async with asyncio.timeout(20):
        while await _ready(api, "streams", canary) < 3:
            await asyncio.sleep(0.1)
    status = (await api.get(path))["status"]
    assert status["stableRevision"] == stable, "the operator was to end before it promotes"
    return stable, canary


def _share(requests: list[Request], revision: str) -> float:
    return sum(request.revision == revision for request in requests) / len(requests)


async def _shift(
    api: Client, streams: Streams, stable: str, canary: str, weight: int, within: tuple[float, float]
) -> None:
    """Send so many percent to the canary. Once the gateways have heard of it, that holds for all that come."""
    least, most = within
    await _weigh(api, "streams", {stable: 100 - weight, canary: weight})
    await streams.until(f"{weight} % arrive", lambda: least <= _share(streams.ended[-50:], canary) <= most)
    assert least <= _share(await streams.more(100), canary) <= most, weight


async def test_no_operation_of_ours_breaks_a_stream(installed: Installed, api: Client) -> None:
    async with Streams(installed.gateways, "streams", CLIENTS, TOKENS) as streams:
        stable, canary = await _canary(installed, api, streams)
        await _shift(api, streams, stable, canary, 5, within=(0.01, 0.12))
        await _shift(api, streams, stable, canary, 50, within=(0.4, 0.6))
        await _shift(api, streams, stable, canary, 100, within=(1.0, 1.0))
        assert not streams.bad, streams.summary()
        await _remove_the_old(installed, api, streams, stable)
        assert not streams.bad, streams.summary()
        await _restart_a_gateway(installed, streams)
        assert not streams.bad, streams.summary()
        await _kill_a_replica(installed, api, streams)


async def _remove_the_old(installed: Installed, api: Client, streams: Streams, stable: str) -> None:
    """The operator comes back, finds the new revision ready, and takes the old one away, pods and all."""
    await asyncio.to_thread(installed.start_operator)

    async def left() -> list[str]:
        pods = await _of(api, POD, "streams")
        return [each for each in pods if each["metadata"]["labels"]["inferops.dev/revision"] == stable]

    assert await left()
    async with asyncio.timeout(30):
        while await left():
            await asyncio.sleep(0.1)
    await streams.more(CLIENTS)


async def _restart_a_gateway(installed: Installed, streams: Streams) -> None:
    """One of two ends while it streams, and another takes its place."""
    before = installed.gateways[1]
    assert await asyncio.to_thread(before.stop) == 0
    assert all(each.gateway == installed.gateways[0].name for each in await streams.more(CLIENTS))
    await asyncio.to_thread(installed.start_gateway, 1)
    began = len(streams.ended)
    await streams.until("streams over the new gateway", lambda: _by(streams.ended[began:], before.name) >= CLIENTS)


def _by(requests: list[Request], gateway: str) -> int:
    return sum(request.gateway == gateway for request in requests)


async def _kill_a_replica(installed: Installed, api: Client, streams: Streams) -> None:
    """An engine ends in the middle of its streams. These fail, and say so; no other does."""
    killed = (await _of(api, POD, "streams"))[0]["metadata"]["name"]
    order = {"metadata": {"annotations": {"bench.inferops.dev/crash": "1:137"}}}
    await api.patch(POD.path(NAMESPACE, killed), order, kind=MERGE)
    await streams.more(6 * CLIENTS)
    assert all(request.good for request in streams.ended[-2 * CLIENTS :]), streams.summary()
    await asyncio.sleep(0.5)  # the gateways write their logs a little later
    log = access_log(*installed.gateways)
    assert 0 < len(streams.bad) <= CLIENTS, streams.summary()
    for request in streams.bad:
        assert log[request.id]["replica"] == killed, (request, log[request.id])
        assert request.error["message"] and request.error["type"] == "upstream_error", request


# 3. An engine that hangs


async def test_a_hung_engine_is_out_within_ten_seconds_of_traffic(
    installed: Installed, api: Client, http: aiohttp.ClientSession
) -> None:
    hung = (await _of(api, POD, "hangs"))[0]["metadata"]["name"]
    order = {"metadata": {"annotations": {"bench.inferops.dev/hang": "1"}}}
    await api.patch(POD.path(NAMESPACE, hung), order, kind=MERGE)
    began = time.monotonic()
    answers: list[tuple[str, float, float, int, str]] = []  # model, begin, seconds, status, request id

    async def ask(model: str) -> None:
        while (now := time.monotonic() - began) < 12:
            async with http.post("/v1/chat/completions", json={"model": model, **CHAT}) as response:
                await response.read()
                id_ = response.headers["X-Request-Id"]
                answers.append((model, now, time.monotonic() - began - now, response.status, id_))
            await asyncio.sleep(0.05)

    await asyncio.gather(*(ask("hangs") for _ in range(4)), ask("meta/llama"))
    await asyncio.sleep(0.5)
    log = access_log(*installed.gateways)
    assert Counter(status for _, _, _, status, _ in answers) == {200: len(answers)}, "another replica answered them"
    late = [each for each in answers if each[1] > 10]
    assert max(seconds for _, _, seconds, _, _ in late) < 2.5
    assert hung not in {log[id_]["replica"] for *_, id_ in late}
    assert max(seconds for model, _, seconds, _, _ in answers if model == "meta/llama") < 2.5
    assert max(seconds for model, _, seconds, _, _ in answers if model == "hangs") > 2.5, "it did hang"


# 4. The API server is away


async def test_requests_go_on_while_the_api_server_is_away_and_changes_are_seen_after(
    installed: Installed, http: aiohttp.ClientSession
) -> None:
    async def ask(model: str, key: str = "", host: str = "any.example.com") -> int:
        headers = {"Authorization": f"Bearer {key}", "Host": host} if key else {"Host": host}
        async with http.post("/v1/chat/completions", json={"model": model, **CHAT}, headers=headers) as response:
            await response.read()
            return response.status

    assert await ask("guarded", KEYS["alice"]) == 200
    installed.cluster.stop_component("kube-apiserver", kill=True)
    try:
        statuses = [await ask(model, KEYS["alice"]) for model in ("meta/llama", "guarded") * 8]
        assert await ask("guarded", "nobody-0123456789abcdef") == 401
    finally:
        installed.cluster.start_component("kube-apiserver")
    assert statuses == [200] * 16
    assert "endpointslices stay as they were" in installed.gateways[0].log.read_text()
    change = json.dumps({"spec": {"traffic": {"hostnames": ["sea.example.com"]}}})
    installed.cluster.kubectl("patch", "infs", "llama", "-n", NAMESPACE, "--type=merge", "-p", change)
    async with asyncio.timeout(20):
        while await ask("streams", host="sea.example.com") != 404:  # the host's service has no such model
            await asyncio.sleep(0.1)


# 5. The official client of OpenAI's API


@pytest.fixture
async def client(installed: Installed) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{installed.url}/v1", api_key=KEYS["alice"], max_retries=0, timeout=20
    ) as client:
        yield client


MESSAGES: Any = CHAT["messages"]


async def test_the_openai_client_chats_streams_embeds_and_lists(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="guarded", messages=MESSAGES, max_tokens=8)
    assert whole.choices[0].message.content
    assert whole.usage is not None and whole.usage.completion_tokens == 8

    stream = await client.chat.completions.create(
        model="meta/llama", messages=MESSAGES, max_tokens=8, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text and chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 8

    plain = await client.completions.create(model="meta/llama", prompt="hello", max_tokens=3)
    assert plain.usage is not None and plain.usage.completion_tokens == 3

    embedded = await client.embeddings.create(model="embeds", input=["hello", "sea"])
    assert [round(sum(value**2 for value in each.embedding), 3) for each in embedded.data] == [1, 1]

    names = {model.id async for model in client.models.list()}
    assert {"meta/llama", "sql", "streams", "guarded", "embeds"} <= names
    assert (await client.models.retrieve("sql")).id == "sql"


async def test_usage_that_nobody_asked_for_is_not_sent(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="meta/llama", messages=MESSAGES, max_tokens=8, stream=True)
    chunks = [chunk async for chunk in stream]
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)


async def test_errors_are_the_openai_clients_own_exceptions(client: openai.AsyncOpenAI) -> None:
    async def ask(model: str, client: openai.AsyncOpenAI = client, **more: Any) -> None:
        await client.chat.completions.create(model=model, messages=MESSAGES, **{"max_tokens": 4, **more})

    with pytest.raises(openai.NotFoundError) as missing:
        await ask("gpt-9")
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.AuthenticationError) as unknown:
        await ask("guarded", client.with_options(api_key="nobody-0123456789abcdef"))
    assert unknown.value.code == "invalid_api_key"
    slow = client.with_options(api_key=KEYS["slow"])
    with pytest.raises(openai.RateLimitError) as limited:
        for _ in range(3):
            await ask("guarded", slow)
    assert int(limited.value.response.headers["Retry-After"]) >= 1
    with pytest.raises(openai.InternalServerError) as stopped:
        await ask("stopped")
    assert stopped.value.status_code == 503
    assert "spec.scaling.replicas" in stopped.value.message
    with pytest.raises(openai.BadRequestError):
        await ask("meta/llama", max_tokens=-1)
