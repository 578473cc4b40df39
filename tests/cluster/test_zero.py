"""To zero and back on a real Kubernetes: the operator, two gateways, and engines that take two seconds to load."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import aiohttp
import pytest

from cluster.services import OPERATOR, Json, Say, Services, condition, eventually
from controlplane import Cluster
from harness import NAMESPACE, GatewayProcess, OperatorProcess, gpu_nodes, install, install_gateway, wait_until
from inferops.controller.operator import LEASE_NAME
from inferops.kube.client import Client as KubeClient
from inferops.kube.kinds import DEPLOYMENT, ENDPOINT_SLICE, INFERENCE_SERVICE, LEASE, POD
from inferops.kube.session import load_configuration
from nodeagent.client import Client, load_kubeconfig

SCALE, LOAD = 10.0, 2.0  # how much faster than real time pods start and end; seconds that an engine loads
AFTER = 2.0  # seconds without a request
MANY = 200
SPEC = {
    "model": {"uri": "hf://meta-llama/Llama-3.1-8B-Instruct"},
    "accelerators": [{"type": "nvidia-h100-80gb"}],
    "scaling": {"minReplicas": 0, "scaleToZeroAfter": f"{AFTER:.0f}s"},
}
CHAT = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}


class Answer(NamedTuple):
    """What a client got."""

    status: int
    retry_after: str
    body: Json
    took: float  # seconds


class Product:
    """The operator and two gateways, any of which may be killed and started anew."""

    def __init__(self, cluster: Cluster, stack: ExitStack) -> None:
        self.cluster, self._stack = cluster, stack
        self.gateways = [self._gateway(number) for number in range(2)]
        self.start_operator()
        for gateway in self.gateways:
            stack.enter_context(gateway)

    def start_operator(self) -> None:
        self.operator = self._stack.enter_context(OperatorProcess(self.cluster))
        wait_until("the operator leads", self.operator.leads, 30)

    def start_gateway(self, number: int) -> GatewayProcess:
        return self._stack.enter_context(self._gateway(number))

    def _gateway(self, number: int) -> GatewayProcess:
        return GatewayProcess(self.cluster, number, ("--drain-delay", "0.5"))

    def written(self, namespace: str) -> list[tuple[str, str, str]]:
        """What the operator wrote in a namespace: verb, resource and name, in order."""
        return [
            (event.verb, event.resource, event.name)
            for event in self.cluster.audit_events()
            if event.user == OPERATOR and event.namespace == namespace and event.verb not in ("get", "list", "watch")
        ]


class Sleepers(Services):
    """Services that may be at zero, and their clients."""

    def __init__(
        self, api: Client, namespace: str, product: Product, http: aiohttp.ClientSession, sent: list[float]
    ) -> None:
        """`sent`: when each request left."""
        super().__init__(api, namespace)
        self.product, self.http, self.sent = product, http, sent

    async def apply(self, name: str, **spec: Any) -> None:
        meta = {"name": name, "namespace": self.namespace}
        head = {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceService", "metadata": meta}
        await self.api.create(INFERENCE_SERVICE.path(self.namespace), {**head, "spec": {**SPEC, **spec}})

    async def ask(self, name: str, address: str = "", host: str = "") -> Answer:
        """Ask by the model's name, or by the Host of a Service at an address of its own."""
        url = f"http://{address}" if address else self.product.gateways[0].url
        headers = {"Host": host} if host else {}
        began = time.monotonic()
        body = {"model": name, **CHAT}
        async with self.http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response:
            answer = await response.json()
            told = response.headers.get("Retry-After", "")
            return Answer(response.status, told, answer, time.monotonic() - began)

    async def ask_all(self, name: str, number: int) -> list[Answer]:
        """So many at once, of all gateways alike."""
        addresses = [gateway.url.removeprefix("http://") for gateway in self.product.gateways]
        return await asyncio.gather(*(self.ask(name, addresses[each % len(addresses)]) for each in range(number)))

    async def status(self, name: str) -> Json:
        service = await self.get(INFERENCE_SERVICE, name)
        return dict(service.get("status", {}))

    async def at_zero(self, name: str) -> None:
        """Wait until it is at zero, with no pod left."""

        async def so() -> bool:
            status = await self.status(name)
            return status.get("desiredReplicas") == 0 and not await self.of(POD, name)

        await eventually(f"{name} at zero", so)
        service = await self.get(INFERENCE_SERVICE, name)
        assert condition(service, "Ready")["reason"] == condition(service, "Available")["reason"] == "ScaledToZero"

    async def endpoints(self, name: str) -> set[str]:
        """Who is behind the Service, host:port, by all of its slices."""
        slices = await self.all(ENDPOINT_SLICE, f"kubernetes.io/service-name={name}")
        return {
            f"{address}:{port['port']}"
            for each in slices
            for port in each["ports"] or ()
            for endpoint in each["endpoints"] or ()
            for address in endpoint["addresses"]
            if port["name"] == "http" and endpoint["conditions"].get("ready")
        }

    def gateways(self) -> set[str]:
        return {gateway.url.removeprefix("http://") for gateway in self.product.gateways}


