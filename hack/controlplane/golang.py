"""Runs `go` and says how far it is: what the control plane and the field's tools are compiled by."""

from __future__ import annotations

import os
import re
import select
import shlex
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from controlplane.errors import BenchError
from controlplane.toolchain import Toolchain

Say = Callable[[str], None]

SAY_EVERY = 10.0  # seconds


def compiled(go: Toolchain, source: Path, package: str, target: Path, say: Say, *options: str) -> None:
    """Build the program `package` of the module in `source` to the file `target`; `options` are go build's.

    Raises `BenchError` with the end of go's output when it fails.
    """
    started = time.monotonic()
    tags = [option for option in options if option.startswith("-tags=")]  # what is compiled goes by these
    listed = _go(go, source, ["list", *tags, "-deps", package], started, lambda _: "fetching and reading modules", say)
    total = sum(not line.startswith("go: ") for line in listed)  # the rest says what is being fetched
    _go(
        go,
        source,
        ["build", "-v", "-trimpath", "-buildvcs=false", *options, "-o", str(target), package],
        started,
        lambda lines: f"compiled {lines} of {total} packages" if lines < total else "linking",
        say,
    )
    say(f"built in {time.monotonic() - started:.0f} s, {target.stat().st_size / 1e6:.0f} MB")


def go_line(source: Path) -> str:
    """The least version of Go that `source`'s go.mod asks for: 1.26.0."""
    return required(source, r"^go (\S+)")


def required(source: Path, pattern: str) -> str:
    """What a pattern's group finds in `source`'s go.mod."""
    match = re.search(pattern, (source / "go.mod").read_text(), re.MULTILINE)
    assert match is not None, f"{source / 'go.mod'} has no line {pattern}"
    return match.group(1)


def environment() -> dict[str, str]:
    """Go's: as go.mod has it, with the toolchain at hand, and without need of a C compiler."""
    return {**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}


def _go(
    go: Toolchain, source: Path, arguments: list[str], started: float, doing: Callable[[int], str], say: Say
) -> list[str]:
    """Run go to its end and return its lines; every ten seconds, say what it is doing."""
    command = [str(go.command), *arguments]
    lines: list[str] = []
    said = time.monotonic()
    with subprocess.Popen(
        command, cwd=source, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        for line in _lines(process):
            if line is not None:
                lines.append(line)
            if time.monotonic() - said >= SAY_EVERY:
                said = time.monotonic()
                say(f"{doing(len(lines))} ({said - started:.0f} s)")
    if process.returncode != 0:
        # The packages that went well, one a line and each one word, may be hundreds after what went wrong.
        told = [line for line in lines if " " in line] or lines
        end = "\n".join(deque(told, maxlen=15))
        raise BenchError(f"{shlex.join(command[:2])} failed in {source}:\n{end}\n{_remedy(end)}")
    return lines


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str | None]:
    """Its output line by line, and None at least once a second, so that the caller may speak."""
    assert process.stdout is not None
    output = process.stdout.fileno()
    rest = b""
    while True:
        if not select.select([output], [], [], 1.0)[0]:
            yield None
            continue
        chunk = os.read(output, 65536)
        if not chunk:
            break
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def _remedy(output: str) -> str:
    if "no space left" in output:
        return "free 4 GB for Go's caches, or move them with GOCACHE and GOMODCACHE"
    if "dial tcp" in output or "lookup" in output or "proxy" in output:
        return "the Go modules could not be fetched: build once with network, or set GOPROXY to a proxy that is reached"
    return "the Go files and go.mod must match: see the output above"
