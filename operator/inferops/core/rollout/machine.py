"""step: what a rollout does next. Guardrails first, then what people ask for, then the phase that it is in."""

from __future__ import annotations

from inferops.api.conditions import Reason
from inferops.api.rolloutstatus import AT_REST, AnalysisStatus, Clocks, RolloutStatus
from inferops.core.rollout import actions, capacity, clocks, deadlines, ending, phases, sentences, weights
from inferops.core.rollout.guardrails import guard
from inferops.core.rollout.judging import look
from inferops.core.rollout.outcome import outcome
from inferops.core.rollout.serving import serving
from inferops.core.rollout.turn import Turn
from inferops.core.rollout.view import Outcome, View

MOST = 32  # phases that one step may pass through


def step(state: RolloutStatus, view: View) -> Outcome:
    """What follows from what is remembered and seen. Pure; a second time on the same world changes nothing.

    `state` may be old, edited or lost: whatever it says, this comes to an end in which one revision serves.
    """
    state = clocks.repaired(state, view.now)
    turn = Turn(view, state, serving(state, view))
    if not turn.stable:
        _first(turn)
        return outcome(turn)
    _mend(turn)
    for _ in range(MOST):
        before = turn.state
        deadlines.tick(turn)
        guard(turn)
        look(turn)
        actions.act(turn)
        _retarget(turn)
        _expire(turn)
        _advance(turn)
        if turn.state == before:
            break
    deadlines.watch(turn)
    return outcome(turn)


def _first(turn: Turn) -> None:
    """None has served yet: whatever is asked for takes the requests as soon as a replica is ready."""
    if turn.state.phase != "Idle":
        turn.set(phase="Idle", since=clocks.stamp(turn.now), canary="", stable="", weight=0, yielded=0, step=0)
        turn.set(paused=None, urgent=False, skipped=False, clocks=Clocks(), deadline="", reason="", message="")


def _mend(turn: Turn) -> None:
    """Bring what is remembered in line with what is there, should somebody have edited either."""
    state, steps = turn.state, turn.view.spec.steps
    busy = turn.under_way or state.phase == "RollingBack"
    rejected = turn.under_way and any(one.hash == state.canary for one in state.rejected)
    if rejected or (busy and state.canary in ("", turn.stable)):
        ending.rest(turn, "")
    elif turn.under_way:
        turn.set(stable=turn.stable, steps=len(steps), step=min(state.step, max(len(steps) - 1, 0)))
    if state.previous and (state.previous == turn.stable or state.previous not in turn.view.revisions):
        turn.set(previous="", warm_until="", retained_until="")


def _retarget(turn: Turn) -> None:
    """Begin what the spec asks for, in place of what is under way."""
    target, stable = turn.view.target, turn.stable
    if not target:
        return
    rejected = target != stable and any(one.hash == target for one in turn.state.rejected)
    wanted = stable if rejected else target
    if turn.under_way and wanted != turn.state.canary:
        _give_up(turn, wanted, target)
    elif turn.state.phase == "RollingBack" and wanted not in (turn.state.canary, stable) and not turn.of(stable).ready:
        ending.rolled_back(turn)  # nobody knows when stable answers again: what is asked for now may help
    if turn.state.phase not in AT_REST:
        return
    if wanted != stable:
        _begin(turn, wanted)
    elif rejected and (turn.state.phase, turn.state.canary) != ("RolledBack", target):
        turn.set(canary=target, stable=stable, weight=0, yielded=0, started="")
        turn.enter("RolledBack", Reason.REJECTED_BEFORE, sentences.rejected_before(turn, target), warning=True)
    elif not rejected and turn.state.phase == "RolledBack":
        ending.rest(turn, sentences.succeeded(turn))
    elif turn.state.phase in ("Idle", "Succeeded") and turn.state.yielded:
        turn.set(yielded=0)


def _give_up(turn: Turn, wanted: str, target: str) -> None:
    """The canary under way is not wanted any more. Where stable does not carry the requests alone, it takes them back
    replica by replica first."""
    state, stable = turn.state, turn.of(turn.stable)
    idle = weights.in_force(turn).get(state.canary, 0) == turn.view.weights.get(state.canary, 0) == 0
    free = state.yielded == 0 or (wanted != turn.stable and (idle or stable.ready >= turn.carries))
    if free or (wanted != turn.stable and stable.ready == 0):
        ending.superseded(turn, target)
    else:
        ending.roll_back(turn, Reason.SUPERSEDED, f"the spec asks for {target} by now")


def _begin(turn: Turn, target: str) -> None:
    """A rollout begins, with evidence of its own. A revision that gave up replicas for the one before goes on so."""
    state, steps = turn.state, turn.view.spec.steps
    yielded = 0 if state.phase == "Retaining" else state.yielded
    recreate = turn.view.spec.strategy == "recreate"
    told = sentences.started(turn, target)
    turn.set(
        canary=target,
        stable=turn.stable,
        started=clocks.stamp(turn.now),
        strategy="recreate" if recreate else "swap" if turn.view.spec.strategy == "swap" or yielded else "surge",
        step=0,
        steps=len(steps),
        weight=0,
        yielded=yielded,
        skipped=recreate or not steps or not turn.splits,
        urgent=False,
        clocks=Clocks(),
        loaded_in=None,
        analysis=AnalysisStatus(),
        gates=[],
        warm_until="",
    )
    turn.tell(Reason.ROLLOUT_STARTED if turn.splits or not steps else Reason.NOBODY_SPLITS, told)
    turn.set(phase="WaitingForCapacity", since=clocks.stamp(turn.now), reason=Reason.ROLLOUT_STARTED.value)
    if target == state.previous:
        phases.hurry(turn, "it served before")


def _expire(turn: Turn) -> None:
    """The previous revision is kept for so long, and while requests may reach it or nothing else answers."""
    state = turn.state
    if not state.previous or state.phase == "Retaining" or state.previous == state.canary:
        return
    rest = clocks.left(turn.now, state.retained_until)
    if rest > 0:
        turn.wake(rest)
    elif not turn.carrying(state.previous) and (turn.of(turn.stable).ready or not turn.of(state.previous).ready):
        turn.set(previous="", warm_until="", retained_until="")


def _advance(turn: Turn) -> None:
    """What the phase does. One that rests, or whose spec is invalid, holds its step."""
    state = turn.state
    if turn.under_way and (state.paused is not None or not turn.view.target):
        return
    if turn.under_way and turn.wanted == 0:
        if state.canary in turn.view.revisions:
            ending.promoted(turn)
        return
    down = state.clocks.stable_down
    if turn.under_way and state.phase != "Promoting" and down and turn.elapsed(down) >= capacity.DOWN:
        phases.hurry(turn, "no replica of the stable revision answers, so there is nothing to lose")
        return
    if state.phase in phases.PHASES:
        phases.PHASES[state.phase](turn)
