"""`make bench-gateway`: what our gateway adds to a request, beside a direct connection and a router written in Rust.

Needs two cores: what is measured has one, the engine and the load share the other. Targets are measured in turn, in
rounds, so that a machine that becomes slower does so for all. Prints figures; judges nothing. Run on a machine that
does nothing else.

Installs the peer, sglang-router, into an environment of its own under the user's cache, and nothing of it anywhere
else. `--profile` runs our gateway alone, under cProfile, and prints where the time goes.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from rich.console import Console

from bench_gateway_figures import Measured, Streamed, slope, table_of_answers, table_of_streams
from bench_gateway_load import Address, Answers, closed, steady, stream
from bench_gateway_profile import show_profile
from bench_gateway_quiet import Quiet
from bench_gateway_targets import ROUTER, Target, requests, targets

console = Console(highlight=False, soft_wrap=True, width=118)
MIB = 1024 * 1024
DIRECT = "direct"
RATE = 1000  # requests a second of the open loop: far from what any of them can
TOKENS_A_SECOND = 50
SAMPLE = 10.0  # seconds between two looks at the memory
Result = TypeVar("Result")
Load = Callable[[Address], Coroutine[Any, Any, Answers]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4, help="rounds of requests (4)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each load in a round (1.5)")
    parser.add_argument("--streams", type=int, default=200, help="streams at once (200)")
    parser.add_argument("--stream-seconds", type=int, default=20, help="how long they are (20)")
    parser.add_argument("--minutes", type=float, default=0.5, help="how long memory is watched under load (0.5)")
    parser.add_argument("--replicas", type=int, default=2, help="replicas of the engine, all in one process (2)")
    parser.add_argument("--only", default="", help="targets to measure beside direct, by semicolons; left out: all")
    parser.add_argument("--profile", action="store_true", help="where our gateway's time goes, and nothing else")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("two cores are needed: one for what is measured, one for engine and load")
    os.sched_setaffinity(0, {cores[0]})
    with tempfile.TemporaryDirectory(prefix="bench-gateway-") as folder:
        profile = Path(folder) / "profile" if options.profile else None
        only = {"inferops"} if profile else set(filter(None, options.only.split(";")))
        with targets(Path(folder), cores[0], cores[1], options.replicas, only, profile) as (engine, *found):
            own = [os.getpid(), *(each.process.pid for each in (engine, *found) if each.process is not None)]
            if profile is not None:
                put_load_on(found[-1], options.seconds * options.rounds)
            else:
                measure(found, Quiet(cores[:2], own), options)
        if profile is not None:
            show_profile(profile, console)


def measure(found: Sequence[Target], quiet: Quiet, options: argparse.Namespace) -> None:
    versions = f"{ROUTER}, Python {sys.version.split()[0]}"
    console.print(f"{versions}; one core for what is measured, one for engine and load; {options.replicas} replicas\n")
    for title, table in loads(found, quiet, options.rounds, options.seconds).items():
        console.print(table_of_answers(title, table, DIRECT, limited="a second" in title), "")
    streamed = streams(found, quiet, options.streams, options.stream_seconds)
    title = f"{options.streams} streams, {TOKENS_A_SECOND} tokens/s each, {options.stream_seconds} s"
    console.print(table_of_streams(title, streamed, DIRECT), "")
    console.print(quiet.told())
    for target in found:
        if target.name == "inferops" and options.minutes:
            watch_memory(target, options.minutes)


def loads(found: Sequence[Target], quiet: Quiet, rounds: int, seconds: float) -> dict[str, dict[str, Measured]]:
    """All loads on all targets, in turn, again and again. By load and target."""
    small = requests()

    def at_once(connections: int) -> Load:
        return lambda address: closed(address, small, connections, seconds)

    kinds: dict[str, Load] = {
        "4 connections": at_once(4),
        "32 connections": at_once(32),
        f"4 connections, {RATE} a second": lambda address: steady(address, small, 4, RATE, seconds),
    }
    told = {kind: {target.name: Measured() for target in found} for kind in kinds}
    for target in found:
        run(closed(target.address, small, 32, 0.5))  # connections are made, code is warm
    with console.status("") as status:
        for number in range(rounds):
            status.update(f"round {number + 1} of {rounds}")
            for kind, load in kinds.items():
                for target in found:
                    told[kind][target.name].add(*quiet.measured(partial(with_cpu, target, load)))
    return told


def streams(found: Sequence[Target], quiet: Quiet, count: int, seconds: int) -> dict[str, Streamed]:
    tokens = seconds * TOKENS_A_SECOND
    asked = requests(stream=True, max_tokens=tokens)
    told = {}
    with console.status("") as status:
        for target in found:
            status.update(f"streams: {target.name}")
            told[target.name] = Streamed(
                *quiet.measured(partial(with_cpu, target, lambda address: stream(address, asked, count, tokens)))
            )
    return told


def with_cpu(target: Target, load: Callable[[Address], Coroutine[Any, Any, Result]]) -> tuple[Result, float]:
    """What came of a load, and the CPU seconds that the target took for it."""
    before = target.cpu_seconds()
    return run(load(target.address)), target.cpu_seconds() - before


def watch_memory(target: Target, minutes: float) -> None:
    """Load without an end, and what the process holds meanwhile."""
    small, short = requests(), requests(stream=True, max_tokens=20)
    started, samples = time.monotonic(), [(0.0, target.rss() / MIB)]
    while (passed := time.monotonic() - started) < minutes * 60:
        run(closed(target.address, small, 32, min(SAMPLE, minutes * 60 - passed) - 1.5))
        run(stream(target.address, short, 200, 20))
        samples.append((time.monotonic() - started, target.rss() / MIB))
    later = samples[len(samples) // 2 :]
    console.print(
        f"memory of inferops under load for {samples[-1][0] / 60:.1f} minutes: {samples[0][1]:.1f} MiB at first, "
        f"{samples[-1][1]:.1f} MiB at last, at most {max(value for _, value in samples):.1f} MiB; in the second half "
        f"{slope(later) * 60:+.2f} MiB a minute"
    )


def put_load_on(target: Target, seconds: float) -> None:
    """What is profiled: requests on 32 connections, then streams."""
    answers = run(closed(target.address, requests(), 32, seconds))
    console.print(f"{len(answers.times)} requests at {len(answers.times) / answers.seconds:,.0f} a second, profiled")
    told = run(stream(target.address, requests(stream=True, max_tokens=250), 100, 250))
    console.print(f"{len(told.delays)} tokens of {told.asked} streams")


def run(load: Coroutine[Any, Any, Result]) -> Result:
    """To its end, without pauses for garbage."""
    gc.collect()
    gc.disable()
    try:
        return uvloop.run(load)
    finally:
        gc.enable()


if __name__ == "__main__":
    main()
