"""What one simulated replica does at so many requests in flight: measured on the engine model, for the fluid model.

A replica is driven by Poisson arrivals whose rate rises slowly from nothing to beyond what it carries and falls again.
Each arrival is booked under the requests that it found in flight: what it found is nearly all that its latency depends
on, and the same holds for what the replica ends a second.
"""

from __future__ import annotations

import json
from collections.abc import Sequence as Many
from dataclasses import dataclass
from math import inf, pi, sin
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferops.simulate.batching import Batch
from inferops.simulate.scaling.scenario import EngineFigures
from inferops.simulate.sequence import Sequence

Floats = NDArray[np.float64]
MOST = 400  # requests in flight; what lies beyond counts as this
CYCLES = 6
PERIOD = 2400.0  # seconds of one rise and fall
BEYOND = 1.15  # times what it carries, at the peak
SMOOTH = 5  # bins to each side


@dataclass(frozen=True)
class Curves:
    """Of one replica, by requests in flight 0..MOST."""

    throughput: Floats  # requests ended a second
    missed: Floats  # share of arrivals that miss the SLO
    ttft: Floats  # mean seconds
    tpot: Floats
    waiting: Floats  # requests in its own queue
    kv: Floats  # share of its KV cache
    prompt: float  # mean tokens
    output: float

    @property
    def peak(self) -> float:
        """Requests a second at the most."""
        return float(self.throughput.max())

    def capacity(self, share: float = 0.05) -> tuple[float, float]:
        """Requests a second, and in flight, up to which no more than `share` of the arrivals miss the SLO."""
        at = int(np.searchsorted(self.missed, share, side="right")) - 1
        at = max(at, 1)
        return float(self.throughput[at]), float(at)

    def save(self, path: Path) -> None:
        plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}
        path.write_text(json.dumps(plain))

    @classmethod
    def load(cls, path: Path) -> Curves:
        found: dict[str, Any] = json.loads(path.read_text())
        made: dict[str, Any] = {
            name: np.array(each) if isinstance(each, list) else each for name, each in found.items()
        }
        return cls(**made)


def measure(engine: EngineFigures, sizes: Many[tuple[int, int]], ttft: float, tpot: float, seed: int = 0) -> Curves:
    """The curves of a replica that serves requests of these (prompt, output) tokens, with the SLO in seconds."""
    random = Random(seed)
    highest = BEYOND * _saturated(engine, sizes, random)
    batch, at, until = _batch(engine), 0.0, 0.0
    found: list[int] = []
    served: list[Sequence] = []
    spent = [np.zeros(MOST + 1) for _ in range(4)]
    while at < CYCLES * PERIOD:
        at += random.expovariate(highest * (sin(pi * (at % PERIOD) / PERIOD) ** 2 + 0.02))
        until = _run(batch, until, at, spent)
        found.append(min(batch.running + batch.waiting, MOST))
        seq = batch.made(*sizes[random.randrange(len(sizes))], at)
        batch.put(seq, at)
        served.append(seq)
    while batch.due < inf:
        batch.advance()
    return _curves(found, served, spent, ttft, tpot)


def _saturated(engine: EngineFigures, sizes: Many[tuple[int, int]], random: Random) -> float:
    """Requests a second that it ends when there are always more."""
    batch, ended, began = _batch(engine), 0, 0.0
    for _ in range(3000):
        batch.put(batch.made(*sizes[random.randrange(len(sizes))], 0.0), 0.0)
    while ended < 2500 and (due := batch.due) < inf:
        more = len(batch.advance())
        if ended < 500 <= ended + more:
            began = due
        ended += more
    return 2000 / (batch.now - began)


def _batch(engine: EngineFigures) -> Batch:
    return Batch(
        engine.timing,
        engine.kv_tokens,
        max_num_seqs=engine.max_num_seqs,
        token_budget=engine.token_budget,
        block_size=engine.block_size,
    )


def _run(batch: Batch, since: float, until: float, spent: list[Floats]) -> float:
    """Run from `since` to `until`, booking time, ends, queue and cache under the requests in flight."""
    while since < until:
        there = min(batch.running + batch.waiting, MOST)
        waiting, kv, end = batch.waiting, batch.kv_usage, min(batch.due, until)
        spent[0][there] += end - since
        spent[2][there] += waiting * (end - since)
        spent[3][there] += kv * (end - since)
        if batch.due < until:
            spent[1][there] += len(batch.advance())
        since = end
    return since


def _curves(found: list[int], served: list[Sequence], spent: list[Floats], ttft: float, tpot: float) -> Curves:
    count, late, first, each = (np.zeros(MOST + 1) for _ in range(4))
    tokens = np.zeros(MOST + 1)
    for at, seq in zip(found, served, strict=True):
        first_token, finished = seq.first_token or inf, seq.finished or inf  # all have ended
        wait = first_token - seq.arrived
        gap = (finished - first_token) / (seq.output - 1) if seq.output > 1 else 0.0
        count[at] += 1
        late[at] += wait > ttft or gap > tpot
        first[at] += wait
        tokens[at] += seq.output > 1
        each[at] += gap
    time = spent[0]
    return Curves(
        throughput=np.maximum.accumulate(_smooth(spent[1], time)),
        missed=np.maximum.accumulate(_smooth(late, count)),
        ttft=_smooth(first, count),
        tpot=_smooth(each, tokens),
        waiting=_smooth(spent[2], time),
        kv=np.minimum(_smooth(spent[3], time), 1.0),
        prompt=float(np.mean([seq.prompt for seq in served])),
        output=float(np.mean([seq.output for seq in served])),
    )


def _smooth(amount: Floats, weight: Floats) -> Floats:
    """amount / weight, over a few neighbouring bins; bins beyond all that was seen are as the last."""
    window = np.ones(2 * SMOOTH + 1)
    above = np.convolve(amount, window, "same")
    below = np.convolve(weight, window, "same")
    seen = np.flatnonzero(below > 0)
    return np.interp(np.arange(len(amount)), seen, above[seen] / below[seen])
