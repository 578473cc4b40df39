"""Simulated queues beside what theory says of them in closed form: the part `queues` of bench_simulate.py."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from queueing import md1, mean_wait, mmc, reckoned_wait, requests

QUEUES = (("M/D/1", 0.5), ("M/D/1", 0.8), ("M/M/1", 0.5), ("M/M/1", 0.8), ("M/M/4", 0.7), ("M/M/16", 0.8))


def show(console: Console, count: int) -> list[dict[str, float | str]]:
    """Print the table of mean waits and return its figures."""
    found: list[dict[str, float | str]] = []
    table = Table("queue", "use", "theory", "simulated", "off by", "recursion", "off by", box=None)
    for name, use in QUEUES:
        servers = int(name.rpartition("/")[2])
        asked = requests(use * servers, count, constant="D" in name)
        theory = md1(use) if "D" in name else mmc(use, servers)
        simulated, reckoned = mean_wait(asked, servers), reckoned_wait(asked, servers)
        off, apart = 100 * (simulated / theory - 1), 100 * (simulated / reckoned - 1)
        figures = (f"{theory:.4f}", f"{simulated:.4f}", f"{off:+.2f} %", f"{reckoned:.4f}", f"{apart:+.5f} %")
        table.add_row(name, f"{use:g}", *figures)
        found.append({"queue": name, "use": use, "theory": theory, "simulated": simulated, "recursion": reckoned})
    console.print(f"\nQueues: mean wait in service times, {count:,} requests each; the recursion has the same arrivals")
    console.print(table)
    return found
