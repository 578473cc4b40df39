"""The `nv_` metrics of Triton 2.51, CPU build: same names, types and labels. Durations are simulated microseconds.

Written as text here, since Triton's counters lack the `_total` that client libraries insist on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import ceil

QUANTILES = ("0.5", "0.9", "0.95", "0.99", "0.999")
WINDOW_SECONDS = 60.0  # what the quantiles look back on
WINDOW_SIZE = 10_000  # observations kept at most
REASONS = ("OTHER", "BACKEND", "CANCELED", "REJECTED")
COUNTERS = (
    ("nv_inference_count", "Inferences: items of the batches, without cached ones."),
    ("nv_inference_exec_count", "Executions of the model."),
)
PHASES = ("request", "queue", "compute_input", "compute_infer", "compute_output")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that one request spent, by phase."""

    queue: float
    compute_input: float
    compute_infer: float
    compute_output: float

    def microseconds(self, phase: str) -> int:
        """Microseconds in `phase`, one of `PHASES`."""
        parts = dict(
            zip(PHASES[1:], (self.queue, self.compute_input, self.compute_infer, self.compute_output), strict=True)
        )
        return round((parts[phase] if phase in parts else sum(parts.values())) * 1e6)


@dataclass(frozen=True, slots=True)
class Host:
    """What the machine reports: a share and bytes."""

    cpu_utilization: float
    memory_total: int
    memory_used: int
    pinned_pool: int = 268_435_456


@dataclass(slots=True)
class _Model:
    success: int = 0
    failures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    inferences: int = 0
    executions: int = 0
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PHASES, 0))
    recent: deque[tuple[float, Timing]] = field(default_factory=lambda: deque(maxlen=WINDOW_SIZE))


class TritonMetrics:
    """The metrics of one server. `summaries`: the quantiles, which Triton shows only when asked for them."""

    def __init__(self, models: Iterable[str], summaries: bool) -> None:
        self._models = {name: _Model() for name in models}
        self._summaries = summaries

    def executed(self, model: str) -> None:
        """Count one execution of `model`."""
        self._models[model].executions += 1

    def succeeded(self, model: str, now: float, timing: Timing, items: int = 1) -> None:
        """Count a request for `items` inferences that was answered at `now`."""
        counted = self._models[model]
        counted.success += 1
        counted.inferences += items
        for phase in PHASES:
            counted.totals[phase] += timing.microseconds(phase)
        counted.recent.append((now, timing))

    def failed(self, model: str, reason: str) -> None:
        """Count a request that failed for `reason`, one of `REASONS`."""
        self._models[model].failures[reason] += 1

    def text(self, pending: dict[str, int], host: Host, now: float) -> str:
        """The exposition; `pending`: requests of each model that wait for execution."""
        return "\n".join(self._lines(pending, host, now)) + "\n"

    def _lines(self, pending: dict[str, int], host: Host, now: float) -> Iterator[str]:
        yield from _head("nv_inference_request_success", "counter", "Requests that succeeded.")
        for model, counted in self._models.items():
            yield f"nv_inference_request_success{_labels(model)} {counted.success}"
        yield from _head("nv_inference_request_failure", "counter", "Requests that failed.")
        for model, counted in self._models.items():
            for reason, failures in counted.failures.items():
                yield f"nv_inference_request_failure{_labels(model, reason=reason)} {failures}"
        for name, text in COUNTERS:
            yield from _head(name, "counter", text)
            for model, counted in self._models.items():
                value = counted.inferences if name == "nv_inference_count" else counted.executions
                yield f"{name}{_labels(model)} {value}"
        for phase in PHASES:
            name = f"nv_inference_{phase}_duration_us"
            yield from _head(name, "counter", f"Microseconds of {phase.replace('_', ' ')} time, all requests together.")
            for model, counted in self._models.items():
                yield f"{name}{_labels(model)} {counted.totals[phase]}"
        yield from _head("nv_inference_pending_request_count", "gauge", "Requests that wait for execution.")
        for model in self._models:
            yield f"nv_inference_pending_request_count{_labels(model)} {pending.get(model, 0)}"
        yield from _host(host)
        if self._summaries:
            for phase in PHASES:
                yield from self._summary(phase, now)

    def _summary(self, phase: str, now: float) -> Iterator[str]:
        name = f"nv_inference_{phase}_summary_us"
        yield from _head(name, "summary", f"Microseconds of {phase.replace('_', ' ')} time of a request.")
        for model, counted in self._models.items():
            while counted.recent and counted.recent[0][0] < now - WINDOW_SECONDS:
                counted.recent.popleft()
            values = sorted(timing.microseconds(phase) for _, timing in counted.recent)
            yield f"{name}_count{_labels(model)} {counted.success}"
            yield f"{name}_sum{_labels(model)} {counted.totals[phase]}"
            for quantile in QUANTILES:
                # The capital letter is Triton's.
                value = values[ceil(float(quantile) * len(values)) - 1] if values else "Nan"
                yield f"{name}{_labels(model, quantile=quantile)} {value}"


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _labels(model: str, **more: str) -> str:
    """Labels in alphabetical order but for a quantile, which comes last."""
    labels = {"model": model, **({"reason": more["reason"]} if "reason" in more else {}), "version": "1"}
    if "quantile" in more:
        labels["quantile"] = more["quantile"]
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _host(host: Host) -> Iterator[str]:
    for name, text, value in (
        ("nv_pinned_memory_pool_total_bytes", "Bytes of the pool of pinned memory.", host.pinned_pool),
        ("nv_pinned_memory_pool_used_bytes", "Bytes of that pool in use.", 0),
        ("nv_cpu_utilization", "Share of the CPUs in use, 0 to 1.", host.cpu_utilization),
        ("nv_cpu_memory_total_bytes", "Bytes of memory.", host.memory_total),
        ("nv_cpu_memory_used_bytes", "Bytes of memory in use.", host.memory_used),
    ):
        yield from _head(name, "gauge", text)
        yield f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
