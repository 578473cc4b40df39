"""The metrics of the simulated engines against those of real servers: names, types, labels, buckets, both ways."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from inferops.simulate.batching import Batch
from inferops.simulate.metrics_http import HttpMetrics
from inferops.simulate.metrics_triton import Host, Timing, TritonMetrics
from inferops.simulate.metrics_vllm import VllmMetrics
from inferops.simulate.timing import IterationTime

FIXTURES = Path(__file__).parents[2] / "fixtures"
HOST = Host(cpu_utilization=0.5, memory_total=10**9, memory_used=10**8)
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
ENUMERATED = {"reason", "source", "finished_reason", "sleep_state", "le", "quantile", "engine", "version"}


@dataclass
class Exposition:
    """What a text exposes. A sample is its name, its label names and the values of labels that enumerate."""

    types: dict[str, str] = field(default_factory=dict)
    samples: set[tuple[str, frozenset[str], frozenset[tuple[str, str]]]] = field(default_factory=set)
    values: dict[str, float] = field(default_factory=dict)


def exposition(text: str, *prefixes: str) -> Exposition:
    result = Exposition()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            if name.startswith(prefixes):
                result.types[name] = kind
        elif line.startswith(prefixes):
            name, labels, value = SAMPLE.fullmatch(line).groups()
            pairs = dict(LABEL.findall(labels or ""))
            enumerated = frozenset((key, val) for key, val in pairs.items() if key in ENUMERATED)
            result.samples.add((name, frozenset(pairs), enumerated))
            result.values[line.rsplit(" ", 1)[0]] = float(value)
    return result


def fixture(name: str, *prefixes: str) -> Exposition:
    return exposition((FIXTURES / name).read_text(), *prefixes)


def vllm_after_work() -> VllmMetrics:
    """40 requests of 240 tokens that produce 500 each, four at a time, as in the real server's text."""
    metrics = VllmMetrics("tiny", {}, created=0.0)
    batch = Batch(IterationTime(0.002, per_token=1e-6), 2**20, max_num_seqs=4)
    for _ in range(40):
        batch.add(240, 500, 0.0, prefix=tuple(range(15)))
    now = 0.0
    while (step := batch.step(now)) is not None:
        now = step.end
        metrics.stepped(step)
        for seq in step.finished:
            metrics.ended(seq, "length", 500)
    metrics.gauges(batch.running, batch.waiting, batch.kv_usage)
    return metrics


def text_of(*collectors: object) -> str:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry).decode()


@pytest.mark.parametrize("state", ["idle", "busy", "after"])
def test_vllm_exposes_what_the_real_server_exposes(state):
    real = fixture(f"vllm-0.32.0-metrics-{state}.txt", "vllm:")
    ours = exposition(text_of(vllm_after_work()), "vllm:")
    assert ours.types == real.types
    assert ours.samples == real.samples


def test_vllm_counts_as_the_real_server_counted_the_same_work():
    """The KV blocks of the two differ in size, and so do hits of the prefix cache; the rest is arithmetic."""
    real = fixture("vllm-0.32.0-metrics-after.txt", "vllm:").values
    ours = exposition(text_of(vllm_after_work()), "vllm:").values
    same = [
        'vllm:prompt_tokens_total{engine="0",model_name="tiny"}',
        'vllm:generation_tokens_total{engine="0",model_name="tiny"}',
        'vllm:prefix_cache_queries_total{engine="0",model_name="tiny"}',
        'vllm:request_success_total{engine="0",finished_reason="length",model_name="tiny"}',
        'vllm:request_prompt_tokens_bucket{engine="0",le="200.0",model_name="tiny"}',
        'vllm:request_prompt_tokens_bucket{engine="0",le="500.0",model_name="tiny"}',
        'vllm:request_generation_tokens_sum{engine="0",model_name="tiny"}',
        'vllm:time_to_first_token_seconds_count{engine="0",model_name="tiny"}',
        'vllm:inter_token_latency_seconds_count{engine="0",model_name="tiny"}',
        'vllm:e2e_request_latency_seconds_count{engine="0",model_name="tiny"}',
        'vllm:num_requests_running{engine="0",model_name="tiny"}',
        'vllm:kv_cache_usage_perc{engine="0",model_name="tiny"}',
    ]
    assert {name: ours[name] for name in same} == {name: real[name] for name in same}
    iterations = 'vllm:iteration_tokens_total_count{engine="0",model_name="tiny"}'
    assert ours[iterations] == pytest.approx(real[iterations], rel=0.001)


