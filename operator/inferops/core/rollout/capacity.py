"""How many replicas the canary and stable get, and which of them makes room for the other.

surge puts the canary beside stable. swap has stable yield a replica for each that the canary gets, one at a time and
only while what remains carries the requests. recreate has it yield all at once. auto begins as surge, and swaps once
the scheduler has found no node for a while.
"""

from __future__ import annotations

from inferops.api.rolloutstatus import BRINGING_UP, STEPPING
from inferops.core.rollout.turn import Turn

PATIENCE = 15.0  # seconds for the scheduler, or somebody who makes room, before stable yields its first replica
AFTERWARDS = 5.0  # before each other: there was no room, and what it gave up was taken
DOWN = 60.0  # seconds without a replica of stable that answers; then nothing is lost by hurrying


def strict(turn: Turn) -> bool:
    """Whether no more GPUs may be used than before."""
    return turn.view.spec.strategy in ("swap", "recreate")


def share(turn: Turn, weight: int) -> int:
    """Replicas that carry so many of 100 requests; at least one where any are wanted."""
    return min(max(-(-turn.wanted * weight // 100), 1), turn.wanted)


def step_weight(turn: Turn) -> int:
    """The weight of the step that it is on, as the spec has it now; 100 where there are no steps."""
    steps = turn.view.spec.steps
    return steps[min(turn.state.step, len(steps) - 1)].weight if steps else 100


def size(turn: Turn) -> int:
    """Replicas that the canary must have for its phase to end."""
    state = turn.state
    if state.phase not in (*BRINGING_UP, *STEPPING):
        return turn.wanted
    if not state.skipped:
        return share(turn, step_weight(turn))
    return min(turn.wanted, 1) if state.strategy == "swap" else turn.wanted


def stable_size(turn: Turn) -> int:
    """Replicas that stable keeps. However many are wanted by now, the last that answers goes only to a canary that
    takes all requests over."""
    left = max(turn.wanted - turn.state.yielded, 0)
    if left or not turn.wanted or not turn.under_way or turn.state.strategy == "recreate":
        return left
    takes_over = turn.state.phase == "Promoting" and turn.of(turn.state.canary).ready >= enough(turn)
    return 0 if takes_over or not turn.of(turn.stable).ready else 1


def enough(turn: Turn) -> int:
    """Replicas that must answer meanwhile, whichever revision they are of: one may be missing at a time."""
    return max(turn.wanted - 1 if turn.view.needed is None else turn.carries, 1)


def granted(turn: Turn) -> int:
    """Replicas that the canary may have now. What it has is not taken away for want of room."""
    state, canary = turn.state, turn.of(turn.state.canary)
    needed = size(turn)
    if not strict(turn):
        asked = min(needed, canary.placed + 1) if state.strategy == "swap" else needed
        return min(asked, max(2 * turn.wanted - stable_size(turn) - _others(turn), canary.live))
    taken = max(stable_size(turn), turn.of(turn.stable).present) + _others(turn)
    return min(needed, max(turn.wanted - taken, canary.live))


def _others(turn: Turn) -> int:
    """Replicas beside the two: of those that are kept to go back to, or retire."""
    hashes = set(turn.view.revisions) - {turn.state.canary, turn.stable}
    return sum(turn.of(hash_).present if strict(turn) else _kept(turn, hash_) for hash_ in hashes)


def _kept(turn: Turn, hash_: str) -> int:
    """Replicas that another revision keeps: while requests may be sent to it, or nobody knows what it is for."""
    return turn.of(hash_).live if turn.carrying(hash_) or not turn.view.target else 0


def part(turn: Turn) -> str:
    """What bringing up the canary waits for: capacity, pull, load, or nothing. Where replicas are swapped, those that
    have a node come first, since the others wait for them."""
    canary, needed, may_have = turn.of(turn.state.canary), size(turn), granted(turn)
    if canary.ready >= needed:
        return ""
    batch = min(canary.placed, needed) if turn.state.strategy == "swap" else may_have
    if canary.placed < batch:
        return "capacity"
    if canary.started < batch:
        return "pull"
    return "load" if canary.ready < batch else "capacity"


def yields(turn: Turn) -> None:
    """Have stable give up a replica for the canary, or take back what the canary has no use for."""
    if turn.view.spec.strategy == "recreate":
        turn.set(strategy="recreate", skipped=True, yielded=turn.wanted)
        return
    if turn.state.strategy == "recreate":  # it was changed meanwhile: stable comes back as far as there is room
        turn.set(strategy="swap")
    state = turn.state
    most = max(size(turn), turn.of(state.canary).live)
    if turn.view.spec.strategy == "surge":
        turn.set(yielded=0, strategy="surge")
    elif state.yielded > most:
        turn.set(yielded=most)
    elif _asks(turn) and may_yield(turn):
        fresh = state.clocks.model_copy(update={"capacity": ""})
        turn.set(yielded=state.yielded + 1, strategy="swap", clocks=fresh)


def _asks(turn: Turn) -> bool:
    """Whether the canary needs a replica's GPUs, and has taken those that it was given."""
    state, canary = turn.state, turn.of(turn.state.canary)
    if state.yielded >= min(size(turn), turn.wanted) or canary.placed >= size(turn):
        return False
    if turn.of(turn.stable).present > stable_size(turn):
        return False  # the one that it gave up last still ends
    if strict(turn):
        return granted(turn) < size(turn) and canary.placed >= state.yielded
    if not canary.unschedulable or not state.clocks.capacity:
        return False
    rest = (AFTERWARDS if state.strategy == "swap" else PATIENCE) - turn.elapsed(state.clocks.capacity)
    if rest > 0:
        turn.wake(rest)
    return rest <= 0


def may_yield(turn: Turn) -> bool:
    """Whether what remains carries the requests when stable gives up a replica.

    As long as nobody knows how many are needed, at most one may be missing at a time, and never the last that answers.
    """
    stable = turn.of(turn.stable)
    after = min(stable.ready, stable_size(turn) - 1)
    if after < 0:
        return False
    if after == stable.ready:  # it gives up one that does not answer
        return stable.ready > 0 or turn.elapsed(turn.state.clocks.stable_down) >= DOWN
    return turn.wanted > 1 and after + turn.of(turn.state.canary).ready >= enough(turn)
