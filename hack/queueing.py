"""Engines that are the servers of queueing theory: one request at a time, in as many seconds as its tokens say."""

from __future__ import annotations

from heapq import heappop, heappush
from random import Random

from inferops.simulate.fleet import run
from inferops.simulate.scaling.policy import Seen
from inferops.simulate.scaling.scenario import EngineFigures, Request, Result, Scenario
from inferops.simulate.timing import IterationTime

TICK = 0.001  # seconds of a token
SERVICE = 1.0  # mean seconds of a request
ENGINE = EngineFigures(IterationTime(fixed=TICK), kv_tokens=10**6, max_num_seqs=1)


class Still:
    """A rule that changes nothing."""

    name = "still"
    every = 3600.0

    def look(self, seen: Seen) -> int:
        return seen.wanted


def requests(rate: float, count: int, constant: bool, seed: int = 1) -> list[Request]:
    """Poisson arrivals; of a constant or exponential length."""
    random, now, made = Random(seed), 0.0, []
    for _ in range(count):
        now += random.expovariate(rate)
        seconds = SERVICE if constant else random.expovariate(1 / SERVICE)
        made.append(Request(now, 1, max(1, round(seconds / TICK))))
    return made


def mean_wait(asked: list[Request], servers: int) -> float:
    """Seconds until a request's turn, in the mean, where a central queue feeds so many servers."""
    found = served(asked, servers)
    return found.ttft["mean"] - TICK


def served(asked: list[Request], servers: int) -> Result:
    return run(
        Scenario(
            asked, ENGINE, ttft=1.0, tpot=1.0, begin=servers, max_concurrency=1, max_queue=len(asked), queue_timeout=1e9
        ),
        Still(),
        step=1e6,
    )


def reckoned_wait(asked: list[Request], servers: int) -> float:
    """The same by Kiefer's and Wolfowitz's recursion: when each server is free next, and nothing else."""
    free, waited = [0.0] * servers, 0.0
    for request in asked:
        begins = max(heappop(free), request.time)
        waited += begins - request.time
        heappush(free, begins + request.output * TICK)
    return waited / len(asked)


def erlang_c(load: float, servers: int) -> float:
    """The probability to wait in an M/M/c queue (Erlang, 1917), by Erlang B's recursion. `load`: of all servers."""
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def md1(use: float) -> float:
    """Mean wait of M/D/1 (Pollaczek and Khinchine) at `use`, 0..1."""
    return use * SERVICE / (2 * (1 - use))


def mmc(use: float, servers: int) -> float:
    """Mean wait of M/M/c at `use` of each server."""
    return erlang_c(use * servers, servers) * SERVICE / (servers * (1 - use))
