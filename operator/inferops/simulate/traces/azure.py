"""Azure's traces of language models (2023 and 2024): TIMESTAMP, ContextTokens, GeneratedTokens."""

from __future__ import annotations

from collections.abc import Iterator

from inferops.simulate.scaling.scenario import Request
from inferops.simulate.traces.cells import MOMENT, TOKENS, moment, tokens
from inferops.simulate.traces.lines import Lines, Table

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


def read(lines: Lines) -> Iterator[Request]:
    """The requests of the file; times are Unix seconds. Raises BadTrace."""
    table = Table(lines)
    at, prompt, output = (table.column(name) for name in COLUMNS)
    for row in table:
        yield Request(
            table.read(row, at, moment, MOMENT),
            max(1, table.read(row, prompt, tokens, TOKENS)),
            max(1, table.read(row, output, tokens, TOKENS)),
        )
