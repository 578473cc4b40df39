"""`inferops convert` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from inferops.cli.convert import options_in
from inferops.cli.main import app

MODEL = """
apiVersion: kubeai.org/v1
kind: Model
metadata: {name: qwen}
spec: {url: "hf://Qwen/Qwen3-8B", engine: VLLM, features: [TextGeneration], minReplicas: 1, maxReplicas: 2%s}
"""


def run(*args: str, given: str = "") -> Result:
    return CliRunner().invoke(app, ["convert", *args], input=given)


def test_standard_input_becomes_ours() -> None:
    result = run("-", given=MODEL % ", resourceProfile: 'nvidia-gpu-l4:1'")
    assert result.exit_code == 0
    assert yaml.safe_load(result.stdout)["spec"]["accelerators"] == [{"type": "nvidia-l4", "count": 1}]
    assert "spec.resourceProfile" in result.stderr


@pytest.mark.parametrize(("more", "code"), [("", 0), (", owner: ml", 1)])
def test_strict_ends_with_1_where_something_is_not_carried(more: str, code: int) -> None:
    assert run("-", "--strict", given=MODEL % more).exit_code == code
    assert run("-", given=MODEL % more).exit_code == 0


def test_the_report_as_json() -> None:
    result = run("-", "--report", "json", given=MODEL % ", owner: ml")
    [told] = json.loads(result.stderr)
    assert told["result"] == "converted"
    [lost] = [each for each in told["fields"] if each["outcome"] == "notCarried"]
    assert lost["field"] == "spec.owner"


def test_the_table_names_every_field_once_and_why() -> None:
    rows = run("-", given=MODEL % ", owner: ml").stderr
    assert rows.count("spec.owner") == 1
    assert "models of the API have no owner" in rows
    assert "everything" not in rows


def test_no_report() -> None:
    assert run("-", "--report", "off", given=MODEL % "").stderr == ""


def test_several_files_are_one_input(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(MODEL.replace("qwen", name) % "")
    result = run(str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"))
    assert [each["metadata"]["name"] for each in yaml.safe_load_all(result.stdout)] == ["a", "b"]


@pytest.mark.parametrize("given", ["a: [", "just text", "{apiVersion: v1}", "[1, 2]"])
def test_what_cannot_be_read_ends_with_2(given: str) -> None:
    result = run("-", given=given)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("-: ")


def test_a_file_that_is_not_there_ends_with_2(tmp_path: Path) -> None:
    assert run(str(tmp_path / "none.yaml")).exit_code == 2


def test_accelerators_of_the_caller() -> None:
    options = options_in(["nvidia-l4", "ours=nvidia-h200"], "chat")
    assert (options.accelerator, options.profiles, options.namespace) == ("nvidia-l4", {"ours": "nvidia-h200"}, "chat")
    for wrong in ("=nvidia-l4", "ours=", ""):
        with pytest.raises(ValueError, match="neither TYPE nor PROFILE=TYPE"):
            options_in([wrong])
