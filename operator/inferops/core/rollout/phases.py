"""What each phase of a rollout does, in the order in which a rollout passes through them."""

from __future__ import annotations

from collections.abc import Callable

from inferops.api.conditions import Reason
from inferops.api.formats import seconds
from inferops.api.rollout import RolloutStep
from inferops.api.rolloutstatus import BRINGING_UP
from inferops.core.evidence import begin_step
from inferops.core.rollout import actions, capacity, clocks, deadlines, ending, gates, retreat, sentences, weights
from inferops.core.rollout.judging import SOON
from inferops.core.rollout.turn import Turn


def _bring_up(turn: Turn) -> None:
    """More replicas, as far as there is room for them."""
    _take_steps_after_all(turn)
    capacity.yields(turn)
    part = capacity.part(turn)
    if part == "capacity":
        turn.enter("WaitingForCapacity", Reason.WAITING_FOR_CAPACITY, sentences.waiting_for_capacity(turn))
    elif part:
        reason = Reason.PULLING if part == "pull" else Reason.LOADING
        turn.enter("Loading", reason, sentences.loading(turn))
    elif turn.state.skipped and gates.passed(turn, 0):
        _promoting(turn, f"revision {turn.state.canary} is ready and gets all requests")
    else:
        turn.enter("Warming", Reason.WARMING, f"revision {turn.state.canary} is ready and warms up")


def _take_steps_after_all(turn: Turn) -> None:
    """Somebody splits requests by now, or there are steps by now."""
    if turn.state.skipped and turn.splits and turn.view.spec.steps and turn.view.spec.strategy != "recreate":
        turn.set(skipped=False)


def _warm(turn: Turn) -> None:
    """Its gates before any request, then its first requests, which are not judged yet."""
    _take_steps_after_all(turn)
    state = turn.state
    if not _gates_pass(turn, 0):
        return
    if state.skipped or not turn.view.spec.steps:
        turn.set(skipped=True)
        _promoting(turn, f"revision {state.canary} is ready and gets all requests")
    elif not turn.splits:
        turn.say(Reason.NOBODY_SPLITS, f"nobody splits requests by now. {sentences.nobody_splits()}")
        turn.wake(capacity.DOWN)
    else:
        capacity.yields(turn)
        turn.set(weight=capacity.step_weight(turn))
        turn.say(Reason.WARMING, f"revision {state.canary} warms up, on {turn.state.weight} % of requests")
        if deadlines.warm(turn):
            _shift(turn)
        turn.wake(SOON)


def _shift(turn: Turn) -> None:
    """To the weight of a step. Evidence that it is no worse begins anew there."""
    weight = capacity.step_weight(turn)
    turn.set(weight=weight, analysis=begin_step(turn.state.analysis))
    turn.enter("Shifting", Reason.SHIFTING, f"revision {turn.state.canary} is to get {weight} % of requests")


def _shifting(turn: Turn) -> None:
    if not _has_step(turn):
        return
    capacity.yields(turn)
    turn.wake(SOON)
    turn.set(weight=capacity.step_weight(turn))
    ready = turn.of(turn.state.canary).ready >= capacity.size(turn)
    if ready and weights.reached(turn):
        told = f"revision {turn.state.canary} gets {turn.state.weight} % of requests and is compared with {turn.stable}"
        turn.enter("Observing", Reason.OBSERVING, told)
    elif ready:
        _pause_when_late(turn, Reason.SHIFTING, f"the weight of {turn.state.weight} % is not in force", 0.0)


def _observing(turn: Turn) -> None:
    """So long as the step lasts, and until the evidence is there."""
    if not _has_step(turn):
        return
    state, analysis, step_ = turn.state, turn.state.analysis, _step(turn)
    if step_.weight != state.weight:
        _shift(turn)
        return
    turn.wake(SOON)
    rest = seconds(step_.min_duration) - turn.elapsed(state.since)
    if rest > 0:
        turn.wake(rest)
    elif analysis.verdict == "NoWorse":
        told = f"revision {state.canary} is no worse than {turn.stable} at {state.weight} % of requests"
        turn.enter("Gated", Reason.OBSERVING, told)
    else:
        _hold(turn, seconds(step_.min_duration))


def _hold(turn: Turn, least: float) -> None:
    """The step has lasted long enough, and nobody can say yet whether the canary is no worse."""
    state, analysis = turn.state, turn.state.analysis
    blind = analysis.verdict in ("NoData", "NotJudged")
    reason = Reason.NO_DATA if blind else Reason.UNDECIDED
    why = f"no data at {state.weight} % of requests" if blind else f"no verdict yet at {state.weight} % of requests"
    why += f": {analysis.message}" if analysis.message else ""
    turn.say(reason, f"revision {state.canary}: {why}")
    if blind and turn.view.spec.analysis.on_no_data == "Pause":
        actions.rest(turn, reason, turn.state.message)
    else:
        _pause_when_late(turn, reason, why, least)


