"""A trace's file line by line, packed or not, with errors that name file, line, column and remedy."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TypeVar, cast

GZIP = b"\x1f\x8b"
LONGEST = 1 << 20  # bytes of a line; Mooncake's hold a number for each 512 tokens of a prompt
HEAD = 1 << 16  # characters by which a kind of file is recognised
SHOWN = 40  # characters of a faulty cell

T = TypeVar("T")


class BadTrace(ValueError):
    """A trace that cannot be read: which file, line and column, what is wrong, and what would do."""


def opened(path: Path) -> IO[str]:
    """The file as text, unpacked where it is gzip's, whatever its name. Raises BadTrace."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == GZIP
        open_text = gzip.open if packed else open
        return cast(IO[str], open_text(path, "rt", encoding="utf-8-sig", newline=""))
    except OSError as error:
        raise BadTrace(f"{path}: {error.strerror or error}; name a file that can be read") from error


class Lines:
    """The lines of one file in turn. To be used with `with`; what cannot be read raises BadTrace."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = 0
        self._file = opened(path)

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[str]:
        while line := self._next():
            if line.strip():
                yield line

    def head(self) -> str:
        """The first line with anything in it, or its beginning; empty where there is none. To be asked first."""
        text = self._read(self._file.read, HEAD)
        return next((line for line in text.splitlines() if line.strip()), "").strip()

    def _next(self) -> str:
        line = self._read(self._file.readline, LONGEST)
        self.number += bool(line)
        if len(line) >= LONGEST:
            raise self.bad(f"is longer than {LONGEST:,} characters; give one request a line")
        return line

    def _read(self, read: Callable[[int], str], most: int) -> str:
        try:
            return read(most)
        except UnicodeDecodeError as error:
            self.number += 1
            raise self.bad("is not text in UTF-8; give a CSV or JSONL file, as it is or packed by gzip") from error
        except (OSError, EOFError, zlib.error) as error:
            self.number += 1
            raise self.bad(f"cannot be read: {error}; fetch the file anew") from error

    def bad(self, what: str, column: str = "") -> BadTrace:
        """What is wrong with the line that was read last."""
        where = f"{self.path}, line {self.number}" + (f", column {column}" if column else "")
        return BadTrace(f"{where}: {what}")


class Table:
    """A CSV file with a header: rows as lists of cells, columns by name whatever their case."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._rows = csv.reader(iter(lines))
        self.header = [name.strip() for name in next(self._rows, [])]

    def column(self, *names: str) -> int:
        """Where the column of one of these names is. Raises BadTrace."""
        found = self.optional(*names)
        if found is None:
            there = ", ".join(self.header) or "none"
            raise self._lines.bad(f"no column {' or '.join(names)} in the header; there are {there}")
        return found

    def optional(self, *names: str) -> int | None:
        """The same; None where there is none."""
        folded = [name.casefold() for name in self.header]
        return next((folded.index(name.casefold()) for name in names if name.casefold() in folded), None)

    def __iter__(self) -> Iterator[list[str]]:
        width = len(self.header)
        try:
            for row in self._rows:
                if len(row) < width:
                    raise self._lines.bad(f"has {len(row)} of {width} columns; complete the line or take it out")
                yield row
        except csv.Error as error:
            raise self._lines.bad(f"is no line of CSV: {error}; mend its quotes or take it out") from error

    def read(self, row: Sequence[str], column: int, parse: Callable[[str], T], wanted: str) -> T:
        """One cell. `wanted` says what it should be, with an example. Raises BadTrace."""
        try:
            return parse(row[column])
        except (ValueError, OverflowError):
            cell = row[column] if len(row[column]) <= SHOWN else row[column][:SHOWN] + "…"
            told = f"{cell!r} is not {wanted}; mend the line or take it out"
            raise self._lines.bad(told, self.header[column]) from None
