"""Requests to simulate, as often as they are wanted and the same each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from inferops.simulate.scaling.scenario import Request
from inferops.simulate.traces import shape
from inferops.simulate.traces.rates import Step
from inferops.simulate.traces.renewal import arrivals
from inferops.simulate.traces.sizes import Sizes


@dataclass(frozen=True, slots=True)
class Shaping:
    """What is done to requests."""

    speed: float = 1.0  # so many times as fast
    scale: float = 1.0  # so many times as many
    duration: float | None = None  # seconds, of the times that are simulated; None: all
    context: int | None = None  # tokens of the longest prompt and answer together
    answers: bool = True  # whether the model writes any; one that only reads ends with its first token


@dataclass(frozen=True, slots=True)
class Traffic:
    """An iterable of requests."""

    draw: Callable[[], Iterator[Request]]

    def __iter__(self) -> Iterator[Request]:
        return self.draw()


def replayed(
    read: Callable[[], Iterator[Request]], who: str, shaping: Shaping, seed: int, sizes: Sizes | None = None
) -> Traffic:
    """The requests of a trace. `sizes`: in place of its own. Going through it raises BadTrace."""

    def draw() -> Iterator[Request]:
        requests = shape.begun(read(), who)
        if shaping.speed != 1:
            requests = shape.faster(requests, shaping.speed)
        if shaping.scale != 1:
            requests = shape.multiplied(requests, shaping.scale, Random(f"{seed} copies"))
        if sizes is not None:
            requests = shape.resized(requests, sizes, Random(f"{seed} sizes"))
        return _cut(requests, shaping)

    return Traffic(draw)


def drawn(steps: Sequence[Step], sizes: Sizes, shaping: Shaping, seed: int) -> Traffic:
    """Requests drawn from rates."""
    shaped = [Step(step.seconds / shaping.speed, step.rate * shaping.speed * shaping.scale, step.cv) for step in steps]

    def draw() -> Iterator[Request]:
        random = Random(f"{seed} sizes")
        times = arrivals(shaped, Random(f"{seed} times"))
        return _cut((Request(time, *sizes.draw(random)) for time in times), shaping)

    return Traffic(draw)


def _cut(requests: Iterator[Request], shaping: Shaping) -> Iterator[Request]:
    if shaping.duration is not None:
        requests = shape.before(requests, shaping.duration)
    if not shaping.answers:
        requests = (request._replace(output=1) for request in requests)
    return requests if shaping.context is None else shape.within(requests, shaping.context)
