"""Which kind of file it is, by its first line, and the reader for it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

from inferops.simulate.scaling.scenario import Request
from inferops.simulate.traces import azure, burstgpt, mooncake, promrange, rates
from inferops.simulate.traces.lines import BadTrace, Lines
from inferops.simulate.traces.rates import Step

REQUESTS = (
    "TIMESTAMP,ContextTokens,GeneratedTokens (Azure), Timestamp,…,Request tokens,Response tokens (BurstGPT) or a JSON "
    "object a line with timestamp, input_length and output_length (Mooncake)"
)
RATES = "start_s,requests_per_s[,mean_client_cv] or a saved answer of Prometheus to a range query"

AZURE, BURSTGPT, MOONCAKE, OF_RATES, PROMETHEUS = "Azure", "BurstGPT", "Mooncake", "rates", "Prometheus"


def kind_of(path: Path) -> str | None:
    """The kind of a file by its first line; None: none of those that can be read. Raises BadTrace."""
    with Lines(path) as lines:
        first = lines.head()
    if not first:
        raise BadTrace(f"{path}: is empty; give a file that begins with {REQUESTS}, or with {RATES}")
    if first[0] in "{[":
        return MOONCAKE if '"input_length"' in first else PROMETHEUS
    names = {name.strip().casefold() for name in next(csv.reader([first]), [])}
    for kind, columns in (
        (AZURE, azure.COLUMNS),
        (BURSTGPT, burstgpt.COLUMNS),
        (OF_RATES, (*rates.START, *rates.PER_SECOND)),
    ):
        if names >= {column.casefold() for column in columns}:
            return kind
    return None


def requests(path: Path) -> Callable[[], Iterator[Request]]:
    """What reads the requests of a file anew, each time it is called. Raises BadTrace, there and here."""
    kind = kind_of(path)
    if kind == MOONCAKE:
        return lambda: mooncake.read(path)
    if kind in (OF_RATES, PROMETHEUS):
        raise BadTrace(f"{path}: holds rates and no requests; give it by --rates")
    if kind is None:
        raise BadTrace(f"{path}, line 1: none of the headers that are known; it must begin with {REQUESTS}")
    read = azure.read if kind == AZURE else burstgpt.read

    def each() -> Iterator[Request]:
        with Lines(path) as lines:
            yield from read(lines)

    return each


def steps(path: Path) -> list[Step]:
    """The rates of a file. Raises BadTrace."""
    kind = kind_of(path)
    if kind == OF_RATES:
        return rates.read(path)
    if kind == PROMETHEUS:
        return promrange.read(path)
    if kind is None:
        raise BadTrace(f"{path}, line 1: none of the headers that are known; it must begin with {RATES}")
    raise BadTrace(f"{path}: holds requests and no rates; give it by --trace")
