"""Policies about rollouts: paused, at a gate, rolled back, or on their way."""

from __future__ import annotations

from inferops.api.rolloutstatus import UNDER_WAY, MetricStatus
from inferops.cli import rolloutstate
from inferops.cli.lines import since
from inferops.cli.rollouttree import figure
from inferops.cli.why.seen import Explanation, Seen, stated


def paused(seen: Seen) -> Explanation | None:
    """It rests until somebody acts: paused, or at a manual gate."""
    service = seen.service
    rollout, gate = service.status.rollout, rolloutstate.manual_gate(service)
    todo = (f"go on: {seen.run('rollout resume')}", f"give up: {seen.run('rollout abort')}")
    if rollout.paused is not None:
        lasts = since(rollout.paused.since, seen.now)
        return Explanation(
            f"the rollout of {rollout.canary} is paused: {rollout.paused.message or rollout.paused.reason}",
            stated(rolloutstate.summary(service), f"since {lasts}" if lasts else "", *_metrics(seen)),
            todo,
        )
    if gate:
        asked = next((each for each in rollout.gates if each.name == gate and each.verdict == "Waiting"), None)
        lasts = since(asked.since, seen.now) if asked is not None else ""
        return Explanation(
            f"the rollout of {rollout.canary} waits at the manual gate {gate} until somebody opens it",
            stated(rolloutstate.summary(service), f"for {lasts}" if lasts else "", *_metrics(seen)),
            todo,
        )
    return None


def rolled_back(seen: Seen) -> Explanation | None:
    """What the spec asks for was rolled back, and is not tried again by itself."""
    status = seen.service.status
    rollout, wanted = status.rollout, status.latest_revision
    entry = next((each for each in rollout.rejected if each.hash == wanted), None)
    going_back = rollout.phase == "RollingBack"
    if (entry is None and not going_back) or (entry is not None and wanted == status.stable_revision):
        return None
    hash_ = entry.hash if entry is not None else rollout.canary
    reason, message = (entry.reason, entry.message) if entry is not None else (rollout.reason, rollout.message)
    ago = since(entry.time, seen.now) if entry is not None else ""
    serves = rollout.stable if going_back else status.stable_revision
    return Explanation(
        f"revision {hash_} {'is being' if going_back else 'was'} rolled back: {reason}: {message}",
        stated(
            f"{ago} ago" if ago else "",
            *_metrics(seen),
            f"revision {serves} serves all requests" if serves else "nothing serves: it was the first revision",
            "the spec still asks for it, and it is not tried again by itself",
        ),
        (
            f"see all of it: {seen.run('rollout history')}",
            "apply a spec that differs: a new revision is tried at once",
            f"or try the same once more: {seen.run('rollout retry')}",
        ),
    )


def under_way(seen: Seen) -> Explanation | None:
    """It goes on as it should."""
    service = seen.service
    rollout = service.status.rollout
    if rollout.phase not in UNDER_WAY:
        return None
    why = ": ".join(each for each in (rollout.reason, rollout.message) if each)
    begun = since(rollout.started, seen.now)
    return Explanation(
        f"revision {rollout.canary} is being rolled out, and nothing is to be done: {rolloutstate.summary(service)}",
        stated(why, f"begun {begun} ago" if begun else "", rollout.analysis.message, *_metrics(seen)),
        (f"follow it: {seen.run('rollout status', '--watch')}", f"or skip what is left: {seen.run('rollout promote')}"),
        wrong=False,
        enough=True,
    )


def _metrics(seen: Seen) -> list[str]:
    enough = 1 / seen.service.spec.rollout.analysis.alpha
    return [_metric(each, enough) for each in seen.service.status.rollout.analysis.metrics if each.canary.total]


def _metric(metric: MetricStatus, enough: float) -> str:
    canary, stable = metric.canary, metric.stable
    return (
        f"{metric.name}: {canary.bad} of {canary.total} bad of the canary, {stable.bad} of {stable.total} of stable; "
        f"{metric.verdict}, evidence of harm {figure(metric.e_value)} of {figure(enough)}"
    )
