"""How a rollout ends: promoted, rolled back, or superseded by another; and what is remembered of it."""

from __future__ import annotations

from typing import Literal

from inferops.api.conditions import Reason
from inferops.api.formats import seconds
from inferops.api.rolloutstatus import Clocks, Ended, Rejected
from inferops.core.rollout import clocks, sentences, weights
from inferops.core.rollout.turn import LONGEST, Turn

REMEMBERED = 10
LINGER = 600.0  # seconds beyond keepWarm that requests may take to end on the previous revision


def roll_back(turn: Turn, reason: Reason, evidence: str, *, urgent: bool = False) -> None:
    """Take the canary's requests and replicas back. It is rejected at once: nothing brings it back meanwhile."""
    state = turn.state
    if state.phase == "RollingBack":
        if urgent and not state.urgent:
            turn.set(urgent=True)
        return
    weight = weights.in_force(turn).get(state.canary, 0)
    message = sentences.rolling_back(state.canary, evidence)
    if reason is not Reason.SUPERSEDED:
        _reject(turn, reason, evidence)
    previous = "" if state.previous == state.canary else state.previous
    turn.set(paused=None, urgent=urgent, weight=weight, clocks=Clocks(), previous=previous)
    turn.enter("RollingBack", reason, message, warning=reason is not Reason.SUPERSEDED)


def go_back(turn: Turn, reason: Reason, evidence: str, *, urgent: bool) -> None:
    """After a promotion: the pointer moves back to the previous revision, and the one that serves is rolled back."""
    state, bad = turn.state, turn.stable
    started = state.started if state.canary == bad else clocks.stamp(turn.now)
    turn.set(canary=bad, stable=state.previous, previous="", warm_until="", retained_until="", started=started)
    turn.stable = turn.state.stable
    _reject(turn, reason, evidence)
    turn.set(urgent=urgent, weight=100 if turn.of(bad).ready else 0, clocks=Clocks(), yielded=0)
    turn.enter("RollingBack", reason, sentences.rolling_back(bad, evidence), warning=True)


def rolled_back(turn: Turn) -> None:
    """The canary is gone, and stable has its replicas."""
    state = turn.state
    superseded = state.reason == Reason.SUPERSEDED
    reason, message = state.reason, state.message
    _remember(turn, "Superseded" if superseded else "RolledBack", reason, message)
    turn.set(weight=0, yielded=0, urgent=False, clocks=Clocks())
    if superseded:
        rest(turn, message)
    else:
        told = sentences.rolled_back(state.canary, turn.stable, message)
        turn.enter("RolledBack", Reason.ROLLED_BACK, told, warning=True)
        turn.say(reason, told)


def superseded(turn: Turn, by: str) -> None:
    """Another revision is asked for: this one gets no more requests, and nothing is held against it."""
    message = sentences.superseded(turn.state.canary, by)
    _remember(turn, "Superseded", Reason.SUPERSEDED, message)
    turn.tell(Reason.SUPERSEDED, message)
    turn.set(weight=0, paused=None, clocks=Clocks())
    rest(turn, message)


def rest(turn: Turn, message: str) -> None:
    """Nothing is under way any more."""
    state = turn.state
    promoted = any(one.outcome == "Promoted" and one.revision == turn.stable for one in state.history)
    turn.set(phase="Succeeded" if promoted or state.previous else "Idle", since=clocks.stamp(turn.now))
    turn.set(skipped=False, weight=0, urgent=False, paused=None)
    turn.say("", message)


def promoted(turn: Turn) -> None:
    """The pointer moves to the canary. The one before is retained: with its replicas first, then without."""
    state, spec, old = turn.state, turn.view.spec, turn.stable
    message = sentences.promoted(turn)
    _remember(turn, "Promoted", Reason.PROMOTED, message)
    keep = seconds(spec.retain_previous)
    turn.set(
        previous=old if old in turn.view.revisions else "",
        warm_until=clocks.later(turn.now, min(seconds(spec.keep_warm), keep)),
        retained_until=clocks.later(turn.now, keep),
        weight=100,
        clocks=Clocks(),
        paused=None,
    )
    turn.stable = state.canary
    turn.enter("Retaining", Reason.PROMOTED, message)


def _reject(turn: Turn, reason: Reason, evidence: str) -> None:
    hash_ = turn.state.canary
    others = [one for one in turn.state.rejected if one.hash != hash_]
    one = Rejected(hash=hash_, reason=str(reason), message=evidence[:LONGEST], time=clocks.stamp(turn.now))
    turn.set(rejected=[one, *others][:REMEMBERED])


def _remember(turn: Turn, outcome: Literal["Promoted", "RolledBack", "Superseded"], reason: str, message: str) -> None:
    state = turn.state
    ended = Ended(
        revision=state.canary,
        stable=turn.stable,
        outcome=outcome,
        reason=str(reason),
        message=message[:LONGEST],
        started=state.started,
        ended=clocks.stamp(turn.now),
    )
    turn.set(history=[ended, *state.history][:REMEMBERED])
