"""Which revision serves: the one on record, or the one that shows to do so where the record is lost."""

from __future__ import annotations

from inferops.api.rolloutstatus import UNDER_WAY, RolloutStatus
from inferops.core.rollout.view import View


def serving(state: RolloutStatus, view: View) -> str:
    """Its hash; empty where none has served yet.

    One that was promoted, or goes back, has moved the pointer already. Where nothing is on record, the one that the
    Service selects serves, or the one that is asked for, or the newest, whichever of them answers first.
    """
    there = view.revisions
    if state.phase == "RollingBack" and state.stable in there:
        return state.stable
    if state.phase in ("Retaining", "Succeeded") and state.canary in there and view.recorded == state.previous:
        return state.canary
    if view.recorded in there:
        return view.recorded
    known = state.stable if state.phase in (*UNDER_WAY, "RolledBack") else state.canary
    if known in there and there[known].ready:
        return known
    newest = sorted(there.values(), key=lambda one: (-one.order, one.hash))
    candidates = (view.routed_to, view.target, *(one.hash for one in newest))
    return next((hash_ for hash_ in candidates if hash_ in there and there[hash_].ready), "")
