"""The rollout of a service that is placed on clusters, as one: what `inferops rollout` shows of it and acts on.

It is that of a cluster where one is under way. While none is and waves are still to come, it is being promoted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import ValidationError

from inferops.api.conditions import Reason
from inferops.api.placement import ClusterRolloutStatus
from inferops.api.rolloutstatus import AT_REST, Rejected, RolloutStatus
from inferops.core.clusters.seen import ChildView

# What is kept of a cluster's own rollout. What changes with every look is left there.
FIELDS = (
    "phase",
    "since",
    "started",
    "strategy",
    "canary",
    "stable",
    "step",
    "steps",
    "weight",
    "skipped",
    "paused",
    "reason",
    "message",
    "gates",
    "rollback",
    "previous",
    "rejected",
    "handled",
)
REMEMBERED = 16  # actions
REJECTED = 10


def rollout(record: ClusterRolloutStatus, children: Sequence[ChildView], latest: str) -> RolloutStatus:
    """Of all `children`, in the order in which one is preferred; `latest`: the revision that the spec asks for."""
    found = [_read(each) for each in children]
    newest = [told for told, child in zip(found, children, strict=True) if child.version == record.version]
    late = sum(child.version != record.version or not child.current for child in children)
    busy = [each for each in newest if each.phase not in AT_REST]
    rest = [each for each in newest if each.phase == "RolledBack"] or newest
    if record.phase == "Stopped":
        chosen = RolloutStatus(phase="RolledBack", canary=latest, reason=record.reason, message=record.message)
    elif busy:
        chosen = next((each for each in busy if each.paused is not None), busy[0])
    elif record.phase != "Complete" or late:
        reason, told = (
            record.reason or Reason.PROGRESSING.value,
            record.message or f"{late} clusters have yet to take it",
        )
        chosen = RolloutStatus(phase="Promoting", canary=latest, reason=reason, message=told)
    else:
        chosen = rest[0] if rest else RolloutStatus()
    handled = [action for each in found for action in each.handled] + ([record.handled] if record.handled else [])
    return chosen.model_copy(
        update={
            "handled": list(dict.fromkeys(handled))[:REMEMBERED],
            "rejected": _distinct(one for each in found for one in each.rejected)[:REJECTED],
        }
    )


def _read(child: ChildView) -> RolloutStatus:
    try:
        return RolloutStatus.model_validate_json(child.rollout or "{}")
    except ValidationError:  # its operator is a newer one, or somebody edited it
        return RolloutStatus()


def _distinct(rejected: Iterable[Rejected]) -> list[Rejected]:
    return list({each.hash: each for each in rejected}.values())
