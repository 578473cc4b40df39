"""`inferops simulate --suggest`: the settings that meet the SLO at least cost, narrowed down by simulated runs.

First the accelerators are chosen, then the fewest replicas that do, the mode, and whether to go to zero; then what was
found is run once more as it will be written. Each step keeps the best of all runs so far.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import yaml

from inferops.api.scaling import ScalingSpec
from inferops.cli import simulaterules
from inferops.cli.simulatebench import Bench, Carried
from inferops.cli.simulateservice import Subject, Variant
from inferops.simulate.report.terms import Entry, Suggestion

MOST = 24  # runs
KEPT = 3  # accelerators that are run, of those that are load-tested
NARROWINGS = 4  # of minReplicas, and of replicas
DEPTHS = (1, 4, 16)  # queueDepth
IDLE = "10m"  # scaleToZeroAfter
IDLE_SECONDS = 600.0
SPARE = 0.8  # of the misses that the SLO permits
FULL = 1.5  # replicas, at the most, over those that the busiest minute needs
ROOM = 1.25  # maxReplicas over the most that were wanted


@dataclass(frozen=True, slots=True)
class Candidate:
    """Settings to try."""

    variant: Variant
    carried: Carried
    mode: str = "auto"
    lowest: int = 1
    highest: int = 1
    depth: int = 4
    zero: bool = False
    replicas: int | None = None
    floor: int = 0  # the most that a window of the schedule asks for; maxReplicas may not be less


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate and its run."""

    candidate: Candidate
    entry: Entry


class Search:
    """Runs candidates, at most `MOST`, and remembers the best."""

    def __init__(self, bench: Bench, clock: float, say: Callable[[str], None]) -> None:
        """`say` is told which of the runs is under way."""
        self.runs = 0
        self.best: Tried | None = None
        self._bench, self._clock, self._say = bench, clock, say
        self._priced = all(bench.priced(variant) is not None for variant in bench.subject.variants)

    @property
    def subject(self) -> Subject:
        return self._bench.subject

    def suggested(self, before: Entry) -> Suggestion:
        """The best settings, beside what the service has now. Raises ValueError where no accelerator will do."""
        for candidate in self._shapes():
            self.tried(candidate)
        if self.best is None:
            raise ValueError("no accelerator serves even one request at a time within the SLO; raise spec.slo")
        self._more()
        for depth in DEPTHS:
            self.tried(replace(self.best.candidate, mode="queueDepth", depth=depth))
        self._fixed()
        chosen = self.best.candidate
        if chosen.mode != "fixed" and self._bench.survey.longest > IDLE_SECONDS:
            self.tried(replace(chosen, lowest=0, zero=True))
        return self._written(before, self.best)

    def tried(self, candidate: Candidate) -> Tried | None:
        """Run it. None: there have been enough runs."""
        if self.runs >= MOST:
            return None
        self.runs += 1
        self._say(f"suggest, run {self.runs} of at most {MOST}: ")
        entry = self._run(candidate)
        found = Tried(candidate, entry)
        if self.best is None or self._rank(found.entry) < self._rank(self.best.entry):
            self.best = found
        return found

    def meets(self, entry: Entry) -> bool:
        """With something to spare: other traffic of the same kind misses more, or less."""
        return 1 - entry.result.attainment <= SPARE * (1 - self.subject.attainment)

    def _rank(self, entry: Entry) -> tuple[float, float]:
        """What meets the SLO comes first, by cost; the rest by how nearly it does."""
        result = entry.result
        cost = result.cost if self._priced else result.gpu_hours
        return (0.0, cost) if self.meets(entry) else (1.0 - result.attainment, cost)

    def _run(self, candidate: Candidate) -> Entry:
        subject = replace(self.subject, service=_with(self.subject, candidate))
        rule = simulaterules.own(subject, candidate.variant, self._clock)
        assert rule is not None
        result = self._bench.play(rule.make(), candidate.variant, rule.bounds, candidate.carried)
        return Entry(rule.name, rule.settings, result, ours=True)

    def _shapes(self) -> list[Candidate]:
        """The accelerators at which a request costs least, by load tests, each with room for twice the peak."""
        found: list[tuple[float, Candidate]] = []
        windows = self.subject.service.spec.scaling.schedule
        floor = max((window.min_replicas for window in windows), default=0)
        for number, variant in enumerate(self.subject.variants):
            self._say(f"suggest, load test of {variant.name} ")
            carried = self._bench.carried(variant)
            if carried is None:
                continue
            price = self._bench.priced(variant)
            cost = (variant.choice.count if price is None or not self._priced else price) / carried.rate
            room = 2 * ceil(self._bench.survey.busiest / carried.rate) + 2
            found.append((cost + number * 1e-12, Candidate(variant, carried, highest=min(room, 1000), floor=floor)))
        return [candidate for _, candidate in sorted(found, key=lambda each: each[0])[:KEPT]]

    def _more(self) -> None:
        """Where the best misses the SLO: a minimum of replicas with which it does not."""
        assert self.best is not None
        if not self.meets(self.best.entry):
            chosen = self.best.candidate
            self._least(chosen.highest, lambda number: replace(chosen, lowest=number))

    def _fixed(self) -> None:
        assert self.best is not None
        chosen = replace(self.best.candidate, mode="fixed", lowest=1)
        peak = max(1, ceil(FULL * self._bench.survey.busiest / chosen.carried.rate))
        self._least(peak, lambda number: replace(chosen, replicas=number))

    def _least(self, high: int, made: Callable[[int], Candidate]) -> None:
        """The fewest, from 1 to `high`, with which the SLO is met, by halves; more of them do not miss it more."""
        low = 1
        for _ in range(NARROWINGS):
            middle = (low + high) // 2
            found = self.tried(made(middle)) if low <= high else None
            if found is None:
                return
            low, high = (low, middle - 1) if self.meets(found.entry) else (middle + 1, high)

    def _written(self, before: Entry, chosen: Tried) -> Suggestion:
        """What was found with bounds as they will stand in the patch, run once more."""
        candidate = chosen.candidate
        wanted = max([1, candidate.lowest, *(point.wanted for point in chosen.entry.result.timeline)])
        candidate = replace(candidate, highest=candidate.replicas or max(candidate.lowest, ceil(ROOM * wanted)))
        self.runs += 1
        self._say("suggest, the last run: ")
        after = self._run(candidate)
        meets = after.result.attainment >= self.subject.attainment
        return Suggestion(patch(self.subject, candidate), before, after, self.runs, meets)


