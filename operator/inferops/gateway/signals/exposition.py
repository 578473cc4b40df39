"""The gateway's counters as text for Prometheus, and as OpenMetrics where the scraper asks for that.

Our lines are written here: prometheus_client's writer takes more than a second for a thousand services, in which no
request would get on. This one takes a tenth of that, in slices between which requests do. What else is in the registry
(the process's CPU and memory) the library writes.

Every gateway tells the same prices: take `max by (namespace, service, revision, replica)` of
`inferops_gateway_replica_price_usd_per_hour` before adding up what a service costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from inferops.gateway.signals.meters import Meters
from inferops.gateway.signals.series import LONG, OBJECTIVES, QUICK, SLOW, Histogram, ReplicaSeries, ServiceSeries

PREFIX = "inferops_gateway_"
SLICE = 50  # series at a time, some half a millisecond
Series = TypeVar("Series")
Samples = Callable[[Meters, str], Iterator[str]]  # the lines of each series, given the whole name of the metric


class Exposition:
    """Answers scrapes."""

    def __init__(
        self, meters: Meters, registry: CollectorRegistry | None = None, dropped: Callable[[], int] | None = None
    ) -> None:
        """`registry`: other metrics to tell; left out: the process's. `dropped`: how many lines the access log lost."""
        if registry is None:
            registry = CollectorRegistry()
            ProcessCollector(registry=registry)
            registry.register(_Tasks())
        if dropped is not None:
            registry.register(_Dropped(dropped))
        self._meters = meters
        self._registry = registry

    async def scrape(self, accept: str = "") -> tuple[bytes, str]:
        """The body and its content type, by the request's Accept header."""
        self._meters.look()
        encode, content_type = choose_encoder(accept)
        body = []
        for text in texts(self._meters, content_type.startswith("application/openmetrics-text")):
            body.append(text.encode())
            await asyncio.sleep(0)
        body.append(encode(self._registry))  # ends as the format asks for
        return b"".join(body), content_type


class _Dropped(Collector):
    def __init__(self, dropped: Callable[[], int]) -> None:
        self._dropped = dropped

    def collect(self) -> Iterator[Metric]:
        text = "Lines of the access log that were lost because nobody read them in time."
        yield CounterMetricFamily(f"{PREFIX}access_log_lines_dropped", text, self._dropped())


