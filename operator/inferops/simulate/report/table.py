"""The comparison as a table for terminals."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inferops.simulate.report import words
from inferops.simulate.report.chart import chart
from inferops.simulate.report.terms import Entry, Report, Suggestion

NUMBERS = ("SLO met", "TTFT p50 / p95 / p99", "TPOT p50 / p95 / p99", "refused", "unfinished")
HOURS = ("replica-h", "GPU-h", "cost", "changes")


def show(console: Console, report: Report) -> None:
    """The whole report, but for its plots."""
    console.print(Text(words.clean(report.title), "bold"))
    wide = max((len(words.clean(name)) for name, _ in report.facts), default=0)
    for name, value in report.facts:
        console.print(Text.assemble((f"{words.clean(name):{wide}}  ", "dim"), words.clean(value)))
    for note in report.notes:
        console.print(Text(words.clean(note), "yellow"))
    console.print()
    console.print(table(report))
    console.print()
    for line in chart(report.entries):
        console.print(line)
    if report.suggestion is not None:
        console.print()
        _suggest(console, report, report.suggestion)


def table(report: Report) -> Table:
    """A row for each rule, in the order given."""
    found = Table(box=None, header_style="bold", pad_edge=False)
    found.add_column("rule", no_wrap=True)
    for name in (*NUMBERS, *HOURS):
        found.add_column(name, justify="right", no_wrap=True)
    if any(entry.settings for entry in report.entries):
        found.add_column("settings", overflow="fold")
    for entry in report.entries:
        found.add_row(*_row(entry, report))
    return found


def _row(entry: Entry, report: Report) -> list[Text]:
    result = entry.result
    met = Text(words.share(result.attainment), "green" if result.attainment >= report.goal else "red")
    cells = [
        words.spans(result.ttft),
        words.spans(result.tpot),
        f"{result.refused:,}",
        f"{result.unfinished:,}",
        words.hours(result.replica_hours),
        words.hours(result.gpu_hours),
        words.dollars(result.cost, report.priced),
        f"{result.changes:,}",
    ]
    settings = [Text(words.clean(entry.settings), "dim")] if any(each.settings for each in report.entries) else []
    return [Text(words.clean(entry.name), "bold" if entry.ours else ""), met, *map(Text, cells), *settings]


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
