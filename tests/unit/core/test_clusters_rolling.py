"""The rollouts of several clusters, told as one."""

from __future__ import annotations

import pytest

from inferops.api.inferenceservice import InferenceServiceSpec, ModelSpec
from inferops.api.placement import ClusterRolloutStatus
from inferops.api.resources import InferenceService, Metadata
from inferops.api.rolloutstatus import Pause, RolloutStatus
from inferops.cli.rolloutact import Intent, Refused, intent
from inferops.cli.rolloutstate import Code, code
from inferops.core.clusters.rolling import rollout
from inferops.core.clusters.seen import ChildView

OLD, NEW = "aaaa000000", "bbbb000000"
WAITING = ClusterRolloutStatus(
    phase="Baking", version="v2", stable="v1", wave=1, waves=2, reason="Observing", message="m"
)
DONE = ClusterRolloutStatus(version="v2", stable="v2")
STOPPED = ClusterRolloutStatus(
    phase="Stopped", version="v2", stable="v1", reason="HarmShown", message="m", rejected=[NEW]
)


def child(version: str = "v2", *, current: bool = True, **told: object) -> ChildView:
    status = RolloutStatus.model_validate(told).model_dump_json(by_alias=True)
    return ChildView("uid", version=version, rollout=status, current=current, latest=NEW if version == "v2" else OLD)


def service(record: ClusterRolloutStatus, *children: ChildView, stable: str = OLD) -> InferenceService:
    made = InferenceService(
        metadata=Metadata(name="llama", namespace="chat"), spec=InferenceServiceSpec(model=ModelSpec(uri="hf://a/b"))
    )
    told = {"rollout": rollout(record, children, NEW), "stable_revision": stable, "latest_revision": NEW}
    return made.model_copy(update={"status": made.status.model_copy(update=told)})


BUSY = {"phase": "Observing", "canary": NEW, "stable": OLD, "weight": 25}
AT_REST = {"phase": "Succeeded", "canary": NEW}
REJECTED = {"rejected": [{"hash": NEW, "reason": "HarmShown"}]}


@pytest.mark.parametrize(
    ("record", "children", "phase", "stands"),
    [
        (DONE, [child(**AT_REST), child(**AT_REST)], "Succeeded", Code.ENDED),
        (DONE, [child(**AT_REST), child(**BUSY)], "Observing", Code.UNDER_WAY),
        (DONE, [child(**AT_REST), child("v1", **AT_REST)], "Promoting", Code.UNDER_WAY),
        (DONE, [child(**AT_REST), child(**AT_REST, current=False)], "Promoting", Code.UNDER_WAY),
        (DONE, [child(**AT_REST), child(phase="RolledBack", canary=NEW, **REJECTED)], "RolledBack", Code.ROLLED_BACK),
        (WAITING, [child(**AT_REST), child("v1", **AT_REST)], "Promoting", Code.UNDER_WAY),
        (WAITING, [child(**BUSY), child("v1", **AT_REST)], "Observing", Code.UNDER_WAY),
        (STOPPED, [child("v1", **AT_REST, **REJECTED), child("v1")], "RolledBack", Code.ROLLED_BACK),
        (DONE, [ChildView("uid", version="v2", current=True, rollout='{"phase":7}')], "Idle", Code.ENDED),
    ],
)
def test_where_it_stands(record: ClusterRolloutStatus, children: list[ChildView], phase: str, stands: Code) -> None:
    found = service(record, *children, stable=NEW if stands is Code.ENDED else OLD)
    assert (found.status.rollout.phase, code(found)) == (phase, stands)


def test_one_that_is_paused_is_told_first() -> None:
    paused = Pause(since="2025-11-03T12:00:00Z", reason="RolloutPaused")
    found = service(DONE, child(**BUSY), child(**BUSY, paused=paused))
    assert code(found) is Code.WAITS
    assert isinstance(intent("resume", found), Intent)


def test_what_people_may_ask_for() -> None:
    rolling = service(WAITING, child(**BUSY), child("v1", **AT_REST))
    assert [intent(action, rolling).revision for action in ("promote", "pause", "abort")] == [NEW] * 3  # type: ignore[arg-type]
    baking = service(WAITING, child(**AT_REST), child("v1", **AT_REST))
    assert intent("abort", baking).revision == NEW
    stopped = service(STOPPED, child("v1", **AT_REST, **REJECTED), child("v1", **REJECTED))
    assert intent("retry", stopped).will == f"revision {NEW} is rolled out anew, from its first step"
    assert len(stopped.status.rollout.rejected) == 1
    with pytest.raises(Refused, match="no rollout is under way"):
        intent("promote", stopped)


def test_what_any_cluster_has_carried_out_is_carried_out() -> None:
    record = WAITING.model_copy(update={"handled": "retry@bbbb000000/1"})
    found = rollout(
        record, [child(**BUSY, handled=["pause@a/1"]), child("v1", handled=["pause@a/1", "pause@b/1"])], NEW
    )
    assert found.handled == ["pause@a/1", "pause@b/1", "retry@bbbb000000/1"]
