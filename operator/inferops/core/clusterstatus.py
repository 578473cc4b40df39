"""The conditions of an InferenceCluster."""

from __future__ import annotations

from datetime import datetime

from inferops.api.conditions import ConditionType, Reason
from inferops.api.inferencecluster import InferenceClusterStatus
from inferops.core.status import Finding, date


def cluster_status(before: InferenceClusterStatus, generation: int, now: datetime) -> InferenceClusterStatus:
    """The status of a member cluster, which this version stores and does not act on."""
    why = "member clusters are validated and stored; this version of the operator places nothing on them yet"
    told = [
        Finding(ConditionType.READY, False, Reason.NOT_ACTED_ON, why),
        Finding(ConditionType.STALLED, True, Reason.NOT_ACTED_ON, why),
    ]
    return InferenceClusterStatus(
        observed_generation=generation, conditions=date(told, before.conditions, generation, now)
    )
