"""Looks at what was counted: who is judged by it, how often, and what harm leads to."""

from __future__ import annotations

from datetime import datetime, timedelta

from inferops.api.conditions import Reason
from inferops.api.formats import seconds
from inferops.api.rolloutstatus import STEPPING
from inferops.core.evidence import Arms, judge, without_data
from inferops.core.observation import PodView
from inferops.core.rollout import clocks, ending, sentences
from inferops.core.rollout.turn import LONGEST, Turn
from inferops.core.signal import ReplicaCounts

LOOK = 5.0  # seconds between looks, at the least
SOON = 2.5  # seconds until something is looked for while requests flow, so that bursts are seen in time
NOTHING = "nobody has counted requests yet"


def look(turn: Turn) -> None:
    """Judge what was counted since the last look. Harm takes the canary's requests back, also while it is paused."""
    state, window = turn.state, turn.view.window
    flows = state.phase in (*STEPPING, "Promoting") and state.weight > 0 and turn.splits
    if not flows or state.canary not in turn.view.revisions:
        return
    turn.wake(SOON)
    before = state.analysis
    if window is None:
        if state.phase != "Warming" and not state.skipped:
            turn.set(analysis=without_data(before, (turn.view.uncounted or NOTHING)[:LONGEST]))
        return
    seen = clocks.parse(before.until)
    if seen is not None and (window.until - seen).total_seconds() < LOOK:
        return
    if seen is not None and not any(map(_asked, (one for one in window.replicas if one.revision == state.canary))):
        return  # nothing has happened, so nothing is written
    if state.skipped:  # nobody asks
        turn.set(analysis=before.model_copy(update={"until": _exactly(window.until)}))
        return
    # Also while it warms up: cold caches excuse late requests, not failed ones.
    analysis = judge(before, window, _arms(turn, window.since), turn.view.spec.analysis, turn.view.slo)
    turn.set(analysis=analysis)
    if analysis.verdict == "Harm":
        ending.roll_back(turn, Reason.HARM_SHOWN, sentences.evidence(analysis), urgent=True)


def _asked(replica: ReplicaCounts) -> bool:
    """Whether it had any request, as far as the source tells."""
    return replica.requests > 0 or any(count.total for count in replica.counts.values())


def _arms(turn: Turn, since: datetime) -> Arms:
    """Canary and stable, and the pods of both whose caches were warm before the window began."""
    least = timedelta(seconds=seconds(turn.view.spec.analysis.warm_up))
    both = (turn.state.canary, turn.stable)
    pods = [pod for hash_ in both if hash_ in turn.view.revisions for pod in turn.view.revisions[hash_].pods]
    warm = frozenset(pod.name for pod in pods if pod.ready_since is not None and _since(turn, pod) + least <= since)
    return Arms(canary=both[0], stable=both[1], warm=warm)


def _since(turn: Turn, pod: PodView) -> datetime:
    """When a pod became ready; where its node's clock cannot be right, when it was made, else when this phase began."""
    known = pod.answers_since(turn.now) or pod.created
    return known or clocks.parse(turn.state.since) or turn.now


def _exactly(moment: datetime) -> str:
    """A window ends where the next begins, so no part of a second is lost."""
    return moment.isoformat().replace("+00:00", "Z")
