"""Which tools there are, and how one is found and built.

A tool is kept by what it is built of: go.mod, go.sum and the Go files here. Several are built one after the other,
each moved into place when it is whole, so that those built before another fails are there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane import BenchError
from controlplane.binaries import cache_folder as go_folder
from controlplane.cache import digest, folder_of, held
from controlplane.golang import Say, compiled, go_line
from controlplane.toolchain import Toolchain, available, install

SOURCE = Path(__file__).resolve().parent  # holds go.mod, go.sum and a folder a program of ours


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, and how Go builds it."""

    package: str
    options: tuple[str, ...] = ("-ldflags=-s -w",)


# Prometheus without the clients of twenty clouds: it finds targets by static_configs, file_sd and http_sd. The modules
# of the others are not in go.mod either, so it is kept by `go get -tags=remove_all_sd`, not by `go mod tidy`.
NO_DISCOVERY = ("-tags=remove_all_sd", "-ldflags=-s -w")
TOOLS = {
    "helm": Tool("helm.sh/helm/v4/cmd/helm"),
    "kubeconform": Tool("github.com/yannh/kubeconform/cmd/kubeconform"),
    "kstatus": Tool("./kstatus"),
    "lua": Tool("./lua"),
    "cel": Tool("./cel"),
    "promtool": Tool("github.com/prometheus/prometheus/cmd/promtool", NO_DISCOVERY),
    "prometheus": Tool("github.com/prometheus/prometheus/cmd/prometheus", NO_DISCOVERY),
}


def find(name: str) -> Path:
    """The path of a tool that was built. Raises `BenchError` with the remedy where it was not."""
    path = _folder() / name
    if name not in TOOLS:
        raise BenchError(f"no tool {name}: there are {', '.join(TOOLS)}")
    if not os.access(path, os.X_OK):
        raise BenchError(
            f"{name} is not built: run `make binaries`, or `python -m fieldtools build {name}` with hack on PYTHONPATH"
        )
    return path


def build(names: Sequence[str], say: Say) -> None:
    """Compile those of the named tools that are not in the cache; raises `BenchError` where one cannot be."""
    folder = _folder()
    with held(folder.with_suffix(".lock"), "the field's tools", say):
        missing = [name for name in names if not os.access(folder / name, os.X_OK)]
        if not missing:
            return
        go = available(go_line(SOURCE), go_folder()) or install(go_line(SOURCE), go_folder(), say)
        folder.mkdir(exist_ok=True)
        for name in missing:
            say(f"building {name} with {go.version}, once; then it is cached")
            _compile(go, TOOLS[name], folder / name, say)


def _compile(go: Toolchain, tool: Tool, target: Path, say: Say) -> None:
    partial = target.with_suffix(".partial")  # ours alone: the lock is held
    compiled(go, SOURCE, tool.package, partial, lambda line: say(f"{target.name}: {line}"), *tool.options)
    partial.rename(target)


def _folder() -> Path:
    files = [SOURCE / "go.mod", SOURCE / "go.sum", *sorted(SOURCE.glob("*/*.go"))]
    return folder_of("fieldtools") / digest(repr(sorted(TOOLS.items())), files)
