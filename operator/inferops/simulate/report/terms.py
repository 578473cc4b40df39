"""What a report is made of."""

from __future__ import annotations

from dataclasses import dataclass

from inferops.simulate.scaling.scenario import Result


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule's run."""

    name: str
    settings: str  # in words
    result: Result
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Settings that meet the SLO at less cost, or that meet it at all."""

    patch: str  # YAML
    before: Entry
    after: Entry
    runs: int  # that the search took
    meets: bool  # whether `after` does


@dataclass(frozen=True, slots=True)
class Report:
    """A comparison on the same arrivals."""

    title: str
    facts: tuple[tuple[str, str], ...]  # what was simulated: names and values
    notes: tuple[str, ...]  # sentences that the reader has to know
    goal: float  # share of requests that are to meet the SLO
    priced: bool  # whether the price of a replica is known
    entries: tuple[Entry, ...]
    suggestion: Suggestion | None = None
