"""How long each part of bringing up a canary may take. Time alone ends it: nothing has to happen."""

from __future__ import annotations

from inferops.api.conditions import Reason
from inferops.api.formats import seconds
from inferops.api.rolloutstatus import Clocks
from inferops.core.rollout import capacity, clocks
from inferops.core.rollout.turn import Turn

REASONS = {
    "capacity": Reason.CAPACITY_DEADLINE,
    "pull": Reason.PULL_DEADLINE,
    "load": Reason.LOAD_DEADLINE,
    "warm_up": Reason.WARM_UP_DEADLINE,
}
SLACK = 60.0  # seconds that warming up may take beyond analysis.warmUp, however short its deadline is


def running(turn: Turn) -> dict[str, float]:
    """Seconds until each deadline that runs, by its part; negative where it is over."""
    state = turn.state
    if not turn.under_way or state.paused is not None:
        return {}
    parts = [part] if (part := _part(turn)) else []
    parts += ["warm_up"] if state.phase == "Warming" else []
    since = {name: getattr(state.clocks, name) for name in parts}
    return {name: _limit(turn, name) - turn.elapsed(begun) for name, begun in since.items() if begun}


def exceeded(turn: Turn) -> str:
    """The part that has taken longer than it may; empty: none has."""
    return next((part for part, rest in running(turn).items() if rest <= 0), "")


def tick(turn: Turn) -> None:
    """Begin the clocks of what is waited for, and end those of what is over."""
    if turn.under_way:
        _note_load(turn)
        turn.set(clocks=_parts(turn).model_copy(update={"stable_down": _stable_down(turn)}))


def watch(turn: Turn) -> None:
    """Say when the next deadline is, and look again then."""
    rests = running(turn)
    for rest in rests.values():
        turn.wake(rest)
    down = turn.state.clocks.stable_down
    if turn.under_way and down and (rest := capacity.DOWN - turn.elapsed(down)) > 0:
        turn.wake(rest)
    turn.set(deadline=_next(turn, rests))


def _note_load(turn: Turn) -> None:
    """How long the canary's first replica took, images and all, where that was seen from its beginning."""
    state, revision = turn.state, turn.view.revisions.get(turn.state.canary)
    begun = clocks.parse(state.clocks.pull or state.clocks.load)
    if revision is None or begun is None or state.loaded_in is not None:
        return
    times = [pod.ready_since for pod in revision.pods if pod.ready_since is not None]
    if times and min(times) > begun:
        turn.set(loaded_in=round((min(times) - begun).total_seconds()))


def _next(turn: Turn, rests: dict[str, float]) -> str:
    """When the next deadline is, reckoned from its clock, so that it stays the same while nothing changes."""
    if not rests:
        return ""
    part = min(rests, key=lambda name: rests[name])
    return clocks.later(getattr(turn.state.clocks, part), _limit(turn, part))


def _part(turn: Turn) -> str:
    """What is waited for. A canary that had all its replicas once is not given up because scaling asks for more."""
    return "" if turn.state.phase in ("Observing", "Gated") else capacity.part(turn)


def _parts(turn: Turn) -> Clocks:
    """A clock that has begun goes on until the size is reached, so that flapping does not begin it anew."""
    state, now = turn.state, clocks.stamp(turn.now)
    begun, part = state.clocks, _part(turn)
    warming = state.phase == "Warming" and not warm(turn)
    if state.paused is not None:
        return begun
    changes = {"warm_up": begun.warm_up if warming else ""}
    if not part:
        changes |= {"capacity": "", "pull": "", "load": ""}
        if warming and not begun.warm_up:
            changes["warm_up"] = now
    elif part == "capacity" and (since := begun.pull or begun.load) and state.strategy == "swap":
        # Replicas that come one by one: the next one's wait for a node did not run while this one loaded.
        waited = clocks.later(begun.capacity, turn.elapsed(since)) if begun.capacity else now
        changes |= {"capacity": waited, "pull": "", "load": ""}
    elif not getattr(begun, part):
        changes[part] = now
    return begun.model_copy(update=changes)


def _stable_down(turn: Turn) -> str:
    """Since when no replica of stable answers, though some should."""
    down = capacity.stable_size(turn) > 0 and turn.of(turn.stable).ready == 0
    return (turn.state.clocks.stable_down or clocks.stamp(turn.now)) if down else ""


def warm(turn: Turn) -> bool:
    """Whether all of the canary's replicas have been ready for analysis.warmUp; those of which nobody knows since when
    count from when all of them were."""
    state, needed = turn.state, capacity.size(turn)
    least = seconds(turn.view.spec.analysis.warm_up)
    revision = turn.view.revisions.get(state.canary)
    pods = [pod for pod in (revision.pods if revision else ()) if pod.ready and not pod.deleting and not pod.worker]
    times = [pod.answers_since(turn.now) for pod in pods]
    begun = state.clocks.warm_up or state.since
    ages = [(turn.now - since).total_seconds() if since else turn.elapsed(begun) for since in times]
    return sum(age >= least for age in ages) >= needed


def _limit(turn: Turn, part: str) -> float:
    spec = turn.view.spec
    limit = seconds(getattr(spec.deadlines, part))
    return max(limit, seconds(spec.analysis.warm_up) + SLACK) if part == "warm_up" else limit
