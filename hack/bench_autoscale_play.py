"""Playing entries in the fluid model: tasks that worker processes can do, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from bench_autoscale_cases import DAY, TUNED_DAYS, Cell, service
from bench_autoscale_rules import Entry, made
from flow import Run, run_many

HOUR = 3600
OTHERS = 5000  # added to seeds
CHUNK = 400  # runs of a task at the most: a step of the model costs hardly more for many than for few


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds of a trace that count, and how many right before them are played, too."""

    begin: int
    end: int
    warm: int = 0
    lived: int = 0  # and how many before those, for a rule that learns


@dataclass(frozen=True, slots=True)
class Task:
    """Entries on the same seconds of one cell, with these seeds."""

    folder: Path
    cache: Path
    cell: Cell
    replicas: float
    span: Span
    entries: tuple[Entry, ...]
    seeds: range
    places: tuple[int, ...]  # of the entries among those of the cell


@dataclass(frozen=True, slots=True)
class Outcome:
    """One entry on one seed's arrivals. Hours are of replicas."""

    place: int  # of the entry
    seed: int
    requests: float
    missed: float  # requests
    hours: float
    changes: int


def tuning(days: int | None) -> Span:
    return Span(HOUR, (days or TUNED_DAYS) * DAY, warm=HOUR)


def sifting() -> Span:
    """Two days in the middle of those to tune on."""
    return Span(2 * DAY, 4 * DAY, warm=HOUR)


def testing(days: int | None) -> Span:
    """The days after those that were tuned on; rules run through the last of those before, too."""
    begin = TUNED_DAYS * DAY
    return Span(begin, begin + (days or TUNED_DAYS) * DAY, warm=DAY)


def tasks(
    folder: Path, cache: Path, cell: Cell, replicas: float, span: Span, entries: Sequence[Entry], seeds: range
) -> list[Task]:
    """The work of one cell, in pieces of about the same number of runs."""
    each = max(1, CHUNK // len(seeds))
    pieces = max(1, ceil(len(entries) / each))
    size, places = ceil(len(entries) / pieces), range(len(entries))
    return [
        Task(folder, cache, cell, replicas, span, tuple(entries[at : at + size]), seeds, tuple(places[at : at + size]))
        for at in range(0, len(entries), size)
    ]


def done(task: Task) -> list[Outcome]:
    """The runs of a task. Raises BadTrace."""
    found = service(task.folder, task.cache, task.cell, task.replicas)
    span, seeds = task.span, task.seeds
    begin = span.begin - span.warm
    arrivals = found.arrivals(begin, span.end, len(seeds), seeds.start)
    if span.lived:
        # Drawn apart, so that from there on all rules see the same arrivals.
        before = found.arrivals(begin - span.lived, begin, len(seeds), seeds.start + OTHERS)
        arrivals = np.concatenate([before, arrivals], axis=1)
    # A rule as it comes may be one of the settings that were chosen, too: that is played once.
    alike: dict[tuple[str, str], tuple[Entry, list[int]]] = {}
    for place, entry in zip(task.places, task.entries, strict=True):
        alike.setdefault((entry.rule, repr(entry.settings)), (entry, []))[1].append(place)
    runs = [
        (places, Run(made(entry, found, arrivals[seed]), seed))
        for entry, places in alike.values()
        for seed in range(len(seeds))
    ]
    run_many(found.case(arrivals, begin - span.lived, span.warm + span.lived), [run for _, run in runs])
    return [
        Outcome(place, seeds[run.seed], run.requests, run.missed, run.hours, run.changes)
        for places, run in runs
        for place in places
    ]


def played(work: Sequence[Task], jobs: int) -> Iterator[tuple[Task, list[Outcome]]]:
    """What comes of each task, as it is done, in so many processes."""
    with ExitStack() as stack:
        if jobs == 1:
            yield from ((task, done(task)) for task in work)
            return
        # Not by fork: whoever calls this may have threads, whose locks a child would wait for.
        pool = stack.enter_context(get_context("spawn").Pool(jobs))
        yield from pool.imap_unordered(_named, work)


def _named(task: Task) -> tuple[Task, list[Outcome]]:
    return task, done(task)
