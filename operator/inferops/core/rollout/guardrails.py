"""What ends a rollout whatever its phase and whoever is ready: crashes, memory, bursts of errors, and deadlines."""

from __future__ import annotations

from inferops.api.conditions import Reason
from inferops.core.observation import PodView, RevisionView
from inferops.core.rollout import clocks, deadlines, ending, sentences
from inferops.core.rollout.turn import Turn

BURST = 10  # failed requests
BURST_SHARE = 0.5  # of all
BURST_TIMES = 5  # as many as of stable


def guard(turn: Turn) -> None:
    """Roll back where the canary, or one that was just promoted, is broken beyond doubt."""
    state = turn.state
    if state.phase in ("Retaining", "Succeeded"):
        _guard_promoted(turn)
        return
    if not turn.under_way and state.phase != "RollingBack":
        return
    found = crash(turn, state.canary) or burst(turn)
    if found is not None:
        ending.roll_back(turn, *found, urgent=True)
    elif part := deadlines.exceeded(turn):
        ending.roll_back(turn, deadlines.REASONS[part], sentences.too_late(turn, part))


def crash(turn: Turn, hash_: str) -> tuple[Reason, str] | None:
    """A pod that crashes again and again, or ran out of memory."""
    served = hash_ == turn.state.previous  # what befell it earlier and was got over is not held against it
    for pod in _pods(turn.view.revisions.get(hash_)):
        if (reason := broken(pod)) and not (served and pod.ready):
            return reason, sentences.crash(pod, reason)
    return None


def broken(pod: PodView) -> Reason | None:
    """Why a pod will not do."""
    if pod.exit.startswith("OOMKilled"):
        return Reason.OUT_OF_MEMORY
    return Reason.CRASH_LOOP if pod.waiting == "CrashLoopBackOff" else None


def burst(turn: Turn) -> tuple[Reason, str] | None:
    """So many failures of the canary at once, and so much more than of stable, that no statistics are needed."""
    bad, total = errors(turn, turn.state.canary)
    stable_bad, stable_total = errors(turn, turn.stable)
    base = stable_bad / stable_total if stable_total else 0.0
    if bad < BURST or bad < BURST_SHARE * total or bad < BURST_TIMES * base * total or base >= BURST_SHARE:
        return None
    return Reason.ERROR_BURST, sentences.burst(bad, total, stable_bad, stable_total)


def errors(turn: Turn, hash_: str) -> tuple[int, int]:
    """Failed requests and all of them, in the window."""
    replicas = turn.view.window.replicas if turn.view.window is not None else ()
    counts = [one.counts["errorRate"] for one in replicas if one.revision == hash_ and "errorRate" in one.counts]
    return sum(one.bad for one in counts), sum(one.total for one in counts)


def _guard_promoted(turn: Turn) -> None:
    state, stable, previous = turn.state, turn.of(turn.stable), turn.of(turn.state.previous)
    pods = [pod for pod in _pods(turn.view.revisions.get(turn.stable)) if not _got_over(turn, pod)]
    found = {pod.group or pod.name: (pod, reason) for pod in pods if (reason := broken(pod))}
    better = previous.ready > 0 or stable.ready == 0
    if state.previous in turn.view.revisions and found and 2 * len(found) >= turn.wanted > 0 and better:
        pod, reason = next(iter(found.values()))
        evidence = sentences.crashed_after(len(found), turn.wanted, sentences.crash(pod, reason))
        ending.go_back(turn, reason, evidence, urgent=True)


def _got_over(turn: Turn, pod: PodView) -> bool:
    """Whether what befell a pod was before its revision was promoted, and it has answered since."""
    last = next(iter(turn.state.history), None)
    since = pod.answers_since(turn.now)
    if not pod.ready or since is None or last is None or last.revision != turn.stable:
        return pod.ready
    return clocks.stamp(since) <= last.ended


def _pods(revision: RevisionView | None) -> list[PodView]:
    return [pod for pod in revision.pods if not pod.deleting] if revision is not None else []
