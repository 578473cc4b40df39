"""From runs to what is said of them: which settings tuning chooses, and what each rule costs at equal attainment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from bench_autoscale_cases import MODELS, Cell
from bench_autoscale_ours import OURS
from bench_autoscale_play import Outcome
from bench_autoscale_rules import BOUND, DEFAULTS, TUNED, Entry
from bench_autoscale_stats import Interval, Point, cheapest, front, hours_at, interval, near, saved

Floats = Sequence[float | None]
LEVELS = (0.01, 0.005, 0.001)  # shares of requests that miss the SLO at which rules are compared
# What settings are chosen for: those, and some around them, since the days to test on differ from those to tune on.
CHOSEN_FOR = (0.03, 0.01, 0.005, 0.0025, 0.0015, 0.001, 0.0004)
SLACK = 0.06  # share of the hours above the front up to which a setting is worth a second look


def by_entry(outcomes: Iterable[Outcome]) -> dict[int, list[Outcome]]:
    """The runs of each entry, by its place, in the order of their seeds."""
    found: dict[int, list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda each: (each.place, each.seed)):
        found.setdefault(outcome.place, []).append(outcome)
    return found


def point(runs: Sequence[Outcome]) -> Point:
    """Runs of one entry together: the mean of their hours, and the share of all their requests that missed."""
    requests = sum(run.requests for run in runs)
    return Point(fmean(run.hours for run in runs), sum(run.missed for run in runs) / requests if requests else 0.0)


def chosen(entries: Sequence[Entry], outcomes: Iterable[Outcome]) -> list[Entry]:
    """For each rule the settings that reach each of the shares at the fewest hours, each once."""
    points = {place: point(runs) for place, runs in by_entry(outcomes).items()}
    found: dict[int, None] = {}
    for mine in _places(entries).values():
        for missed in CHOSEN_FOR:
            found[mine[cheapest([points[place] for place in mine], missed)]] = None
    return [entries[place] for place in found]


def reaching(entries: Sequence[Entry], outcomes: Iterable[Outcome], missed: float) -> list[Entry]:
    """For each rule the setting that reaches this share at the fewest hours."""
    points = {place: point(runs) for place, runs in by_entry(outcomes).items()}
    places = _places(entries).values()
    return [entries[mine[cheapest([points[place] for place in mine], missed)]] for mine in places]


def _places(entries: Sequence[Entry]) -> dict[str, list[int]]:
    """Where each rule's entries are."""
    places: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        places.setdefault(entry.rule, []).append(place)
    return places


def sifted(entries: Sequence[Entry], outcomes: Iterable[Outcome]) -> list[Entry]:
    """The settings of each rule that some days do not rule out: those near its front."""
    runs = by_entry(outcomes)
    found = []
    for mine in _places(entries).values():
        found += [entries[mine[at]] for at in near([point(runs[place]) for place in mine], SLACK)]
    return found


@dataclass(frozen=True, slots=True)
class Cost:
    """What one rule costs at one share of missed requests, over the days that were tested on."""

    rule: str
    missed: float
    hours: Interval | None  # of GPUs; None: no setting reaches it on every seed
    at_most: bool  # even its cheapest setting misses fewer requests, so that a cheaper one might do
    we_save: Interval | None  # the share of its hours that ours does without; below 0: ours costs more
    over_bound: Interval | None  # the share by which its hours exceed the bound's


@dataclass(frozen=True, slots=True)
class Shown:
    """One entry as it was played: a point of the plot."""

    rule: str
    kind: str
    settings: str
    hours: Interval  # of GPUs
    missed: float
    changes: float  # of the number of replicas, a day


@dataclass(slots=True)
class Result:
    """What came of one cell."""

    cell: Cell
    days: float
    requests: float
    capacity: float
    concurrency: float
    costs: list[Cost] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    tuned: list[dict[str, Any]] = field(default_factory=list)  # points of the days that were tuned on

    def cost(self, rule: str, missed: float) -> Cost | None:
        return next((each for each in self.costs if each.rule == rule and each.missed == missed), None)

    @property
    def rules(self) -> list[str]:
        return list(dict.fromkeys(each.rule for each in self.shown))


def judge(result: Result, entries: Sequence[Entry], outcomes: Iterable[Outcome], ours: str = OURS) -> None:
    """Fill in what rules cost at equal attainment, and every point."""
    gpus = MODELS[result.cell.model].gpus
    runs = by_entry(outcomes)
    hours = {rule: _by_seed(rule, entries, runs) for rule in dict.fromkeys(entry.rule for entry in entries)}
    for missed in LEVELS:
        at = {rule: [hours_at(points, missed) for points in seeds] for rule, seeds in hours.items() if seeds}
        for rule, found in at.items():
            whole = [gpus * each for each in found if each is not None]
            result.costs.append(
                Cost(
                    rule=rule,
                    missed=missed,
                    hours=interval(whole) if len(whole) == len(found) else None,
                    at_most=all(front(points)[-1].missed <= missed for points in hours[rule]),
                    we_save=_saved(at[ours], found) if ours in at and rule != ours else None,
                    over_bound=_over(found, at[BOUND]) if BOUND in at and rule != BOUND else None,
                )
            )
    result.shown += [_shown(entry, runs[place], gpus, result.days) for place, entry in enumerate(entries)]


def _by_seed(rule: str, entries: Sequence[Entry], runs: Mapping[int, Sequence[Outcome]]) -> list[list[Point]]:
    """The rule's curve on the arrivals of each seed."""
    mine = [place for place, entry in enumerate(entries) if entry.rule == rule and entry.kind == TUNED]
    if not mine:
        return []
    return [[point([run]) for run in seed] for seed in zip(*(runs[place] for place in mine), strict=True)]


def _saved(ours: Floats, theirs: Floats) -> Interval | None:
    """Of all seeds or of none: those that reach a share are not like those that do not."""
    return None if None in (*ours, *theirs) else saved(ours, theirs)


def _over(found: Floats, bound: Floats) -> Interval | None:
    less = _saved(found, bound)
    return None if less is None else Interval(-less.mean, less.within, less.count)


def _shown(entry: Entry, runs: Sequence[Outcome], gpus: int, days: float) -> Shown:
    return Shown(
        rule=entry.rule,
        kind=entry.kind,
        settings=entry.told,
        hours=interval([gpus * run.hours for run in runs]),
        missed=point(runs).missed,
        changes=fmean(run.changes for run in runs) / days,
    )


def best_peer(result: Result, missed: float) -> Cost | None:
    """The peer that reaches this share at the fewest hours."""
    there = [each for each in result.costs if each.missed == missed and each.hours is not None and _is_peer(each.rule)]
    return min(there, key=lambda each: each.hours.mean if each.hours else 0.0, default=None)


def _is_peer(rule: str) -> bool:
    return rule != BOUND and not rule.startswith(OURS)


def of_defaults(result: Result) -> list[Shown]:
    """Rules as they come."""
    return [each for each in result.shown if each.kind == DEFAULTS]
