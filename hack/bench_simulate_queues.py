"""Simulated queues beside what theory says of them in closed form: the part `queues` of bench_simulate.py."""

from __future__ import annotations

from heapq import heappop, heappush
from random import Random

from rich.console import Console
from rich.table import Table

from inferops.simulate.fleet import run
from inferops.simulate.scaling.policy import Seen
from inferops.simulate.scaling.scenario import EngineFigures, Request, Scenario
from inferops.simulate.timing import IterationTime

TICK = 0.001  # seconds of a token; a request has 1000 in the mean
QUEUES = (("M/D/1", 0.5), ("M/D/1", 0.8), ("M/M/1", 0.5), ("M/M/1", 0.8), ("M/M/4", 0.7), ("M/M/16", 0.8))


class Still:
    """A rule that changes nothing."""

    name = "still"
    every = 3600.0

    def look(self, seen: Seen) -> int:
        """As many as there are."""
        return seen.wanted


def show(console: Console, count: int) -> list[dict[str, float | str]]:
    """Print the table of mean waits and return its figures."""
    found: list[dict[str, float | str]] = []
    table = Table("queue", "use", "theory", "simulated", "off by", "recursion", "off by", box=None)
    for name, use in QUEUES:
        servers = int(name.rpartition("/")[2])
        asked = requests(use * servers, count, constant="D" in name)
        theory = mean_wait(name, use, servers)
        simulated, reckoned = simulated_wait(asked, servers), reckoned_wait(asked, servers)
        off, apart = 100 * (simulated / theory - 1), 100 * (simulated / reckoned - 1)
        figures = (f"{theory:.4f}", f"{simulated:.4f}", f"{off:+.2f} %", f"{reckoned:.4f}", f"{apart:+.5f} %")
        table.add_row(name, f"{use:g}", *figures)
        found.append({"queue": name, "use": use, "theory": theory, "simulated": simulated, "recursion": reckoned})
    console.print(f"\nQueues: mean wait in service times, {count:,} requests each; the recursion has the same arrivals")
    console.print(table)
    return found


def requests(rate: float, count: int, constant: bool) -> list[Request]:
    """Poisson arrivals of a service of one second, constant or exponential."""
    random, now, made = Random(1), 0.0, []
    for _ in range(count):
        now += random.expovariate(rate)
        made.append(Request(now, 1, max(1, round((1.0 if constant else random.expovariate(1.0)) / TICK))))
    return made


def simulated_wait(asked: list[Request], servers: int) -> float:
    """Of engines that serve one request at a time, and are sent one at a time."""
    engine = EngineFigures(IterationTime(fixed=TICK), 10**6, max_num_seqs=1)
    scenario = Scenario(
        asked, engine, 1.0, 1.0, begin=servers, max_concurrency=1, max_queue=len(asked), queue_timeout=1e9
    )
    return run(scenario, Still(), step=1e5).ttft["mean"] - TICK


def reckoned_wait(asked: list[Request], servers: int) -> float:
    """By Kiefer's and Wolfowitz's recursion: when each server is free next, and nothing else."""
    free, waited = [0.0] * servers, 0.0
    for request in asked:
        begins = max(heappop(free), request.time)
        waited += begins - request.time
        heappush(free, begins + request.output * TICK)
    return waited / len(asked)


def mean_wait(name: str, use: float, servers: int) -> float:
    """Pollaczek and Khinchine for one server, Erlang C for several; in service times."""
    if "D" in name:
        return use / (2 * (1 - use))
    blocked = 1.0  # Erlang B, by its recursion
    for number in range(1, servers + 1):
        blocked = use * servers * blocked / (number + use * servers * blocked)
    waits = blocked / (1 - use * (1 - blocked))
    return waits / (servers * (1 - use))
