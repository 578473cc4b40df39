"""What a work's status tells of its object: the same as the object itself would, and never more than is known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.controller.childtold import child
from inferops.controller.worktold import child_of, told
from inferops.kube.owned import Object, digest, wanted_part
from inferops.render.child import HUB, VERSION
from inferops.render.manifestwork import GIVEN, render_work
from unit.controller.workagent import answer

NUMBER = st.integers(0, 64)
WORD = st.sampled_from(["", "abc1234567", "Ready", "a sentence: with (signs)", "v1"])
TIME = st.just("2025-11-03T12:00:00Z")
CONDITION = st.fixed_dictionaries(
    {"type": st.just("Ready"), "status": st.sampled_from(["True", "False", "Unknown"]), "reason": st.just("Ready"),
     "message": WORD, "lastTransitionTime": TIME}
)  # fmt: skip
ROLLOUT = st.fixed_dictionaries(
    {},
    optional={
        "phase": st.sampled_from(["Idle", "Gated", "RolledBack"]), "since": TIME, "step": NUMBER, "weight": NUMBER,
        "canary": WORD, "skipped": st.booleans(), "message": WORD,
        "paused": st.fixed_dictionaries({"since": TIME, "reason": WORD}),
        "rejected": st.just([{"hash": "abc1234567", "reason": "Harm", "message": "worse"}]),
        "handled": st.lists(st.sampled_from(["pause", "resume/1", "promote@abc/2"]), min_size=1, max_size=1),
        "rollback": st.fixed_dictionaries({"ready": st.just("Cold"), "seconds": NUMBER}),
    },
)  # fmt: skip
STATUS = st.fixed_dictionaries(
    {"observedGeneration": NUMBER},
    optional={
        "desiredReplicas": NUMBER, "replicas": NUMBER, "readyReplicas": NUMBER, "stableRevision": WORD,
        "latestRevision": st.just("abc1234567"), "conditions": CONDITION.map(lambda each: [each]),
        "scaling": st.fixed_dictionaries({"reason": st.sampled_from(["Maximum", "Demand"])}), "rollout": ROLLOUT,
    },
)  # fmt: skip


def desired(**scaling: Any) -> Object:
    """As the hub has it."""
    meta = {"name": "llama", "namespace": "chat", "labels": {HUB: "1"}, "annotations": {VERSION: "v1"}}
    spec = {
        "model": {"uri": "hf://Qwen/Qwen3-8B"},
        "accelerators": [{"type": "nvidia-l4", "count": 2, "spot": True}],
        "scaling": scaling or {"replicas": 3},
    }
    return {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceService", "metadata": meta, "spec": spec}


def written(of: Object, generation: int = 1) -> Object:
    """Its work in the hub."""
    work = render_work("eu", "1", of, strategy="ServerSideApply")
    return {**work, "metadata": {**work["metadata"], "uid": "uid-work", "generation": generation}}


def applied(work: Object, status: Object, generation: int = 7) -> Object:
    """The object in the member, as the agent made it."""
    manifest = work["spec"]["workload"]["manifests"][0]
    meta = {**manifest["metadata"], "uid": "uid-there", "generation": generation}
    return {**manifest, "metadata": meta, "status": status}


def raw_of(work: Object) -> Object:
    found = child_of(work)
    assert found is not None
    return found


@given(STATUS, st.sampled_from([{"replicas": 3}, {"minReplicas": 1, "maxReplicas": 5}, {}]))
def test_what_is_told_of_a_child_is_what_it_is(status: Object, scaling: dict[str, int]) -> None:
    work = written(desired(**scaling))
    live = applied(work, status)
    found = child(raw_of({**work, "status": answer(work, live)}))
    itself = child(live)
    assert found.view == replace(itself.view, uid="uid-work")
    assert found.digest == digest(wanted_part(desired(**scaling)))


@given(STATUS)
def test_what_is_told_of_an_older_one_is_not_current(status: Object) -> None:
    before = written(desired(replicas=3))
    old = answer(before, applied(before, {**status, "observedGeneration": 7}))
    now = written(desired(replicas=4), generation=2)
    for told_now in (old, answer(now, applied(before, {**status, "observedGeneration": 7}))):
        view = child(raw_of({**now, "status": told_now})).view
        assert not view.current and view.most == 4
        assert view.replicas == status.get("replicas", 0)


def test_what_was_refused_is_as_it_was_before_and_is_wanted_anew() -> None:
    before, want = written(desired(replicas=3)), desired(replicas=4)
    want["metadata"]["annotations"] = {VERSION: "v2"}
    work = written(want, generation=2)
    live = applied(before, {"observedGeneration": 7, "replicas": 3})
    found = child(raw_of({**work, "status": answer(work, live, "Invalid value")}))
    assert (found.view.version, found.view.most, found.view.replicas) == ("v1", 3, 3)
    assert found.view.way == "2x nvidia-l4 (spot)"
    assert found.digest != digest(wanted_part(want)) and not found.view.current
    seen = told({**work, "status": answer(work, live, "Invalid value")})
    assert seen.applied is False and "Invalid value" in seen.why and seen.known


def test_one_that_nobody_has_fetched_yet_is_there_and_tells_nothing() -> None:
    view = child(raw_of(written(desired()))).view
    assert (view.most, view.replicas, view.ready, view.current, view.conditions) == (3, 0, 0, False, {})
    assert told(written(desired())).applied is None


def test_one_that_somebody_deleted_there_has_no_replicas() -> None:
    work = written(desired())
    seen = {**work, "status": answer(work, applied(work, {"observedGeneration": 7, "replicas": 3, "readyReplicas": 3}))}
    gone = {**seen, "status": answer(seen, None)}
    assert told(gone).values and told(gone).there is False
    view = child(raw_of(gone)).view
    assert (view.replicas, view.ready, view.current) == (0, 0, False)


def test_one_that_is_being_deleted_says_so() -> None:
    work = written(desired())
    work["metadata"]["deletionTimestamp"] = "2025-11-03T12:00:00Z"
    assert child(raw_of(work)).view.deleting


def test_works_that_bring_no_service_are_none() -> None:
    assert child_of(render_work("eu", "1", desired(), strategy="ReadOnly")) is None
    assert child_of({"metadata": {"name": "x", "namespace": "eu"}}) is None


def test_one_of_other_rules_is_to_be_written_anew() -> None:
    work = written(desired())
    work["metadata"]["annotations"] = {}
    assert child(raw_of(work)).digest != digest(wanted_part(desired()))


def test_of_several_values_the_first_counts_however_the_agent_tells_them() -> None:
    status: Object = {"latestRevision": "abc", "rollout": {"phase": "Idle", "handled": ["resume/2", "pause/1"]}}
    status["rollout"]["rejected"] = [{"hash": "abc", "reason": "Harm", "message": "worse"}, {"hash": "def"}]
    work = written(desired())
    seen = answer(work, applied(work, status))
    views = [child(raw_of({**work, "status": seen})).view]
    values = seen["resourceStatus"]["manifests"][0]["statusFeedback"]["values"]
    several = {"rejected[0].hash": ["abc", "def"], "handled[0]": ["resume/2", "pause/1"]}
    for each in values:
        if found := several.get(each["name"].removeprefix("status.rollout.")):
            each["fieldValue"] = {"type": "JsonRaw", "jsonRaw": json.dumps(found)}
    views.append(child(raw_of({**work, "status": seen})).view)
    assert views[0] == views[1] and views[0].rejected == "worse"
    assert json.loads(views[0].rollout)["handled"] == ["resume/2"]


VALUES: list[Any] = [
    None, 7, "x", [1], [{"name": "status.replicas"}],
    [{"name": "status.replicas", "fieldValue": {"type": "Integer", "integer": "3"}}],
    [{"name": "status.replicas", "fieldValue": {"type": "Integer", "integer": True}}],
    [{"name": "status.replicas", "fieldValue": {"type": "JsonRaw", "jsonRaw": "3"}}],
    [{"name": "status.replicas", "fieldValue": {"type": "JsonRaw", "jsonRaw": "[]"}}],
    [{"name": "status.replicas", "fieldValue": {"type": "JsonRaw", "jsonRaw": "[["}}],
    [{"name": "status.replicas", "fieldValue": {"type": "JsonRaw"}}],
    [{"name": "status", "fieldValue": {"type": "String", "string": "x"}}],
    [{"name": "status.rollout", "fieldValue": {"type": "String", "string": "x"}}],
    [{"name": "status.rollout.rejected[1].hash", "fieldValue": {"type": "String", "string": "x"}}],
    [{"name": "status.observedGeneration", "fieldValue": {"type": "String", "string": "x"}}],
    [{"name": "metadata.generation", "fieldValue": {"type": "String", "string": "x"}}],
    [{"name": GIVEN, "fieldValue": {"type": "Integer", "integer": 1}}],
]  # fmt: skip


@pytest.mark.parametrize("values", VALUES)
def test_nonsense_reads_as_not_told(values: Any) -> None:
    work = written(desired())
    status = answer(work, applied(work, {}))
    status["resourceStatus"]["manifests"][0]["statusFeedback"] = {"values": values}
    view = child(raw_of({**work, "status": status})).view
    assert view.replicas == 0 and not view.current and view.most == 3


@pytest.mark.parametrize("status", [None, 7, {"conditions": 7}, {"resourceStatus": {"manifests": 7}}])
def test_a_status_of_another_shape_tells_nothing(status: Any) -> None:
    assert told({**written(desired()), "status": status}).applied is None
