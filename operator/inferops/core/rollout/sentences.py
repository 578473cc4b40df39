"""What a rollout tells people. A sentence changes only when something has happened: each change is a write."""

from __future__ import annotations

from inferops.api.conditions import Reason
from inferops.api.rolloutstatus import AnalysisStatus
from inferops.core.observation import PodView, RevisionView
from inferops.core.rollout import capacity
from inferops.core.rollout.turn import Turn

PARTS = {
    "capacity": "some replicas had no node",
    "pull": "images were not pulled or volumes not mounted",
    "load": "the model was not loaded",
    "warm_up": "its replicas did not stay ready",
}


def started(turn: Turn, target: str) -> str:
    """How it will go."""
    spec = turn.view.spec
    told = f"revision {target} is to replace {turn.stable}"
    if target == turn.state.previous:
        return f"{told}: it served before, so requests move as its replicas are ready, without steps"
    if not spec.steps:
        return f"{told} once it is ready: spec.rollout.steps is empty"
    if not turn.splits:
        return f"{told} once it is ready. {nobody_splits()}"
    if spec.strategy == "recreate":
        return f"{told}, which stops first (strategy: recreate)"
    weights = ", ".join(str(step.weight) for step in spec.steps)
    return f"{told} by steps of {weights} % of requests"


def nobody_splits() -> str:
    return (
        "Steps are skipped: nobody sends a part of the requests to it; run `inferops gateway`, or name a Gateway of "
        "the Gateway API in spec.traffic.gatewayRef"
    )


def waiting_for_capacity(turn: Turn) -> str:
    """Which GPUs are missing, and what would help."""
    state, needed = turn.state, capacity.size(turn)
    short = f"revision {state.canary}: {_missing(turn, needed)}{_gpus(turn.view.revisions.get(state.canary))}"
    strategy = turn.view.spec.strategy
    if not turn.of(state.canary).unschedulable and strategy in ("auto", "surge"):
        return short
    if strategy == "surge":
        return f"{short}; free GPUs, or set spec.rollout.strategy to auto, swap or recreate"
    if strategy == "recreate":
        return f"{short}; they come once revision {turn.stable} has ended"
    if state.yielded > turn.of(state.canary).placed:
        return f"{short}; they come once as many of revision {turn.stable} have ended"
    if turn.wanted == 1:
        return f"{short}, and the only replica that serves is not given up; free a GPU, or set strategy: recreate"
    return f"{short}; revision {turn.stable} gives up one at a time while requests do not need all; else free a GPU"


def _missing(turn: Turn, needed: int) -> str:
    missing = max(needed - turn.of(turn.state.canary).placed, 0)
    return f"no node yet for {missing} of {needed} replicas"


def _gpus(revision: RevisionView | None) -> str:
    choice = revision.spec.accelerator if revision is not None and revision.spec is not None else None
    return f" (each {choice.count}x {choice.type})" if choice is not None and choice.type else ""


def loading(turn: Turn) -> str:
    """How far its replicas have come, and what keeps them."""
    state = turn.state
    canary, needed = turn.of(state.canary), capacity.size(turn)
    does = "pulls images and mounts volumes" if capacity.part(turn) == "pull" else "loads its model"
    return f"revision {state.canary} {does}: {canary.ready} of {needed} replicas ready{_kept(turn)}"


def _kept(turn: Turn) -> str:
    revision = turn.view.revisions.get(turn.state.canary)
    waiting = sorted(
        pod.waiting
        for pod in (revision.pods if revision else ())
        if not pod.deleting and not pod.ready and pod.waiting not in ("", "ContainerCreating", "PodInitializing")
    )
    return f" ({waiting[0]})" if waiting else ""


def too_late(turn: Turn, part: str) -> str:
    """A deadline that is over."""
    name = "warmUp" if part == "warm_up" else part
    limit = getattr(turn.view.spec.deadlines, part)
    canary, needed = turn.of(turn.state.canary), capacity.size(turn)
    return f"{PARTS[part]} within spec.rollout.deadlines.{name} ({limit}): {canary.ready} of {needed} replicas ready"


def crash(pod: PodView, reason: Reason) -> str:
    does = "ran out of memory" if reason is Reason.OUT_OF_MEMORY else "crashes again and again"
    ended = f", last by {pod.exit}" if pod.exit else ""
    return f"pod {pod.name} {does} ({pod.restarts} restart{'' if pod.restarts == 1 else 's'}{ended})"


def crashed_after(broken: int, wanted: int, example: str) -> str:
    return f"{broken} of {wanted} replicas fail after the promotion: {example}"


def burst(bad: int, total: int, stable_bad: int, stable_total: int) -> str:
    return f"{bad} of its {total} requests failed at once, {stable_bad} of {stable_total} of the stable revision"


def rolling_back(hash_: str, evidence: str) -> str:
    return f"revision {hash_} is rolled back: {evidence}"


def rolled_back(hash_: str, stable: str, why: str) -> str:
    begun = f"revision {hash_} is rolled back: "
    evidence = why.removeprefix(begun)
    return (
        f"revision {hash_} was rolled back: {evidence}. Revision {stable} serves; another change of the spec or "
        "`inferops rollout retry` begins anew"
    )


def rejected_before(turn: Turn, hash_: str) -> str:
    found = next((one for one in turn.state.rejected if one.hash == hash_), None)
    why = f" ({found.message})" if found is not None and found.message else ""
    return (
        f"revision {hash_} was rolled back before{why} and is not tried again by itself; `inferops rollout retry` "
        "does so"
    )


def superseded(hash_: str, by: str) -> str:
    return f"revision {hash_} is given up: the spec asks for {by} by now"


def promoted(turn: Turn) -> str:
    does = "serves" if turn.wanted else "takes over, with no replica wanted yet"
    told = evidence(turn.state.analysis) if not turn.state.skipped else ""
    return f"revision {turn.state.canary} {does} in place of {turn.stable}" + (f": {told}" if told else "")


def evidence(analysis: AnalysisStatus) -> str:
    """What the metrics showed, with their counts."""
    told = [one for one in analysis.metrics if one.message and one.verdict != "NotJudged"]
    return "; ".join(f"{one.name}: {one.message}" for one in told)


def retaining(turn: Turn) -> str:
    state = turn.state
    return f"revision {turn.stable} serves; {state.previous} keeps its replicas until {state.warm_until} to go back to"


def succeeded(turn: Turn) -> str:
    state = turn.state
    if not state.previous:
        return f"revision {turn.stable} serves"
    return f"revision {turn.stable} serves; {state.previous} is kept without replicas until {state.retained_until}"
