"""The works by which OCM brings our objects to a cluster: their names, what they hold, what they have told."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from inferops.api.inferenceservice import AcceleratorChoice
from inferops.core.clusters.rolling import FIELDS
from inferops.render.child import HUB
from inferops.render.manifestwork import (
    GIVEN,
    MANAGER,
    NAME,
    OF_A_SERVICE,
    RULES,
    given,
    render_here,
    render_work,
    rules,
    work_name,
)

LABEL = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
CHILD: dict[str, Any] = {
    "apiVersion": "serving.inferops.dev/v1alpha1",
    "kind": "InferenceService",
    "metadata": {
        "name": "llama",
        "namespace": "chat",
        "labels": {HUB: "1"},
        "annotations": {"inferops.dev/parent": "2"},
    },
    "spec": {"model": {"uri": "hf://Qwen/Qwen3-8B"}},
}
TOLD_ELSEWHERE = {"gates"}  # lists of objects are no single values


@drawn(LABEL, LABEL, LABEL, LABEL)
def test_names_are_valid_bounded_and_of_one_service_each(a: str, b: str, c: str, d: str) -> None:
    name = work_name(a, b)
    assert re.fullmatch(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?", name) and len(name) <= NAME
    assert (name == work_name(c, d)) == ((a, b) == (c, d))


def test_a_work_has_one_object_and_is_known_as_ours() -> None:
    work = render_work("eu", "1", CHILD, strategy="ServerSideApply")
    assert work["metadata"]["namespace"] == "eu" and work["metadata"]["labels"] == {HUB: "1"}
    [manifest] = work["spec"]["workload"]["manifests"]
    assert manifest["spec"] == CHILD["spec"] and manifest["metadata"]["labels"] == {HUB: "1"}
    assert manifest["metadata"]["annotations"] == {"inferops.dev/parent": "2", GIVEN: given(CHILD)}
    [config] = work["spec"]["manifestConfigs"]
    assert config["updateStrategy"]["serverSideApply"] == {"force": True, "fieldManager": MANAGER}
    assert re.match("^work-agent", MANAGER)  # as OCM's API has it
    assert work["spec"]["deleteOption"] == {"propagationPolicy": "Foreground"}


def test_one_that_only_looks_brings_nothing() -> None:
    work = render_work("eu", "1", CHILD, strategy="ReadOnly")
    [manifest] = work["spec"]["workload"]["manifests"]
    assert "spec" not in manifest and "labels" not in manifest["metadata"]
    assert work["spec"]["manifestConfigs"][0]["updateStrategy"] == {"type": "ReadOnly"}
    assert work["metadata"]["name"] == render_work("eu", "1", CHILD, strategy="ServerSideApply")["metadata"]["name"]
    assert work["metadata"]["annotations"][RULES] != rules("ServerSideApply", "InferenceService")


def test_the_mark_changes_with_all_that_is_given() -> None:
    def but(**change: Any) -> str:
        return given({**CHILD, **change, "metadata": {**CHILD["metadata"], **change.get("metadata", {})}})

    marks = [but(), but(spec={}), but(metadata={"labels": {}}), but(metadata={"annotations": {"x": "y"}})]
    assert len(set(marks)) == 4
    [manifest] = render_work("eu", "1", CHILD, strategy="ServerSideApply")["spec"]["workload"]["manifests"]
    assert given(manifest) == but()


def test_the_member_is_asked_to_count_itself() -> None:
    [manifest] = render_here("eu", "1", "inferops-system")["spec"]["workload"]["manifests"]
    assert manifest["kind"] == "InferenceCluster" and manifest["metadata"]["labels"] == {HUB: "1"}
    assert manifest["spec"] == {"access": {"hub": True}}


@pytest.mark.parametrize("field", [each for each in FIELDS if each not in TOLD_ELSEWHERE])
def test_all_of_a_rollout_that_is_a_single_value_is_told(field: str) -> None:
    assert [path for path in OF_A_SERVICE.values() if path.startswith(f".status.rollout.{field}")]


def test_what_a_replica_runs_on_is_told_as_a_whole() -> None:
    told = {path.rpartition(".")[2] for path in OF_A_SERVICE.values() if path.startswith(".spec.accelerators[0]")}
    assert told == {field.alias or name for name, field in AcceleratorChoice.model_fields.items()}


def test_a_work_is_small() -> None:
    assert len(json.dumps(render_work("eu", "1", CHILD, strategy="ServerSideApply"))) < 10_000
