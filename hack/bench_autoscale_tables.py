"""The comparison as tables: Markdown for the documentation, rich for a terminal, and plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from bench_autoscale_confirm import Confirmed
from bench_autoscale_ours import OURS
from bench_autoscale_play import Outcome
from bench_autoscale_results import LEVELS, Cost, Result, best_peer, of_defaults
from bench_autoscale_rules import BOUND
from bench_autoscale_stats import Interval

NONE = "-"


def share(level: float) -> str:
    """An attainment as people say it."""
    return f"{100 * (1 - level):g} %"


def _hours(cost: Cost | None, days: float) -> str:
    """GPU hours a day."""
    if cost is None or cost.hours is None:
        return NONE
    within = "" if cost.hours.within is None else f" ± {cost.hours.within / days:.1f}"
    return f"{'≤ ' if cost.at_most else ''}{cost.hours.mean / days:.1f}{within}"


def _percent(found: Interval | None) -> str:
    if found is None:
        return NONE
    within = "" if found.within is None else f" ± {100 * found.within:.1f}"
    return f"{100 * found.mean:+.1f}{within}"


def summary(results: Sequence[Result]) -> list[list[str]]:
    """For each case and attainment: what ours costs, who is next, and how far it is to the bound. The first row is the
    header."""
    rows = [["case", "SLO met", "GPU hours a day", "next best", "its GPU hours", "saved, %", "above the bound, %"]]
    for result in results:
        for level in LEVELS:
            mine, next_best = result.cost(OURS, level), best_peer(result, level)
            rows.append(
                [
                    result.cell.title,
                    share(level),
                    _hours(mine, result.days),
                    next_best.rule if next_best else NONE,
                    _hours(next_best, result.days),
                    _percent(next_best.we_save if next_best else None),
                    _percent(mine.over_bound if mine else None),
                ]
            )
    return rows


def at_equal_attainment(result: Result) -> list[list[str]]:
    """All rules of one case. The first row is the header."""
    header = ["rule"]
    header += [f"GPU hours a day at {share(level)}" for level in LEVELS]
    header += [f"saved at {share(level)}, %" for level in LEVELS]
    rows = [header]
    ranked = sorted(result.rules, key=lambda rule: _rank(rule, result))
    for rule in ranked:
        costs = [result.cost(rule, level) for level in LEVELS]
        saved = [_percent(cost.we_save) if cost and rule not in (OURS, BOUND) else NONE for cost in costs]
        rows.append([rule, *(_hours(cost, result.days) for cost in costs), *saved])
    return rows


def _rank(rule: str, result: Result) -> tuple[bool, float]:
    """By hours at the middle attainment; those that do not reach it last."""
    cost = result.cost(rule, LEVELS[1])
    return (False, cost.hours.mean) if cost and cost.hours else (True, 0.0)


def defaults(result: Result) -> list[list[str]]:
    """Rules as they come. The first row is the header."""
    rows = [["rule with its defaults", "SLO met, %", "GPU hours a day", "changes a day"]]
    for each in sorted(of_defaults(result), key=lambda shown: shown.missed):
        hours = each.hours.mean / result.days
        rows.append([each.rule, f"{100 * (1 - each.missed):.2f}", f"{hours:.1f}", f"{each.changes:.0f}"])
    return rows


def confirmation(found: Sequence[tuple[Confirmed, Outcome]], gpus: int) -> list[list[str]]:
    """Settings request by request, beside the fluid model on the same day. The first row is the header."""
    rows = [["rule", "SLO met, %", "fluid model's", "GPU hours", "fluid model's", "TTFT p99, s", "TPOT p99, ms"]]
    for single, flowed in sorted(found, key=lambda each: each[0].gpu_hours):
        rows.append(
            [
                single.rule,
                f"{100 * single.attainment:.2f}",
                f"{100 * (1 - flowed.missed / flowed.requests):.2f}",
                f"{single.gpu_hours:.0f}",
                f"{gpus * flowed.hours:.0f}",
                f"{single.ttft:.2f}",
                f"{1000 * single.tpot:.0f}",
            ]
        )
    return rows


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    rule = ["---", *("---:" for _ in rows[0][1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], rule, *rows[1:]]) + "\n"


def page(results: Sequence[Result], told: str, confirmed: Sequence[Sequence[str]] = ()) -> str:
    """All of it as Markdown."""
    parts = [told, "", "## Next to the best peer", "", markdown(summary(results))]
    if confirmed:
        parts += ["## Request by request", "", markdown(confirmed)]
    for result in results:
        parts += [
            f"## {result.cell.title}",
            "",
            f"TTFT within {result.cell.slo.ttft:g} s and TPOT within {1000 * result.cell.slo.tpot:g} ms: one replica "
            f"carries {result.capacity:.1f} requests a second, {result.concurrency:.0f} at once. "
            f"{result.requests / 1e6:.2f} million requests over {result.days:.2g} days.",
            "",
            markdown(at_equal_attainment(result)),
            markdown(defaults(result)),
        ]
    return "\n".join(parts)


def show(console: Console, title: str, rows: Sequence[Sequence[str]]) -> None:
    """On a terminal."""
    table = Table(title=title, title_justify="left")
    for place, name in enumerate(rows[0]):
        table.add_column(name, justify="left" if place == 0 else "right")
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)


def plain(results: Sequence[Result]) -> list[dict[str, Any]]:
    """For JSON: hours are of GPUs over all days that were tested on."""
    return [
        {
            "model": result.cell.model,
            "trace": result.cell.trace,
            "cold_start_seconds": result.cell.cold,
            "days": result.days,
            "requests": result.requests,
            "capacity": result.capacity,
            "concurrency": result.concurrency,
            "at_equal_attainment": [asdict(cost) for cost in result.costs],
            "points": [asdict(shown) for shown in result.shown],
            "tuned": result.tuned,
        }
        for result in results
    ]
