"""An engine's metrics, scraped or asked of Prometheus -> what its replicas have counted since they began.

Latencies are judged by histograms: a request counts as too slow beyond the lowest bound at or above what the SLO allows
that the histograms of all replicas have. It may allow more than the SLO does, the same for both revisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite

from inferops.api.rollout import Metric
from inferops.runtimes.base import Metrics
from inferops.signals.cumulative import Tally

HIGHEST = 2.0**53  # beyond that floats are no exact counts
BUCKET, SUM, COUNT = "_bucket", "_sum", "_count"
BOUNDS = 200  # of one histogram
# Failures that say nothing of how good a revision is: a client went away or asked for nonsense, or the queue was full.
INNOCENT = {
    "nv_inference_request_failure": ("reason", frozenset({"CANCELED", "REJECTED"})),
    "te_request_failure": ("err", frozenset({"overloaded", "batch_size", "validation"})),
}
ROOM = frozenset({"REJECTED", "overloaded"})  # words for the last
MIXED = frozenset({"sglang:num_aborted_requests_total"})  # counts those, and does not say which they are
CODE = "http_response_code"
CODED = frozenset({"bentoml_service_request_total"})  # all requests, by the code of the answer
FULL = frozenset({"429", "503"})
LABELS = ("le", "reason", "err", CODE)  # what is read of a sample's labels

Sample = tuple[str, Mapping[str, str], float]  # name, labels and value


@dataclass(frozen=True, slots=True)
class Target:
    """A service whose engines' metrics are wanted."""

    namespace: str
    pods: Mapping[str, str]  # addresses by name
    metrics: Metrics
    port: int
    ttft: float | None = None  # what the SLO allows, in seconds
    tpot: float | None = None
    load: bool = False  # whether all is wanted that scaling goes by


@dataclass(slots=True)
class Readout:
    """What one replica's metrics say."""

    good: int = 0
    bad: int = 0
    others: int = 0  # requests that are neither
    refused: int = 0  # those of them for which there was no room
    there: int = 0  # requests now
    waiting: int = 0  # those of them in its queue
    ttft: dict[float, int] = field(default_factory=dict[float, int])  # requests by bound, those below it among them
    tpot: dict[float, int] = field(default_factory=dict[float, int])
    numbers: dict[str, float] = field(default_factory=dict[str, float])  # of the names that scaling goes by


@dataclass(frozen=True, slots=True)
class Reading:
    """What the metrics of a service's replicas say, by pod."""

    tallies: Mapping[str, Tally]
    in_flight: Mapping[str, int]  # empty where the engine does not tell
    metrics: frozenset[Metric]  # that they tell of
    bounds: tuple[float | None, float | None]  # beyond which a request counts as too slow, of ttft and tpot
    readouts: Mapping[str, Readout] = field(default_factory=dict[str, Readout])


def names_of(target: Target) -> frozenset[str]:
    """The names of all samples that are read of a service."""
    metrics = target.metrics
    if not target.load:
        return names(metrics)
    pairs = ((metrics.ttft, target.ttft), (metrics.tpot, target.tpot))
    return names(metrics) - {f"{name}{BUCKET}" for name, slo in pairs if slo is None} | sums(metrics)


def sums(metrics: Metrics) -> frozenset[str]:
    """The names of the numbers that scaling goes by beside requests."""
    histograms = [name for name in (metrics.ttft, metrics.tpot) if name is not None]
    found = [f"{name}{ending}" for name in histograms for ending in (SUM, COUNT)]
    others = (metrics.prompt_tokens, metrics.generated_tokens, metrics.rejected, spent(metrics))
    return frozenset([*found, *(name for name in others if name is not None)])


def spent(metrics: Metrics) -> str | None:
    """The name of the time that requests took, all together."""
    return metrics.e2e_microseconds or (f"{metrics.e2e}{SUM}" if metrics.e2e is not None else None)