def test_vllm_histograms_add_up():
    ours = exposition(text_of(vllm_after_work()), "vllm:").values
    labels = '{engine="0",model_name="tiny"}'
    total = ours["vllm:e2e_request_latency_seconds_sum" + labels]
    parts = ("queue", "inference")
    assert total == pytest.approx(sum(ours[f"vllm:request_{part}_time_seconds_sum{labels}"] for part in parts))
    decode = ours["vllm:request_decode_time_seconds_sum" + labels]
    assert decode == pytest.approx(ours["vllm:inter_token_latency_seconds_sum" + labels])


def test_http_families_are_those_of_the_real_server():
    http = HttpMetrics()
    http.answered("/v1/completions", "POST", 200, received=310, sent=1700, seconds=6.2)
    real = fixture("vllm-0.32.0-metrics-after.txt", "http_")
    ours = exposition(text_of(http), "http_")
    assert ours.types == real.types
    assert ours.samples == real.samples


@pytest.mark.parametrize("state", ["busy", "after"])
def test_triton_exposes_what_the_real_server_exposes(state):
    metrics = TritonMetrics(["add"], summaries=True)
    for number in range(12):
        metrics.succeeded("add", 10.0, Timing(1.2 * (number // 4), 0.0004, 1.2, 0.0003))
    real = fixture(f"triton-2.51-metrics-{state}.txt", "nv_")
    ours = exposition(metrics.text({"add": 8}, HOST, 11.0), "nv_")
    assert ours.types == real.types
    assert ours.samples == real.samples


def test_triton_shows_quantiles_only_when_asked():
    plain = exposition(TritonMetrics(["add"], summaries=False).text({}, HOST, 0.0), "nv_")
    real = fixture("triton-2.51-metrics-busy.txt", "nv_")
    assert plain.types == {name: kind for name, kind in real.types.items() if kind != "summary"}


def test_triton_counts_requests_inferences_and_microseconds():
    metrics = TritonMetrics(["add"], summaries=True)
    metrics.executed("add")
    for milliseconds in range(1, 101):
        metrics.succeeded("add", 0.0, Timing(0.0, 0.0, milliseconds / 1000, 0.0), items=2)
    metrics.failed("add", "CANCELED")
    values = exposition(metrics.text({}, HOST, 59.0), "nv_").values
    labels = '{model="add",version="1"}'
    assert values["nv_inference_request_success" + labels] == 100
    assert values["nv_inference_count" + labels] == 200
    assert values["nv_inference_exec_count" + labels] == 1
    assert values["nv_inference_compute_infer_duration_us" + labels] == 5_050_000
    assert values['nv_inference_request_failure{model="add",reason="CANCELED",version="1"}'] == 1
    assert values['nv_inference_request_summary_us{model="add",version="1",quantile="0.9"}'] == 90_000
    assert values['nv_inference_request_summary_us{model="add",version="1",quantile="0.999"}'] == 100_000


def test_triton_forgets_old_quantiles_but_not_their_sums():
    metrics = TritonMetrics(["add"], summaries=True)
    metrics.succeeded("add", 0.0, Timing(0.0, 0.0, 1.0, 0.0))
    text = metrics.text({}, HOST, 61.0)
    assert 'nv_inference_request_summary_us{model="add",version="1",quantile="0.5"} Nan' in text
    assert 'nv_inference_request_summary_us_sum{model="add",version="1"} 1000000' in text
