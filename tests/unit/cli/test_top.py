"""`inferops top`: what gateways and engines count -> rates and quantiles, asked with the rights that people have."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from math import inf
from typing import Any

import pytest

from inferops.cli.gather import Gathering
from inferops.cli.lines import line
from inferops.cli.rates import Rates, quantile, rates
from inferops.cli.scrape import Counted, Scraper, Snapshot, engines_of, of_engine, of_gateway
from inferops.cli.top import drawn, number, percent, row, seconds
from inferops.gateway.signals.exposition import FAMILIES
from inferops.kube.client import KubeError
from inferops.kube.kinds import ENDPOINT_SLICE, POD, Kind
from inferops.kube.owned import Object
from inferops.runtimes import ENGINES
from unit.cli.scenes import parsed, service

OF = ("chat", "llama")
LABELS = 'namespace="chat",service="llama"'
REPLICA = f'{LABELS},revision="5f0d",replica="llama-0"'
GATEWAY = f"""# HELP inferops_gateway_arrivals_total Requests that came.
inferops_gateway_arrivals_total{{{LABELS}}} 120
inferops_gateway_arrivals_total{{namespace="",service=""}} 3
inferops_gateway_requests_in_flight{{{LABELS}}} 7
inferops_gateway_requests_waiting{{{LABELS}}} 2
inferops_gateway_requests_total{{{REPLICA},code="200"}} 100
inferops_gateway_requests_total{{{REPLICA},code="502"}} 5
inferops_gateway_refused_requests_total{{{LABELS},code="429",reason="queue full"}} 4
inferops_gateway_output_tokens_total{{{REPLICA}}} 9000
inferops_gateway_input_tokens_total{{{REPLICA}}} 3000
inferops_gateway_time_to_first_token_seconds_bucket{{{LABELS},revision="5f0d",le="0.5"}} 60
inferops_gateway_time_to_first_token_seconds_bucket{{{LABELS},revision="5f0d",le="+Inf"}} 100
inferops_gateway_inter_token_latency_seconds_bucket{{{LABELS},revision="5f0d",le="0.02"}} 9000
inferops_gateway_arrivals_total{{broken
"""
VLLM = """vllm:num_requests_running{engine="0"} 3
vllm:num_requests_waiting{engine="0"} 1
vllm:kv_cache_usage_perc{engine="0"} 0.42
vllm:request_success_total{engine="0",finished_reason="stop"} 50
vllm:generation_tokens_total{engine="0"} 5000
vllm:prompt_tokens_total{engine="0"} 800
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.25"} 40
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf"} 50
python_gc_objects_collected_total 5
"""


def test_a_gateway_tells_by_service() -> None:
    found = of_gateway(GATEWAY)
    assert found.keys() == {OF}
    told = found[OF]
    assert (told.came, told.ended, told.bad) == (120, 109, 5)
    assert (told.running, told.waiting, told.tokens_in, told.tokens_out) == (7, 2, 3000, 9000)
    assert told.ttft == {0.5: 60, inf: 100} and told.tpot == {0.02: 9000}


def test_an_engine_tells_of_itself() -> None:
    told = of_engine(VLLM, ENGINES["vllm"].metrics)
    assert (told.ended, told.came, told.running, told.waiting, told.kv) == (50, 54, 3, 1, 0.42)
    assert (told.tokens_in, told.tokens_out, told.ttft) == (800, 5000, {0.25: 40, inf: 50})


@pytest.mark.parametrize("text", ["", "\x00", "vllm:num_requests_running{", "vllm:kv_cache_usage_perc 7e99"])
def test_nonsense_tells_nothing(text: str) -> None:
    assert of_engine(text, ENGINES["vllm"].metrics) == Counted()
    assert of_gateway(text) == {}


def snapshot(at: float, came: float, **more: Any) -> Snapshot:
    return Snapshot(at, {"a": {OF: Counted(came=came, ended=came, **more)}}, {})


def test_rates_are_what_was_counted_between() -> None:
    before = snapshot(10, 100, bad=5, tokens_out=1000, ttft=Counter({0.5: 60, inf: 100}))
    after = snapshot(12, 110, bad=6, tokens_out=3000, ttft=Counter({0.5: 70, inf: 110}), waiting=2.0, running=5.0)
    found = rates(before, after, OF)
    assert (found.source, found.requests, found.errors, found.tokens_out) == ("gateway", 5.0, 0.1, 1000.0)
    assert found.ttft == (0.25, 0.475) and (found.waiting, found.running) == (2, 3)


def test_a_gateway_that_began_anew_counts_from_nothing() -> None:
    assert rates(snapshot(0, 100), snapshot(2, 4), OF).requests == 2.0


def test_what_one_tells_for_the_first_time_is_no_rate() -> None:
    before, after = snapshot(0, 100), snapshot(1, 101)
    more = Snapshot(1, {**after.gateways, "b": {OF: Counted(came=5000, ended=5000)}}, {})
    assert rates(before, more, OF).requests == 1.0


def test_where_no_request_passes_the_gateway_the_engines_tell() -> None:
    engines = [{"chat/a": {OF: Counted(came=came, ended=came, running=2, kv=0.5)}} for came in (10, 30)]
    gateways = {"g": {OF: Counted()}}
    found = rates(Snapshot(0, gateways, engines[0]), Snapshot(2, gateways, engines[1]), OF)
    assert (found.source, found.requests, found.running, found.kv) == ("engines", 10.0, 2, 0.5)


def test_of_a_service_of_which_nobody_tells_nothing_is_known() -> None:
    assert rates(Snapshot(0, {}, {}), Snapshot(1, {}, {}), OF) == Rates()


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({}, 0.5, None),
        ({inf: 0}, 0.5, None),
        ({1.0: 10, inf: 10}, 0.5, 0.5),
        ({1.0: 5, 2.0: 10, inf: 10}, 0.75, 1.5),
        ({1.0: 5, inf: 10}, 0.95, 1.0),
    ],
)
def test_quantiles_as_prometheus_has_them(buckets: Any, share: float, expected: float | None) -> None:
    assert quantile(buckets, share) == expected


def pod(name: str, *, ready: bool = True, role: str = "", port: str = "http") -> Object:
    labels = {"inferops.dev/service": "llama", **({"inferops.dev/role": role} if role else {})}
    container = {"name": "engine", "ports": [{"name": port, "containerPort": 8000}]}
    status = {"conditions": [{"type": "Ready", "status": str(ready)}]}
    return {"metadata": {"name": name, "namespace": "chat", "labels": labels}, "spec": {"containers": [container]},
            "status": status}  # fmt: skip


def test_engines_are_asked_where_they_are_ready() -> None:
    pods = [pod("a"), pod("b", ready=False), pod("c", role="worker"), pod("d", port="grpc")]
    [found] = engines_of(pods, {OF: "vllm"}, {"vllm": "vllm"})
    assert (found.pod, found.port) == ("a", 8000)
    assert engines_of(pods, {OF: "mine"}, {"vllm": "vllm"}) == []


class Api:
    """An API server that proxies, as far as `allowed`."""

    def __init__(self, slices: list[Object], *, allowed: bool = True) -> None:
        self.slices, self.allowed = slices, allowed
        self.asked: list[str] = []

    async def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]:
        yield (self.slices if kind is ENDPOINT_SLICE else [pod("llama-0")] if kind is POD else []), 1

    async def text(self, path: str, params: Any = None, timeout: float = 5.0) -> str:
        self.asked.append(path)
        if not self.allowed:
            raise KubeError("get", 403, "Forbidden", "no")
        return GATEWAY if "gateway" in path else VLLM


def endpoint(pod: str = "", ready: bool = True) -> Object:
    target = {"targetRef": {"kind": "Pod", "name": pod}} if pod else {}
    return {"addresses": ["10.0.0.1"], "conditions": {"ready": ready}, **target}


async def test_gateways_are_asked_pod_by_pod() -> None:
    ends = [endpoint("gateway-a"), endpoint("gateway-b"), endpoint("gateway-c", ready=False)]
    api = Api([{"endpoints": ends}])
    found = await Scraper(api, Gathering(api)).snapshot({OF: "vllm"}, "chat")
    assert sorted(found.gateways) == ["gateway gateway-a", "gateway gateway-b"]
    assert found.engines["chat/llama-0"][OF].kv == 0.42
    assert "/api/v1/namespaces/inferops-system/pods/gateway-a:9090/proxy/metrics" in api.asked
    assert "/api/v1/namespaces/chat/pods/llama-0:8000/proxy/metrics" in api.asked


async def test_gateways_that_are_no_pods_are_asked_by_their_service() -> None:
    api = Api([{"endpoints": [endpoint(), endpoint()]}])
    reads = Gathering(api)
    found = await Scraper(api, reads).snapshot({}, "", engines=False)
    assert len(found.gateways) == 1
    assert api.asked == ["/api/v1/namespaces/inferops-system/services/inferops-gateway:9090/proxy/metrics"]
    assert reads.unseen == ["2 gateways that are no pods: one of them is asked; give --gateway URL"]


async def test_without_the_right_to_ask_the_verb_is_named() -> None:
    api = Api([{"endpoints": [endpoint("gateway-a")]}], allowed=False)
    reads = Gathering(api)
    found = await Scraper(api, reads).snapshot({OF: "vllm"}, "chat")
    assert not found.gateways and not found.engines
    assert reads.unseen == ["gateway gateway-a: you may not get pods/proxy and services/proxy",
                            "pod llama-0: you may not get pods/proxy"]  # fmt: skip


async def test_no_gateway_is_ready() -> None:
    api, reads = Api([{"endpoints": []}]), Gathering(Api([]))
    await Scraper(api, Gathering(api)).snapshot({}, "", engines=False)
    assert api.asked == [] and reads.unseen == []


def test_a_line_of_the_table() -> None:
    raw = service(desiredReplicas=4)
    told = row(parsed(raw), Rates("gateway", 12.0, 0.02, 10.0, 340.0, 2, 5, (0.25, 1.5), 0.02, 0.93))
    header, shown, unseen = (line(each).plain for each in drawn([told], ["pods"], everywhere=True))
    assert header.split()[:3] == ["NAMESPACE", "NAME", "REPLICAS"]
    assert shown.split() == ["chat", "llama", "4/4", "12", "2", "5", "250ms", "1.50s", "20ms", "2%", "340", "93%",
                             "gateway"]  # fmt: skip
    assert unseen == "not seen: pods"


def test_what_is_not_known_is_no_zero() -> None:
    told = row(parsed(service(desiredReplicas=4)), Rates())
    shown = line(drawn([told], [], everywhere=False)[1]).plain
    assert shown.split()[2:] == ["-"] * 10


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.0, "0"), (0.123, "0.123"), (12.34, "12.3"), (1234.5, "1,234"), (7.0, "7")]
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_times_and_shares() -> None:
    assert [seconds(each) for each in (None, 0.0123, 1.5, 75.0)] == ["", "12ms", "1.50s", "75.0s"]
    assert [percent(each) for each in (None, 0.0, 0.004, 0.5, 1.0)] == ["", "0%", "0.4%", "50%", "100%"]


def test_what_is_read_of_a_gateway_is_what_gateways_tell() -> None:
    endings = {"counter": "_total", "histogram": "_bucket"}
    told = {f"inferops_gateway_{each.name}{endings.get(each.kind, '')}" for each in FAMILIES}
    read = {text.partition("{")[0] for text in GATEWAY.splitlines() if text.startswith("inferops_gateway_")}
    assert read <= told
