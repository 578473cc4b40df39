"""`make bench-autoscale`: what scaling costs at equal SLO attainment, ours beside other autoscalers' rules.

Every rule is tuned over a grid on the first week of a trace, and played with the settings that this chose, and with its
defaults, on the second week with at least ten seeds, which all rules share. A rule's settings make a curve of GPU hours
against missed requests; rules are compared where their curves reach 99, 99.5 and 99.9 %. On traces of an hour they are
played as tuned on two weeks of another. Ours has nothing to tune: it is played with several promises, and has lived
through three days of the first week. Beside them stand a fleet that never changes and a bound that knows the demand.

Prints tables; writes them with all points and a plot into --out. Judges nothing. Some hours on two cores; it goes on
where it was interrupted. --quick gives a first idea of one case in minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

import bench_autoscale_tables as tables
from bench_autoscale_cases import (
    COLDS,
    DAY,
    GETTING_READY,
    HOURS,
    MODELS,
    RATES,
    TUNED_DAYS,
    Cell,
    Service,
    missing,
    service,
)
from bench_autoscale_confirm import Ask, both
from bench_autoscale_kept import Kept, played
from bench_autoscale_ours import ABLATIONS, OURS
from bench_autoscale_play import Outcome, Span, Task, sifting, tasks, testing, tuning
from bench_autoscale_plot import svg
from bench_autoscale_results import LEVELS, Result, by_entry, chosen, judge, point, reaching, sifted
from bench_autoscale_rules import BOUND, STATIC, Entry, bounds, defaults, fleets, grids
from inferops.simulate.scaling.peers import NAMES
from inferops.simulate.traces.lines import BadTrace

SEEDS = 10
TUNING_SEEDS = range(1000, 1001)  # none of those that are tested on
FLEET, SMALL_FLEET = 16.0, 8.0  # replicas that the busiest ten minutes need: of two weeks, of an hour
QUICK = {"models": "70b", "traces": "mid", "colds": "180", "seeds": 3, "days": 1, "thin": 4, "confirm": 0.0}
LIVED = 2  # days more than others, that a rule which learns has lived through before those that count
TUNED_ON = "mid"  # the trace whose settings are used on those of an hour
DEFAULT_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "inferops" / "bench-autoscale"
console = Console(highlight=False, soft_wrap=True, width=118)


def main() -> None:
    arguments = _arguments()
    cells = [
        Cell(model, trace, cold) for model in arguments.models for trace in arguments.traces for cold in arguments.colds
    ]
    if lacking := missing(arguments.traces_in, cells):
        sys.exit(f"bench_autoscale: {lacking}")
    try:
        results, picked = compare(arguments, cells)
        rows = confirm(arguments, picked) if arguments.confirm else []
    except BadTrace as error:
        sys.exit(f"bench_autoscale: {error}")
    tables.show(console, "At equal attainment, next to the best peer", tables.summary(results))
    if len(results) == 1:
        tables.show(console, results[0].cell.title, tables.at_equal_attainment(results[0]))
        tables.show(console, "As they come", tables.defaults(results[0]))
    if rows:
        tables.show(console, "Request by request, on one day", rows)
    write(arguments, results, rows)


def compare(arguments: argparse.Namespace, cells: Sequence[Cell]) -> tuple[list[Result], dict[Cell, list[Entry]]]:
    """Tune, then test, all cells. Also the setting of each rule that reaches the least of the attainments."""
    long = list(dict.fromkeys(_tuned_on(cell) for cell in cells))
    tunable = [name for name in arguments.rules if name != OURS]
    grid = {cell: grids(_service(arguments, cell).goals, tunable, arguments.thin) for cell in long}
    if arguments.days is None:
        work = [task for cell in long for task in _tasks(arguments, cell, sifting(), grid[cell], TUNING_SEEDS)]
        few = _run("sifting", work, arguments)
        grid = {cell: sifted(grid[cell], few[cell]) for cell in long}
    work = [task for cell in long for task in _tasks(arguments, cell, tuning(arguments.days), grid[cell], TUNING_SEEDS)]
    tuned = _run("tuning", work, arguments)
    picked = {cell: chosen(grid[cell], tuned[cell]) for cell in long}
    entries = {cell: _tested(arguments, cell, picked[_tuned_on(cell)]) for cell in cells}
    work = [
        part
        for cell in cells
        for task in _tasks(arguments, cell, _span(arguments, cell), entries[cell], range(arguments.seeds))
        for part in _lived(task)
    ]
    tested = _run("testing", work, arguments)
    results = [_result(arguments, cell, entries[cell], tested[cell], grid, tuned) for cell in cells]
    ours = {cell: defaults(_service(arguments, cell).goals, [OURS]) if OURS in arguments.rules else [] for cell in long}
    return results, {cell: [*ours[cell], *reaching(grid[cell], tuned[cell], LEVELS[0])] for cell in long}


def _lived(task: Task) -> list[Task]:
    """A task, apart for the rule that learns by itself: it is not tuned on the days before those that count, and has
    lived through the last of them."""
    ours = [place for place, entry in enumerate(task.entries) if entry.rule.startswith(OURS)]
    others = [place for place in range(len(task.entries)) if place not in ours]
    before = min(LIVED * DAY, task.span.begin - task.span.warm)
    longer = replace(task.span, lived=before) if task.cell.long else task.span
    return [
        replace(
            task,
            span=span,
            entries=tuple(task.entries[at] for at in places),
            places=tuple(task.places[at] for at in places),
        )
        for places, span in ((ours, longer), (others, task.span))
        if places
    ]


def confirm(arguments: argparse.Namespace, picked: dict[Cell, list[Entry]]) -> list[list[str]]:
    """Rows of one cell's settings played request by request, on the first day to test on."""
    cell = min(picked, key=lambda each: (each.model != "70b", each.trace != TUNED_ON, abs(each.cold - 180)))
    seconds = round(arguments.confirm * 3600)
    asks = [
        Ask(arguments.traces_in, arguments.cache, cell, arguments.fleet, TUNED_DAYS, seconds, entry)
        for entry in picked[cell]
    ]
    print(f"==> {len(asks)} rules request by request: {cell.title}", file=sys.stderr)
    return tables.confirmation(both(asks, arguments.jobs), MODELS[cell.model].gpus)


