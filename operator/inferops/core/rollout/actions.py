"""What people tell a rollout by the annotation inferops.dev/action: `promote|pause|resume|abort|retry@HASH[/NONCE]`.

Each value is carried out once, so Git may apply it again and again. One that names another revision than the one it
would act on does nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from inferops.api.conditions import Reason
from inferops.api.rolloutstatus import Pause
from inferops.core.rollout import clocks, ending, gates, weights
from inferops.core.rollout.capacity import step_weight
from inferops.core.rollout.turn import LONGEST, Turn

GRAMMAR = re.compile(r"(promote|pause|resume|abort|retry)@([A-Za-z0-9]{1,16})(?:/([A-Za-z0-9-]{1,32}))?")
REMEMBERED = 16


class Action(NamedTuple):
    """What to do, and with which revision."""

    verb: str
    hash: str


def read(annotation: str) -> Action | None:
    """What the annotation asks for; None where it asks for nothing that can be understood."""
    found = GRAMMAR.fullmatch(annotation)
    return Action(found[1], found[2]) if found else None


def act(turn: Turn) -> None:
    """Carry out the action on the annotation, unless it was."""
    annotation = turn.view.action
    action = read(annotation)
    if action is None or annotation in turn.state.handled:
        return
    does = {"promote": _promote, "pause": _pause, "resume": _resume, "abort": _abort, "retry": _retry}
    if does[action.verb](turn, action.hash):
        turn.set(handled=[annotation, *turn.state.handled][:REMEMBERED])


def _promote(turn: Turn, hash_: str) -> bool:
    if not _is_under_way(turn, hash_):
        return False
    _unrest(turn)
    turn.set(skipped=True)
    gates.waive(turn, 0, "skipped: promoted by hand")
    turn.enter("Promoting", Reason.PROMOTING, f"revision {hash_} is promoted by hand; what was left is skipped")
    turn.set(weight=100)
    return True


def _pause(turn: Turn, hash_: str) -> bool:
    if not _is_under_way(turn, hash_) or turn.state.paused is not None:
        return False
    if turn.state.phase == "Promoting":  # it keeps what it has
        turn.set(weight=weights.in_force(turn).get(hash_, 0))
    rest(turn, Reason.ROLLOUT_PAUSED, f"revision {hash_} is paused by hand")
    return True


def _resume(turn: Turn, hash_: str) -> bool:
    if not _is_under_way(turn, hash_):
        return False
    paused, weight = turn.state.paused, gate_weight(turn)
    if paused is None:
        return weight is not None and gates.open_manual(turn, weight)
    _unrest(turn)
    if weight is not None:
        gates.ask_again(turn, weight)
    turn.tell(Reason.ROLLOUT_RESUMED, f"revision {hash_} goes on")
    return True


def _abort(turn: Turn, hash_: str) -> bool:
    if _is_under_way(turn, hash_):
        ending.roll_back(turn, Reason.ABORTED, "aborted by hand")
        return True
    kept = turn.state.phase in ("Retaining", "Succeeded") and turn.state.previous in turn.view.revisions
    if hash_ != turn.stable or not kept:
        return False
    ending.go_back(turn, Reason.ABORTED, "aborted by hand", urgent=False)
    return True


def _retry(turn: Turn, hash_: str) -> bool:
    if hash_ not in {one.hash for one in turn.state.rejected}:
        return False
    turn.set(rejected=[one for one in turn.state.rejected if one.hash != hash_])
    return True


def _is_under_way(turn: Turn, hash_: str) -> bool:
    return turn.under_way and turn.state.canary == hash_


def _unrest(turn: Turn) -> None:
    """Go on where it was, as if no time had passed. What it rested for by itself, it waits for once more."""
    paused = turn.state.paused
    if paused is None:
        return
    rested = turn.elapsed(paused.since)
    by_hand = paused.reason == Reason.ROLLOUT_PAUSED
    since = clocks.later(turn.state.since, rested) if by_hand else clocks.stamp(turn.now)
    turn.set(paused=None, since=since, clocks=clocks.put_off(turn.state.clocks, rested))


def gate_weight(turn: Turn) -> int | None:
    """The weight whose gates are asked now; None: none are."""
    state = turn.state
    if state.phase == "Gated":
        return step_weight(turn)
    return 0 if state.phase == "Warming" and state.weight == 0 else None


def rest(turn: Turn, reason: Reason, message: str) -> None:
    """Rest until somebody acts."""
    told = f"{message}; `inferops rollout resume`, promote or abort goes on"[-LONGEST:]
    turn.set(paused=Pause(since=clocks.stamp(turn.now), reason=reason, message=told))
    turn.tell(Reason.ROLLOUT_PAUSED, told, warning=reason is not Reason.ROLLOUT_PAUSED)
