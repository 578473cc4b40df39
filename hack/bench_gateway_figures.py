"""Figures of the gateway's benchmark: percentiles, growth of memory, and the table of what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from rich.table import Table

from bench_gateway_load import Answers, Streams


@dataclass(slots=True)
class Measured:
    """One way to the engine under one load, over all rounds."""

    rates: list[float] = field(default_factory=list)  # answers a second of each round
    p50: list[float] = field(default_factory=list)  # seconds, of each round, as below
    p99: list[float] = field(default_factory=list)
    answers: int = 0
    failed: int = 0
    cpu: float = 0.0  # seconds of the process in between

    def add(self, answers: Answers, cpu: float) -> None:
        """A round."""
        self.rates.append(len(answers.times) / answers.seconds)
        self.p50.append(percentile(answers.times, 0.5))
        self.p99.append(percentile(answers.times, 0.99))
        self.answers += len(answers.times)
        self.failed += answers.failed
        self.cpu += cpu


@dataclass(frozen=True, slots=True)
class Streamed:
    """One way to the engine under streams."""

    streams: Streams
    cpu: float  # seconds of the process in between

    @property
    def broken(self) -> int:
        return self.streams.asked - self.streams.whole


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed. Of no values it is not a number."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """How much the second grows for one of the first, by least squares; 0 for less than two."""
    if len(samples) < 2:
        return 0.0
    x, y = fmean(at for at, _ in samples), fmean(value for _, value in samples)
    spread = sum((at - x) ** 2 for at, _ in samples)
    return sum((at - x) * (value - y) for at, value in samples) / spread if spread else 0.0


def table_of_answers(title: str, found: dict[str, Measured], base: str, limited: bool) -> Table:
    """A line a target, medians over the rounds; what is added is that to `base` in the same round.

    `limited`: the rate was given.
    """
    columns = ["req/s"] if not limited else []
    columns += ["p50 ms", "p99 ms", "added p50", "added p99", "CPU us a request", "failed"]
    table = _table(title, columns)
    direct = found[base]
    for name, each in found.items():
        cells = [f"{median(each.rates):,.0f}"] if not limited else []
        cells += [_ms(median(each.p50)), _ms(median(each.p99))]
        if name == base:
            cells += ["-", "-", "-"]
        else:
            cells += [_ms(added(each.p50, direct.p50)), _ms(added(each.p99, direct.p99))]
            cells += [f"{each.cpu / each.answers * 1e6:.0f}" if each.answers else "-"]
        table.add_row(name, *cells, str(each.failed))
    return table


def added(rounds: Sequence[float], base: Sequence[float]) -> float:
    """The median of the differences, round by round."""
    return median(ours - theirs for ours, theirs in zip(rounds, base, strict=True))


def table_of_streams(title: str, found: dict[str, Streamed], base: str) -> Table:
    columns = ["tokens/s", "delay p50 ms", "p99 ms", "added p50", "added p99", "CPU of a core", "broken"]
    table = _table(title, columns)
    direct = found[base].streams.delays
    for name, each in found.items():
        delays = each.streams.delays
        p50, p99 = percentile(delays, 0.5), percentile(delays, 0.99)
        more = [p50 - percentile(direct, 0.5), p99 - percentile(direct, 0.99)]
        cells = [f"{len(delays) / each.streams.seconds:,.0f}", _ms(p50), _ms(p99)]
        cells += [*(["-", "-"] if name == base else map(_ms, more))]
        cells += [f"{100 * each.cpu / each.streams.seconds:.0f} %" if name != base else "-", str(each.broken)]
        table.add_row(name, *cells)
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title, *columns, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"