@pytest.fixture(scope="module")
def product(cluster: Cluster) -> Iterator[Product]:
    """The product with two gateways, and nodes whose engines load for a while."""
    with ExitStack() as stack:
        pace = ("--time-scale", str(SCALE), "--load-seconds", str(SCALE * LOAD))
        stack.enter_context(gpu_nodes(cluster, "1x8xnvidia-h100-80gb", "--name-prefix", "zero-", *pace))
        install(cluster)
        install_gateway(cluster)
        yield Product(cluster, stack)


@pytest.fixture
async def sleepers(cluster: Cluster, namespace: str, product: Product) -> AsyncIterator[Sleepers]:
    connector = aiohttp.TCPConnector(limit=0)
    sent: list[float] = []

    async def left(*_: object) -> None:
        sent.append(time.monotonic())

    tracer, timeout = aiohttp.TraceConfig(), aiohttp.ClientTimeout(total=60)
    tracer.on_request_headers_sent.append(left)
    async with (
        Client(load_kubeconfig(cluster.kubeconfig)) as api,
        aiohttp.ClientSession(connector=connector, timeout=timeout, trace_configs=[tracer]) as http,
    ):
        made = Sleepers(api, namespace, product, http, sent)
        yield made
        await made.delete(*[each["metadata"]["name"] for each in await made.all(INFERENCE_SERVICE)])


async def scaled(cluster: Cluster, services: Sleepers, name: str) -> tuple[asyncio.Task[float], asyncio.Event]:
    """Tells when the Deployment of a service is next asked for a replica; the event says that it is being watched."""
    [deployment] = await services.of(DEPLOYMENT, name)
    client = KubeClient(await load_configuration(str(cluster.kubeconfig)))
    watching = asyncio.Event()

    async def watch() -> float:
        try:
            async for seen in client.watch(DEPLOYMENT, services.namespace, deployment["metadata"]["name"], 30):
                watching.set()
                if seen["spec"]["replicas"]:
                    return time.monotonic()
            raise AssertionError("it was never asked for one")
        finally:
            await client.close()

    return asyncio.create_task(watch()), watching


async def test_many_at_once_wake_it_once_and_all_are_answered(sleepers: Sleepers, cluster: Cluster, say: Say) -> None:
    await sleepers.apply("chat")
    await sleepers.ready("chat")
    assert await sleepers.endpoints("chat") == sleepers.gateways()
    await sleepers.at_zero("chat")
    before = len(sleepers.product.written(sleepers.namespace))
    woken, watching = await scaled(cluster, sleepers, "chat")
    await watching.wait()
    answers = await sleepers.ask_all("chat", MANY)
    say(f"{MANY} requests: a replica asked for {1000 * (await woken - sleepers.sent[0]):.0f} ms after the first left")
    say(f"answered after {min(each.took for each in answers):.1f} to {max(each.took for each in answers):.1f} s")
    assert Counter(each.status for each in answers) == {200: MANY}
    assert {each.body["usage"]["completion_tokens"] for each in answers} == {4}
    after = sleepers.product.written(sleepers.namespace)[before:]
    assert [verb for verb, resource, _ in after if resource == "deployments"] == ["patch"]
    assert await sleepers.endpoints("chat") == sleepers.gateways(), "whether anybody asks is seen in the gateways alone"
    await sleepers.at_zero("chat")
    assert await sleepers.endpoints("chat") == sleepers.gateways()
    written = sleepers.product.written(sleepers.namespace)
    listed = next(place for place, each in enumerate(written) if each[1:] == ("endpointslices", "chat-gateway"))
    deployed = [place for place, each in enumerate(written) if each[1] == "deployments"]
    assert len(deployed) == 4 and listed < deployed[0], "made, to zero, woken, to zero; the gateways were there first"
    assert not [each for each in written if each[:2] == ("delete", "endpointslices")]


