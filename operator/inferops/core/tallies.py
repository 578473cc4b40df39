"""What was decided, from the status before and after: counted once it is written, so nothing counts that was not done.

A status is written where it differs, so a decision that changed nothing is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from inferops.api.conditions import Condition, ConditionType
from inferops.api.inferencecluster import InferenceClusterStatus
from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.api.placement import PlacementState
from inferops.api.rolloutstatus import Phase, Verdict

GONE = "Gone"  # from a cluster


@dataclass(frozen=True, slots=True)
class Family:
    """A counter, without the `_total` of its name."""

    name: str
    help: str
    labels: tuple[str, ...]
    known: tuple[str, ...] = ()  # values of its one label: told from the start, or the first of each would not be seen


PHASES = Family("inferops_rollout_transitions", "Phases that rollouts came to.", ("phase",), get_args(Phase))
ROLLOUTS = Family(
    "inferops_rollouts",
    "Rollouts that ended, by result (Promoted, RolledBack, Superseded) and why.",
    ("result", "reason"),
)
VERDICTS = Family(
    "inferops_rollout_verdicts", "Verdicts on canaries that changed, by the new one.", ("verdict",), get_args(Verdict)
)
SCALINGS = Family(
    "inferops_scaling_decisions",
    "Changes of the number of replicas (up, down), and of why it stays (hold), by reason.",
    ("direction", "reason"),
)
PLACEMENTS = Family(
    "inferops_placement_decisions",
    "States that services came to in clusters, Gone among them.",
    ("state",),
    (*get_args(PlacementState), GONE),
)
CLUSTERS = Family(
    "inferops_cluster_transitions",
    "Changes of ControlPlaneHealthy of InferenceClusters, by the new reason.",
    ("reason",),
)
FAMILIES: tuple[Family, ...] = (PHASES, ROLLOUTS, VERDICTS, SCALINGS, PLACEMENTS, CLUSTERS)

Status = InferenceServiceStatus | InferenceClusterStatus
Tally = tuple[Family, tuple[str, ...]]


def tallies(before: Status, after: Status) -> Iterator[Tally]:
    """What counts one more, given a status as it was and as it was written."""
    if isinstance(after, InferenceClusterStatus):
        was = before.conditions
        yield from _cluster(was, after.conditions)
    elif isinstance(before, InferenceServiceStatus):
        yield from _rollout(before, after)
        yield from _scaling(before, after)
        yield from _placement(before, after)


def _rollout(before: InferenceServiceStatus, after: InferenceServiceStatus) -> Iterator[Tally]:
    was, now = before.rollout, after.rollout
    if (was.phase, was.started) != (now.phase, now.started):
        yield PHASES, (now.phase,)
    known = {(each.revision, each.ended) for each in was.history}
    for each in now.history:
        if (each.revision, each.ended) not in known:
            yield ROLLOUTS, (each.outcome, each.reason)
    if was.analysis.verdict != now.analysis.verdict:
        yield VERDICTS, (now.analysis.verdict,)


def _scaling(before: InferenceServiceStatus, after: InferenceServiceStatus) -> Iterator[Tally]:
    was, now = before.desired_replicas, after.desired_replicas
    if now is None or (was == now and before.scaling.reason == after.scaling.reason):
        return
    direction = "hold" if was == now else "up" if now > (was or 0) else "down"
    yield SCALINGS, (direction, after.scaling.reason or after.scaling.mode or "Set")


def _placement(before: InferenceServiceStatus, after: InferenceServiceStatus) -> Iterator[Tally]:
    was = {each.cluster: each.state for each in before.placement.clusters}
    now = {each.cluster: each.state for each in after.placement.clusters}
    for cluster, state in now.items():
        if was.get(cluster) != state:
            yield PLACEMENTS, (state,)
    for _ in was.keys() - now.keys():
        yield PLACEMENTS, (GONE,)


def _cluster(before: list[Condition], after: list[Condition]) -> Iterator[Tally]:
    was, now = _health(before), _health(after)
    if now and was != now:
        yield CLUSTERS, (now,)


def _health(conditions: list[Condition]) -> str:
    """An obstacle leaves a cluster without that condition; its reason stands in Ready then."""
    found = {each.type: each.reason for each in conditions}
    return found.get(ConditionType.CONTROL_PLANE_HEALTHY) or found.get(ConditionType.READY, "")
