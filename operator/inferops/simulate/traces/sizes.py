"""How long prompts and answers are where a trace does not tell: lognormal about means, or drawn from another trace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from random import Random
from typing import Protocol

from inferops.simulate.scaling.scenario import Request

KEPT = 100_000  # pairs of a trace; of a longer one so many are drawn


class Sizes(Protocol):
    """Draws the sizes of requests."""

    def draw(self, random: Random) -> tuple[int, int]:
        """Tokens of a prompt and of its answer, each at least 1."""
        ...


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Prompts and answers apart from each other. `cv`: standard deviation over mean; 0: all alike."""

    prompt: float
    output: float
    cv: float = 1.0

    def draw(self, random: Random) -> tuple[int, int]:
        return self._tokens(self.prompt, random), self._tokens(self.output, random)

    def _tokens(self, mean: float, random: Random) -> int:
        if not self.cv:
            return max(1, round(mean))
        variance = log(1 + self.cv * self.cv)
        return max(1, round(mean * exp(random.gauss(0.0, sqrt(variance)) - variance / 2)))


@dataclass(frozen=True, slots=True)
class Sampled:
    """Pairs as they stand in a trace, so that a long prompt keeps its answer."""

    pairs: Sequence[tuple[int, int]]

    def draw(self, random: Random) -> tuple[int, int]:
        return self.pairs[int(random.random() * len(self.pairs))]


def sampled(requests: Iterable[Request], random: Random) -> Sampled:
    """The sizes of a trace, at most `KEPT` of them, each with the same chance. Raises ValueError where it is empty."""
    pairs: list[tuple[int, int]] = []
    for seen, request in enumerate(requests):
        if seen < KEPT:
            pairs.append((request.prompt, request.output))
        elif (at := int(random.random() * (seen + 1))) < KEPT:
            pairs[at] = request.prompt, request.output
    if not pairs:
        raise ValueError("there are no requests in it")
    return Sampled(pairs)
