"""Arrivals drawn from rates: a renewal process with Gamma gaps, whose rate goes linearly from middle to middle.

A coefficient of variation of 1 makes them Poisson's, more makes them come in bursts. Where a step has no requests at
all nothing comes, and the rates beside it do not lean towards it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from random import Random
from typing import NamedTuple

from inferops.simulate.traces.rates import Step


class Piece(NamedTuple):
    """A stretch of time on which the rate is linear."""

    begin: float  # seconds
    seconds: float
    first: float  # requests a second at its beginning
    last: float
    cv: float

    @property
    def requests(self) -> float:
        """How many it has in the mean."""
        return self.seconds * (self.first + self.last) / 2

    def after(self, requests: float) -> float:
        """When so many of its requests, at most all, have come in the mean."""
        if requests <= 0:
            return self.begin
        slope = (self.last - self.first) / self.seconds
        root = sqrt(max(0.0, self.first * self.first + 2 * slope * requests))
        return self.begin + min(self.seconds, 2 * requests / (self.first + root))


def pieces(steps: Sequence[Step]) -> Iterator[Piece]:
    """Two for each step: up to its middle and from there on."""
    begin = 0.0
    for at, step in enumerate(steps):
        half = step.seconds / 2
        before, after = steps[max(0, at - 1)], steps[min(len(steps) - 1, at + 1)]
        yield Piece(begin, half, _between(step, before), step.rate, step.cv)
        yield Piece(begin + half, half, step.rate, _between(step, after), step.cv)
        begin += step.seconds


def _between(step: Step, other: Step) -> float:
    """The rate of `step` where it meets the other."""
    if not step.rate or not other.rate:
        return step.rate
    return (step.rate * other.seconds + other.rate * step.seconds) / (step.seconds + other.seconds)


def arrivals(steps: Sequence[Step], random: Random) -> Iterator[float]:
    """Moments of requests in seconds, in order. The same `random` gives the same moments."""
    left: float | None = None  # requests, in the mean, until the next one
    for piece in pieces(steps):
        if left is None:
            left = _first(piece.cv, random)
        passed, whole = 0.0, piece.requests
        while passed + left < whole:
            passed += left
            yield piece.after(passed)
            left = _gap(piece.cv, random)
        left -= whole - passed


def _gap(cv: float, random: Random) -> float:
    """A gap of mean 1."""
    if cv == 1:
        return random.expovariate(1.0)
    return random.gammavariate(1 / (cv * cv), cv * cv) if cv else 1.0


def _first(cv: float, random: Random) -> float:
    """What is left of the gap on which one falls who begins to look at any moment: longer ones are met more often."""
    met = random.gammavariate(1 / (cv * cv) + 1, cv * cv) if cv else 1.0
    return met * random.random()
