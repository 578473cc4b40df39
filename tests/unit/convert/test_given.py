"""Resources of other products, as people have them, converted and held against files.

`UPDATE_GOLDEN=1 pytest tests/unit/convert/test_given.py` writes the files anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from inferops.convert.asyaml import as_yaml
from inferops.convert.documents import convert
from inferops.convert.ledger import Document, Options, Outcome, written
from unit.convert.accounts import check

HERE = Path(__file__).parent
GIVEN = sorted((HERE / "given").glob("*.yaml"))


def converted(name: str, **options: Any) -> list[Document]:
    return convert((HERE / "given" / f"{name}.yaml").read_text(), Options(**options))


def outcomes(document: Document) -> dict[str, Outcome]:
    return {written(entry.path): entry.outcome for entry in document.entries}


@pytest.mark.parametrize("path", GIVEN, ids=lambda path: path.stem)
def test_what_comes_out(path: Path) -> None:
    text = as_yaml(convert(path.read_text()))
    golden = HERE / "golden" / path.name
    if os.environ.get("UPDATE_GOLDEN") == "1":
        golden.write_text(text)
    assert golden.exists(), f"{golden.name} is missing; write it with UPDATE_GOLDEN=1"
    assert text == golden.read_text()


@pytest.mark.parametrize("path", GIVEN, ids=lambda path: path.stem)
def test_every_field_is_carried_or_told(path: Path) -> None:
    documents = convert(path.read_text())
    given = [each for each in yaml.safe_load_all(path.read_text()) if each]
    given = [item for each in given for item in (each["items"] if each["kind"] == "List" else [each])]
    assert len(given) == len(documents)
    for resource, document in zip(given, documents, strict=True):
        check(resource, document)


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in (HERE / "golden").glob("*.yaml")} == {path.name for path in GIVEN}


def test_what_is_not_known_is_told() -> None:
    [document] = converted("kserve-qwen")
    told = outcomes(document)
    assert told["spec.transformer"] is Outcome.LOST
    assert told["status"] is Outcome.IGNORED
    assert told["metadata.uid"] is Outcome.IGNORED
    assert told["spec.predictor.model.args[3]"] is Outcome.CARRIED
    assert told["spec.predictor.model.args[4]"] is Outcome.LOST


def test_a_share_of_canaries_waits_for_somebody() -> None:
    [document] = converted("kserve-qwen")
    assert document.output is not None
    rollout = document.output["spec"]["rollout"]
    assert rollout == {
        "gates": [{"at": [10], "name": "canary-traffic-percent", "manual": True}],
        "steps": [{"weight": 10}],
    }


def test_the_caller_names_the_accelerator() -> None:
    documents = converted("kserve-nodes", accelerator="nvidia-h100-80gb")
    assert documents[1].output is not None
    assert documents[1].output["spec"]["accelerators"] == [{"type": "nvidia-h100-80gb", "count": 16, "nodes": 2}]
    told = outcomes(documents[1])
    assert told["spec.predictor.workerSpec.pipelineParallelSize"] is Outcome.CARRIED


def test_a_profile_of_the_callers() -> None:
    text = "{apiVersion: kubeai.org/v1, kind: Model, metadata: {name: a}, spec: {url: 'hf://a/b', engine: VLLM, %s}}"
    [document] = convert(text % "resourceProfile: 'ours:4'", Options(profiles={"ours": "nvidia-h200"}))
    assert document.output is not None
    assert document.output["spec"]["accelerators"] == [{"type": "nvidia-h200", "count": 4}]


def test_an_engine_that_is_not_served_fails_with_what_to_do() -> None:
    [document] = converted("kserve-sklearn")
    assert document.output is None
    assert "build a Bento" in document.failed
    assert document.lost


def test_other_kinds_pass_untouched() -> None:
    resource = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"key": "c2VjcmV0"}}
    [document] = convert(yaml.safe_dump(resource))
    assert document.passed
    assert not document.lost
    assert yaml.safe_load(as_yaml([document])) == resource


def test_ours_pass_untouched() -> None:
    ours = "{apiVersion: serving.inferops.dev/v1alpha1, kind: InferenceService, metadata: {name: a}}"
    assert convert(ours)[0].passed


def test_kinds_of_theirs_that_ours_has_not_are_told() -> None:
    graph = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "InferenceGraph", "metadata": {"name": "a"}}
    [document] = convert(yaml.safe_dump(graph))
    assert document.passed
    assert document.lost
    assert document.output == graph
    assert "nothing of ours" in as_yaml([document])
