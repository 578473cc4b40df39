"""Replicas of a revision that have no node, and what the scheduler and the cluster's nodes say about it."""

from __future__ import annotations

from inferops.api.conditions import Reason
from inferops.core.engine import Obstacle
from inferops.core.observation import Observation, PodView, RevisionView
from inferops.core.scheduling import missing


def placed(revision: RevisionView) -> int:
    """Replicas that have their nodes."""
    return sum(bool(pod.node) and not pod.deleting for pod in revision.pods) // revision.pods_per_replica


def count(revision: RevisionView) -> int:
    """Replicas for which the scheduler finds no node."""
    return len({pod.group or pod.name for pod in _homeless(revision)})


def why(seen: Observation, revision: RevisionView) -> Obstacle | None:
    """Why it finds none for them. None: it does, as far as it has said."""
    homeless = _homeless(revision)
    if not homeless:
        return None
    says = homeless[0].unschedulable
    choice = revision.spec.accelerator if revision.spec is not None else None
    accelerator = seen.accelerators.get(choice.type) if choice is not None else None
    if choice is None or accelerator is None:
        return Obstacle(Reason.UNSCHEDULABLE, f"the scheduler says: {says}")
    return missing(choice, accelerator, seen.nodes, says)


def _homeless(revision: RevisionView) -> list[PodView]:
    return [pod for pod in revision.pods if not (pod.deleting or pod.node) and pod.unschedulable]