class _Tasks(Collector):
    """Asked from within the loop whose tasks these are."""

    def collect(self) -> Iterator[Metric]:
        text = "Tasks of the event loop that have not ended."
        yield GaugeMetricFamily(f"{PREFIX}asyncio_tasks", text, _tasks())


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # no loop runs: the registry looks at what it is given
        return 0


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one metric."""

    name: str  # without prefix, and without the `_total` of counters
    kind: Literal["counter", "gauge", "histogram", "summary"]
    help: str
    samples: Samples


def texts(meters: Meters, openmetrics: bool) -> Iterator[str]:
    """The exposition in slices, each as of the moment it is asked for."""
    for family in FAMILIES:
        name = PREFIX + family.name
        sample = f"{name}_total" if family.kind == "counter" else name
        told = name if openmetrics else sample
        samples = family.samples(meters, sample)
        text = f"# HELP {told} {family.help}\n# TYPE {told} {family.kind}\n" + "".join(islice(samples, SLICE))
        while text:
            yield text
            text = "".join(islice(samples, SLICE))


def _each(series: Callable[[Meters], Iterable[Series]], lines: Callable[[str, Series], str]) -> Samples:
    return lambda meters, name: (lines(name, one) for one in list(series(meters)))


def _replicas(lines: Callable[[str, ReplicaSeries], str]) -> Samples:
    return _each(lambda meters: meters.replicas.values(), lines)


def _services(lines: Callable[[str, ServiceSeries], str]) -> Samples:
    return _each(lambda meters: meters.services.values(), lines)


def _histogram(attribute: str) -> Samples:
    """Of revisions that have counted something: an embedder has no time between tokens to tell of."""

    def lines(name: str, pair: tuple[str, Histogram]) -> str:
        labels, histogram = pair
        counts = list(accumulate(histogram.counts))
        if not counts[-1]:
            return ""
        start = f"{name}_bucket{{{labels}"
        buckets = [f"{start}{bound}{count}\n" for bound, count in zip(BOUNDS[histogram.bounds], counts, strict=True)]
        return f"{''.join(buckets)}{name}_sum{{{labels}}} {histogram.total}\n{name}_count{{{labels}}} {counts[-1]}\n"

    def series(meters: Meters) -> Iterator[tuple[str, Histogram]]:
        return ((each.labels, getattr(each, attribute)) for each in list(meters.revisions.values()))

    return _each(series, lines)


def _plain(attribute: str) -> Samples:
    return _replicas(lambda name, each: f"{name}{{{each.labels}}} {getattr(each, attribute)}\n")


def _summary(total: str, count: Callable[[ReplicaSeries], int]) -> Samples:
    return _replicas(
        lambda name, each: (
            f"{name}_sum{{{each.labels}}} {getattr(each, total)}\n{name}_count{{{each.labels}}} {count(each)}\n"
        )
    )


def _by(label: str, numbers: Callable[[ReplicaSeries], Iterable[tuple[object, int]]]) -> Samples:
    """A line for each value of one more label."""
    return _replicas(
        lambda name, each: "".join(
            [f'{name}{{{each.labels},{label}="{value}"}} {number}\n' for value, number in numbers(each)]
        )
    )


def _refused(name: str, each: ServiceSeries) -> str:
    return "".join(
        [
            f'{name}{{{each.labels},code="{code}",reason="{reason}"}} {count}\n'
            for (code, reason), count in each.refused.items()
        ]
    )


def _spilled(name: str, each: ServiceSeries) -> str:
    return "".join(
        [
            f'{name}{{{each.labels},cluster="{cluster}",result="{result}"}} {count}\n'
            for (cluster, result), count in each.spilled.items()
        ]
    )


def _waiting(meters: Meters, name: str) -> Iterator[str]:
    return (f"{name}{{{each.labels}}} {meters.waiting(key)}\n" for key, each in list(meters.services.items()))


def _prices(meters: Meters, name: str) -> Iterator[str]:
    for key, backend in meters.table().by_key.items():
        for revision in backend.revisions:
            for replica in revision.replicas if revision.usd_per_hour is not None else ():
                labels = meters.series(key, revision.hash, replica.name).labels
                yield f"{name}{{{labels}}} {float(revision.usd_per_hour or 0)}\n"


BOUNDS: dict[tuple[float, ...], list[str]] = {
    bounds: [f',le="{bound}"}} ' for bound in (*bounds, "+Inf")] for bounds in (QUICK, SLOW, LONG)
}
FAMILIES: tuple[Family, ...] = (
    Family(
        "arrivals",
        "counter",
        "Requests that came, by service; of no service where none is named.",
        _services(lambda name, each: f"{name}{{{each.labels}}} {each.arrivals}\n"),
    ),
    Family(
        "requests_in_flight",
        "gauge",
        "Requests that came and did not end, waiting ones among them.",
        _services(lambda name, each: f"{name}{{{each.labels}}} {each.arrivals - each.ended}\n"),
    ),
    Family("requests_waiting", "gauge", "Requests that wait for a replica.", _waiting),
    Family(
        "refused_requests",
        "counter",
        "Requests that no replica was asked, by status code and reason.",
        _services(_refused),
    ),
    Family(
        "retries",
        "counter",
        "Attempts after the first one of a request.",
        _services(lambda name, each: f"{name}{{{each.labels}}} {each.retries}\n"),
    ),
    Family(
        "spilled_requests",
        "counter",
        "Requests that were sent to another cluster, by cluster and by how that ended.",
        _services(_spilled),
    ),
    Family(
        "received_spilled_requests",
        "counter",
        "Requests that a gateway of another cluster passed on and that ended here.",
        _services(lambda name, each: f"{name}{{{each.labels}}} {each.received}\n"),
    ),
    Family(
        "client_slo_judged",
        "counter",
        "Requests judged by the SLO as their clients saw them, the wait for a replica included.",
        _services(lambda name, each: f"{name}{{{each.labels}}} {each.load.judged}\n"),
    ),
    Family(
        "client_slo_missed",
        "counter",
        "Those of them that it was too slow for, and those that were turned away for want of room.",
        _services(lambda name, each: f"{name}{{{each.labels}}} {each.load.missed}\n"),
    ),
    Family("queue_wait_seconds", "histogram", "How long requests waited for a replica.", _histogram("queued")),
    Family(
        "time_to_first_token_seconds",
        "histogram",
        "From arrival to the first token, the wait included.",
        _histogram("ttft"),
    ),
    Family("inter_token_latency_seconds", "histogram", "Between two chunks of a stream.", _histogram("gap")),
    Family("request_duration_seconds", "histogram", "From arrival to the end.", _histogram("duration")),
    Family(
        "requests",
        "counter",
        "Requests that ended, by the status code sent.",
        _by("code", lambda each: each.codes.items()),
    ),
    Family(
        "attempts",
        "counter",
        "Attempts at replicas that ended, by outcome.",
        _by("outcome", lambda each: each.attempts.items()),
    ),
    Family("attempts_in_flight", "gauge", "Attempts at replicas that go on.", _plain("in_flight")),
    Family(
        "broken_streams", "counter", "Streams that ended early through the replica's fault or ours.", _plain("broken")
    ),
    Family("input_tokens", "counter", "Tokens of prompts, as engines told.", _plain("tokens_in")),
    Family("output_tokens", "counter", "Tokens of answers, as engines told.", _plain("tokens_out")),
    Family("sent_bytes", "counter", "Bytes of answers sent to clients.", _plain("sent")),
    Family(
        "slow_token_gaps",
        "counter",
        "Gaps between two chunks that are longer than the SLO's tpot.",
        _plain("slow_gaps"),
    ),
    Family(
        "slo_judged",
        "counter",
        "Attempts (errors) and requests (ttft, tpot) that were judged by the SLO.",
        _by("objective", lambda each: zip(OBJECTIVES, each.judged, strict=True)),
    ),
    Family(
        "slo_missed",
        "counter",
        "Those of them that missed it.",
        _by("objective", lambda each: zip(OBJECTIVES, each.missed, strict=True)),
    ),
    Family(
        "replica_time_to_first_token_seconds",
        "summary",
        "From arrival to the first token, by replica.",
        _summary("ttft", lambda each: each.ttfts),
    ),
    Family(
        "replica_inter_token_latency_seconds",
        "summary",
        "Between two chunks of a stream, by replica.",
        _summary("gap", lambda each: each.gaps),
    ),
    Family(
        "replica_request_duration_seconds",
        "summary",
        "From arrival to the end, by replica.",
        _summary("duration", lambda each: sum(each.codes.values())),
    ),
    Family(
        "replica_price_usd_per_hour",
        "gauge",
        "What a replica costs. All gateways tell the same: take the maximum by replica, then the sum.",
        _prices,
    ),
)
