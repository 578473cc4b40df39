"""Tables as kubectl has them: headers in capitals, columns as wide as they must be; and the same as JSON or YAML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import yaml
from rich.console import Console

from inferops.cli.lines import line, plain

GAP = "   "


class Cell(NamedTuple):
    """What stands in a table, and in which colour."""

    text: str
    colour: str = ""


class Column(NamedTuple):
    """A column of a table."""

    title: str
    right: bool = False  # numbers are read from their ends
    most: int = 0  # characters that are shown; 0: all


def lines(columns: Sequence[Column], rows: Iterable[Sequence[Cell | str]]) -> list[str]:
    """The table's lines, in our markup."""
    cells = [[_cell(each, column) for each, column in zip(row, columns, strict=True)] for row in rows]
    titles = [Cell(column.title) for column in columns]
    widths = [max(len(row[place].text) for row in (titles, *cells)) for place in range(len(columns))]
    return [_line(row, columns, widths) for row in (titles, *cells)]


def _cell(given: Cell | str, column: Column) -> Cell:
    cell = given if isinstance(given, Cell) else Cell(given)
    text = plain(cell.text) or "-"
    if column.most and len(text) > column.most:
        text = f"{text[: column.most - 1]}…"
    return Cell(text, cell.colour)


def _line(row: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int]) -> str:
    parts = []
    for cell, column, width in zip(row, columns, widths, strict=True):
        padding = " " * (width - len(cell.text))
        text = f"[{cell.colour}]{cell.text}[/]" if cell.colour else cell.text
        parts.append(f"{padding}{text}" if column.right else f"{text}{padding}")
    return GAP.join(parts).rstrip()


def show(console: Console, told: Iterable[str]) -> None:
    """Print lines of our markup, whatever their length."""
    for each in told:
        console.print(line(each), soft_wrap=True)


def document(data: Any, output: str) -> str:
    """`data` as JSON or YAML, to be printed."""
    return json.dumps(data, indent=2) if output == "json" else yaml.safe_dump(data, sort_keys=False).rstrip()
