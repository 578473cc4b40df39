"""Where our gateway's time goes, by package and by function.

`python bench_gateway_profile.py FILE ARGUMENT…` runs `inferops ARGUMENT…` under cProfile, its imports left out, and
writes the profile to FILE when it ends.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

Function = tuple[str, int, str]  # file, line, name
SHOWN = 30


def show_profile(path: Path, console: Console) -> None:
    """Prints shares of the time in which the process did anything at all; waiting for sockets is left out."""
    stats = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    own = {function: (calls, seconds) for function, (_, calls, seconds, _, _) in stats.items() if not waits(function)}
    total = sum(seconds for _, seconds in own.values())
    packages: dict[str, float] = defaultdict(float)
    for function, (_, seconds) in own.items():
        packages[package(function)] += seconds
    _show(console, "package", [(name, 0, seconds) for name, seconds in packages.items()], total)
    functions = [(f"{package(each)} {each[2]}:{each[1]}", calls, seconds) for each, (calls, seconds) in own.items()]
    _show(console, "function", functions, total)


def waits(function: Function) -> bool:
    """Whether it is the loop itself: what it does by itself cannot be told from waiting."""
    return function[0].endswith("asyncio/runners.py") and function[2] == "run"


def package(function: Function) -> str:
    """What a function belongs to: a module of ours, a package of others, or `built-in`."""
    path = function[0]
    if path.startswith(("~", "<")):
        return "built-in"
    parts = Path(path).with_suffix("").parts
    if "inferops" in parts:
        return ".".join(parts[len(parts) - parts[::-1].index("inferops") - 1 :])
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1]
    return f"stdlib {parts[-2] if parts[-2] not in ('lib', 'python3') and len(parts) > 1 else ''}.{parts[-1]}"


def _show(console: Console, what: str, rows: list[tuple[str, int, float]], total: float) -> None:
    table = Table(what, "calls", "seconds", "share", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, calls, seconds in sorted(rows, key=lambda row: -row[2])[:SHOWN]:
        table.add_row(name, str(calls or ""), f"{seconds:.2f}", f"{100 * seconds / total:.1f} %")
    console.print(table, "")


def main() -> None:
    # Here, so that the profile begins after them.
    from inferops.cli.main import app
    from inferops.gateway import process  # noqa: F401

    path, sys.argv = sys.argv[1], ["inferops", *sys.argv[2:]]
    profile = cProfile.Profile()
    try:
        profile.runcall(app)
    finally:
        profile.dump_stats(path)


if __name__ == "__main__":
    main()
