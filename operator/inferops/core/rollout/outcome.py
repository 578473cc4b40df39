"""What a rollout wants of the world once its step is taken: replicas, weights, what goes, and what to say."""

from __future__ import annotations

from collections.abc import Mapping

from inferops.api.rolloutstatus import STEPPING, Readiness
from inferops.core.rollout import actions, capacity, gates, retreat, weights
from inferops.core.rollout.turn import Turn
from inferops.core.rollout.view import Outcome

SHORTEST = 0.1  # seconds; at the least until another look


def outcome(turn: Turn) -> Outcome:
    """Replicas of all that must exist, and the rest."""
    turn.set(rollback=_readiness(turn))
    replicas = _wanted(turn)
    others = [hash_ for hash_ in turn.view.revisions if hash_ not in replicas]
    if not turn.view.target:  # nobody knows what these are for
        leaving = {turn.state.canary} if turn.state.phase == "RollingBack" and retreat.leaves(turn) else set[str]()
        # Where none has served yet, what the spec asked for before comes up meanwhile.
        kept = {hash_: turn.of(hash_).live if turn.stable else turn.wanted for hash_ in others}
        replicas |= {hash_: number for hash_, number in kept.items() if hash_ not in leaving}
        others = [hash_ for hash_ in others if hash_ in leaving]
    shares = weights.in_force(turn)
    retiring = tuple(hash_ for hash_ in others if turn.carrying(hash_) or hash_ in shares)
    replicas |= {hash_: turn.of(hash_).live for hash_ in retiring}
    weight = actions.gate_weight(turn) if turn.under_way else None
    return Outcome(
        state=turn.state,
        stable=turn.stable,
        route=_route(turn, shares),
        replicas=replicas,
        weights=shares,
        retiring=retiring,
        removed=tuple(hash_ for hash_ in others if hash_ not in retiring),
        gates=gates.wanted(turn, weight) if weight is not None else (),
        events=tuple(turn.events),
        again=max(min(turn.due), SHORTEST) if turn.due else None,
    )


def _wanted(turn: Turn) -> dict[str, int]:
    """Replicas of stable, canary and previous, where there are such."""
    state = turn.state
    if not turn.stable:
        return {turn.view.target: turn.wanted} if turn.view.target else {}
    found = {turn.stable: turn.wanted}
    if turn.under_way:
        found = {turn.stable: _stable(turn), state.canary: capacity.granted(turn)}
    elif state.phase == "RollingBack":
        found[turn.stable] = capacity.stable_size(turn)
        if not retreat.leaves(turn):
            found[state.canary] = retreat.keeps(turn)
    if state.previous and state.previous not in found:
        found[state.previous] = _previous(turn)
    return found


def _stable(turn: Turn) -> int:
    """Replicas of stable while a canary is under way. Its last one ends only when its requests go elsewhere."""
    size = capacity.stable_size(turn)
    if size or not turn.wanted or turn.state.strategy == "recreate" or not turn.of(turn.stable).ready:
        return size
    elsewhere = turn.stable not in turn.view.weights and turn.stable not in turn.view.carried and turn.view.in_force
    routed = turn.splits or turn.view.routed_to != turn.stable
    return 0 if elsewhere and routed else 1


def _previous(turn: Turn) -> int:
    """Replicas of the revision that is retained: those that it has, as long as it is to be warm, or is needed."""
    state, now = turn.state, turn.of(turn.state.previous)
    needed = now.live if turn.carrying(state.previous) or not turn.of(turn.stable).ready else 0
    if turn.wanted == 0:
        return 0 if not turn.carrying(state.previous) else now.live
    if state.phase == "Retaining":
        return max(min(capacity.stable_size(turn), now.present), needed)
    return needed


def _route(turn: Turn, shares: Mapping[str, int]) -> str:
    """Whom the Service selects. While a canary has steps to pass that is stable, as long as it answers."""
    if not shares:
        return ""
    if turn.stable in shares and turn.state.phase in STEPPING:
        return turn.stable
    return max(shares, key=lambda hash_: (shares[hash_], hash_ == turn.stable))


def _readiness(turn: Turn) -> Readiness:
    """How fast it could go back: to stable as long as a canary is under way, later to the previous revision."""
    state = turn.state
    to = turn.stable if turn.under_way or state.phase == "RollingBack" else state.previous
    if not to or not turn.stable:
        return Readiness(message="there is no revision to go back to") if turn.stable else Readiness()
    if turn.of(to).ready >= min(turn.carries, turn.wanted):
        return Readiness(to=to, ready="Instant", message=f"revision {to} has its replicas: going back takes no time")
    took = f", which took {state.loaded_in} s last" if state.loaded_in is not None else ""
    told = f"going back to revision {to} takes as long as its replicas need to load{took}"
    return Readiness(to=to, ready="Cold", seconds=state.loaded_in, message=told)
