"""How many of 100 requests each revision gets now: what its step allows, and no more than its replicas carry."""

from __future__ import annotations

from collections.abc import Mapping

from inferops.api.rolloutstatus import STEPPING
from inferops.core.rollout.capacity import stable_size
from inferops.core.rollout.turn import Turn


def in_force(turn: Turn) -> Mapping[str, int]:
    """Percentages by hash, none of them 0, which sum to 100; none where nothing can be served."""
    serves = turn.stable or turn.view.target
    if not serves:
        return {turn.view.routed_to: 100} if turn.view.routed_to in turn.view.revisions else {}
    canary = turn.state.canary
    share = _canary(turn)
    if turn.wanted > 0 and (turn.of(serves).ready == 0 or _gives_up_all(turn)):
        return {_stand_in(turn) or serves: 100}
    return {hash_: weight for hash_, weight in ((serves, 100 - share), (canary, share)) if weight > 0}


def _gives_up_all(turn: Turn) -> bool:
    """Whether stable is about to end for the canary: its requests leave it first."""
    return turn.under_way and turn.state.strategy != "recreate" and stable_size(turn) == 0


def reached(turn: Turn) -> bool:
    """Whether the canary gets what its step allows, as far as anybody knows."""
    weight = turn.state.weight
    return in_force(turn).get(turn.state.canary, 0) == weight == turn.view.weights.get(turn.state.canary, 0) and (
        turn.view.in_force
    )


def carried_by(turn: Turn, replicas: int) -> int:
    """The percentage of requests that so many replicas carry."""
    return min(100 * replicas // turn.wanted, 100) if turn.wanted > 0 else 0


def _canary(turn: Turn) -> int:
    state, ready = turn.state, turn.of(turn.state.canary).ready
    if turn.wanted <= 0 or ready == 0 or state.canary in ("", turn.stable):
        return 0
    if state.phase in ("Promoting", "RollingBack") and not turn.splits:
        # All go to one of them: to the one that carries more.
        return 100 if state.weight and ready >= turn.of(turn.stable).ready + (state.phase == "RollingBack") else 0
    if state.phase in (*STEPPING, "Promoting") and turn.splits:
        return min(state.weight, carried_by(turn, ready))
    return min(state.weight, carried_by(turn, ready)) if state.phase == "RollingBack" else 0


def _stand_in(turn: Turn) -> str:
    """Who answers in place of a stable revision of which no replica does: a canary that was let have requests, the one
    before, or one that had requests until now."""
    state = turn.state
    canary = (state.canary,) if (turn.under_way or state.phase == "RollingBack") and state.weight else ()
    others = [hash_ for hash_, weight in turn.view.weights.items() if weight and hash_ != turn.stable]
    return next((hash_ for hash_ in (*canary, state.previous, *others) if hash_ and turn.of(hash_).ready), "")
