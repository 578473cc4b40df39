"""The comparison as a table for terminals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inferops.simulate.report import words
from inferops.simulate.report.chart import chart
from inferops.simulate.report.terms import Entry, Report, Suggestion

SERVED = ("SLO met", "TTFT p50 / p95 / p99", "TPOT p50 / p95 / p99")
SPENT = ("refused", "unfinished", "replica-h", "GPU-h", "cost", "changes")
WIDE, WIDEST = 130, 170  # characters; narrower than that, it takes two tables, and settings stand below


def show(console: Console, report: Report) -> None:
    """The whole report, but for its plots."""
    console.print(Text(words.clean(report.title), "bold"))
    wide = max((len(words.clean(name)) for name, _ in report.facts), default=0)
    for name, value in report.facts:
        console.print(Text.assemble((f"{words.clean(name):{wide}}  ", "dim"), words.clean(value)))
    for note in report.notes:
        console.print(Text(words.clean(note), "yellow"))
    console.print()
    for each in tables(report, console.width):
        console.print(each)
    console.print()
    for line in chart(report.entries, console.width):
        console.print(line)
    if report.suggestion is not None:
        console.print()
        _suggest(console, report, report.suggestion)


def tables(report: Report, width: int) -> list[Table]:
    """A row for each rule, in the order given; as many tables as fit."""
    told = any(entry.settings for entry in report.entries)
    cells = {number: _cells(entry, report) for number, entry in enumerate(report.entries)}
    beside = ("settings",) if told and width >= WIDEST else ()
    groups = [(*SERVED, *SPENT, *beside)] if width >= WIDE else [SERVED, SPENT]
    if told and not beside:
        groups.append(("settings",))
    return [_table(report, cells, columns) for columns in groups]


def _table(report: Report, cells: Mapping[int, Mapping[str, Text]], columns: Sequence[str]) -> Table:
    found = Table(box=None, header_style="bold", pad_edge=False)
    found.add_column("rule", no_wrap=True)
    for name in columns:
        if name == "settings":
            found.add_column(name, overflow="fold")
        else:
            found.add_column(name, justify="right", no_wrap=True)
    for number, entry in enumerate(report.entries):
        label = Text(words.clean(entry.name), "bold" if entry.ours else "")
        found.add_row(label, *(cells[number][column] for column in columns))
    return found


def _cells(entry: Entry, report: Report) -> dict[str, Text]:
    """What stands in each column."""
    result = entry.result
    plain = words.figures(result, report.priced)
    met = Text(words.share(result.attainment), "green" if result.attainment >= report.goal else "red")
    settings = Text(words.clean(entry.settings), "dim")
    return dict(zip((*SERVED, *SPENT, "settings"), (met, *map(Text, plain), settings), strict=True))


def _suggest(console: Console, report: Report, suggestion: Suggestion) -> None:
    goal, before, after = words.goal(report.goal), suggestion.before.result, suggestion.after.result
    if suggestion.meets:
        told = f"Of {suggestion.runs} runs these settings meet the SLO for {goal} of requests at the least cost:"
    else:
        told = f"None of {suggestion.runs} runs meets the SLO for {goal} of requests; these settings come nearest:"
    console.print(Text(told, "bold"))
    for line in suggestion.patch.splitlines():
        console.print(Text(f"  {_kept(line)}", "cyan"))
    for name, found in (("before", before), ("after", after)):
        cost = f", {words.dollars(found.cost)}" if report.priced else ""
        gpus = words.hours(found.gpu_hours)
        console.print(f"{name:>8}: {words.share(found.attainment)} within the SLO, {gpus} GPU hours{cost}")


def _kept(line: str) -> str:
    """A line with its indent, cleaned."""
    return " " * (len(line) - len(line.lstrip(" "))) + words.clean(line)
