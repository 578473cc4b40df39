"""Whatever stands in a resource of another product, every leaf is carried or told, and what comes out is valid."""

from __future__ import annotations

import io
import json
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from inferops.cli.convert import as_json, show
from inferops.convert.asyaml import as_yaml
from inferops.convert.documents import Unreadable, convert
from inferops.convert.ledger import Outcome
from unit.convert import resources
from unit.convert.accounts import check

KINDS = (resources.kserve, resources.runtime, resources.llm, resources.kubeai)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_nothing_is_dropped_in_silence(kind: resources.Maker, seed: int) -> None:
    resource = json.loads(json.dumps(kind(Random(seed))))
    [document] = convert(json.dumps(resource))
    check(resource, document)
    # Comments are as sound as what they quote is not.
    read = [each for each in yaml.safe_load_all(as_yaml([document])) if each]
    assert read == ([] if document.output is None else [document.output])
    if seed % 10 == 0:
        as_json(document)
        show([document], Console(file=io.StringIO(), width=100))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_some_are_converted(kind: resources.Maker) -> None:
    """Else the test above would show little."""
    documents = [convert(json.dumps(kind(Random(seed))))[0] for seed in range(40)]
    assert sum(document.output is not None for document in documents) >= 6


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_no_resource_is_unreadable(seed: int) -> None:
    junk: Any = resources.junk(Random(seed))
    if junk is None:
        assert convert("null") == []
    elif not (isinstance(junk, dict) and junk.get("kind")):
        with pytest.raises(Unreadable):
            convert(json.dumps(junk))


def test_a_field_that_nobody_knows_is_told() -> None:
    spec = {"url": "hf://a/b", "engine": "VLLM", "new": {"deep": 1}}
    [document] = convert(
        json.dumps({"apiVersion": "kubeai.org/v1", "kind": "Model", "metadata": {"name": "a"}, "spec": spec})
    )
    told = {entry.path: entry.outcome for entry in document.entries}
    assert told["spec", "new", "deep"] is Outcome.LOST


def test_aliases_that_grow_are_refused() -> None:
    lines = ["kind: A", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    for text in ("\n".join(lines), "&a {kind: A, b: *a}"):
        with pytest.raises(Unreadable):
            convert(text)


def test_a_comment_stays_one() -> None:
    meta = {"name": "a", "evil\nkind: Secret\u001b[2J": 1}
    spec = {"url": "hf://a/b", "engine": "VLLM"}
    text = json.dumps({"apiVersion": "kubeai.org/v1", "kind": "Model", "metadata": meta, "spec": spec})
    [document] = convert(text)
    assert list(yaml.safe_load_all(as_yaml([document]))) == [document.output]
    assert "\u001b" not in as_yaml([document])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("part", ["metadata", "spec"])
def test_whole_parts_may_be_anything(kind: resources.Maker, part: str) -> None:
    for junk in ("text", 7, [1], [{"a": None}], {}, None):
        resource = {**kind(Random(3)), part: junk}
        [document] = convert(json.dumps(resource))
        check(json.loads(json.dumps(resource)), document)
