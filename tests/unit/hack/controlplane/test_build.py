"""What a build says while it runs and when it fails. Go itself is played by a shell script."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane import BenchError, golang
from controlplane.build import build, link_flags
from controlplane.toolchain import Toolchain

BUILDS = """
case $1 in
  list) echo 'go: downloading k8s.io/api v0.36.3' >&2; echo fmt; echo k8s.io/api; echo main ;;
  build) echo fmt >&2; echo k8s.io/api >&2; sleep 0.2
    for argument; do case $previous in -o) echo '#!/bin/sh' > "$argument" ;; esac; previous=$argument; done
    echo "$GOFLAGS $GOTOOLCHAIN $CGO_ENABLED" > environment ;;
esac
"""


def go(tmp_path: Path, script: str) -> Toolchain:
    command = tmp_path / "go"
    command.write_text(f"#!/bin/sh\n{script}")
    command.chmod(0o755)
    return Toolchain(command, "go1.26.8")


def test_it_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(golang, "SAY_EVERY", 0.0)
    said: list[str] = []
    build(go(tmp_path, BUILDS), tmp_path, tmp_path / "controlplane", "v1.36.3", said.append)
    assert said[0].startswith("building Kubernetes v1.36.3 with go1.26.8")
    assert any(line.startswith("fetching and reading modules (") for line in said)
    assert any(line.startswith("compiled 2 of 3 packages (") for line in said)
    assert said[-1].startswith("built in ")
    assert (tmp_path / "environment").read_text() == "-mod=readonly local 0\n"


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("write /tmp/x: no space left on device", "free 4 GB"),
        ("k8s.io/api: dial tcp: lookup proxy: no such host", "build once with network"),
        ("main.go:7: undefined: kubectl", "the Go files and go.mod must match"),
    ],
)
def test_a_failure_shows_the_end_of_the_output_and_a_remedy(tmp_path: Path, output: str, remedy: str):
    failing = go(tmp_path, f"echo early; for i in $(seq 40); do echo; done; echo '{output}' >&2; exit 1")
    with pytest.raises(BenchError) as failed:
        build(failing, tmp_path, tmp_path / "controlplane", "v1.36.3", lambda line: None)
    assert output in str(failed.value) and remedy in str(failed.value)
    assert "early" not in str(failed.value)


def test_a_failure_is_not_lost_among_the_packages_that_went_well(tmp_path: Path):
    missing = "missing go.sum entry for module providing package example.com/x"
    failing = go(tmp_path, f"echo '{missing}' >&2; for i in $(seq 99); do echo k8s.io/api/v$i; done; exit 1")
    with pytest.raises(BenchError, match=missing):
        build(failing, tmp_path, tmp_path / "controlplane", "v1.36.3", lambda line: None)


def test_the_binary_reports_the_version_of_kubernetes():
    flags = link_flags("v1.36.3").split(" ")
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        assert f"{package}.gitVersion=v1.36.3" in flags
        assert f"{package}.gitMajor=1" in flags
        assert f"{package}.gitMinor=36" in flags
