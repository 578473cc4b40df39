"""The metrics of SGLang 0.5 and TensorRT-LLM 1.3: their names, types and buckets, filled from what the batching did.

Those that scaling, rollouts and dashboards read; both servers expose more. Latencies are in simulated seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from inferops.simulate.families_vllm import FIRST_TOKEN, REQUEST, TOKEN
from inferops.simulate.sequence import Sequence, Step

# fmt: off
SGLANG_FIRST_TOKEN = (0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400)
SGLANG_TOKEN = (0.002, 0.004, 0.006, 0.008, 0.010, 0.015, 0.020, 0.025, 0.030, 0.035, 0.040, 0.060, 0.080, 0.100,
                0.200, 0.400, 0.600, 0.800, 1.000, 2.000, 4.000, 6.000, 8.000)
SGLANG_REQUEST = (*SGLANG_FIRST_TOKEN, 600, 1200, 1800, 2400)
# fmt: on


@dataclass(frozen=True, slots=True)
class Names:
    """What an engine calls its metrics. Empty: it has no such metric."""

    labels: Mapping[str, str]
    running: str
    waiting: str
    kv_usage: str
    ttft: str
    tpot: str
    itl: str
    e2e: str
    queue: str
    prompt_tokens: str
    generated_tokens: str
    succeeded: str
    failed: str
    first_token: tuple[float, ...]  # buckets
    token: tuple[float, ...]
    request: tuple[float, ...]
    reason: str = ""  # label of `succeeded`


SGLANG = Names(
    labels={"engine_type": "unified", "tp_rank": "0", "pp_rank": "0"},
    running="sglang:num_running_reqs",
    waiting="sglang:num_queue_reqs",
    kv_usage="sglang:token_usage",
    ttft="sglang:time_to_first_token_seconds",
    tpot="sglang:request_time_per_output_token_seconds",
    itl="sglang:inter_token_latency_seconds",
    e2e="sglang:e2e_request_latency_seconds",
    queue="sglang:queue_time_seconds",
    prompt_tokens="sglang:prompt_tokens_total",
    generated_tokens="sglang:generation_tokens_total",
    succeeded="sglang:num_requests_total",
    failed="sglang:num_aborted_requests_total",
    first_token=SGLANG_FIRST_TOKEN,
    token=SGLANG_TOKEN,
    request=SGLANG_REQUEST,
)

TENSORRT_LLM = Names(
    labels={"engine_type": "undefined"},
    running="trtllm_num_requests_running",
    waiting="trtllm_num_requests_waiting",
    kv_usage="trtllm_kv_cache_utilization",
    ttft="trtllm_time_to_first_token_seconds",
    tpot="trtllm_time_per_output_token_seconds",
    itl="",
    e2e="trtllm_e2e_request_latency_seconds",
    queue="trtllm_request_queue_time_seconds",
    prompt_tokens="trtllm_prompt_tokens_total",
    generated_tokens="trtllm_generation_tokens_total",
    succeeded="trtllm_request_success_total",
    failed="trtllm_request_error_total",
    first_token=FIRST_TOKEN,
    token=TOKEN,
    request=REQUEST,
    reason="finished_reason",
)


class LlmMetrics:
    """The metrics of one engine, in a registry of its own."""

    def __init__(self, names: Names, model_name: str) -> None:
        self._names = names
        self._labels = {"model_name": model_name, **names.labels}
        self._registry = CollectorRegistry(auto_describe=False)
        self._gauges = {name: self._gauge(name) for name in (names.running, names.waiting, names.kv_usage)}
        buckets = {
            names.ttft: names.first_token,
            names.tpot: names.token,
            names.itl: names.token,
            names.e2e: names.request,
            names.queue: names.request,
        }
        self._histograms = {name: self._histogram(name, bounds) for name, bounds in buckets.items() if name}
        counted = (names.prompt_tokens, names.generated_tokens, names.failed)
        self._counters = {name: self._counter(name) for name in counted}
        labels = [*self._labels, *([names.reason] if names.reason else [])]
        self._succeeded = Counter(names.succeeded, "Requests that ended well.", labels, registry=self._registry)

    def gauges(self, running: int, waiting: int, kv_usage: float) -> None:
        """Set what is so now; `kv_usage` is a share, 0..1."""
        for name, value in zip(self._gauges, (running, waiting, kv_usage), strict=True):
            self._gauges[name].set(value)

    def stepped(self, step: Step) -> None:
        """Count one step: tokens, first tokens, time between tokens."""
        names = self._names
        self._counters[names.generated_tokens].inc(step.produced)
        if step.decoded and names.itl:
            for _ in range(step.decoded):
                self._histograms[names.itl].observe(step.end - step.start)
        for seq in step.first_tokens:
            assert seq.first_token is not None
            self._histograms[names.ttft].observe(seq.first_token - seq.arrived)
            self._counters[names.prompt_tokens].inc(seq.prompt)

    def ended(self, seq: Sequence, reason: str, max_tokens: int) -> None:
        """Count a request that ended: `reason` is stop, length, abort or error. Latencies of whole ones only."""
        if seq.finished is None or seq.scheduled is None or seq.first_token is None:
            self._counters[self._names.failed].inc()
            return
        reasons = {self._names.reason: reason} if self._names.reason else {}
        self._succeeded.labels(**self._labels, **reasons).inc()
        decode = seq.finished - seq.first_token
        for name, value in (
            (self._names.e2e, seq.finished - seq.arrived),
            (self._names.queue, seq.scheduled - seq.arrived),
            (self._names.tpot, decode / max(1, seq.output - 1)),
        ):
            self._histograms[name].observe(value)

    def rejected(self, reason: str) -> None:
        """Count a request refused by a limit of the queue."""
        self._counters[self._names.failed].inc()

    def exposition(self) -> tuple[bytes, str]:
        """The metrics as text, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def _gauge(self, name: str) -> Gauge:
        return Gauge(name, f"{name}, now.", list(self._labels), registry=self._registry).labels(**self._labels)

    def _counter(self, name: str) -> Counter:
        return Counter(name, f"{name}, so far.", list(self._labels), registry=self._registry).labels(**self._labels)

    def _histogram(self, name: str, bounds: tuple[float, ...]) -> Histogram:
        found = Histogram(name, f"{name}.", list(self._labels), buckets=bounds, registry=self._registry)
        return found.labels(**self._labels)
