"""One look at a service's load: what is recommended, what speaks against it, and what is remembered of it.

Looks have a pace of their own, whatever brings a reconcile about; in between what was decided stands.
"""

from __future__ import annotations

from dataclasses import dataclass

from inferops.api.scalingstatus import ScalingStatus
from inferops.core import fleet, scalingtold
from inferops.core.autoscale import memory
from inferops.core.autoscale.rule import Recommendation, recommend
from inferops.core.autoscale.terms import Goals, Signals
from inferops.core.event import Event
from inferops.core.observation import Looked, Observation

BACK = 60.0  # seconds by which clocks may go back; what was remembered of a later time is forgotten then
EARLY = 0.5  # seconds by which a look may be early, since timers are
STARTS = "the number of replicas is kept until something is counted"
ROLLS = "fewer replicas would do; none is taken away while a rollout is under way"
WAKES = "fewer replicas would do; none is taken away before the first serves"
NO_NODE = "requests wait for replicas that find no node; more of these would not help"


@dataclass(frozen=True, slots=True)
class Look:
    """What a look comes to."""

    replicas: int
    told: ScalingStatus
    again: float  # seconds until the next
    looked: Looked | None = None  # to be remembered; None: it was not time for a look
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class _Case:
    """What a look decides on."""

    seen: Observation
    goals: Goals
    kept: int  # replicas as decided before, within the bounds of now
    waking: bool
    now: float  # in Unix seconds, never before the last look
    looked: Looked  # the last look

    @property
    def status(self) -> ScalingStatus:
        return self.seen.service.status.scaling

    @property
    def before(self) -> int | None:
        return self.seen.service.status.desired_replicas


def look(seen: Observation, lowest: int, waking: int) -> Look:
    """Between `lowest` and the service's maximum as many replicas as its load asks for, and not below `waking` where it
    comes back from zero."""
    goals, now = fleet.goals(seen.service.spec, lowest), seen.now.timestamp()
    kept = min(max(decided(seen, lowest), waking), goals.highest)
    left = _left(seen, goals, now)
    if left > 0:
        return Look(kept, seen.service.status.scaling, left)
    looked = seen.looked if seen.looked.at is not None and now >= seen.looked.at - BACK else Looked()
    case = _Case(seen, goals, kept, waking > 0, max(now, looked.at or now), looked)
    history = looked.history if looked.history is not None else memory.read(case.status.learned)
    signals = fleet.signals(seen, kept)
    found = recommend(history, signals, goals, case.now)
    number, held = _number(case, signals, found)
    return _come_to(case, found, number, held)


def decided(seen: Observation, lowest: int) -> int:
    """Replicas as decided before, within the bounds of now. Where that is lost, those that are there."""
    before = seen.service.status.desired_replicas
    if before is None:
        before = len(fleet.live(fleet.serving(seen)))
    return min(max(before, lowest), fleet.highest(seen.service.spec.scaling))


def rolls(seen: Observation) -> bool:
    """Whether a rollout is under way: it reckons with the replicas that there are."""
    return bool(seen.service.status.stable_revision) and not fleet.at_rest(seen)


def _left(seen: Observation, goals: Goals, now: float) -> float:
    """Seconds until the next look. None where it is due, something else is asked for by now, or it was at zero."""
    looked = seen.looked
    if looked.at is None or looked.asked != goals or not seen.service.status.desired_replicas:
        return 0.0
    left = looked.at + looked.again - now
    return 0.0 if left <= EARLY or now < looked.at - BACK else left


def _number(case: _Case, signals: Signals, found: Recommendation) -> tuple[int, str]:
    """Replicas as recommended; where something speaks against it, those that were decided before, and why."""
    number, kept = min(max(found.replicas, case.goals.lowest), case.goals.highest), case.kept
    if number < kept and (signals.load is None or case.looked.at is None):
        return kept, STARTS
    if number < kept and rolls(case.seen):
        return kept, ROLLS
    if number < kept and case.waking:
        return kept, WAKES
    if number > kept and signals.fleet.homeless and found.reason in ("Queue", "Latency"):
        return kept, NO_NODE
    return number, ""


def _come_to(case: _Case, found: Recommendation, number: int, held: str) -> Look:
    """What is remembered and told of a look."""
    looked, now = case.looked, case.now
    silent = None if found.reason != "NoSignals" else now if looked.silent is None else looked.silent
    reason, message = ("Held", held) if held else (str(found.reason), found.why)
    if silent is not None:
        reason, message = "NoSignals", f"the number of replicas is kept, and none is taken away: {found.why}"
        if now - silent < scalingtold.SILENCE:  # it may only be about to come
            reason, message = case.status.reason or "Start", case.status.message or STARTS
    since = looked.told if looked.told is not None else now
    told = scalingtold.told(
        case.status,
        case.before,
        case.goals.mode,
        scalingtold.Found(number, reason, message, found.numbers, memory.written(found.history)),
        now,
        since,
    )
    mind = Looked(
        history=found.history,
        at=now,
        again=found.again,
        asked=case.goals,
        ready=fleet.been_ready(case.seen),
        silent=silent,
        told=since if told is case.status else now,
    )
    events = scalingtold.events(case.before, number, told.message, case.status, case.seen.now)
    return Look(number, told, found.again, mind, events)
