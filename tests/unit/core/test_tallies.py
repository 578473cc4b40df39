"""What counts as a decision, from the status before and after."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.api.inferencecluster import InferenceClusterStatus
from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.core.tallies import tallies

ENDED = {"revision": "bbb", "outcome": "RolledBack", "reason": "HarmShown", "ended": "2025-11-03T12:00:00Z"}


def status(**parts: Any) -> InferenceServiceStatus:
    return InferenceServiceStatus.model_validate(parts)


def health(kind: str, reason: str) -> InferenceClusterStatus:
    at = "2025-11-03T12:00:00Z"
    condition = {"type": kind, "status": "False", "reason": reason, "lastTransitionTime": at}
    return InferenceClusterStatus.model_validate({"conditions": [condition]})


def scaled(number: int | None, reason: str = "Load") -> InferenceServiceStatus:
    given = {} if number is None else {"desiredReplicas": number}
    return status(**given, scaling={"mode": "auto", "reason": reason})


ROWS: list[tuple[Any, Any, list[tuple[str, tuple[str, ...]]]]] = [
    (status(), status(), []),
    (status(), status(rollout={"phase": "Loading"}), [("inferops_rollout_transitions", ("Loading",))]),
    (
        status(rollout={"phase": "RollingBack"}),
        status(rollout={"phase": "RolledBack", "history": [ENDED]}),
        [("inferops_rollout_transitions", ("RolledBack",)), ("inferops_rollouts", ("RolledBack", "HarmShown"))],
    ),
    (
        status(),
        status(rollout={"analysis": {"verdict": "Harm"}}),
        [("inferops_rollout_verdicts", ("Harm",))],
    ),
    (scaled(None), scaled(1), [("inferops_scaling_decisions", ("up", "Load"))]),
    (scaled(1), scaled(3), [("inferops_scaling_decisions", ("up", "Load"))]),
    (scaled(3), scaled(0, "AtZero"), [("inferops_scaling_decisions", ("down", "AtZero"))]),
    (scaled(3), scaled(3, "NoSignals"), [("inferops_scaling_decisions", ("hold", "NoSignals"))]),
    (
        status(placement={"clusters": [{"cluster": "east", "state": "Serving"}]}),
        status(placement={"clusters": [{"cluster": "west", "state": "Placing"}]}),
        [("inferops_placement_decisions", ("Placing",)), ("inferops_placement_decisions", ("Gone",))],
    ),
    (
        health("ControlPlaneHealthy", "Suspect"),
        health("ControlPlaneHealthy", "Lost"),
        [("inferops_cluster_transitions", ("Lost",))],
    ),
    (InferenceClusterStatus(), health("Ready", "SameCluster"), [("inferops_cluster_transitions", ("SameCluster",))]),
]


@pytest.mark.parametrize("before, after, counted", ROWS)
def test_what_changed_counts_once(before: Any, after: Any, counted: list[tuple[str, tuple[str, ...]]]) -> None:
    found = list(tallies(before, after))
    assert [(family.name, labels) for family, labels in found] == counted
    assert all(len(labels) == len(family.labels) for family, labels in found)
    assert list(tallies(after, after)) == []
