"""The hook of the documentation's site."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from docs_site import inside, on_config


def test_what_leads_out_of_the_documentation_becomes_a_path() -> None:
    assert inside("see [A sample](../manifests/samples/llama-8b.yaml).", "docs") == (
        "see A sample (`manifests/samples/llama-8b.yaml`)."
    )


def test_what_leads_to_a_page_stays() -> None:
    for text in ("[rollouts](../rollouts.md#gpus)", "[here](#below)", "[x](https://example.com/)"):
        assert inside(text, "docs/tasks") == text


def test_what_is_not_there_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        inside("[gone](../manifests/none.yaml)", "docs")
    assert "there is no manifests/none.yaml" in caplog.text


def test_every_page_is_in_the_navigation(tmp_path: Any) -> None:
    for page in ("index.md", "more.md", "runbooks/a.md", "adr/1.md"):
        (tmp_path / page).parent.mkdir(exist_ok=True)
        (tmp_path / page).write_text("# A page\n")
    config = on_config({"docs_dir": str(tmp_path), "nav": [{"Home": "index.md"}]})
    assert config["nav"][1:] == [{"Runbooks": ["runbooks/a.md"]}, {"Decisions": ["adr/1.md"]}, {"More": ["more.md"]}]
