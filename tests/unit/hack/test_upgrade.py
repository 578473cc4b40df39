"""From which version an upgrade is played, and what it calls a change."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import upgrade
from upgrade import NoSuchVersion, World, earlier_version, unknown_fields

WORLD = World(
    frozenset({("llama-0", "u1", 0)}),
    frozenset({("llama", "u2", 1)}),
    frozenset({("llama-aaaa", "u3")}),
    frozenset({("llama", "aaaa", "aaaa", "", "Idle")}),
)


@pytest.mark.parametrize(("shallow", "remedy"), [("true", "git fetch --unshallow"), ("false", "name a commit")])
def test_a_version_that_is_not_here_is_told_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, shallow: str, remedy: str
) -> None:
    monkeypatch.setattr(upgrade, "_git", lambda *asked: shallow if "--is-shallow-repository" in asked else "")
    with pytest.raises(NoSuchVersion, match=f"there is no v9 in this clone; .*{remedy}"):
        earlier_version("v9")


def test_the_newest_tag_comes_before_the_commit_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = ["v1.2.0"]
    monkeypatch.setattr(upgrade, "_git", lambda *asked: (tags[0] if tags else "") if asked[0] == "describe" else "sha")
    assert earlier_version() == "v1.2.0" and earlier_version("main~9") == "main~9"
    tags.clear()
    assert earlier_version() == upgrade.EARLIER


def test_a_pod_that_began_anew_is_a_change() -> None:
    later = World(frozenset({("llama-0", "u1", 1)}), WORLD.workloads, WORLD.records, WORLD.rollouts)
    assert not WORLD.changes(WORLD)
    assert WORLD.changes(later) == ["pods: ('llama-0', 'u1', 0) is gone", "pods: ('llama-0', 'u1', 1) is new"]


def test_fields_of_the_spec_that_an_earlier_version_does_not_know(tmp_path: Path) -> None:
    def tree(name: str, traffic: dict[str, object]) -> Path:
        spec = {"properties": {"traffic": {"properties": traffic}}}
        schema = {"openAPIV3Schema": {"properties": {"spec": spec}}}
        (tmp_path / name / "crds").mkdir(parents=True)
        crd = {"spec": {"versions": [{"schema": schema}]}}
        (tmp_path / name / "crds" / "inferenceservices.yaml").write_text(yaml.safe_dump(crd))
        return tmp_path / name

    later = tree("later", {"export": {}, "spillover": {"items": {"properties": {"url": {}}}}})
    found = unknown_fields(tree("earlier", {"export": {}}), later)
    assert found == ["traffic.spillover", "traffic.spillover.url"]
