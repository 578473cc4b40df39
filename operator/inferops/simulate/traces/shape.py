"""What is done to requests before they are simulated: begun at 0, made faster or more, cut, and given other sizes."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from random import Random

from inferops.simulate.scaling.scenario import Request
from inferops.simulate.traces.lines import BadTrace
from inferops.simulate.traces.sizes import Sizes

APART = 60.0  # seconds within which further copies of a request come, so that bursts do not grow with their number


def begun(requests: Iterator[Request], who: str) -> Iterator[Request]:
    """Times from the first request on. Raises BadTrace where they are out of order, or there are none."""
    first = before = None
    for number, request in enumerate(requests, 1):
        if first is None:
            first = before = request.time
        if before is not None and request.time < before:
            raise BadTrace(f"{who}: request {number} comes before the one in front of it; sort the file by time")
        before = request.time
        yield request._replace(time=request.time - first)
    if first is None:
        raise BadTrace(f"{who}: there are no requests in it; give a file with some")


def faster(requests: Iterator[Request], factor: float) -> Iterator[Request]:
    """All times divided by `factor`."""
    return (request._replace(time=request.time / factor) for request in requests)


def multiplied(requests: Iterator[Request], factor: float, random: Random) -> Iterator[Request]:
    """`factor` times as many in the mean: some left out, or copies that come within a minute after the first.

    Copies keep the size and are of no session.
    """
    waiting: list[tuple[float, int, Request]] = []
    number = 0
    for request in requests:
        while waiting and waiting[0][0] <= request.time:
            yield heappop(waiting)[2]
        count = int(factor) + (random.random() < factor % 1)
        for copy in range(count):
            if copy == 0:
                yield request
                continue
            number += 1
            time = request.time + APART * random.random()
            heappush(waiting, (time, number, request._replace(time=time, session=0, shared=0)))
    while waiting:
        yield heappop(waiting)[2]


def before(requests: Iterator[Request], seconds: float) -> Iterator[Request]:
    """Those of the first so many seconds."""
    for request in requests:
        if request.time >= seconds:
            return
        yield request


def resized(requests: Iterator[Request], sizes: Sizes, random: Random) -> Iterator[Request]:
    """Other sizes; what was known of sessions no longer holds."""
    for request in requests:
        prompt, output = sizes.draw(random)
        yield Request(request.time, prompt, output)


def within(requests: Iterator[Request], context: int) -> Iterator[Request]:
    """None longer than the model's context: the end of the answer is cut first, then the beginning of the prompt."""
    for request in requests:
        if request.prompt + request.output > context:
            prompt = min(request.prompt, max(1, context - 1))
            output = max(1, min(request.output, context - prompt))
            request = request._replace(prompt=prompt, output=output, shared=min(request.shared, prompt))
        yield request
