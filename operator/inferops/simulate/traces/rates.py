"""Rates in steps of time, as a CSV file tells them: start_s, requests_per_s and, where known, mean_client_cv."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from inferops.simulate.traces.cells import RATE, SECONDS, VARIATION, number
from inferops.simulate.traces.lines import Lines, Table

START, PER_SECOND, CV = ("start_s",), ("requests_per_s",), ("mean_client_cv", "cv")
ALONE = 600.0  # seconds of a single step
WIDEST = 20.0  # coefficient of variation; of a wider one nothing comes for days, and then all at once


class Step(NamedTuple):
    """A rate for some time."""

    seconds: float
    rate: float  # requests a second
    cv: float = 1.0  # coefficient of variation of the times between requests


def read(path: Path) -> list[Step]:
    """The steps of the file; the last one lasts as long as the one before it. Raises BadTrace."""
    starts: list[float] = []
    rates: list[tuple[float, float]] = []
    with Lines(path) as lines:
        table = Table(lines)
        start, rate, cv = table.column(*START), table.column(*PER_SECOND), table.optional(*CV)
        for row in table:
            begun = table.read(row, start, number, SECONDS)
            if starts and begun <= starts[-1]:
                told = f"{begun:g} does not come after {starts[-1]:g}; sort the file and give each step once"
                raise lines.bad(told, table.header[start])
            wide = 1.0 if cv is None else min(WIDEST, table.read(row, cv, number, VARIATION))
            starts.append(begun)
            rates.append((table.read(row, rate, number, RATE), wide))
        if not starts:
            raise lines.bad("there are no steps in it; give lines of start_s and requests_per_s below the header")
    lengths = [end - begin for begin, end in pairwise(starts)]
    lengths.append(lengths[-1] if lengths else ALONE)
    return [Step(length, each, wide) for length, (each, wide) in zip(lengths, rates, strict=True)]