def names(metrics: Metrics) -> frozenset[str]:
    """The names of the samples by which rollouts are judged."""
    histograms = [f"{name}{BUCKET}" for name in (metrics.ttft, metrics.tpot) if name is not None]
    others = (metrics.succeeded, metrics.failed, metrics.running, metrics.waiting)
    return frozenset([*histograms, *(name for name in others if name is not None)])


def readout(samples: Iterable[Sample], metrics: Metrics) -> Readout:
    """What one replica's samples say; those of other names, and those that are no counts, are passed over."""
    found = Readout()
    histograms = {f"{metrics.ttft}{BUCKET}": found.ttft, f"{metrics.tpot}{BUCKET}": found.tpot}
    others = sums(metrics)
    for name, labels, value in samples:
        if not isfinite(value) or not 0 <= value <= HIGHEST:
            continue
        count = int(value)
        if name in histograms:
            _bucket(histograms[name], labels.get("le", ""), count)
        elif name in (metrics.succeeded, metrics.failed):
            _requests(found, name, labels, count, failed=name == metrics.failed)
        elif name in (metrics.running, metrics.waiting):
            found.there += count
            found.waiting += count if name == metrics.waiting else 0
        if name in others:
            found.numbers[name] = found.numbers.get(name, 0.0) + value
    return found


def read(readouts: Mapping[str, Readout], metrics: Metrics, ttft: float | None, tpot: float | None) -> Reading:
    """What a service's replicas have counted, by pod. `ttft` and `tpot` are what the SLO allows."""
    first = _bound([each.ttft for each in readouts.values()], ttft)
    later = _bound([each.tpot for each in readouts.values()], tpot)
    told: dict[Metric, bool] = {
        "errorRate": metrics.succeeded in CODED or (metrics.failed is not None and metrics.failed not in MIXED),
        "ttft": first is not None,
        "tpot": later is not None,
    }
    gauges = metrics.running is not None or metrics.waiting is not None
    return Reading(
        tallies={pod: _tally(each, first, later) for pod, each in readouts.items()},
        in_flight={pod: each.there for pod, each in readouts.items()} if gauges else {},
        metrics=frozenset(metric for metric, known in told.items() if known),
        bounds=(first, later),
        readouts=readouts,
    )


def _bucket(buckets: dict[float, int], bound: str, count: int) -> None:
    try:
        number = float(bound)
    except ValueError:
        return
    if number == number and (number in buckets or len(buckets) < BOUNDS):  # several models have a histogram each
        buckets[number] = buckets.get(number, 0) + count


def _requests(found: Readout, name: str, labels: Mapping[str, str], count: int, *, failed: bool) -> None:
    """Count requests that ended."""
    if name in CODED:
        code = labels.get(CODE, "")
        failed = code.startswith("5")
        innocent = full = code in FULL
    else:
        label, words = INNOCENT.get(name, ("", frozenset[str]()))
        innocent = labels.get(label, "") in words or name in MIXED
        full = innocent and labels.get(label, "") in ROOM
    if full:
        found.refused += count
    if innocent:
        found.others += count
    elif failed:
        found.bad += count
    else:
        found.good += count


def _bound(histograms: list[dict[float, int]], slo: float | None) -> float | None:
    """The lowest bound at or above `slo` that all histograms have which are there; None: there is none."""
    there = [set(histogram) for histogram in histograms if histogram.get(inf) is not None]
    if slo is None or not there:
        return None
    common = set.intersection(*there)
    return min((bound for bound in common if slo <= bound < inf), default=None)


def _tally(found: Readout, ttft: float | None, tpot: float | None) -> Tally:
    pairs = [(found.good, found.bad), judged(found.ttft, ttft), judged(found.tpot, tpot)]
    good, bad = zip(*pairs, strict=True)
    return Tally((good[0], good[1], good[2]), (bad[0], bad[1], bad[2]), found.good + found.bad + found.others)


def judged(histogram: Mapping[float, int], bound: float | None) -> tuple[int, int]:
    """Requests up to a bound, and beyond it."""
    if bound is None or inf not in histogram:
        return 0, 0
    return histogram[bound], max(histogram[inf] - histogram[bound], 0)