def _tuned_on(cell: Cell) -> Cell:
    return cell if cell.long else cell._replace(trace=TUNED_ON)


def _span(arguments: argparse.Namespace, cell: Cell) -> Span:
    if cell.long:
        return testing(arguments.days)
    return Span(GETTING_READY, len(_service(arguments, cell).traffic.rates), warm=GETTING_READY)


def _service(arguments: argparse.Namespace, cell: Cell) -> Service:
    return service(arguments.traces_in, arguments.cache, cell, arguments.fleet if cell.long else arguments.scale)


def _tested(arguments: argparse.Namespace, cell: Cell, picked: Sequence[Entry]) -> list[Entry]:
    """What is played on the days to test on: what tuning chose, what comes as it is, and what needs no tuning."""
    goals = _service(arguments, cell).goals
    moving = [entry for entry in picked if entry.rule != STATIC]
    names = arguments.rules
    promises = grids(goals, [name for name in names if name == OURS])
    return [*promises, *moving, *defaults(goals, names), *bounds(names), *fleets(goals, names)]


def _tasks(arguments: argparse.Namespace, cell: Cell, span: Span, entries: Sequence[Entry], seeds: range) -> list[Task]:
    if not entries:
        return []
    replicas = arguments.fleet if cell.long else arguments.scale
    return tasks(arguments.traces_in, arguments.cache, cell, replicas, span, entries, seeds)


def _run(what: str, work: Sequence[Task], arguments: argparse.Namespace) -> dict[Cell, list[Outcome]]:
    """The outcomes of each cell."""
    found: dict[Cell, list[Outcome]] = defaultdict(list)
    began = time.monotonic()
    for cell, outcomes, count, whole in played(work, arguments.jobs, Kept(arguments.cache, afresh=arguments.afresh)):
        found[cell] += outcomes
        if not count:
            continue
        passed = time.monotonic() - began
        left = passed / count * (whole - count)
        line = f"==> {what}: {count} of {whole} batches, {passed / 60:.0f} min, about {left / 60:.0f} min more"
        end = "\n" if count == whole or not sys.stderr.isatty() else ""
        print(f"\r{line}" if sys.stderr.isatty() else line, end=end, file=sys.stderr, flush=True)
    return found


def _result(
    arguments: argparse.Namespace,
    cell: Cell,
    entries: Sequence[Entry],
    outcomes: Sequence[Outcome],
    grid: dict[Cell, list[Entry]],
    tuned: dict[Cell, list[Outcome]],
) -> Result:
    found, span = _service(arguments, cell), _span(arguments, cell)
    days = (span.end - span.begin) / DAY
    requests = sum(each.requests for each in outcomes if each.place == 0) / arguments.seeds
    result = Result(cell, days, requests, found.goals.capacity, found.goals.concurrency)
    judge(result, entries, outcomes)
    if cell.long:
        for place, runs in by_entry(tuned[cell]).items():
            entry = grid[cell][place]
            result.tuned.append({"rule": entry.rule, "settings": entry.told, **point(runs)._asdict()})
    return result


