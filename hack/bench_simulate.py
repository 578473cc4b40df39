"""`make bench-simulate`: how fast the simulator is, and how far it is to be trusted. Prints figures; judges nothing.

Requests simulated a second of CPU time; mean waits beside queueing theory; tokens a second and TPOT beside sizing's
predictions and beside measured engines; and an `inferops engine` on loopback, in real time, beside virtual time on the
same arrivals. Some three minutes on one core. The measurements come with a package that `make bench-sizing` installs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from heapq import heappop, heappush
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

import bench_simulate_live
import bench_simulate_queues
import bench_simulate_rows
from inferops.catalogue import accelerators, models
from inferops.core import latency
from inferops.core.autoscale.terms import Goals, Seed
from inferops.core.replica import Replica
from inferops.simulate.fleet import run
from inferops.simulate.model import Deployment
from inferops.simulate.scaling.ours import Ours
from inferops.simulate.scaling.policy import Policy, Seen
from inferops.simulate.scaling.scenario import EngineFigures, Request, Scenario

PROMPT, OUTPUT = 1155, 211  # mean tokens of the chat service of the Azure trace of 2023
CONTEXT = 16_384
TURNS, FIRST, LAST = 10, 500, 4000  # of a session; tokens that its first and its last turn share with the others
SERVICES = (  # traffic, model, accelerators of a replica, replicas, requests a second of each, rules
    ("chat", "meta-llama/Llama-3.1-8B-Instruct", 1, 8, 16.0, ("still", "inferops")),
    ("chat", "meta-llama/Llama-3.1-8B-Instruct", 1, 16, 12.0, ("still", "inferops")),
    ("chat", "meta-llama/Llama-3.3-70B-Instruct", 4, 8, 6.0, ("still", "inferops")),
    ("chat", "meta-llama/Llama-3.3-70B-Instruct", 4, 16, 6.0, ("still", "inferops")),
    ("sessions", "meta-llama/Llama-3.1-8B-Instruct", 1, 8, 12.0, ("still",)),
)
console = Console(highlight=False, soft_wrap=True, width=118)


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one service was simulated."""

    traffic: str
    model: str
    replicas: int
    rate: float  # requests a second of each
    rule: str
    requests: int
    per_second: float  # requests simulated in a second of CPU time
    attainment: float


class Still:
    """A rule that changes nothing."""

    name = "still"
    every = 15.0

    def look(self, seen: Seen) -> int:
        """As many as there are."""
        return seen.wanted


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("speed", "queues", "rows", "live")
    parser.add_argument("--only", choices=parts, action="append", help="may be given several times")
    parser.add_argument("--requests", type=int, default=300_000, help="of each service, and of each queue")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    found: dict[str, object] = {}
    for part in arguments.only or parts:
        if part == "speed":
            found[part] = [asdict(speed) for speed in show_speeds(arguments.requests)]
        elif part == "queues":
            found[part] = bench_simulate_queues.show(console, arguments.requests)
        elif part == "rows":
            found[part] = bench_simulate_rows.show(console)
        else:
            found[part] = bench_simulate_live.show(console)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def show_speeds(count: int) -> list[Speed]:
    """The table of speeds, row by row."""
    table = Table("traffic", "model", "replicas", "req/s each", "rule", "SLO met", "simulated req/s of CPU", box=None)
    found = []
    for traffic, model, accelerator_count, replicas, rate, rules in SERVICES:
        for rule in rules:
            asked = [*(chat if traffic == "chat" else sessions)(rate * replicas, count)]
            speed = measured(traffic, model, accelerator_count, replicas, rate, rule, asked)
            found.append(speed)
            name = model.rpartition("/")[2]
            share, fast = f"{100 * speed.attainment:.2f} %", f"{speed.per_second:,.0f}"
            table.add_row(traffic, name, str(replicas), f"{rate:g}", rule, share, fast)
    console.print(f"\nSpeed: {count:,} requests, in chat of {PROMPT} tokens in and {OUTPUT} out in the mean, one core")
    console.print(f"Sessions: {TURNS} turns that share {FIRST} to {LAST} tokens, more than the KV cache keeps")
    console.print(table)
    return found


def measured(
    traffic: str, model: str, count: int, replicas: int, rate: float, rule: str, asked: list[Request]
) -> Speed:
    """One run. What draws the requests is not counted in: that depends on where they come from."""
    replica = Replica(models()[model], accelerators()["nvidia-h100-80gb"], count)
    scenario = Scenario(asked, figures(replica), ttft=1.0, tpot=0.05, begin=replicas, highest=4 * replicas, gpus=count)
    policy: Policy = Still()
    if rule == "inferops":
        policy = Ours(Goals("auto", 1, 4 * replicas, ttft=1.0, tpot=0.05), seed(replica))
    begin = time.process_time()
    result = run(scenario, policy)
    spent = time.process_time() - begin
    return Speed(traffic, model, replicas, rate, rule, len(asked), len(asked) / spent, result.attainment)


def figures(replica: Replica) -> EngineFigures:
    """An engine as sizing would have it."""
    deployment = Deployment(replica, "nvidia-h100-80gb", CONTEXT)
    limits = deployment.batch
    return EngineFigures(deployment.timing(), deployment.kv_tokens(), limits.sequences, limits.tokens)


def seed(replica: Replica) -> Seed:
    """What sizing reckons of a replica."""
    most = latency.concurrency_within(replica, PROMPT, OUTPUT, tpot=0.05, ttft=1.0, most=256)
    return Seed(most, latency.ttft(replica, PROMPT, OUTPUT, most), latency.tpot(replica, PROMPT, OUTPUT, most), OUTPUT)


def chat(rate: float, count: int) -> Iterator[Request]:
    """Poisson arrivals of lognormal lengths, which spread as those of chat services do."""
    random, now = Random(1), 0.0
    for _ in range(count):
        now += random.expovariate(rate)
        yield Request(now, _length(PROMPT, 1.0, random), _length(OUTPUT, 0.8, random))


def sessions(rate: float, count: int) -> Iterator[Request]:
    """Conversations that begin at random. Each turn comes some 25 s after the one before, and begins as that did."""
    random, begin, number = Random(1), 0.0, 0
    turns: list[tuple[float, int, int]] = []  # heap of the next of each session: when, which session, which turn
    for _ in range(count):
        while not turns or begin <= turns[0][0]:
            number += 1
            heappush(turns, (begin, number, 0))
            begin += random.expovariate(rate / TURNS)
        now, session, turn = heappop(turns)
        shared = FIRST + (LAST - FIRST) * turn // (TURNS - 1)
        yield Request(now, shared + random.randint(1, 100), _length(OUTPUT, 0.8, random), session, shared)
        if turn + 1 < TURNS:
            heappush(turns, (now + 5 + random.expovariate(1 / 20), session, turn + 1))


def _length(mean: float, sigma: float, random: Random) -> int:
    """Tokens, at most half a context."""
    return min(CONTEXT // 2, max(1, round(mean * random.lognormvariate(-sigma * sigma / 2, sigma))))


if __name__ == "__main__":
    main()
