"""The rules that `inferops simulate` runs: the service's own, and those of other autoscalers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from math import ceil, inf
from typing import Any

from inferops.api.formats import seconds
from inferops.api.inferenceservice import InferenceServiceSpec
from inferops.api.scaling import ScalingSpec, ScheduleWindow
from inferops.cli.simulateask import BadOption
from inferops.cli.simulatebench import Bounds, Carried
from inferops.cli.simulateservice import Subject, Variant
from inferops.core import fleet, schedule
from inferops.core.activation import by_number
from inferops.simulate.scaling.ours import Ours
from inferops.simulate.scaling.peers import NAMES, PEERS, PeerGoals
from inferops.simulate.scaling.peers.static import Settings, Static
from inferops.simulate.scaling.policy import Policy, Seen

OWN = "inferops"
DEFAULTS = "defaults"
WHILE = 60.0  # seconds between two looks at a schedule alone


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its bounds, ready to be run any number of times."""

    name: str
    settings: str  # in words
    make: Callable[[], Policy]
    bounds: Bounds
    ours: bool = False


class Windowed:
    """A rule that never goes below what the windows of a schedule ask for; without one, these alone decide."""

    def __init__(self, windows: Sequence[ScheduleWindow], clock: float, inner: Policy | None, lowest: int) -> None:
        self.name = OWN
        self.every = inner.every if inner is not None else WHILE
        self._windows, self._clock, self._inner, self._lowest = windows, clock, inner, lowest
        self._floor, self._until = 0, -inf

    def look(self, seen: Seen) -> int:
        """Replicas wanted from now on."""
        return self._least(seen.now, self._inner.look(seen) if self._inner is not None else self._lowest)

    def blind(self, seen: Seen) -> int:
        """The same while nothing is counted."""
        inner = self._inner
        return self._least(seen.now, inner.blind(seen) if isinstance(inner, Ours) else seen.wanted)

    def _least(self, now: float, wanted: int) -> int:
        if now >= self._until:
            found = schedule.floor(self._windows, datetime.fromtimestamp(self._clock + now, UTC))
            self._floor, self._until = found.replicas or 0, now + (inf if found.again is None else found.again)
        if self._inner is not None:
            self.every = self._inner.every
        return max(wanted, self._floor)


def own(subject: Subject, variant: Variant, clock: float) -> Rule | None:
    """The service's own rule, by spec.scaling. None: mode external, which leaves it to others."""
    spec = subject.service.spec
    scaling = spec.scaling
    for number, window in enumerate(scaling.schedule):
        if (fault := schedule.fault(window)) is not None:
            raise BadOption(f"spec.scaling.schedule[{number}].{fault.field}: {fault.message}")
    if scaling.replicas is None and scaling.mode == "external":
        return None
    if scaling.replicas is not None or scaling.mode == "fixed":
        number = by_number(scaling)
        return Rule(OWN, _replicas(number), lambda: Static(Settings(number)), Bounds(number, number), ours=True)
    bounds = _bounds(scaling)
    return Rule(OWN, _told(scaling, bounds), lambda: _made(spec, variant, clock), bounds, ours=True)


def _made(spec: InferenceServiceSpec, variant: Variant, clock: float) -> Policy:
    scaling = spec.scaling
    lowest = min(max(scaling.min_replicas, 1), fleet.highest(scaling))
    inner: Policy | None = None
    if fleet.by_load(scaling):
        inner = Ours(fleet.goals(spec, lowest), variant.seed)
    if scaling.schedule:
        return Windowed(scaling.schedule, clock, inner, lowest)
    return inner if inner is not None else Static(Settings(lowest))


def _bounds(scaling: ScalingSpec) -> Bounds:
    """To zero only where the operator would go there."""
    zero = scaling.scale_to_zero_after if not scaling.min_replicas else None
    lowest = 0 if zero is not None else max(scaling.min_replicas, 1)
    return Bounds(lowest, fleet.highest(scaling), None if zero is None else seconds(zero))


def _told(scaling: ScalingSpec, bounds: Bounds) -> str:
    if scaling.mode != "schedule" and not fleet.by_load(scaling):
        return f"{_replicas(bounds.highest)}, since maxReplicas is no more than minReplicas"
    depth = f", queueDepth {scaling.queue_depth}" if scaling.mode == "queueDepth" else ""
    windows = f", {len(scaling.schedule)} windows" if scaling.schedule else ""
    zero = f", to zero after {scaling.scale_to_zero_after}" if bounds.zero_after is not None else ""
    return f"mode {scaling.mode}{depth}, {bounds.lowest} to {bounds.highest} replicas{windows}{zero}"


def _replicas(number: int) -> str:
    return f"{number} replica" + ("" if number == 1 else "s")


def peers(words: str, subject: Subject, carried: Carried | None, busiest: float) -> list[Rule]:
    """The other autoscalers that `--compare` names. Raises BadOption."""
    names = list(NAMES) if words.strip() == "all" else [word.strip() for word in words.split(",") if word.strip()]
    if names and carried is None:
        raise BadOption(
            "--compare: other autoscalers are set up by what a replica carries within the SLO, and it carries nothing; "
            "raise spec.slo or choose other accelerators"
        )
    scaling = subject.service.spec.scaling
    found = []
    for name in names:
        peer, _, how = name.partition(":")
        if peer not in PEERS or how not in ("", DEFAULTS):
            there = f"{', '.join(NAMES)}, all, or NAME:{DEFAULTS}"
            raise BadOption(f"--compare {name!r}: there are {there}")
        assert carried is not None
        found.append(_peer(peer, how == DEFAULTS, scaling, _goals(subject, carried), busiest / carried.rate))
    return found


def _goals(subject: Subject, carried: Carried) -> PeerGoals:
    highest = fleet.highest(subject.service.spec.scaling)
    ttft, tpot = (limit if limit < inf else 3600.0 for limit in (subject.ttft, subject.tpot))
    return PeerGoals(carried.rate, carried.concurrency, ttft, tpot, highest)


def _peer(name: str, defaults: bool, scaling: ScalingSpec, goals: PeerGoals, peak: float) -> Rule:
    """`peak`: replicas that the busiest minute needs."""
    peer = PEERS[name]
    settings: Any = peer.defaults(goals) if defaults else peer.sensible(goals)
    bounds = Bounds(scaling.min_replicas, goals.highest)
    if name == "static":  # nobody who knows the peak provides for more
        number = min(max(ceil(peak), scaling.min_replicas, 1), goals.highest)
        settings, bounds = Settings(number), Bounds(number, number)
    label = f"{name} ({DEFAULTS})" if defaults else name
    return Rule(label, _spelled(settings), lambda: peer.rule(settings), bounds)


def _spelled(settings: Any) -> str:
    """What somebody set, in words: the fields without a default, and those that differ from theirs."""
    told = []
    for field in fields(settings):
        value = getattr(settings, field.name)
        if value != field.default:
            shown = f"{value:.3g}" if isinstance(value, float) else str(value)
            told.append(f"{field.name.replace('_', ' ')} {shown}")
    return ", ".join(told) or "as it comes"