def _gated(turn: Turn) -> None:
    """The step's gates; then the next step, or all requests."""
    if not _has_step(turn) or not _gates_pass(turn, _step(turn).weight):
        return
    state = turn.state
    if state.step + 1 < len(turn.view.spec.steps):
        turn.set(step=state.step + 1)
        _shift(turn)
    else:
        _promoting(turn, f"revision {state.canary} has passed all steps and gets all requests")


def _promoting(turn: Turn, why: str) -> None:
    turn.set(weight=100)
    turn.enter("Promoting", Reason.PROMOTING, why)


def _promote(turn: Turn) -> None:
    """All replicas, and with them all requests; then the pointer moves."""
    capacity.yields(turn)
    turn.set(weight=100)
    turn.wake(SOON)
    if turn.of(turn.state.canary).ready >= turn.wanted:
        ending.promoted(turn)


def _retain(turn: Turn) -> None:
    """The previous revision keeps its replicas for a while, and for as long as requests end there."""
    state = turn.state
    rest = clocks.left(turn.now, state.warm_until)
    over = turn.elapsed(state.warm_until)
    warm = state.previous and capacity.stable_size(turn) > 0
    if warm and (rest > 0 or (_ending_there(turn) and over < ending.LINGER)):
        turn.wake(rest if rest > 0 else SOON)
        turn.say(Reason.PROMOTED, sentences.retaining(turn))
    else:
        turn.set(yielded=0)
        turn.set(phase="Succeeded", since=clocks.stamp(turn.now))  # its promotion was told
        turn.say(Reason.READY, sentences.succeeded(turn))


def _ending_there(turn: Turn) -> bool:
    """Whether requests are still being answered by the previous revision."""
    previous = turn.view.revisions.get(turn.state.previous)
    in_flight = turn.view.window.in_flight if turn.view.window is not None else {}
    return previous is not None and any(in_flight.get(pod.name, 0) > 0 for pod in previous.pods)


def _succeed(turn: Turn) -> None:
    turn.say(Reason.READY, sentences.succeeded(turn))


def _gates_pass(turn: Turn, weight: int) -> bool:
    """Ask the gates at a weight; what they say ends the rollout, lets it go on, or has it wait."""
    gates.ask(turn, weight)
    if no := gates.failed(turn, weight):
        ending.roll_back(turn, Reason.GATE_FAILED, f"the gate {no.name} said no: {no.message}")
        return False
    if gates.passed(turn, weight):
        return True
    turn.say(*gates.sentence(turn, weight))
    if late := gates.overdue(turn, weight):
        actions.rest(turn, Reason.GATE_WAITS, f"the gate {late.name} has not come to a verdict within {late.wait}")
    return False


def _pause_when_late(turn: Turn, reason: Reason, why: str, least: float) -> None:
    """Rest once it has held for analysis.maxHold beyond what it had to."""
    rest = least + seconds(turn.view.spec.analysis.max_hold) - turn.elapsed(turn.state.since)
    if rest > 0:
        turn.wake(rest)
    else:
        held = turn.view.spec.analysis.max_hold
        actions.rest(
            turn, reason, f"revision {turn.state.canary}: {why}, and spec.rollout.analysis.maxHold ({held}) is over"
        )


def _has_step(turn: Turn) -> bool:
    """Whether there is still a step to be on; where somebody took all away, the canary is promoted."""
    if turn.view.spec.steps and not turn.state.skipped:
        return True
    hurry(turn, "spec.rollout has no steps any more")
    return False


def _step(turn: Turn) -> RolloutStep:
    return turn.view.spec.steps[turn.state.step]


def hurry(turn: Turn, why: str) -> None:
    """Skip steps, analysis and gates, but neither guardrails nor readiness."""
    gates.waive(turn, 0, f"skipped: {why}")
    turn.set(skipped=True)
    _promoting(turn, f"revision {turn.state.canary} gets all requests as its replicas are ready: {why}")


PHASES: dict[str, Callable[[Turn], None]] = {
    **dict.fromkeys(BRINGING_UP, _bring_up),
    "Warming": _warm,
    "Shifting": _shifting,
    "Observing": _observing,
    "Gated": _gated,
    "Promoting": _promote,
    "Retaining": _retain,
    "Succeeded": _succeed,
    "RollingBack": retreat.roll_back,
}