def write(arguments: argparse.Namespace, results: Sequence[Result], confirmed: Sequence[Sequence[str]]) -> None:
    """Everything into the folder."""
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    told = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in vars(arguments).items()
        if key not in ("out", "traces_in", "cache")
    }
    (out / "autoscaling.json").write_text(
        json.dumps({"arguments": told, "cells": tables.plain(results), "confirmed": confirmed}, indent=1) + "\n"
    )
    introduction = (
        f"# Autoscaling at equal SLO attainment\n\n{arguments.seeds} seeds; "
        "± is half of a 95 % interval; saved is the share of a rule's GPU hours that inferops does without."
    )
    (out / "autoscaling.md").write_text(tables.page(results, introduction, confirmed))
    for model in dict.fromkeys(result.cell.model for result in results):
        mine = [result for result in results if result.cell.model == model and result.cell.long]
        if mine:
            title = f"{MODELS[model].title}: GPU hours against missed requests"
            (out / f"autoscaling-{model}.svg").write_text(svg(mine, title, len(arguments.colds)))
    console.print(f"==> wrote {out}/autoscaling.json, .md and .svg")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given = os.environ.get("INFEROPS_TRACES")
    add = parser.add_argument
    add("--traces", dest="traces_in", type=Path, default=Path(given) if given else None, help="folder of the traces")
    add("--out", type=Path, default=Path("build/autoscaling"), help="folder for tables, points and plots")
    add("--cache", type=Path, default=DEFAULT_CACHE, help="folder for what was measured and played")
    add("--models", default=",".join(MODELS), help="of %(default)s")
    add("--cases", dest="traces", default=",".join((*RATES, *HOURS)), help="traces, of %(default)s")
    add("--colds", default=",".join(f"{cold:.0f}" for cold in COLDS), help="cold starts in seconds")
    add("--rules", default=",".join((OURS, *NAMES, BOUND)), help="of %(default)s")
    add("--seeds", type=int, default=SEEDS, help="arrivals that each point is played on")
    add("--days", type=int, help="of each week; all are the default")
    add("--thin", type=int, default=1, help="tune over every so manieth setting")
    add("--fleet", type=float, default=FLEET, help="replicas that the busiest ten minutes of two weeks need")
    add("--scale", type=float, default=SMALL_FLEET, help="and of an hour")
    add("--ablate", action="store_true", help="play ours with parts left out, too")
    add("--confirm", type=float, default=24.0, metavar="HOURS", help="hours played request by request; 0: none")
    add("--afresh", action="store_true", help="play also what was played before, as it is kept in --cache")
    add("--jobs", type=int, default=1, help="processes")
    add("--quick", action="store_true", help="one case, one day, three seeds, a thin grid")
    arguments = parser.parse_args()
    if arguments.quick:
        parser.set_defaults(**{("traces" if key == "traces" else key): value for key, value in QUICK.items()})
        arguments = parser.parse_args()
    _split(parser, arguments)
    return arguments


def _split(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Lists out of commas, refused where something in them is not known."""
    for name, known in (
        ("models", tuple(MODELS)),
        ("traces", (*RATES, *HOURS)),
        ("rules", (OURS, *NAMES, BOUND)),
    ):
        values = [each for each in getattr(arguments, name).split(",") if each]
        if strange := [each for each in values if each not in known]:
            parser.error(f"{name}: {', '.join(strange)}: not known; there are {', '.join(known)}")
        setattr(arguments, name, values)
    if arguments.ablate:
        arguments.rules += ABLATIONS
    try:
        arguments.colds = [float(each) for each in arguments.colds.split(",") if each]
    except ValueError:
        parser.error(f"--colds: {arguments.colds}: give seconds, for example 60,180,600")
    if arguments.seeds < 2 or arguments.thin < 1 or arguments.jobs < 1 or not arguments.colds:
        parser.error("--seeds must be at least 2, --thin and --jobs at least 1, and --colds name one")
    if arguments.days is not None and not 1 <= arguments.days <= 7:
        parser.error("--days must be 1 to 7")


if __name__ == "__main__":
    main()
