"""Chosen settings played request by request on one day: whether the fluid model's comparison holds with its truth.

The engines batch, queue and run out of KV cache; every request has its own time to first token and between tokens, and
stays with the replica that it was sent to. A day of a fleet has millions of requests, so this is done for one day, one
seed and the settings that reach one attainment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random

from bench_autoscale_cases import CHAT, DAY, HOURS, MODELS, Cell, Floats, Service, engine, service
from bench_autoscale_play import Outcome, Span, Task, done
from bench_autoscale_rules import Entry, made
from inferops.simulate.fleet import run
from inferops.simulate.scaling.scenario import ClusterFigures, ColdStart, Request, Scenario
from inferops.simulate.traces import kinds
from inferops.simulate.traces.sizes import sampled

DECIDING = 2.0  # seconds of a cold start until a node is found
SPREAD = 0.08  # of a cold start, as in the fluid model


@dataclass(frozen=True, slots=True)
class Ask:
    """One entry to play on a day of a cell, counted from 0."""

    folder: Path
    cache: Path
    cell: Cell
    replicas: float
    day: int
    seconds: int
    entry: Entry
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What came of it."""

    rule: str
    kind: str
    settings: str
    attainment: float
    gpu_hours: float
    ttft: float  # 99th percentile, seconds
    tpot: float
    changes: int
    requests: int


def confirmed(ask: Ask) -> Confirmed:
    """Play it. Raises BadTrace."""
    found = service(ask.folder, ask.cache, ask.cell, ask.replicas)
    second = ask.day * DAY
    (arrivals,) = found.arrivals(second, second + ask.seconds, 1, ask.seed)
    result = run(scenario(ask, found, arrivals), made(ask.entry, found, arrivals), step=600.0)
    return Confirmed(
        rule=ask.entry.rule,
        kind=ask.entry.kind,
        settings=ask.entry.told,
        attainment=result.attainment,
        gpu_hours=result.gpu_hours,
        ttft=result.ttft.get("p99", 0.0),
        tpot=result.tpot.get("p99", 0.0),
        changes=result.changes,
        requests=result.requests,
    )


def scenario(ask: Ask, found: Service, arrivals: Floats) -> Scenario:
    """The day as single requests."""
    rest = found.cell.cold - DECIDING
    return Scenario(
        requests=traffic(ask, arrivals),
        engine=engine(ask.cell.model),
        ttft=ask.cell.slo.ttft,
        tpot=ask.cell.slo.tpot,
        begin=found.begin(ask.day * DAY),
        highest=found.highest,
        cold=ColdStart(schedule=DECIDING, pull=0.0, load=0.8 * rest, warm=0.2 * rest, spread=SPREAD, node=0.0),
        clusters=(ClusterFigures(replicas=found.highest),),
        gpus=MODELS[ask.cell.model].gpus,
        seed=ask.seed,
        horizon=float(ask.seconds),
    )


def traffic(ask: Ask, arrivals: Floats) -> Iterator[Request]:
    """The very arrivals of the fluid model, each somewhere within its second, with the sizes of the chat trace."""
    random = Random(ask.seed)
    sizes = sampled(kinds.requests(ask.folder / HOURS[CHAT])(), random)
    for second, count in enumerate(arrivals):
        for part in sorted(random.random() for _ in range(int(count))):
            yield Request(second + part, *sizes.draw(random))


def both(asks: Sequence[Ask], jobs: int) -> list[tuple[Confirmed, Outcome]]:
    """Each of them request by request, and in the fluid model on the same day. All are of one cell."""
    first = asks[0]
    begin = first.day * DAY
    span = Span(begin, begin + first.seconds)
    entries = tuple(ask.entry for ask in asks)
    flowed = done(
        Task(first.folder, first.cache, first.cell, first.replicas, span, entries, range(1), tuple(range(len(entries))))
    )
    with ExitStack() as stack:
        pool = stack.enter_context(get_context("spawn").Pool(jobs)) if jobs > 1 else None
        single = list(pool.imap(confirmed, asks) if pool is not None else map(confirmed, asks))
    return list(zip(single, flowed, strict=True))
