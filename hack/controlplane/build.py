"""Builds the control plane's one binary as a given version of Kubernetes."""

from __future__ import annotations

import re
from pathlib import Path

from controlplane.golang import Say, compiled
from controlplane.toolchain import Toolchain

VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


def build(go: Toolchain, source: Path, target: Path, kubernetes: str, say: Say) -> None:
    """Build the Go program in `source` to the file `target`, as Kubernetes `kubernetes` (such as v1.36.3).

    Raises `BenchError` with the end of go's output when it fails.
    """
    say(f"building Kubernetes {kubernetes} with {go.version}: about 5 minutes on two cores, once; then it is cached")
    compiled(go, source, ".", target, say, "-ldflags", link_flags(kubernetes))


def link_flags(kubernetes: str) -> str:
    """No debug tables, and the version that the components and kubectl report."""
    match = re.fullmatch(r"v(\d+)\.(\d+)\.\d+\S*", kubernetes)
    assert match is not None, f"go.mod: {kubernetes} is not a version of k8s.io/kubernetes"
    variables = {"gitVersion": kubernetes, "gitMajor": match[1], "gitMinor": match[2], "gitTreeState": "clean"}
    settings = [f"-X {package}.{key}={value}" for package in VERSION_PACKAGES for key, value in variables.items()]
    return " ".join(["-s -w", *settings])
