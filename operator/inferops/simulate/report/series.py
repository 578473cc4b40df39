"""A run's timeline, brought to as many points as a picture has room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inferops.simulate.scaling.scenario import Point, Result

Value = Callable[[Point], float]


def mean(timeline: Sequence[Point], value: Value, end: float, bins: int) -> list[float | None]:
    """The mean of a value over each of `bins` equal parts of the time up to `end`; None where nothing is known.

    Each point holds for the time since the one before it.
    """
    sums, weights, begin, width = [0.0] * bins, [0.0] * bins, 0.0, end / bins
    for point in timeline:
        found, until = value(point), min(point.time, end)
        at = min(bins - 1, int(begin / width))
        while begin < until and at < bins:
            edge = until if at == bins - 1 else min(until, (at + 1) * width)
            sums[at] += found * (edge - begin)
            weights[at] += edge - begin
            begin, at = edge, at + 1
    return [total / weight if weight > 0 else None for total, weight in zip(sums, weights, strict=True)]


def missed(timeline: Sequence[Point], end: float, bins: int) -> list[float | None]:
    """The share of judged requests that missed the SLO in each part of the time; None where none was judged."""
    judged, late = [0] * bins, [0] * bins
    for point in timeline:
        at = min(bins - 1, int(max(0.0, point.time - 1e-9) / end * bins))
        judged[at] += point.judged
        late[at] += point.missed
    return [min(1.0, bad / all_) if all_ else None for bad, all_ in zip(late, judged, strict=True)]


def steps(timeline: Sequence[Point], value: Value, end: float, most: int) -> list[tuple[float, float]]:
    """Where a value changes: moments, and what it is from then on; the highest of each of `most` parts of the time."""
    width, found = end / most, list[tuple[float, float]]()
    begin, high, until = 0.0, None, width
    for point in timeline:
        high = value(point) if high is None else max(high, value(point))
        if point.time >= until or point is timeline[-1]:
            if not found or found[-1][1] != high:
                found.append((begin, high))
            begin, high = min(point.time, end), None
            until = begin + width
    return found


def end_of(results: Sequence[Result]) -> float:
    """When the longest of the runs ends, in seconds; never 0."""
    times = [max(result.seconds, result.timeline[-1].time if result.timeline else 0.0) for result in results]
    return max([*times, 1e-9])
