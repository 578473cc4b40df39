"""The `te_` metrics of Text Embeddings Inference 1.9, as its exporter writes them: counters have no suffix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from inferops.simulate.metrics_vllm import Histogram

SECONDS = tuple(0.00001 * 1.5**power for power in range(1, 36))
SIZES = tuple(float(2**power) for power in range(13))
DURATIONS = ("te_request_duration", "te_request_queue_duration", "te_request_inference_duration")


class TeiMetrics:
    """What the server did. Latencies are in simulated seconds."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._durations = {name: Histogram(SECONDS) for name in DURATIONS}
        self._batches = Histogram(SIZES)
        self._observed: Counter[str] = Counter()

    def asked(self, method: str) -> None:
        """Count a request; `method` is single or batch."""
        self._counts["te_request_count", f'method="{method}"'] += 1

    def failed(self, reason: str) -> None:
        """Count a request that failed: overloaded, batch_size, validation, inference."""
        self._counts["te_request_failure", f'err="{reason}"'] += 1

    def answered(self, method: str, whole: float, queue: float, inference: float) -> None:
        """Count a request that succeeded, with its seconds: all of them, in the queue, in the model."""
        self._counts["te_request_success", f'method="{method}"'] += 1
        for name, value in zip(DURATIONS, (whole, queue, inference), strict=True):
            self._observe(name, self._durations[name], value)

    def batched(self, size: int) -> None:
        """Count a batch of `size` inputs."""
        self._observe("te_batch_next_size", self._batches, size)

    def text(self, waiting: int) -> str:
        """What GET /metrics answers; `waiting`: inputs in the queue."""
        return "\n".join([*self._lines(waiting), ""])

    def _lines(self, waiting: int) -> Iterator[str]:
        for name in sorted({name for name, _ in self._counts}):
            yield f"# TYPE {name} counter"
            yield from (f"{name}{{{labels}}} {count}" for (of, labels), count in self._counts.items() if of == name)
        yield "# TYPE te_queue_size gauge"
        yield f"te_queue_size {waiting}"
        for name, histogram in {**self._durations, "te_batch_next_size": self._batches}.items():
            if self._observed[name]:
                yield f"# TYPE {name} histogram"
                yield from (f'{name}_bucket{{le="{bound}"}} {count:g}' for bound, count in histogram.buckets())
                yield f"{name}_sum {histogram.sum}"
                yield f"{name}_count {self._observed[name]}"

    def _observe(self, name: str, histogram: Histogram, value: float) -> None:
        histogram.observe(value)
        self._observed[name] += 1