def _with(subject: Subject, candidate: Candidate) -> Any:
    """The service with a candidate's settings."""
    spec = subject.service.spec
    scaling = ScalingSpec.model_validate(
        {**spec.scaling.model_dump(by_alias=True, exclude_none=True), **_settings(candidate)}
    )
    return subject.service.model_copy(update={"spec": spec.model_copy(update={"scaling": scaling})})


def _settings(candidate: Candidate) -> dict[str, Any]:
    """spec.scaling of a candidate; None takes a field away."""
    if candidate.replicas is not None:
        number = candidate.replicas
        bounds = {"mode": "fixed", "minReplicas": number, "maxReplicas": max(number, candidate.floor)}
        return {**bounds, "replicas": None, "scaleToZeroAfter": None}
    found: dict[str, Any] = {
        "mode": candidate.mode,
        "minReplicas": candidate.lowest,
        "maxReplicas": max(candidate.highest, candidate.floor),
        "replicas": None,
        "scaleToZeroAfter": IDLE if candidate.zero else None,
    }
    return {**found, "queueDepth": candidate.depth} if candidate.mode == "queueDepth" else found


def patch(subject: Subject, candidate: Candidate) -> str:
    """A merge patch of the service, with the command that applies it."""
    meta, scaling = subject.service.metadata, subject.service.spec.scaling
    settings = _settings(candidate)
    kept = {"replicas": scaling.replicas, "scaleToZeroAfter": scaling.scale_to_zero_after}
    settings = {name: value for name, value in settings.items() if value is not None or kept.get(name) is not None}
    spec: dict[str, Any] = {}
    if candidate.variant is not subject.variants[0]:
        choice = candidate.variant.choice
        spec["accelerators"] = [choice.model_dump(by_alias=True, exclude_defaults=True)]
    if subject.assumed:
        slo = subject.service.spec.slo
        spec["slo"] = {"ttft": slo.ttft, "tpot": slo.tpot}
    spec["scaling"] = settings
    command = f"kubectl patch inferenceservice {meta.name} -n {meta.namespace} --type merge --patch-file FILE"
    return f"# {command}\n" + yaml.safe_dump({"spec": spec}, sort_keys=False)
