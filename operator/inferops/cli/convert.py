"""`inferops convert`: resources of KServe and KubeAI as ours, and what became of every field."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from inferops.catalogue import accelerators
from inferops.cli.lines import line, plain
from inferops.convert.asyaml import as_yaml
from inferops.convert.documents import Unreadable, convert
from inferops.convert.ledger import Document, Options, Outcome, written

Report = Literal["table", "json", "off"]
SHOWN = {
    Outcome.LOST: "[red]not carried[/]",
    Outcome.DIFFERS: "[yellow]differs[/]",
    Outcome.CARRIED: "[green]carried[/]",
    Outcome.BUILT_IN: "[green]built in[/]",
    Outcome.IGNORED: "[dim]ignored[/]",
}


def options_in(accelerator: Sequence[str], namespace: str = "") -> Options:
    """What `--accelerator` says: TYPE for what names none, or PROFILE=TYPE. Raises ValueError."""
    default, profiles = "", {}
    for each in accelerator:
        profile, equals, kind = each.rpartition("=")
        if not kind or (equals and not profile):
            raise ValueError(f"{each!r} is neither TYPE nor PROFILE=TYPE, for example {next(iter(accelerators()))}")
        if equals:
            profiles[profile] = kind
        else:
            default = kind
    return Options(default, profiles, namespace)


def run(files: Sequence[Path], options: Options, report: Report, *, strict: bool) -> int:
    """Print ours on stdout and the report on stderr. Returns 2 where a file cannot be read, 1 where `strict` and
    something was not carried over, else 0."""
    try:
        text = "\n---\n".join(sys.stdin.read() if str(file) == "-" else file.read_text() for file in files)
        documents = convert(text, options)
    except (OSError, UnicodeError, Unreadable) as error:
        print(f"{', '.join(map(str, files))}: {error}", file=sys.stderr)
        return 2
    print(as_yaml(documents), end="")
    if report == "json":
        print(json.dumps([as_json(document) for document in documents], indent=2), file=sys.stderr)
    elif report == "table":
        show(documents, Console(stderr=True, highlight=False))
    return int(strict and any(document.lost for document in documents))


def as_json(document: Document) -> dict[str, object]:
    """The account of one resource."""
    result = "passed" if document.passed else "failed" if document.failed else "converted"
    entries = [entry.told() for entry in document.entries]
    return {"resource": document.source, "result": result, "message": document.failed, "fields": entries}


def show(documents: Iterable[Document], console: Console) -> None:
    """A table a resource: what needs a look first, what the server set not at all."""
    for document in documents:
        if document.passed:
            became = document.failed or "of another kind, and as it was"
            console.print(line(f"[bold]{plain(document.source)}[/]: {became}"))
            continue
        console.print(line(f"[bold]{plain(document.source)}[/]"))
        if document.failed:
            console.print(line(f"[red]not converted[/]: {plain(document.failed)}"))
            continue
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in ("Field", "", "Became, or why not"):
            table.add_column(name, overflow="fold")
        for outcome, shown in SHOWN.items():
            for entry in document.entries:
                if entry.outcome is outcome and outcome is not Outcome.IGNORED:
                    target = written(entry.target) if entry.target else ""
                    told = (target, entry.message, entry.instead and f"instead: {entry.instead}")
                    row = plain(written(entry.path)), shown, plain("; ".join(part for part in told if part))
                    table.add_row(*map(line, row))
        ignored = sum(entry.outcome is Outcome.IGNORED for entry in document.entries)
        if table.row_count:
            console.print(table)
        if ignored:
            console.print(line(f"[dim]{ignored} fields that the server or another tool sets were passed over[/]"))
