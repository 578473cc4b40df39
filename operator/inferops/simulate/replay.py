"""Replay of a list of requests on one replica, in virtual time."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Keys
from dataclasses import dataclass
from math import inf

from inferops.simulate.batching import Batch
from inferops.simulate.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that arrives at second `at` with `prompt` tokens and will produce `output` tokens."""

    at: float
    prompt: int
    output: int
    prefix: Keys[int] = ()  # as `Sequence` has it


def replay(batch: Batch, arrivals: Iterable[Arrival]) -> list[Sequence]:
    """Serve `arrivals`, which are in order of time, until the last has finished. Returns them as served.

    Raises `TooLarge` at a request that the replica cannot hold.
    """
    served: list[Sequence] = []
    for arrival in arrivals:
        while batch.due < arrival.at:
            batch.advance()
        seq = batch.made(arrival.prompt, arrival.output, arrival.at, arrival.prefix)
        batch.put(seq, arrival.at)
        served.append(seq)
    while batch.due < inf:
        batch.advance()
    return served
