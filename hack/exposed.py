"""Every metric that the operator and the gateway tell, with its labels: read from the code that tells it, not a list.

A counter, histogram or summary counts by the names of its samples, as queries have them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families as parsed

from inferops.controller import exposition as operator
from inferops.controller.telemetry import Metrics
from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.balance.targets import Result
from inferops.gateway.signals.exposition import FAMILIES, PREFIX, Exposition, texts
from inferops.gateway.signals.meters import Meters
from inferops.gateway.signals.record import Record
from inferops.gateway.table import Backend, Replica, Revision, ServiceKey, Table
from inferops.runtimes.base import Api

TARGET = frozenset(("job", "instance"))  # labels that every scrape adds
ENDS = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}


class Exposed(NamedTuple):
    """One metric, as # TYPE and # HELP name it."""

    who: str  # operator or gateway
    name: str
    kind: str
    labels: tuple[str, ...]
    help: str

    @property
    def samples(self) -> dict[str, frozenset[str]]:
        """The names of its samples, and the labels of each."""
        return {
            self.name + end: frozenset((*self.labels, "le") if end == "_bucket" else self.labels)
            for end in ENDS[self.kind]
        }


def exposed() -> list[Exposed]:
    """All of them, sorted by who tells them and by name."""
    return sorted([*_operator(), *_gateway()])


def samples() -> dict[str, frozenset[str]]:
    """The labels of every sample, by its name."""
    return {name: labels for each in exposed() for name, labels in each.samples.items()}


def _operator() -> Iterator[Exposed]:
    registry = Metrics().registry
    for collector in list(registry._collector_to_names):  # a metric without samples tells its labels nowhere else
        labels = tuple(getattr(collector, "_labelnames", ()))
        for metric in collector.collect():
            yield _of("operator", metric, labels)
    for family in operator.FAMILIES:
        yield Exposed("operator", family.name, "gauge", family.labels, family.help)


def _gateway() -> Iterator[Exposed]:
    meters = _busy()
    told = {each.name: each for each in parsed("".join(texts(meters, openmetrics=False)))}
    for family in FAMILIES:
        name = PREFIX + family.name
        labels = tuple(label for label in told[name].samples[0].labels if label != "le")
        yield Exposed("gateway", name, family.kind, labels, family.help)
    for metric in Exposition(meters, dropped=int)._registry.collect():
        yield _of("gateway", metric, ())


def _of(who: str, metric: Metric, labels: tuple[str, ...]) -> Exposed:
    return Exposed(who, metric.name, metric.type, labels, metric.documentation)


def _busy() -> Meters:
    """Counters of a gateway that has seen one of everything: what was never counted has no labels."""
    key = ServiceKey("namespace", "service")
    backend = Backend(key, Api("openai", ("/v1/",)), ("service",), (_revision(),), ttft=1.0, tpot=0.1)
    meters = Meters(lambda: 0.0, lambda: Table([backend]), lambda _: 0)
    meters.look()
    meters.arrived(key)
    meters.refused(key, 429, "rate_limit_exceeded")
    meters.spilled(key, "cluster", next(iter(Result)))
    meters.began(key, "hash", "replica")
    meters.token_gap(key, "hash", "replica", 0.01, False)
    meters.attempt(key, "hash", "replica", Outcome.OK)
    record = Record(0.0, key=key, revision="hash", replica="replica", status=200, first=0.1, duration=1.0, stream=True)
    record.tokens_out = 10
    meters.finished(record, backend)
    return meters


def _revision() -> Revision:
    return Revision("hash", 100, (Replica("replica", "192.0.2.1:80"),), 1.0)
