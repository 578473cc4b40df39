"""What is told of a placement as it changes."""

from __future__ import annotations

import pytest

from inferops.api.placement import ClusterPlacement, ClusterRolloutStatus, PlacementState, PlacementStatus
from inferops.core.clusters.news import events


def record(state: PlacementState | None, message: str = "") -> PlacementStatus:
    found = (
        []
        if state is None
        else [ClusterPlacement(cluster="east", state=state, replicas=0 if state in ("Standby", "Removing") else 2)]
    )
    return PlacementStatus(clusters=found, message=message)


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        (None, "Placing", ["PlacedInCluster"]),
        ("Placing", "Serving", []),
        ("Serving", "Suspect", ["ClusterSuspect"]),
        ("Suspect", "Lost", ["ClusterLost"]),
        ("Lost", "Lost", []),
        ("Lost", "Serving", ["ClusterBack"]),
        ("Serving", "Removing", ["LeavesCluster"]),
        ("Serving", "Standby", ["LeavesCluster"]),
        ("Standby", "Placing", ["PlacedInCluster"]),
        ("Standby", "Removing", []),
        ("Removing", None, ["LeftCluster"]),
        ("Removing", "Placing", ["PlacedInCluster"]),
    ],
)
def test_each_change_is_told_once(
    before: PlacementState | None, after: PlacementState | None, reasons: list[str]
) -> None:
    assert [event.reason for event in events(record(before), record(after))] == reasons


def test_what_finds_no_place_is_a_warning_once() -> None:
    [event] = events(record("Serving"), record("Serving", "there is no room for 2 of 4 replicas"))
    assert event.warning and "no room" in event.message
    assert not events(record("Serving", "the same"), record("Serving", "the same"))


def rolls(phase: str, wave: int = 0, version: str = "bbbb000000") -> PlacementStatus:
    told = {"phase": phase, "wave": wave, "waves": 3, "version": version, "message": "why"}
    return PlacementStatus(rollout=ClusterRolloutStatus.model_validate(told))


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        (PlacementStatus(), rolls("Complete"), []),
        (rolls("Complete", version="aaaa000000"), rolls("Rolling", 1), ["WaveBegan"]),
        (rolls("Rolling", 1), rolls("Baking", 1), []),
        (rolls("Baking", 1), rolls("Rolling", 2), ["WaveBegan"]),
        (rolls("Rolling", 2), rolls("Stopped", 2), ["RolloutStopped"]),
        (rolls("Stopped", 2), rolls("Stopped", 2), []),
        (rolls("Stopped", 1), rolls("Rolling", 1), ["WaveBegan"]),
        (rolls("Rolling", 3), rolls("Complete"), ["WavesEnded"]),
        (rolls("Rolling", 2), rolls("Complete", version="aaaa000000"), []),
    ],
)
def test_waves_are_told_as_they_begin_and_end(
    before: PlacementStatus, after: PlacementStatus, reasons: list[str]
) -> None:
    found = events(before, after)
    assert [event.reason for event in found] == reasons
    assert all(event.warning is (event.reason == "RolloutStopped") for event in found)
