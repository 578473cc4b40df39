"""Rules that hold for every step of a rollout, whatever the world looks like and whatever is remembered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from inferops.api.rolloutstatus import RolloutStatus
from inferops.core.rollout import Outcome, Splitter, View, step
from inferops.core.rollout.turn import UNDER_WAY, count

LITTLE = 0.4  # seconds


def holds(before: RolloutStatus, view: View, outcome: Outcome) -> None:
    """Everything below."""
    weights_sum_up(view, outcome)
    nothing_gets_more_than_it_carries(view, outcome)
    gpus_stay_within_the_budget(view, outcome)
    nothing_that_may_get_requests_is_removed(view, outcome)
    what_was_rejected_stays_so(before, view, outcome)
    time_is_watched(view, outcome)
    again_changes_nothing(view, outcome)
    assert RolloutStatus.model_validate(outcome.state.dump()) == outcome.state


def ready(view: View, hash_: str) -> int:
    return view.revisions[hash_].ready if hash_ in view.revisions else 0


def weights_sum_up(view: View, outcome: Outcome) -> None:
    assert sum(outcome.weights.values()) == (100 if outcome.weights else 0)
    assert all(weight > 0 for weight in outcome.weights.values())
    assert set(outcome.weights) <= set(outcome.replicas)
    assert outcome.route in outcome.weights or not outcome.weights
    assert outcome.weights or not outcome.stable


def nothing_gets_more_than_it_carries(view: View, outcome: Outcome) -> None:
    """No requests to what is not ready, unless nothing else is; no more to a canary than its replicas carry, unless
    nothing else answers."""
    for hash_, weight in outcome.weights.items():
        if view.replicas and not ready(view, hash_):
            assert weight == 100 and hash_ == (outcome.stable or view.target or view.routed_to)
            assert not any(ready(view, other) for other, had in view.weights.items() if had and other != hash_)
    canary, stable = outcome.state.canary, outcome.stable
    if outcome.state.phase not in UNDER_WAY or not outcome.weights.get(canary) or view.splitter is Splitter.NOBODY:
        return
    if outcome.weights[canary] * view.replicas > 100 * ready(view, canary):
        ends = outcome.state.phase == "Promoting" and outcome.state.yielded >= view.replicas
        assert not ready(view, stable) or ends
    if outcome.state.phase != "Promoting" and ready(view, stable):
        assert outcome.weights[canary] <= max((one.weight for one in view.spec.steps), default=100)


def gpus_stay_within_the_budget(view: View, outcome: Outcome) -> None:
    """swap and recreate: as many as before. The others: twice as many. What is there already may stay."""
    if outcome.state.phase not in (*UNDER_WAY, "RollingBack"):
        return
    strict = view.spec.strategy in ("swap", "recreate")
    there = sum(count(each).live for each in view.revisions.values() if each.hash != outcome.stable)
    budget = max(view.replicas * (1 if strict else 2), outcome.replicas[outcome.stable] + there)
    assert sum(outcome.replicas.values()) <= budget


def nothing_that_may_get_requests_is_removed(view: View, outcome: Outcome) -> None:
    named = {hash_ for hash_, weight in view.weights.items() if weight}
    assert not set(outcome.removed) & {*named, *view.carried, view.recorded, view.routed_to}
    assert not set(outcome.removed) & {*outcome.replicas, *outcome.weights, outcome.route}
    assert set(view.revisions) <= {*outcome.removed, *outcome.replicas}
    assert set(outcome.removed) <= set(view.revisions)
    assert set(outcome.retiring) <= set(outcome.replicas)
    assert outcome.stable in outcome.replicas or not outcome.stable
    if not view.in_force and view.splitter is not Splitter.NOBODY:
        assert not any(ready(view, hash_) for hash_ in outcome.removed if hash_ == outcome.state.canary)


def what_was_rejected_stays_so(before: RolloutStatus, view: View, outcome: Outcome) -> None:
    was = {one.hash for one in before.rejected}
    now = {one.hash for one in outcome.state.rejected}
    assert was <= now or view.action.startswith("retry@") or len(now) == 10
    if outcome.state.phase in UNDER_WAY:
        assert outcome.state.canary not in now
        assert outcome.state.canary != outcome.stable


def time_is_watched(view: View, outcome: Outcome) -> None:
    """What is under way ends by itself, unless it waits for somebody who was told so."""
    state = outcome.state
    assert outcome.again is None or outcome.again > 0
    if state.phase not in (*UNDER_WAY, "RollingBack") or state.paused is not None or not view.replicas:
        return
    waits = state.phase in ("Gated", "Warming") and any(gate.verdict == "Waiting" for gate in state.gates)
    assert outcome.again is not None or waits or not view.target, state


def again_changes_nothing(view: View, outcome: Outcome) -> None:
    """On the same world nothing is written, told or moved, and neither is it a moment later when nothing is due."""
    moments = [0.0] if outcome.again is not None and outcome.again <= LITTLE + 0.1 else [0.0, LITTLE]
    if view.recorded != outcome.stable:
        return  # it is written with the state, in one, and what was on record stays until then
    for later in moments:
        second = step(outcome.state, replace(view, now=view.now + timedelta(seconds=later)))
        assert second.state == outcome.state
        assert second.events == ()
        assert (second.stable, second.route, second.replicas) == (outcome.stable, outcome.route, outcome.replicas)
        assert (second.weights, second.removed, second.gates) == (outcome.weights, outcome.removed, outcome.gates)
