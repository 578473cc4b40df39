"""The documentation as it is read: links lead somewhere, YAML of ours is valid, and what is shown is what comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from inferops.api import API_VERSION
from inferops.api.resources import KINDS

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^(?P<fence>```+)(?P<kind>[a-z]*)[^\n]*\n(?P<text>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
EXAMPLES = Path("tests/unit/convert")
MODELS = {kind.name: kind.model for kind in KINDS}
SPECS = {
    kind.name: {field.alias for field in kind.model.model_fields["spec"].annotation.model_fields.values()}  # type: ignore[union-attr]
    for kind in KINDS
}
OF_A_SERVICE = {"metadata": {"name": "a"}}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made from their text."""
    prose = FENCED.sub("", page.read_text())
    texts = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text) for text in HEADING.findall(prose))
    return {re.sub(r" +", "-", re.sub(r"[^\w\- ]", "", text).strip().lower()) for text in texts}


def blocks(page: Path, kind: str) -> Iterator[str]:
    for found in FENCED.finditer(page.read_text()):
        if found["kind"] == kind:
            yield found["text"]


def documents(page: Path) -> Iterator[dict[str, Any]]:
    """The mappings in a page's YAML blocks; those with … are no more than shown."""
    for text in blocks(page, "yaml"):
        if "…" not in text:
            yield from (each for each in yaml.safe_load_all(text) if isinstance(each, dict))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCED.sub("", page.read_text())):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), f"{name(page)}: {target}"
        assert found.is_relative_to(ROOT), f"{name(page)}: {target} leads out of the repository"
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), f"{name(page)}: {target}; there are {sorted(anchors(found))}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_resources_of_ours_are_valid(page: Path) -> None:
    for document in documents(page):
        if document.get("apiVersion") == API_VERSION:
            MODELS[document["kind"]].model_validate(document)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_parts_of_a_spec_are_valid(page: Path) -> None:
    """Blocks that show a part of spec: its fields are those of one kind, and a service's have values that are taken."""
    for document in documents(page):
        spec = document.get("spec")
        if set(document) == {"spec"} and isinstance(spec, dict):
            kinds = [kind for kind, names in SPECS.items() if names >= set(spec)]
            assert kinds, f"{name(page)}: no kind has all of {', '.join(spec)} in its spec"
            if "InferenceService" in kinds:
                whole = {**OF_A_SERVICE, "spec": {"model": {"uri": "hf://a/b"}, **spec}}
                dumped = MODELS["InferenceService"].model_validate(whole).dump()
                assert_within(spec, dumped["spec"], name(page))


def assert_within(shown: Any, dumped: Any, where: str) -> None:
    """Every field that is shown is one that the model has."""
    if isinstance(shown, dict):
        for key, value in shown.items():
            assert key in dumped, f"{where}: there is no field {key}"
            assert_within(value, dumped[key], f"{where}: {key}")


@pytest.mark.parametrize(("page", "example"), [("kserve", "kserve-qwen"), ("kubeai", "kubeai-deepseek")])
def test_migrations_show_what_comes_out(page: str, example: str) -> None:
    shown = list(blocks(ROOT / "docs" / "migration" / f"{page}.md", "yaml"))
    assert [(ROOT / EXAMPLES / part / f"{example}.yaml").read_text() for part in ("given", "golden")] == shown


def test_the_quickstarts_commands_name_files_that_are_there() -> None:
    text = (ROOT / "docs" / "quickstart.md").read_text()
    named = re.findall(r"kubectl apply -f (\S+)", text)
    assert named
    assert all((ROOT / each).is_file() for each in named)
