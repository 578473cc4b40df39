"""BurstGPT: Timestamp in seconds, Model, Request tokens, Response tokens, Total tokens, Log Type.

Requests without an answer failed when they were recorded; what they would have asked of an engine is not known, so
they are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from inferops.simulate.scaling.scenario import Request
from inferops.simulate.traces.cells import SECONDS, TOKENS, number, tokens
from inferops.simulate.traces.lines import Lines, Table

COLUMNS = ("Timestamp", "Request tokens", "Response tokens")


def read(lines: Lines) -> Iterator[Request]:
    """The requests of the file; times are seconds since the recording began. Raises BadTrace."""
    table = Table(lines)
    at, prompt, output = (table.column(name) for name in COLUMNS)
    for row in table:
        answer = table.read(row, output, tokens, TOKENS)
        if answer:
            asked = table.read(row, prompt, tokens, TOKENS)
            yield Request(table.read(row, at, number, SECONDS), max(1, asked), answer)
