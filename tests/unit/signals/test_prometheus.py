"""Metrics asked of Prometheus: one query a metric for all services, and a server that fails does no more than that."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from inferops.runtimes import ENGINES
from inferops.runtimes.base import Metrics
from inferops.signals import prometheus as module
from inferops.signals.cumulative import Tally
from inferops.signals.engines import served
from inferops.signals.prometheus import Prometheus, chunks, query, samples
from inferops.signals.reading import Reading, Target
from unit.signals.scraped import Handler, serving

VLLM, TRITON = ENGINES["vllm"].metrics, ENGINES["triton"].metrics
NAMED = re.compile(r'__name__="([^"]*)",namespace=~"([^"]*)",pod=~"([^"]*)"')


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that the environment names is for others."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@dataclass
class Server:
    """A Prometheus that holds series, each of a name, a namespace, a pod and more labels."""

    series: list[tuple[str, str, str, Mapping[str, str], float]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert (request.method, request.path, request.query_string) == ("POST", "/prefix/api/v1/query", "")
        text = str((await request.post())["query"])
        self.queries.append(text)
        found = NAMED.search(text)
        assert found is not None
        name, namespaces, pods = found.groups()
        result: list[Any] = [
            {"metric": {**labels, "namespace": namespace, "pod": pod}, "value": [1.7e9, f"{value:g}"]}
            for of, namespace, pod, labels, value in self.series
            if of == name and re.fullmatch(namespaces, namespace) and re.fullmatch(pods, pod)
        ]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    def add(self, pod: str, *, namespace: str = "chat", good: int = 0, late: int = 0) -> None:
        """The series of a replica of vLLM, all of them of the time to the first token."""
        for bound, count in (("0.5", 0), ("1.0", good), ("+Inf", good + late)):
            self.series.append((f"{VLLM.ttft}_bucket", namespace, pod, {"le": bound}, count))
        self.series.append((f"{VLLM.succeeded}", namespace, pod, {}, good + late))


@asynccontextmanager
async def asking(handle: Handler) -> AsyncIterator[Prometheus]:
    async with serving(handle) as port:
        prometheus = Prometheus(f"http://127.0.0.1:{port}/prefix/")
        try:
            yield prometheus
        finally:
            await prometheus.close()


def target(*pods: str, namespace: str = "chat", metrics: Metrics = VLLM) -> Target:
    return Target(namespace, dict.fromkeys(pods, "10.0.0.1"), metrics, 8000, 0.8, 0.05)


async def test_all_services_by_one_query_a_metric() -> None:
    server = Server()
    targets = {number: target(f"s{number}-a", f"s{number}-b", namespace=f"ns{number % 3}") for number in range(50)}
    for key, each in targets.items():
        for pod in each.pods:
            server.add(pod, namespace=each.namespace, good=key, late=1)
    server.add("s7-a", namespace="ns0", good=1000)  # of the same name elsewhere
    async with asking(server.handle) as prometheus:
        answers = await prometheus.read(targets)
    assert len(server.queries) == len({text.split('"')[1] for text in server.queries}) == 5
    seven = answers[7]
    assert isinstance(seven, Reading)
    assert seven.tallies == {f"s7-{pod}": Tally((8, 7, 0), (0, 1, 0), 8) for pod in "ab"}
    assert seven.bounds == (1.0, None)


async def test_engines_that_differ_are_asked_for_their_own() -> None:
    server = Server([("nv_inference_request_success", "chat", "t", {}, 5.0),
                     ("nv_inference_request_failure", "chat", "t", {"reason": "BACKEND"}, 2.0)])  # fmt: skip
    server.add("v", good=3)
    async with asking(server.handle) as prometheus:
        answers = await prometheus.read(
            {"vllm": target("v"), "triton": target("t", metrics=TRITON), "none": target("x")}
        )
    triton = answers["triton"]
    assert isinstance(triton, Reading)
    assert triton.tallies == {"t": Tally((5, 0, 0), (2, 0, 0), 7)}
    assert isinstance(answers["vllm"], Reading)
    assert answers["none"] == "Prometheus has no metrics of its pods"
    assert not any('"t"' in text for text in server.queries if "vllm:" in text)


async def test_many_pods_are_asked_for_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUERY", 500)
    server = Server()
    names = [f"llama-6f9c7d-{number:04}" for number in range(100)]
    for name in names:
        server.add(name, good=1)
    async with asking(server.handle) as prometheus:
        answers = await prometheus.read({"llama": target(*names)})
    llama = answers["llama"]
    assert isinstance(llama, Reading)
    assert set(llama.tallies) == set(names)
    assert max(map(len, server.queries)) < 500 + 500


def test_a_query_is_of_bare_counters_and_counts_a_pod_once() -> None:
    text = query("vllm:x", [("chat", "b.c"), ("chat", "a"), ("infra", "a")])
    assert '{__name__="vllm:x",namespace=~"chat|infra",pod=~"a|b[.]c"}' in text
    assert text.startswith("max by (namespace, pod, le, ")
    assert "rate(" not in text


async def test_names_that_are_none_are_not_asked_for() -> None:
    server = Server()
    odd = target("a", 'x"} or {job="secrets', "b|.*", "A")
    async with asking(server.handle) as prometheus:
        await prometheus.read({"odd": odd, "other": target("a", namespace='chat"')})
    assert {found[3] for text in server.queries if (found := NAMED.search(text))} == {"a"}


async def status(request: web.Request) -> web.StreamResponse:
    return web.json_response({"status": "error", "errorType": "timeout", "error": "took too long"}, status=503)


async def elsewhere(request: web.Request) -> web.StreamResponse:
    raise web.HTTPTemporaryRedirect("/other")


async def a_page(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>", content_type="text/html")


async def a_list(request: web.Request) -> web.StreamResponse:
    return web.json_response([1, 2])


async def deep(request: web.Request) -> web.StreamResponse:
    return web.Response(text="[" * 100_000)


async def packed(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"\x1f\x8b not unpacked", headers={"Content-Encoding": "gzip"})


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(300):
        await response.write(b" " * 10_000)
    return response


async def torn(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"{")
    assert request.transport is not None
    request.transport.close()
    return response


@pytest.mark.parametrize(
    ("handle", "why"),
    [
        (status, "HTTP Status Code 503"),
        (elsewhere, "HTTP Status Code 307"),
        (a_page, "its answer is none of Prometheus"),
        (a_list, "its answer is none of Prometheus"),
        (deep, "its answer is none of Prometheus"),
        (packed, "its answer is none of Prometheus"),
        (endless, "it answers more than 1 MiB"),
        (torn, "asking it failed: ProtocolError"),
    ],
)
async def test_a_server_that_fails_is_no_word(handle: Handler, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BODY", 2**20)
    async with asking(handle) as prometheus:
        answers = await prometheus.read({"a": target("a"), "b": target("b")})
    assert set(answers) == {"a", "b"}
    for answer in answers.values():
        assert isinstance(answer, str)
        assert answer.startswith(f"Prometheus does not tell: {why}")
        assert len(answer) < 300


async def test_nobody_is_there_and_no_password_is_told() -> None:
    async with serving(status) as port:
        pass
    prometheus = Prometheus(f"http://user:secret@127.0.0.1:{port}")
    assert await prometheus.read({"a": target("a")}) == {"a": "Prometheus does not tell: there is no connection to it"}
    await prometheus.close()


async def test_a_server_that_hangs_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER", 0.3)
    held, asked = asyncio.Event(), 0

    async def hang(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        await held.wait()
        return web.Response()

    async with asking(hang) as prometheus:
        first = asyncio.create_task(prometheus.read({"a": target("a")}))
        async with asyncio.timeout(5):
            while not asked:
                await asyncio.sleep(0.005)
        late = {"a": "Prometheus does not answer in time"}
        assert await prometheus.read({"a": target("a")}) == late, "the first question is still there"
        assert await first == {"a": "Prometheus does not tell: it does not answer in time"}
        assert asked == 1
        held.set()


pods = st.lists(st.tuples(st.text("ab", min_size=1, max_size=3), st.text("xyz", min_size=1, max_size=40)), max_size=60)


@given(pods)
def test_pieces_hold_each_pod_once(some: list[tuple[str, str]]) -> None:
    pieces = list(chunks(set(some)))
    assert sorted(pod for piece in pieces for pod in piece) == sorted(set(some))
    assert all(pieces)


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["metric", "value", "pod", "namespace", "le"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(anything)
def test_any_answer_is_read_or_passed_over(answer: Any) -> None:
    for (namespace, pod), (name, labels, value) in samples("x", answer):
        assert isinstance(namespace, str) and isinstance(pod, str) and isinstance(value, float)
        assert name == "x" and all(isinstance(each, str) for each in labels.values())


async def test_all_that_scaling_goes_by_is_asked_for_by_one_query_a_name() -> None:
    numbers = {
        VLLM.succeeded: 40.0, VLLM.running: 3.0, VLLM.waiting: 2.0, VLLM.prompt_tokens: 9600.0,
        VLLM.generated_tokens: 20000.0, f"{VLLM.ttft}_sum": 204.9, f"{VLLM.ttft}_count": 40.0,
        f"{VLLM.tpot}_sum": 0.08, f"{VLLM.tpot}_count": 40.0, VLLM.rejected: 5.0,
        f"{VLLM.e2e}_sum": 248.2,
    }  # fmt: skip
    targets = {n: replace(target(f"s{n}-a", f"s{n}-b"), load=True, ttft=None, tpot=None) for n in range(20)}
    pods = [pod for each in targets.values() for pod in each.pods]
    server = Server([(str(name), "chat", pod, {}, value) for name, value in numbers.items() for pod in pods])
    async with asking(server.handle) as prometheus:
        answers = await prometheus.read(targets)
    assert len(server.queries) == len(numbers), "no bucket is asked for where nothing is judged"
    seven = answers[7]
    assert isinstance(seven, Reading)
    for pod in ("s7-a", "s7-b"):
        found = served(seven.readouts[pod], VLLM, seven.bounds)
        assert (found.came, found.ended, found.refused) == (40 + 5 + 5, 40, 5)
        assert (found.tokens_in, found.tokens_out, found.ttft, found.paced) == (9600, 20000, 204.9, 40)
        assert found.spent == 248.2
        assert (seven.readouts[pod].there, seven.readouts[pod].waiting) == (5, 2)
