"""Tables as kubectl has them: headers in capitals, columns as wide as they must be; and the same as JSON or YAML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import yaml
from rich.console import Console

from inferops.cli.lines import line, plain

GAP = "  "
LEAST = 10  # characters that a column keeps that is cut


class Cell(NamedTuple):
    """What stands in a table, and in which colour."""

    text: str
    colour: str = ""


class Column(NamedTuple):
    """A column of a table."""

    title: str
    right: bool = False  # numbers are read from their ends
    cut: bool = False  # where there is no room


def lines(columns: Sequence[Column], rows: Iterable[Sequence[Cell | str]], width: int = 0) -> list[str]:
    """The table's lines, in our markup. Where they would be longer than `width`, the longest columns are cut that may
    be; 0: none is."""
    cells = [[_cell(each) for each in row] for row in rows]
    titles = [Cell(column.title) for column in columns]
    widths = [max(len(row[place].text) for row in (titles, *cells)) for place in range(len(columns))]
    while width and sum(widths) + len(GAP) * (len(columns) - 1) > width:
        able = [place for place, column in enumerate(columns) if column.cut and widths[place] > LEAST]
        if not able:
            break
        widths[max(able, key=widths.__getitem__)] -= 1
    return [_line(row, columns, widths) for row in (titles, *cells)]


def _cell(given: Cell | str) -> Cell:
    cell = given if isinstance(given, Cell) else Cell(given)
    return Cell(plain(cell.text) or "-", cell.colour)


def _line(row: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int]) -> str:
    parts = []
    for cell, column, width in zip(row, columns, widths, strict=True):
        shown = cell.text if len(cell.text) <= width else f"{cell.text[: width - 1]}…"
        padding = " " * (width - len(shown))
        text = f"[{cell.colour}]{shown}[/]" if cell.colour else shown
        parts.append(f"{padding}{text}" if column.right else f"{text}{padding}")
    return GAP.join(parts).rstrip()


def show(console: Console, told: Iterable[str]) -> None:
    """Print lines of our markup, whatever their length."""
    for each in told:
        console.print(line(each), soft_wrap=True)


def document(data: Any, output: str) -> str:
    """`data` as JSON or YAML, to be printed."""
    return json.dumps(data, indent=2) if output == "json" else yaml.safe_dump(data, sort_keys=False).rstrip()
