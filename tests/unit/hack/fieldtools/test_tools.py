"""Which tools are built and found, and where the remedy is said. The compiler is played by a function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from controlplane import BenchError
from controlplane.binaries import kubernetes_version
from controlplane.toolchain import Toolchain
from fieldtools import TOOLS, find, tools


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The packages that were compiled, into an empty cache."""
    packages: list[str] = []

    def compiled(
        go: Toolchain, source: Path, package: str, target: Path, say: Callable[[str], None], *options: str
    ) -> None:
        if package == "./broken":
            raise BenchError("it does not compile")
        packages.append(package)
        target.touch(0o755)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tools, "available", lambda go_line, cache: Toolchain(Path("/usr/bin/go"), "go1.26.8"))
    monkeypatch.setattr(tools, "compiled", compiled)
    return packages


def silent(line: str) -> None:
    pass


def test_what_is_built_is_found_and_not_built_again(built: list[str]):
    tools.build(["kstatus", "lua"], silent)
    tools.build(["lua", "kstatus"], silent)
    assert built == ["./kstatus", "./lua"]
    assert find("lua").name == "lua" and find("lua").is_file()


def test_what_is_not_built_raises_with_the_remedy(built: list[str]):
    tools.build(["lua"], silent)
    with pytest.raises(BenchError, match=r"helm is not built: run `make binaries`"):
        find("helm")
    with pytest.raises(BenchError, match=r"no tool helmet: there are helm, "):
        find("helmet")


def test_what_was_built_before_a_failure_stays(built: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(tools.TOOLS, "broken", tools.Tool("./broken"))
    with pytest.raises(BenchError, match="it does not compile"):
        tools.build(["lua", "broken"], silent)
    assert find("lua").is_file()
    with pytest.raises(BenchError, match="broken is not built"):
        find("broken")


def test_other_sources_are_another_build(built: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    tools.build(["lua"], silent)
    changed = tmp_path / "source"
    changed.mkdir()
    for name in ("go.mod", "go.sum"):
        changed.joinpath(name).write_text(f"// {name}")
    monkeypatch.setattr(tools, "SOURCE", changed)
    with pytest.raises(BenchError, match="lua is not built"):
        find("lua")


def test_kubernetes_is_the_benchs_so_that_what_was_compiled_for_it_serves_here_too():
    required = (tools.SOURCE / "go.mod").read_text()
    assert f"k8s.io/client-go {kubernetes_version().replace('v1.', 'v0.')} " in required


def test_every_tool_is_of_a_module_that_go_mod_requires():
    required = (tools.SOURCE / "go.mod").read_text()
    for tool in TOOLS.values():
        if tool.package.startswith("./"):
            assert (tools.SOURCE / tool.package).is_dir()
        else:
            assert f"\t{tool.package}\n" in required  # a `tool` line
