"""Replay of a list of requests on one replica, in virtual time."""

from __future__ import annotations

from collections.abc import Iterable
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


def replay(batch: Batch, arrivals: Iterable[Arrival]) -> list[Sequence]:
    """Serve `arrivals`, which are in order of time, until the last has finished. Returns them as served.

    Raises `TooLarge` at a request that the replica cannot hold.
    """
    served: list[Sequence] = []
    now = 0.0
    for arrival in arrivals:
        while now < arrival.at and (step := batch.step(now, until=arrival.at)) is not None:
            now = step.end
        now = max(now, arrival.at)
        served.append(batch.add(arrival.prompt, arrival.output, arrival.at))
    while (step := batch.step(now, until=inf)) is not None:
        now = step.end
    return served
