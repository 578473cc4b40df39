"""The `http_` metrics of vLLM's API server: requests, sizes and durations by handler."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, Summary
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

# fmt: off
FINE = (0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 7.5, 10.0, 30.0,
        60.0)
# fmt: on
COARSE = (0.1, 0.5, 1.0)


class HttpMetrics(Collector):
    """What was answered, by the route's path. Register it with a `CollectorRegistry`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter("http_requests", "Requests.", ("handler", "method", "status"), registry=registry)
        self._received = Summary("http_request_size_bytes", "Bytes of the requests.", ("handler",), registry=registry)
        self._sent = Summary("http_response_size_bytes", "Bytes of the answers.", ("handler",), registry=registry)
        self._fine = Histogram(
            "http_request_duration_highr_seconds", "Seconds to answer.", buckets=FINE, registry=registry
        )
        self._coarse = Histogram(
            "http_request_duration_seconds",
            "Seconds to answer, by handler.",
            ("handler", "method"),
            buckets=COARSE,
            registry=registry,
        )

    def answered(self, handler: str, method: str, status: int, received: int, sent: int, seconds: float) -> None:
        """Count one answer: bytes of its request and of itself as their headers state them, simulated seconds."""
        self._requests.labels(handler, method, f"{status // 100}xx").inc()
        self._received.labels(handler).observe(received)
        self._sent.labels(handler).observe(sent)
        self._fine.observe(seconds)
        self._coarse.labels(handler, method).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """The families, in the real server's order."""
        yield from self._registry.collect()
