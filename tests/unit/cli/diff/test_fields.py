"""`inferops diff`: fields that differ, and the patch that kubectl would send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.cli.diff import fields
from inferops.cli.diff.fields import applier, last_applied, merge_patch, of_objects

LEAF = st.integers(0, 2) | st.sampled_from(["a", "b"]) | st.lists(st.integers(0, 1), max_size=2)
TREES = st.dictionaries(
    st.sampled_from("xyz"), st.recursive(LEAF, lambda inner: st.dictionaries(st.sampled_from("pq"), inner)), max_size=3
)


def merged(live: Any, patch: Any) -> Any:
    """A JSON merge patch applied. Source: RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    found = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


def test_what_is_new_gone_and_changed_is_told_by_its_field() -> None:
    live = {"spec": {"model": {"uri": "hf://a/b"}, "runtime": {"args": ["--x", "--y"]}, "slo": {"ttft": "1s"}}}
    wanted = {"spec": {"model": {"uri": "hf://a/c"}, "runtime": {"args": ["--x"]}, "load": {"concurrency": 4}}}
    assert [each.told() for each in of_objects(live, wanted)] == [
        '+ spec.load: {"concurrency": 4}',
        "~ spec.model.uri: hf://a/b → hf://a/c",
        "- spec.runtime.args[1]: --y",
        '- spec.slo: {"ttft": "1s"}',
    ]


def test_of_metadata_only_what_people_set_counts() -> None:
    live = {"metadata": {"labels": {"a": "1"}, "annotations": {fields.LAST_APPLIED: "{}"}, "resourceVersion": "3"}}
    wanted = {"metadata": {"labels": {"a": "2"}, "resourceVersion": "4"}}
    assert [each.told() for each in of_objects(live, wanted)] == ["~ metadata.labels.a: 1 → 2"]


@given(TREES, TREES, TREES)
def test_the_patch_brings_what_is_wanted_and_leaves_what_others_set(original: Any, wanted: Any, others: Any) -> None:
    live = merged(others, original)
    became = merged(live, merge_patch(original, wanted, live))
    assert merge_patch(wanted, wanted, became) == {}
    for key in others.keys() - original.keys() - wanted.keys():
        assert became[key] == others[key]
    for key in original.keys() - wanted.keys():
        assert key not in became


def test_nothing_changes_by_the_same_once_more() -> None:
    applied = {"spec": {"a": {"b": 1}}}
    assert merge_patch(applied, applied, {"spec": {"a": {"b": 1, "default": 2}}, "status": {}}) == {}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"manager": "argocd-controller", "operation": "Apply", "fieldsV1": {"f:spec": {}}}, "argocd-controller"),
        ({"manager": "inferops", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}}, ""),
        ({"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:spec": {}}}, ""),
    ],
)
def test_who_applied_it(entry: Any, expected: str) -> None:
    assert applier({"metadata": {"managedFields": [entry]}}) == expected


@pytest.mark.parametrize("text", ["", "]", "[]", "5"])
def test_an_annotation_that_somebody_broke_counts_as_none(text: str) -> None:
    assert last_applied({"metadata": {"annotations": {fields.LAST_APPLIED: text}}}) is None
    assert last_applied({"metadata": {"annotations": {fields.LAST_APPLIED: json.dumps({"a": 1})}}}) == {"a": 1}
