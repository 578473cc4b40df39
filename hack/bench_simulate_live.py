"""An engine on loopback in real time beside virtual time on the same arrivals: the part `live` of bench_simulate.py."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from random import Random
from statistics import fmean

import aiohttp
from rich.console import Console
from rich.table import Table

from inferops.catalogue import accelerators, models
from inferops.core.replica import Replica
from inferops.simulate.batching import Batch
from inferops.simulate.model import Deployment
from inferops.simulate.replay import Arrival, replay

MODEL, ACCELERATOR, WIDTH, CONTEXT = "meta-llama/Llama-3.3-70B-Instruct", "nvidia-h100-80gb", 4, 8192
SECONDS = 20.0
RATE = 4.0  # requests a second
PROMPT, OUTPUT = 1155, 120  # mean tokens
FIGURES = ("TTFT mean", "TTFT p99", "TPOT mean", "TPOT p99")


@dataclass(frozen=True, slots=True)
class Timed:
    """One request: when it was sent, of how many tokens, and what its client saw. Seconds since the first."""

    sent: float
    prompt: int
    output: int
    ttft: float
    tpot: float


def show(console: Console) -> list[dict[str, float | str]]:
    """Print the table and return its figures."""
    seen, own = asyncio.run(live())
    virtual = replayed(seen)
    rows = list(zip(FIGURES, summary(seen), summary(virtual), strict=True))
    rows.insert(1, ("  by its own metrics", own, rows[0][2]))
    table = Table("ms", "real time", "virtual time", "off by", box=None)
    found: list[dict[str, float | str]] = []
    for name, real, simulated in rows:
        table.add_row(name, f"{1e3 * real:.2f}", f"{1e3 * simulated:.2f}", f"{100 * (real / simulated - 1):+.1f} %")
        found.append({"figure": name, "real": real, "virtual": simulated})
    console.print(
        f"\nReal time: {len(seen)} requests to `inferops engine` on loopback within {SECONDS:g} s, as clients saw"
    )
    console.print(table)
    return found


async def live() -> tuple[list[Timed], float]:
    """Send requests to a fresh engine for a while: what clients saw, and the mean TTFT by the engine's own metrics.

    On a busy machine clients and the HTTP server wait for their turn, which the engine's own figure does not show.
    """
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "inferops", "engine", "--port", "0", "--load-seconds", "0", "--accelerator", ACCELERATOR,
        "--accelerators", str(WIDTH), "--", "vllm", "serve", MODEL, "-tp", str(WIDTH), "--max-model-len", str(CONTEXT),
        "--no-enable-prefix-caching", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        url = await address(engine)
        reading = asyncio.create_task(drained(engine))
        async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as client:
            await ask(client, time.perf_counter(), 8, 4)  # connections, caches
            before = await first_tokens(client)
            seen = await asyncio.gather(*(later(client, *each) for each in planned()))
            after = await first_tokens(client)
        reading.cancel()
        first = min(each.sent for each in seen)
        ordered = sorted(seen, key=lambda each: each.sent)
        begun = [Timed(each.sent - first, each.prompt, each.output, each.ttft, each.tpot) for each in ordered]
        return begun, (after[0] - before[0]) / (after[1] - before[1])
    finally:
        engine.send_signal(signal.SIGKILL)
        await engine.wait()


async def first_tokens(client: aiohttp.ClientSession) -> tuple[float, float]:
    """Seconds until first tokens, summed up, and how many there were, by the engine's metrics."""
    async with client.get("/metrics") as answer:
        text = await answer.text()
    found = [re.search(rf"^vllm:time_to_first_token_seconds_{name}\S* (\S+)$", text, re.M) for name in ("sum", "count")]
    seconds, count = (float(each[1]) if each else 0.0 for each in found)
    return seconds, count


async def address(engine: asyncio.subprocess.Process) -> str:
    """Where it listens, as its log says."""
    assert engine.stdout is not None
    async with asyncio.timeout(60):
        async for line in engine.stdout:
            if found := re.search(rb"http listens on (\S+)", line):
                return f"http://{found[1].decode()}"
    raise RuntimeError("the engine ended before it listened; run `inferops engine` to see why")


async def drained(engine: asyncio.subprocess.Process) -> None:
    """Read its log, so that it never waits for a reader."""
    assert engine.stdout is not None
    async for _ in engine.stdout:
        pass


def planned() -> list[tuple[float, int, int]]:
    """Seconds from now, tokens in and out."""
    random, now, plan = Random(1), 0.5, []
    while (now := now + random.expovariate(RATE)) < SECONDS:
        plan.append((now, random.randint(PROMPT // 4, 7 * PROMPT // 4), random.randint(OUTPUT // 2, 3 * OUTPUT // 2)))
    return plan


async def later(client: aiohttp.ClientSession, seconds: float, prompt: int, output: int) -> Timed:
    """Ask after so many seconds."""
    await asyncio.sleep(seconds)
    return await ask(client, time.perf_counter(), prompt, output)


async def ask(client: aiohttp.ClientSession, sent: float, prompt: int, output: int) -> Timed:
    """Ask, and time the first and the last token."""
    body = {"prompt": [7] * prompt, "max_tokens": output, "ignore_eos": True, "stream": True}
    first = last = 0.0
    async with client.post("/v1/completions", data=json.dumps(body)) as answer:
        answer.raise_for_status()
        async for line in answer.content:
            if line.startswith(b"data: {"):
                last = time.perf_counter()
                first = first or last
    return Timed(sent, prompt, output, first - sent, (last - first) / max(1, output - 1))


def replayed(seen: Sequence[Timed]) -> list[Timed]:
    """The same requests at the same moments in virtual time."""
    deployment = Deployment(Replica(models()[MODEL], accelerators()[ACCELERATOR], WIDTH), ACCELERATOR, CONTEXT)
    limits = deployment.batch
    batch = Batch(
        deployment.timing(), deployment.kv_tokens(), max_num_seqs=limits.sequences, token_budget=limits.tokens
    )
    found = []
    for seq in replay(batch, [Arrival(each.sent, each.prompt, each.output) for each in seen]):
        assert seq.first_token is not None and seq.finished is not None
        tpot = (seq.finished - seq.first_token) / max(1, seq.output - 1)
        found.append(Timed(seq.arrived, seq.prompt, seq.output, seq.first_token - seq.arrived, tpot))
    return found


def summary(timed: Sequence[Timed]) -> tuple[float, ...]:
    """The FIGURES, in seconds."""
    ttfts, tpots = sorted(each.ttft for each in timed), sorted(each.tpot for each in timed)
    rank = ceil(0.99 * len(timed)) - 1
    return fmean(ttfts), ttfts[rank], fmean(tpots), tpots[rank]
