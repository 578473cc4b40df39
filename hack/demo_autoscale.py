"""`make demo-autoscale`: one service under a load that steps, climbs, bursts and ends, while things break around it.

On a real control plane, in real time, about a quarter of an hour. It asserts what it shows: no request is lost,
replicas stay within their bounds and turn at most once a change of load, none is taken away while nobody tells, and a
restart of the operator changes nothing. What it measured it draws into docs/pictures/autoscaling.svg.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from autoscale_load import Load
from autoscale_picture import drawn
from autoscale_record import Phase, Record, Watch, attainment, turns
from autoscale_stage import TOKENS, TPOT, TTFT, Stage, staged
from controlplane import BenchError, Cluster, enter, find_binaries
from harness import ROOT, wait_until
from nodeagent.client import Client, load_kubeconfig

PICTURE = ROOT / "docs" / "pictures" / "autoscaling.svg"
NAMESPACE, NAME = "chat", "llama-8b"
LOADS = 20.0  # seconds that an engine loads
GPUS, MOST = 12, 14  # of the cluster; replicas that the service may have
BASE = 1.5  # requests a second: one replica's work
SCALING = {
    "minReplicas": 0,
    "maxReplicas": MOST,
    "scaleToZeroAfter": "20s",
    # Sooner and faster than by default, so that a quarter of an hour shows it
    "scaleDown": {"after": "30s", "limit": {"percent": 100, "period": "15s"}},
}

console = Console(highlight=False, soft_wrap=True)


class Act(NamedTuple):
    """A phase: how long it lasts, and what is asked at its beginning and its end, as a multiple of BASE."""

    name: str
    seconds: float
    begins: float
    ends: float
    happens: str = ""  # beside the load


ACTS = (
    Act("steady", 40, 1, 1),
    Act("step to 10x", 80, 10, 10, "restart"),
    Act("metrics away", 120, 3, 3, "outage"),
    Act("and back", 60, 3, 3),
    Act("ramp", 75, 3, 9),
    Act("after it", 55, 2, 2),
    Act("burst", 30, 12, 12),
    Act("after the burst", 60, 1, 1),
    Act("silence", 45, 0, 0),
    Act("back from zero", 45, 3, 3),
    Act("more than the GPUs", 60, 15, 15),
    Act("in the end", 60, 1, 1),
)

# What replicas do in some of them, at the least
EXPECTED: dict[str, Callable[[list[int]], bool]] = {
    "step to 10x": lambda numbers: max(numbers) >= 6,
    "ramp": lambda numbers: numbers[-1] > numbers[0],
    "silence": lambda numbers: numbers[-1] == 0,
    "back from zero": lambda numbers: numbers[-1] >= 1,
    "more than the GPUs": lambda numbers: max(numbers) > GPUS,
}


# 1. What is played


async def play(stage: Stage, acts: tuple[Act, ...]) -> tuple[Record, Load]:
    """All acts, one after the other."""
    load = Load(stage.urls, NAME, TOKENS, seed=1)
    async with (
        Client(load_kubeconfig(stage.cluster.kubeconfig)) as api,
        load,
        Watch(api, NAMESPACE, NAME, load) as watch,
    ):
        await watch.until("ready", lambda sample: sample.ready == 1, 120)
        for act in acts:
            await _act(stage, watch, load, act)
        load.rate = 0.0
        console.print(f"{load.open} requests are still being answered")
    return watch.record, load


async def _act(stage: Stage, watch: Watch, load: Load, act: Act) -> None:
    began, number = time.time(), len(load.sent)
    beside = asyncio.create_task(_beside(stage, watch, act))
    while (elapsed := time.time() - began) < act.seconds:
        load.rate = BASE * (act.begins + (act.ends - act.begins) * elapsed / act.seconds)
        await asyncio.sleep(min(0.5, act.seconds - elapsed))
    await beside
    phase = Phase(act.name, began, time.time())
    watch.record.phases.append(phase)
    numbers = watch.record.wanted(phase.since, phase.until)
    console.print(
        f"  {act.name:<20} {BASE * act.begins:4.1f} to {BASE * act.ends:4.1f} requests/s, {len(load.sent) - number:5} "
        f"requests; replicas wanted {numbers}, ready {watch.now.ready}; {watch.now.reason}: {watch.now.message}",
        markup=False,
    )


async def _beside(stage: Stage, watch: Watch, act: Act) -> None:
    """What breaks, and how it is mended, within the act."""
    if act.happens == "restart":
        await asyncio.sleep(min(10.0, act.seconds / 4))
        watch.mark("operator killed")
        await asyncio.to_thread(stage.kill_operator)
        await asyncio.sleep(min(5.0, act.seconds / 8))
        await asyncio.to_thread(stage.start_operator)
        watch.mark("another one leads")
    elif act.happens == "outage":
        await asyncio.to_thread(lambda: stage.tell(metrics=False))
        watch.mark("metrics away")
        await asyncio.sleep(act.seconds - 1)
        await asyncio.to_thread(lambda: stage.tell(metrics=True))
        watch.mark("metrics back")


# 2. What is promised


def faults(record: Record, load: Load) -> Iterator[str]:
    """Everything that is not as promised."""
    if load.lost:
        yield f"{len(load.lost)} of {len(load.sent)} requests were lost, the first: {load.lost[0]}"
    for sample in record.samples:
        if not 0 <= sample.wanted <= MOST or sample.ready > GPUS:
            yield f"out of bounds: {sample}"
    for phase in record.phases:
        numbers = record.wanted(phase.since, phase.until)
        if turns(numbers) > 1:
            yield f"{phase.name}: replicas turn more than once: {numbers}"
    yield from _of_the_acts(record)


def _of_the_acts(record: Record) -> Iterator[str]:
    marks = {text: at for at, text in record.marks}
    if "metrics away" in marks:
        silent = record.within(marks["metrics away"] + 1, marks["metrics back"])
        if any(after.wanted < before.wanted for before, after in pairwise(silent)):
            yield f"taken away while nobody tells: {[sample.wanted for sample in silent]}"
        if not any(sample.reason == "NoSignals" for sample in silent):
            yield "the status does not say that nobody tells"
    if "operator killed" in marks:
        around = record.within(marks["operator killed"] - 2, marks["another one leads"] + 30)
        if any(after.wanted < before.wanted for before, after in pairwise(around)):
            yield f"taken away by a restart: {[sample.wanted for sample in around]}"
    for phase in record.phases:
        numbers = record.wanted(phase.since, phase.until)
        if phase.name in EXPECTED and not EXPECTED[phase.name](numbers):
            yield f"{phase.name}: replicas do not follow: {numbers}"


def told(record: Record, load: Load) -> Iterator[str]:
    """The figures."""
    goal = f"within {TTFT:.0f} s and {1000 * TPOT:.0f} ms"
    for phase in record.phases:
        if requests := load.since(phase.since, phase.until):
            yield f"{phase.name}: {len(requests)} requests, {100 * attainment(requests, TTFT, TPOT):.1f} % {goal}"
    share, number = attainment(load.sent, TTFT, TPOT), len(load.sent)
    lost, hours = len(load.lost), gpu_hours(record)
    yield f"all: {number} requests, {lost} lost, {100 * share:.2f} % {goal}; {hours:.1f} GPU hours"


def gpu_hours(record: Record) -> float:
    """Of replicas that were ready."""
    return sum(before.ready * (after.at - before.at) for before, after in pairwise(record.samples)) / 3600


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=float, default=1.0, help="acts are so many times as short")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--json", type=Path, help="where to write what was measured")
    given = parser.parse_args()
    acts = tuple(act._replace(seconds=act.seconds / given.speed) for act in ACTS)
    try:
        binaries = find_binaries()
        enter()
        with Cluster("demo", binaries=binaries) as cluster, staged(cluster, GPUS, LOADS, "demo-") as stage:
            cluster.kubectl("create", "namespace", NAMESPACE)
            stage.apply(NAMESPACE, NAME, SCALING)
            wait_until("it is looked at", lambda: "llama" in cluster.kubectl("get", "infs", "-n", NAMESPACE), 30)
            console.print(
                f"{sum(act.seconds for act in acts):.0f} s of load on {GPUS} GPUs, {LOADS:.0f} s to load an engine"
            )
            record, load = asyncio.run(play(stage, acts))
            bug = 'result="bug"' in stage.operator.get("/metrics")[1]
    except (BenchError, TimeoutError, RuntimeError) as error:
        console.print(f"[bold red]{error}[/]")
        return 1
    dumped = record.dump(load.sent, ttft=TTFT, tpot=TPOT, gpus=GPUS, most=MOST)
    if given.json is not None:
        given.json.write_text(dumped)
    given.picture.parent.mkdir(parents=True, exist_ok=True)
    given.picture.write_text(drawn(json.loads(dumped)))
    for line in told(record, load):
        console.print(line, markup=False)
    broken = [*faults(record, load), *(["the operator came upon a bug"] if bug else [])]
    for line in broken:
        console.print(f"not as promised: {line}", style="red", markup=False)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
