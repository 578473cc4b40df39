"""What was played before: a comparison that was interrupted, or of which one rule was changed, plays only the rest.

Kept is what came of an entry on its seeds, under a mark of all that it depends on: the traffic, what a replica does,
the settings, and the source of the rule and of the model that plays it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import bench_autoscale_play
from bench_autoscale_cases import Cell, service
from bench_autoscale_ours import OURS
from bench_autoscale_play import Outcome, Task
from bench_autoscale_rules import Entry
from inferops.simulate import scaling

HACK, SCALING = Path(__file__).parent, Path(scaling.__file__).parent
CORE = SCALING.parents[1] / "core"
PLAYED_BY = (
    HACK / "flow.py",
    *(HACK / f"bench_autoscale_{part}.py" for part in ("cases", "play", "rules")),
    SCALING / "policy.py",
    SCALING / "peers",
)
OUR_OWN = (HACK / "bench_autoscale_ours.py", SCALING / "ours.py", CORE / "autoscale", CORE / "load.py")


class Kept:
    """Outcomes in a file of the cache, a line for each entry. Several comparisons may add to it at once."""

    def __init__(self, cache: Path, *, afresh: bool = False) -> None:
        """`afresh`: nothing that was played before is believed."""
        self._file = cache / "outcomes.jsonl"
        self._known: dict[str, list[tuple[int, float, float, float, int]]] = {}
        if afresh or not self._file.exists():
            return
        for line in self._file.read_text().splitlines():
            try:
                mark, runs = json.loads(line)
                self._known[mark] = [tuple(run) for run in runs]
            except (ValueError, TypeError):
                continue  # cut off, as it was written when somebody stopped it

    def rest(self, task: Task) -> tuple[list[Outcome], Task | None]:
        """What is known of a task, and what is left of it."""
        found: list[Outcome] = []
        places, entries = [], []
        for place, entry in zip(task.places, task.entries, strict=True):
            runs = self._known.get(_mark(task, entry))
            if runs is None:
                places.append(place)
                entries.append(entry)
            else:
                found += [Outcome(place, *run) for run in runs]
        left = replace(task, places=tuple(places), entries=tuple(entries)) if entries else None
        return found, left

    def keep(self, task: Task, outcomes: Sequence[Outcome]) -> None:
        """Add what came of a task."""
        lines = []
        for place, entry in zip(task.places, task.entries, strict=True):
            runs = [
                (each.seed, each.requests, each.missed, each.hours, each.changes)
                for each in outcomes
                if each.place == place
            ]
            lines.append(json.dumps([_mark(task, entry), runs]) + "\n")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as file:
            file.write("".join(lines))


def _mark(task: Task, entry: Entry) -> str:
    told = task.cell, task.replicas, task.span, entry.rule, entry.settings, task.seeds
    by = _source((*PLAYED_BY, *OUR_OWN) if entry.rule.startswith(OURS) else PLAYED_BY)
    return sha256(repr((told, by, _world(task.folder, task.cache, task.cell, task.replicas))).encode()).hexdigest()[:24]


@lru_cache
def _source(paths: tuple[Path, ...]) -> str:
    files = (file for path in paths for file in (sorted(path.glob("*.py")) if path.is_dir() else [path]))
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@lru_cache
def _world(folder: Path, cache: Path, cell: Cell, replicas: float) -> str:
    """The cell's traffic and replicas. Raises BadTrace."""
    found = service(folder, cache, cell, replicas)
    curves = found.curves
    parts = (found.traffic.rates, found.traffic.dispersions, curves.throughput, curves.missed, curves.ttft, curves.tpot)
    return sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


class Played(NamedTuple):
    """Outcomes of one cell, as they are known or done."""

    cell: Cell
    outcomes: list[Outcome]
    batches: int  # played so far, of so many
    whole: int


def played(work: Sequence[Task], jobs: int, kept: Kept) -> Iterator[Played]:
    """What comes of all tasks. What is known comes first; long tasks next, so that no process is alone at the end."""
    left: list[Task] = []
    for task in work:
        outcomes, rest = kept.rest(task)
        if rest is not None:
            left.append(rest)
        yield Played(task.cell, outcomes, 0, 0)
    left.sort(key=lambda task: -(task.span.end - task.span.begin) * len(task.entries))
    for count, (task, outcomes) in enumerate(bench_autoscale_play.played(left, jobs), 1):
        kept.keep(task, outcomes)
        yield Played(task.cell, outcomes, count, len(left))
