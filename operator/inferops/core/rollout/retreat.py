"""Rolling back: stable gets its requests and its replicas back, and the canary gives up its own.

Where the two share GPUs, the canary gives them up replica by replica, so that what is left carries the requests;
where the canary does harm, as fast as anything of stable answers.
"""

from __future__ import annotations

from inferops.api.rolloutstatus import Clocks
from inferops.core.rollout import capacity, clocks, ending, weights
from inferops.core.rollout.turn import Turn

LONGEST = 600.0  # seconds in which it goes replica by replica; then the canary goes, whatever stable carries


def roll_back(turn: Turn) -> None:
    """One more part of the way."""
    state = turn.state
    _time_it(turn)
    if not state.urgent and turn.elapsed(state.since) >= LONGEST:
        turn.set(urgent=True)
    turn.set(weight=_weight(turn))
    turn.set(yielded=max(turn.wanted - _stable_size(turn), 0))
    gone = state.canary not in turn.view.revisions
    late = turn.elapsed(state.since) >= LONGEST and turn.view.weights.get(state.canary, 0) == turn.state.weight == 0
    if late or (gone and turn.state.yielded == 0):
        ending.rolled_back(turn)
    else:
        turn.wake(max(LONGEST - turn.elapsed(state.since), capacity.PATIENCE))


def leaves(turn: Turn) -> bool:
    """Whether the canary may go: it gets no requests, as far as anybody knows."""
    return turn.state.weight == 0 and not turn.carrying(turn.state.canary)


def keeps(turn: Turn) -> int:
    """Replicas that the canary keeps. Those that do not answer go first."""
    state, stable, canary = turn.state, turn.of(turn.stable), turn.of(turn.state.canary)
    if leaves(turn) or canary.ready == 0:
        return 0
    if state.weight == 0 or not _short(turn):
        return canary.ready
    rest = stable.ready + canary.ready - 1
    gives_up = rest >= (1 if state.urgent else capacity.enough(turn)) or turn.wanted == 1
    return canary.ready - 1 if gives_up else canary.ready


def _stable_size(turn: Turn) -> int:
    """Replicas that stable may have now."""
    if not capacity.strict(turn):
        return turn.wanted
    held = max(keeps(turn), turn.of(turn.state.canary).present)
    return min(turn.wanted, max(turn.wanted - held, turn.of(turn.stable).live))


def _short(turn: Turn) -> bool:
    """Whether stable gets no replica unless the canary gives one up."""
    if capacity.strict(turn):
        return turn.of(turn.stable).live < turn.wanted
    if turn.state.strategy == "swap":  # there was no room before either
        return turn.of(turn.stable).unschedulable > 0
    waited = turn.elapsed(turn.state.clocks.capacity)
    if turn.state.clocks.capacity and waited < capacity.PATIENCE:
        turn.wake(capacity.PATIENCE - waited)
    return bool(turn.state.clocks.capacity) and waited >= capacity.PATIENCE


def _time_it(turn: Turn) -> None:
    """Since when the scheduler finds no node for a replica of stable."""
    waits, since = turn.of(turn.stable).unschedulable > 0, turn.state.clocks.capacity
    if waits != bool(since):
        turn.set(clocks=Clocks(capacity=clocks.stamp(turn.now) if waits else ""))


def _weight(turn: Turn) -> int:
    """The canary's percentage: never more than before, and no more than stable cannot carry."""
    state, stable, canary = turn.state, turn.of(turn.stable), turn.of(turn.state.canary)
    if canary.ready == 0 or turn.wanted == 0:
        return 0
    if stable.ready == 0:
        return state.weight
    if state.urgent or stable.ready >= turn.carries:
        return 0
    without = 100 - min(100 * stable.ready // turn.carries, 100)
    return min(state.weight, without, weights.carried_by(turn, keeps(turn)))