async def test_who_calls_its_service_waits_and_keeps_it_up(sleepers: Sleepers, cluster: Cluster, say: Say) -> None:
    await sleepers.apply("direct")
    await sleepers.ready("direct")
    await sleepers.at_zero("direct")
    host = f"direct.{sleepers.namespace}.svc"
    woken, watching = await scaled(cluster, sleepers, "direct")
    await watching.wait()
    addresses = sorted(await sleepers.endpoints("direct"))
    first = await asyncio.gather(*(sleepers.ask("direct", address, host) for address in addresses))
    say(f"one request each: a replica asked for {1000 * (await woken - sleepers.sent[0]):.0f} ms after the first left")
    assert [each.status for each in first] == [200, 200]
    until = time.monotonic() + 2 * AFTER
    while time.monotonic() < until:
        [address, *_] = sorted(await sleepers.endpoints("direct"))
        answer = await sleepers.ask("direct", address, host)
        assert answer.status == 200 and answer.took < LOAD / 2
        assert (await sleepers.status("direct"))["desiredReplicas"] == 1
        await asyncio.sleep(0.3)


async def test_who_cannot_wait_that_long_is_told_in_time(sleepers: Sleepers, say: Say) -> None:
    await sleepers.apply("late", traffic={"queueTimeout": "1s"})
    await sleepers.ready("late")
    await sleepers.at_zero("late")
    answers = await sleepers.ask_all("late", MANY)
    say(f"refused after {min(each.took for each in answers):.2f} to {max(each.took for each in answers):.2f} s")
    assert Counter(each.status for each in answers) == {503: MANY}
    assert all(int(each.retry_after) >= 1 for each in answers)
    assert all(each.body["error"]["message"] and each.body["error"]["type"] for each in answers)
    assert max(each.took for each in answers) < LOAD
    await sleepers.ready("late")
    assert (await sleepers.ask("late")).status == 200, "it came up for the next one all the same"


async def test_the_next_leader_wakes_whom_the_last_one_left_waiting(sleepers: Sleepers) -> None:
    await sleepers.apply("orphan")
    await sleepers.ready("orphan")
    await sleepers.at_zero("orphan")
    sleepers.product.operator.kill()
    waiting = asyncio.create_task(sleepers.ask_all("orphan", 20))
    await asyncio.sleep(1)
    assert (await sleepers.status("orphan"))["desiredReplicas"] == 0 and not waiting.done()
    await sleepers.api.delete(LEASE.path(NAMESPACE, LEASE_NAME))  # as if it had run out; for how long is not our matter
    await asyncio.to_thread(sleepers.product.start_operator)
    assert Counter(each.status for each in await waiting) == {200: 20}
    await sleepers.at_zero("orphan")


async def test_while_a_gateway_is_silent_nothing_goes(sleepers: Sleepers) -> None:
    await sleepers.apply("kept")
    await sleepers.ready("kept")
    gateway = sleepers.product.gateways[1]
    gateway.kill()  # and still listed as ready
    try:

        async def told() -> bool:
            return "not every gateway tells" in (await sleepers.status("kept"))["explain"][0]

        await eventually("it says why it is kept", told)
        await asyncio.sleep(2 * AFTER)
        assert (await sleepers.status("kept"))["desiredReplicas"] == 1
    finally:
        await asyncio.to_thread(gateway.stop)

    async def listed() -> bool:
        return await sleepers.endpoints("kept") == {sleepers.product.gateways[0].url.removeprefix("http://")}

    await eventually("it is not behind the Service any more", listed)
    await sleepers.at_zero("kept")
    sleepers.product.gateways[1] = await asyncio.to_thread(sleepers.product.start_gateway, 1)


async def test_nothing_is_denied_to_the_operator(sleepers: Sleepers) -> None:
    events = sleepers.product.cluster.audit_events()
    assert not {(each.verb, each.resource) for each in events if each.user == OPERATOR and not each.allowed}
    assert 'result="bug"' not in sleepers.product.operator.get("/metrics")[1], sleepers.product.operator.tail()
