"""Where Kubernetes' commands come from: which of the ways is taken, and that a build is never found half-made."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from controlplane import BenchError, Binaries, binaries, cache, find_binaries
from controlplane.binaries import COMPONENTS
from controlplane.golang import go_line
from controlplane.toolchain import Toolchain

GO = Toolchain(Path("/usr/bin/go"), "go1.26.8")


class Builder:
    """Stands in for `go build`: writes an executable, and counts how often."""

    def __init__(self) -> None:
        self.built: list[Path] = []
        self.failing = False

    def __call__(self, go: Toolchain, source: Path, target: Path, kubernetes: str, say: binaries.Say) -> None:
        time.sleep(0.02)  # long enough for another to come along
        self.built.append(target)
        if self.failing:
            raise BenchError("it does not compile")
        executable(target)


def executable(file: Path) -> None:
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    builder = Builder()
    monkeypatch.setattr(binaries, "build", builder)
    return builder


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, a Go that is new enough, no KUBEBUILDER_ASSETS."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setattr(binaries, "available", lambda go_line, cache: GO)


@pytest.fixture
def said() -> list[str]:
    return []


def assets(monkeypatch: pytest.MonkeyPatch, folder: Path, names: tuple[str, ...]) -> None:
    folder.mkdir()
    for name in names:
        executable(folder / name)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(folder))


def test_assets_are_used_where_they_hold_everything(monkeypatch, tmp_path, builder, said):
    assets(monkeypatch, tmp_path / "assets", COMPONENTS)
    assert find_binaries(said.append) == Binaries(tmp_path / "assets")
    assert (builder.built, said) == ([], [])


def test_assets_of_envtest_are_passed_over_with_a_word(monkeypatch, tmp_path, builder, said):
    assets(monkeypatch, tmp_path / "assets", ("etcd", "kube-apiserver", "kubectl"))
    assert find_binaries(said.append).folder.is_relative_to(tmp_path / "cache")
    assert "KUBEBUILDER_ASSETS" in said[0] and "lacks kube-controller-manager, kube-scheduler" in said[0]


def test_a_build_is_complete_and_found_again(builder, said):
    built = find_binaries(said.append)
    assert built.missing() == []
    assert find_binaries(said.append) == built
    assert len(builder.built) == 1


def test_a_damaged_build_is_replaced(builder, said):
    built = find_binaries(said.append)
    built.path("etcd").unlink()
    assert built.missing() == ["etcd"]
    assert find_binaries(said.append).missing() == []
    assert len(builder.built) == 2


@pytest.mark.parametrize("change", ["version", "sources"])
def test_another_toolchain_or_other_sources_are_another_build(monkeypatch, tmp_path, builder, said, change):
    before = find_binaries(said.append)
    if change == "version":
        monkeypatch.setattr(binaries, "available", lambda go_line, cache: Toolchain(GO.command, "go1.27.0"))
    else:
        tmp_path.joinpath("main.go").write_text("package main")
        monkeypatch.setattr(binaries, "_source_files", lambda: [tmp_path / "main.go"])
    after = find_binaries(said.append)
    assert after != before and len(builder.built) == 2


def test_without_any_go_what_was_built_before_still_serves(monkeypatch, builder, said):
    built = find_binaries(said.append)
    monkeypatch.setattr(binaries, "available", lambda go_line, cache: None)
    assert find_binaries(said.append) == built
    assert len(builder.built) == 1


def test_without_any_go_one_is_installed(monkeypatch, builder, said):
    monkeypatch.setattr(binaries, "available", lambda go_line, cache: None)
    monkeypatch.setattr(binaries, "install", lambda go_line, cache, say: Toolchain(Path("/else/go"), f"go{go_line}"))
    assert find_binaries(said.append).folder.name.endswith(f"-go{go_line(binaries.SOURCE)}")


def test_a_failed_build_leaves_nothing_to_be_found(tmp_path, builder, said):
    builder.failing = True
    with pytest.raises(BenchError, match="it does not compile"):
        find_binaries(said.append)
    assert [file.suffix for file in binaries.cache_folder().iterdir()] == [".lock"]
    builder.failing = False
    assert find_binaries(said.append).missing() == []


def test_of_two_who_need_a_build_one_builds(monkeypatch, builder, said):
    monkeypatch.setattr(cache, "WAIT", 0.01)
    found: list[Binaries] = []
    threads = [threading.Thread(target=lambda: found.append(find_binaries(said.append))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builder.built) == 1
    assert found[0] == found[1] and found[0].missing() == []


def test_the_versions_are_those_of_go_mod():
    required = (binaries.SOURCE / "go.mod").read_text()
    assert f"k8s.io/kubernetes {binaries.kubernetes_version()}\n" in required
    assert f"\ngo {go_line(binaries.SOURCE)}\n" in required
    # the staging modules carry the same release under v0
    assert f"k8s.io/kubectl {binaries.kubernetes_version().replace('v1.', 'v0.')}\n" in required


def test_a_file_that_cannot_be_run_is_missing(tmp_path):
    for name in COMPONENTS:
        executable(tmp_path / name)
    os.chmod(tmp_path / "kubectl", 0o644)
    tmp_path.joinpath("etcd").unlink()
    assert Binaries(tmp_path).missing() == ["etcd", "kubectl"]
