"""`make bench-rollout`: rollouts of harmless and of worse versions in virtual time, judged by us, Flagger and Argo.

Every rule judges the same scenarios with the same seeds: ours is the operator's own state machine and evidence, the
peers' are their rules with defaults, with sensible settings, and with thresholds calibrated to the service. Prints how
often harmless versions are rolled back and worse ones promoted, how long a verdict takes, and how many requests were
hurt within an hour. Judges nothing. Ten minutes on two cores; SEEDS=60 gives a first idea in three.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from math import sqrt
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median, stdev

from inferops.simulate.rollouts import argo, flagger
from inferops.simulate.rollouts.argo import Argo
from inferops.simulate.rollouts.flagger import Flagger
from inferops.simulate.rollouts.ours import Ours
from inferops.simulate.rollouts.rules import Ended, Rule, run
from inferops.simulate.rollouts.scenarios import SCENARIOS
from inferops.simulate.rollouts.traffic import Service

RULES: dict[str, Callable[[Service], Rule]] = {
    "inferops": Ours,
    "Flagger, defaults": lambda service: Flagger(service, flagger.DEFAULTS),
    "Flagger, sensible": lambda service: Flagger(service, flagger.SENSIBLE),
    "Flagger, calibrated": lambda service: Flagger(service, flagger.CALIBRATED),
    "Argo, defaults": lambda service: Argo(service, argo.DEFAULTS),
    "Argo, sensible": lambda service: Argo(service, argo.SENSIBLE),
    "Argo, calibrated": lambda service: Argo(service, argo.CALIBRATED),
}
SEEDS = 200
MORE = 5  # times as many for A/A, whose false rollbacks are to be one of a hundred at most
BATCH = 10  # seeds of a task
Z = 1.96  # of a 95 % interval


@dataclass(frozen=True, slots=True)
class Task:
    """Some seeds of one scenario under one rule."""

    scenario: int
    rule: str
    seeds: range


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of one scenario under one rule. Shares are of all rollouts, with 95 % intervals."""

    scenario: str
    harmful: bool
    rule: str
    rollouts: int
    rolled_back: tuple[float, float, float]
    promoted: tuple[float, float, float]
    undecided: tuple[float, float, float]
    seconds: float | None  # median to the verdict; None: most had none
    hurt: float  # requests, the mean
    hurt_within: float  # half of its 95 % interval


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"rollouts of each kind, {MORE} times as many of A/A")
    parser.add_argument("--only", default="", help="scenarios with this in their names")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    chosen = [place for place, scenario in enumerate(SCENARIOS) if arguments.only in scenario.name]
    if not chosen or arguments.seeds < 2:
        parser.error("--only names no scenario" if not chosen else "--seeds must be at least 2")
    cells = bench(chosen, arguments.seeds, arguments.jobs)
    print("\n".join(table(cells)))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")


def bench(chosen: Sequence[int], seeds: int, jobs: int = 1) -> list[Cell]:
    """All rules on the scenarios chosen, in so many processes."""
    tasks = [
        Task(place, rule, range(first, min(first + BATCH, _seeds(place, seeds))))
        for place in chosen
        for rule in RULES
        for first in range(0, _seeds(place, seeds), BATCH)
    ]
    found: dict[tuple[int, str], list[Ended]] = {}
    with ExitStack() as stack:
        # Not by fork: whoever calls this may have threads, whose locks a child would wait for.
        pool = stack.enter_context(get_context("spawn").Pool(jobs)) if jobs > 1 else None
        results = pool.imap_unordered(judged, tasks) if pool is not None else map(judged, tasks)
        for done, (task, ended) in enumerate(results, 1):
            found.setdefault((task.scenario, task.rule), []).extend(ended)
            progress(done, len(tasks))
    return [cell(place, rule, found[place, rule]) for place in chosen for rule in RULES]


def _seeds(place: int, seeds: int) -> int:
    return seeds * MORE if place == 0 else seeds


def judged(task: Task) -> tuple[Task, list[Ended]]:
    """The rollouts of a task."""
    scenario = SCENARIOS[task.scenario]
    return task, [run(RULES[task.rule](scenario.service), scenario, seed) for seed in task.seeds]


def progress(done: int, of: int) -> None:
    """How far it is, on one line of a terminal, or now and then."""
    if sys.stderr.isatty():
        print(f"\r==> {done} of {of} batches of rollouts", end="\n" if done == of else "", file=sys.stderr, flush=True)
    elif done == of or done % max(1, of // 10) == 0:
        print(f"==> {done} of {of} batches of rollouts", file=sys.stderr, flush=True)


def cell(place: int, rule: str, ended: Sequence[Ended]) -> Cell:
    """The figures of one scenario under one rule."""
    hurt = [one.hurt for one in ended]
    decided = [one.seconds if one.verdict != "undecided" else float("inf") for one in ended]
    middle = median(decided)
    return Cell(
        scenario=SCENARIOS[place].name,
        harmful=SCENARIOS[place].harmful,
        rule=rule,
        rollouts=len(ended),
        rolled_back=interval(sum(one.verdict == "rolled back" for one in ended), len(ended)),
        promoted=interval(sum(one.verdict == "promoted" for one in ended), len(ended)),
        undecided=interval(sum(one.verdict == "undecided" for one in ended), len(ended)),
        seconds=middle if middle < float("inf") else None,
        hurt=fmean(hurt),
        hurt_within=Z * stdev(hurt) / sqrt(len(hurt)),
    )


def interval(count: int, total: int) -> tuple[float, float, float]:
    """A share and its 95 % interval, after Wilson."""
    share = count / total
    scale = 1 + Z * Z / total
    middle = (share + Z * Z / 2 / total) / scale
    half = Z * sqrt(share * (1 - share) / total + Z * Z / 4 / total / total) / scale
    return share, max(0.0, middle - half), min(1.0, middle + half)


def table(cells: Iterable[Cell]) -> list[str]:
    """Lines for people."""
    lines = [
        f"{'':22} {'rolled back, % (95 %)':>22} {'promoted, %':>12} {'undecided, %':>13} {'verdict after':>14} "
        f"{'requests hurt':>18}"
    ]
    scenario = ""
    for one in cells:
        if one.scenario != scenario:
            scenario = one.scenario
            kind = "worse: promoted is missed" if one.harmful else "harmless: rolled back is false"
            lines += ["", f"{scenario} ({kind}; {one.rollouts} rollouts each)"]
        share, low, high = (100 * part for part in one.rolled_back)
        back = f"{share:.1f} ({low:.1f} to {high:.1f})"
        after = "none" if one.seconds is None else f"{one.seconds:.0f} s"
        lines.append(
            f"  {one.rule:20} {back:>22} {100 * one.promoted[0]:>12.1f} {100 * one.undecided[0]:>13.1f} {after:>14} "
            f"{f'{one.hurt:.1f} ± {one.hurt_within:.1f}':>18}"
        )
    return lines


if __name__ == "__main__":
    main()
