"""The simulated engine in virtual time against sizing's predictions, and against the same engine in real time."""

from __future__ import annotations

import asyncio
from math import ceil
from random import Random
from statistics import fmean

import pytest

from inferops.catalogue import accelerators, models
from inferops.core import latency
from inferops.core.replica import Replica
from inferops.simulate.batching import Batch
from inferops.simulate.fleet import run
from inferops.simulate.model import Deployment
from inferops.simulate.scaling.policy import Seen
from inferops.simulate.scaling.scenario import EngineFigures, Request, Scenario
from inferops.simulate.sequence import Sequence, Step
from inferops.simulate.server.pace import Pace, Ticket
from unit.kube import virtualtime

KNOWN, MODELS = accelerators(), models()
H100 = "nvidia-h100-80gb"
LLAMA = Replica(MODELS["meta-llama/Llama-3.1-8B-Instruct"], KNOWN[H100])
BIG = Replica(MODELS["meta-llama/Llama-3.3-70B-Instruct"], KNOWN[H100], 4)
SERVICES = [(LLAMA, 4.0), (LLAMA, 12.0), (BIG, 2.0), (BIG, 5.0)]


class Watcher:
    """A rule that changes nothing and keeps what it was shown."""

    name = "watcher"
    every = 10.0

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def look(self, seen: Seen) -> int:
        self.seen.append(seen)
        return 1


def figures(replica: Replica) -> EngineFigures:
    deployment = Deployment(replica, H100, 8192)
    return EngineFigures(
        deployment.timing(), deployment.kv_tokens(), deployment.batch.sequences, deployment.batch.tokens
    )


def batch(replica: Replica) -> Batch:
    engine = figures(replica)
    return Batch(engine.timing, engine.kv_tokens, max_num_seqs=engine.max_num_seqs, token_budget=engine.token_budget)


@pytest.mark.parametrize(("replica", "rate"), SERVICES)
def test_tokens_come_as_fast_as_sizing_predicts_for_as_many_at_once(replica, rate):
    random, now, requests = Random(1), 0.0, []
    while (now := now + random.expovariate(rate)) < 600:
        requests.append(Request(now, 1024, 256))
    watcher = Watcher()
    result = run(Scenario(requests, figures(replica), 1.0, 0.05, highest=1), watcher)
    busy = sum(seen.busy for seen in watcher.seen[5:-5]) / sum(seen.now - seen.since for seen in watcher.seen[5:-5])
    assert result.tpot["mean"] == pytest.approx(latency.tpot(replica, 1024, 256, busy), rel=0.05)


@pytest.mark.parametrize(("replica", "concurrency"), [(LLAMA, 8), (LLAMA, 64), (BIG, 32)])
def test_a_closed_loop_gives_as_many_tokens_as_sizing_predicts(replica, concurrency):
    engine, prompt, output = batch(replica), 1024, 256
    for begun in range(concurrency):  # spread over the first round, as after a while under load
        engine.put(engine.made(prompt, max(1, output * (begun + 1) // concurrency), 0.0), 0.0)
    ended, since = 0, 0.0
    while ended < 5 * concurrency:
        now = engine.due
        for _ in engine.advance():
            ended += 1
            since = now if ended == concurrency else since
            engine.put(engine.made(prompt, output, now), now)
    found = 4 * concurrency * output / (engine.now - since)
    predicted = concurrency * output / latency.tokens_per_second(replica, prompt, output, concurrency)
    around = latency.REQUEST_SECONDS  # which a prediction counts for what is around an engine
    assert found == pytest.approx(concurrency * output / (predicted - around), rel=0.05)


class Nobody:
    """Counts nothing."""

    def stepped(self, step: Step) -> None: ...

    def ended(self, ticket: Ticket, reason: str) -> None: ...


async def in_real_time(replica: Replica, requests: list[Request]) -> list[Sequence]:
    """Served as by the server, which sleeps until each iteration is over."""
    pace = Pace(batch(replica), virtualtime.now, 1.0, Nobody())
    serving, tickets = asyncio.create_task(pace.run()), []
    for request in requests:
        await asyncio.sleep(request.time - virtualtime.now())
        tickets.append(pace.submit(request.prompt, request.output, (), reason="length", max_tokens=request.output))
    await pace.emptied()
    serving.cancel()
    return [ticket.seq for ticket in tickets]


@pytest.mark.parametrize(("replica", "rate"), [(LLAMA, 14.0), (BIG, 5.0)])
def test_real_time_and_virtual_time_agree(replica, rate):
    random, now, requests = Random(2), 0.0, []
    while (now := now + random.expovariate(rate)) < 60:
        requests.append(Request(now, random.randint(1, 2300), random.randint(2, 420)))
    served = virtualtime.run(in_real_time(replica, requests))
    result = run(Scenario(requests, figures(replica), 1.0, 0.05, highest=1), Watcher())
    rank = ceil(0.99 * len(served)) - 1
    for found, values in (
        (result.ttft, [seq.first_token - seq.arrived for seq in served]),
        (result.tpot, [(seq.finished - seq.first_token) / (seq.output - 1) for seq in served]),
    ):
        assert found["mean"] == pytest.approx(fmean(values), rel=0.05)
        assert found["p99"] == pytest.approx(sorted(values)[rank], rel=0.05)
