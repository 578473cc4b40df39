"""One look at a service's load: what is recommended, what speaks against it, and what is remembered of it.

Looks have a pace of their own, whatever brings a reconcile about; in between what was decided stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from inferops.api.scalingstatus import ScalingStatus
from inferops.core import fleet, scalingtold
from inferops.core.autoscale import memory
from inferops.core.autoscale.rule import Recommendation, recommend
from inferops.core.autoscale.terms import Goals, Signals
from inferops.core.event import Event
from inferops.core.observation import Looked, Observation

BACK = 60.0  # seconds by which clocks may go back; what was remembered of a later time is forgotten then
NEWER = 1.0  # seconds that must be newer than what the last look went by; until then one is put off by as much
EARLY = 0.5  # seconds by which a look may be early, since timers are
# Why a look comes to another number than is recommended: a word, and for people
Why = tuple[str, str]
AS_SAID: Why = ("", "")
STARTS = "the number of replicas is kept until something is counted"
ROLLS = "fewer replicas would do; none is taken away while a rollout is under way"
STARTED: Why = ("Held", STARTS)
WAKES: Why = ("Held", "fewer replicas would do; none is taken away before the first serves")
ROLLING: Why = ("Rollout", ROLLS)
SHORT: Why = ("Rollout", "a rollout does without replicas that find no node, since it would wait for them")
NO_NODE: Why = ("NoNode", "requests wait for replicas that find no node; more of these would not help")
LOST = 300.0  # seconds without a node after which none is expected any more, were it one that has to be bought first
RETRY = 600.0  # seconds after which more are tried again in the same rollout


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
    return _come_to(case, signals, found, number, held)


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
    if left > EARLY and now >= looked.at - BACK:
        return left
    return NEWER if seen.load is not None and seen.load.seconds < NEWER else 0.0


def _number(case: _Case, signals: Signals, found: Recommendation) -> tuple[int, Why]:
    """Replicas as recommended; where something speaks against it, those that were decided before, and why."""
    number, kept = min(max(found.replicas, case.goals.lowest), case.goals.highest), case.kept
    if rolls(case.seen):
        return _number_in_rollout(case, number)
    if number < kept and (signals.load is None or case.looked.at is None):
        return kept, STARTED
    if number < kept and case.waking:
        return kept, WAKES
    if number > kept and signals.fleet.homeless and found.reason in ("Queue", "Latency"):
        return kept, NO_NODE
    return number, AS_SAID


def _number_in_rollout(case: _Case, number: int) -> tuple[int, Why]:
    """None is taken away but what finds no node: with so many more than there are GPUs for, a canary of their share
    would never be complete, and be rolled back for it."""
    kept, looked = case.kept, case.looked
    going_back = case.seen.service.status.rollout.phase == "RollingBack"
    missing = fleet.homeless(fleet.live(fleet.serving(case.seen)[:1]))
    lost = looked.homeless is not None and case.now - looked.homeless >= LOST
    if missing and lost and not going_back and kept > case.goals.lowest:
        return max(kept - missing, case.goals.lowest), SHORT
    if number > kept and looked.short is not None and case.now - looked.short < RETRY:
        return kept, SHORT
    return (kept, ROLLING) if number < kept else (number, AS_SAID)


def _come_to(case: _Case, signals: Signals, found: Recommendation, number: int, held: Why) -> Look:
    """What is remembered and told of a look."""
    looked, now = case.looked, case.now
    silent = None if found.reason != "NoSignals" else now if looked.silent is None else looked.silent
    reason, message = held if held != AS_SAID else (str(found.reason), found.why)
    if silent is not None:
        reason, message = "NoSignals", f"{found.why}; none is taken away meanwhile"
        if now - silent < scalingtold.SILENCE:  # it may only be about to come
            reason, message = case.status.reason or "Start", case.status.message or STARTS
    learned = partial(memory.written, found.history, case.status.learned)
    since = looked.told if looked.told is not None else now
    told = scalingtold.told(
        case.status,
        case.before,
        case.goals.mode,
        scalingtold.Found(number, reason, message, found.numbers, learned),
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
        homeless=None if not signals.fleet.homeless else now if looked.homeless is None else looked.homeless,
        short=now if held == SHORT and number < case.kept else looked.short,
        told=since if told is case.status else now,
    )
    events = scalingtold.events(case.before, number, told.message, case.status, case.seen.now)
    return Look(number, told, found.again, mind, events)
