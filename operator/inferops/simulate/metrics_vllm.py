"""The `vllm:` metrics of vLLM 0.32, filled from what the batching did: same names, types, labels and buckets.

The `python_` and `process_` families of the real server are left out: they would describe the simulator, and one
process may hold many simulated engines. Latencies are in simulated seconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from inferops.simulate.families_vllm import CACHE_CONFIG, FAMILIES, Family
from inferops.simulate.sequence import Sequence, Step


class Histogram:
    """Counts by bucket. One call can observe the same value many times."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count `value`, `times` times."""
        self._counts[bisect_left(self._bounds, value)] += times
        self.sum += value * times

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, observations at or below it), as Prometheus wants them."""
        total, result = 0, []
        for bound, counted in zip((*map(repr, self._bounds), "+Inf"), self._counts, strict=True):
            total += counted
            result.append((bound, float(total)))
        return result


class VllmMetrics(Collector):
    """The metrics of one engine. Register it with a `CollectorRegistry` of its own."""

    def __init__(self, model_name: str, cache_config: Mapping[str, str], created: float) -> None:
        """`cache_config`: what `vllm:cache_config_info` shows beside its constants. `created`: seconds since 1970."""
        self._labels = {"engine": "0", "model_name": model_name}
        self._cache_config = cache_config
        self._created = created
        self._values: dict[tuple[str, str], float] = {
            (family.name, value): 0.0 for family in FAMILIES if not family.buckets for value in family.values or ("",)
        }
        self._histograms = {family.name: Histogram(family.buckets) for family in FAMILIES if family.buckets}
        self._values["engine_sleep_state", "awake"] = 1.0

    def gauges(self, running: int, waiting: int, kv_usage: float) -> None:
        """Set what is so now; `kv_usage` is a share, 0..1, for all that the real name says."""
        self._values["num_requests_running", ""] = running
        self._values["num_requests_waiting", ""] = waiting
        self._values["num_requests_waiting_by_reason", "capacity"] = waiting
        self._values["kv_cache_usage_perc", ""] = kv_usage

    def stepped(self, step: Step) -> None:
        """Count one step: tokens, first tokens, time between tokens, preemptions, the prefix cache."""
        per_iteration = step.prefilled + step.produced
        self._histograms["iteration_tokens_total"].observe(per_iteration)
        if step.decoded:
            self._histograms["inter_token_latency_seconds"].observe(step.end - step.start, step.decoded)
        self._add("generation_tokens", step.produced)
        self._add("num_preemptions", len(step.preempted))
        for seq in step.admitted:
            self._add("prefix_cache_queries", seq.prompt)
            self._add("prefix_cache_hits", seq.cached)
        for seq in step.first_tokens:
            self._prefilled(seq)

    def ended(self, seq: Sequence, reason: str, max_tokens: int) -> None:
        """Count a request that ended: `reason` is stop, length, abort or error. Latencies of whole ones only."""
        self._add("request_success", 1, reason)
        if seq.finished is None or seq.scheduled is None or seq.first_token is None:
            return
        decode = seq.finished - seq.first_token
        for name, value in (
            ("request_prompt_tokens", seq.prompt),
            ("request_generation_tokens", seq.output),
            ("request_max_num_generation_tokens", seq.output),
            ("request_params_n", 1),
            ("request_params_max_tokens", max_tokens),
            ("request_prefill_kv_computed_tokens", seq.prompt - seq.cached),
            ("request_num_preemptions", seq.preemptions),
            ("e2e_request_latency_seconds", seq.finished - seq.arrived),
            ("request_queue_time_seconds", seq.scheduled - seq.arrived),
            ("request_inference_time_seconds", seq.finished - seq.scheduled),
            ("request_prefill_time_seconds", seq.first_token - seq.scheduled),
            ("request_decode_time_seconds", decode),
            ("request_time_per_output_token_seconds", decode / max(1, seq.output - 1)),
        ):
            self._histograms[name].observe(value)

    def rejected(self, reason: str) -> None:
        """Count a request refused by a limit of the queue: max_num_queued_reqs or max_num_queued_tokens."""
        self._add("admission_rejections", 1, reason)

    def collect(self) -> Iterator[Metric]:
        """The families, in the real server's order."""
        for family in FAMILIES:
            yield self._family(family)
        info = GaugeMetricFamily("vllm:cache_config_info", "How the KV cache is configured.")
        info.add_sample("vllm:cache_config_info", {**CACHE_CONFIG, **self._cache_config, "engine": "0"}, 1.0)
        yield info

    def _prefilled(self, seq: Sequence) -> None:
        """Count the prompt of a request whose first token is there."""
        assert seq.first_token is not None
        self._histograms["time_to_first_token_seconds"].observe(seq.first_token - seq.arrived)
        self._add("prompt_tokens", seq.prompt)
        self._add("prompt_tokens_by_source", seq.prompt - seq.cached, "local_compute")
        self._add("prompt_tokens_by_source", seq.cached, "local_cache_hit")
        self._add("prompt_tokens_cached", seq.cached)
        self._add("prompt_tokens_cached_by_source", seq.cached, "device")

    def _family(self, family: Family) -> Metric:
        name = f"vllm:{family.name}"
        if family.buckets:
            return self._histogram(name, family)
        metric = Metric(name, family.text, family.kind)
        suffix = "_total" if family.kind == "counter" else ""
        for value in family.values or ("",):
            labels = self._labels_of(family, value)
            metric.add_sample(name + suffix, labels, self._values[family.name, value])
            if family.kind == "counter":
                metric.add_sample(name + "_created", labels, self._created)
        return metric

    def _histogram(self, name: str, family: Family) -> Metric:
        histogram = self._histograms[family.name]
        metric = HistogramMetricFamily(name, family.text, labels=tuple(self._labels))
        metric.add_metric(tuple(self._labels.values()), histogram.buckets(), histogram.sum)
        metric.add_sample(name + "_created", self._labels, self._created)
        return metric

    def _labels_of(self, family: Family, value: str) -> dict[str, str]:
        labels = dict(self._labels)
        if family.label:
            labels[family.label] = value
        if not family.per_engine:
            del labels["engine"]
        return labels

    def _add(self, name: str, value: float, label: str = "") -> None:
        self._values[name, label] += value
