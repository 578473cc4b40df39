"""Runs as lines of characters: the load, then replicas and misses of each rule, over the same time."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from inferops.simulate.report import words
from inferops.simulate.report.series import end_of, mean, missed
from inferops.simulate.report.terms import Entry

BARS = "▁▂▃▄▅▆▇█"
WIDEST, NARROWEST, BESIDE = 72, 20, 26  # characters of the chart, and of what is said beside it
MISSES = ((0.0, " "), (0.01, "·"), (0.05, "░"), (0.2, "▒"), (0.5, "▓"), (1.0, "█"))


def chart(entries: Sequence[Entry], room: int) -> list[Text]:
    """Two lines for each run under one for the load. All are drawn to one scale, that of the most replicas of all.

    `room`: characters of a line.
    """
    timelines = [entry for entry in entries if entry.result.timeline]
    if not timelines:
        return []
    end = end_of([entry.result for entry in timelines])
    label = max(len("requests/s"), *(len(entry.name) for entry in timelines))
    width = max(NARROWEST, min(WIDEST, room - label - BESIDE))
    load = mean(timelines[0].result.timeline, lambda point: point.arrivals, end, width)
    peak = max((each for each in load if each is not None), default=0.0)
    lines = [_line("requests/s", label, bars(load, peak), f"up to {words.rate(peak)}", "dim")]
    most = max(point.ready for entry in timelines for point in entry.result.timeline)
    for entry in timelines:
        timeline = entry.result.timeline
        ready = mean(timeline, lambda point: point.ready, end, width)
        low, high = min(point.ready for point in timeline), max(point.ready for point in timeline)
        told = f"{low} to {high} replicas" if low != high else f"{low} replica{'' if low == 1 else 's'}"
        lines.append(_line(words.clean(entry.name), label, bars(ready, most), told, "green" if entry.ours else ""))
        late = missed(timeline, end, width)
        if any(late):
            lines.append(_line("", label, "".join(_miss(each) for each in late), "missed", "red"))
    lines.append(_line("", label, _axis(end, width), "", "dim"))
    return lines


def bars(values: Sequence[float | None], peak: float) -> str:
    """A character for each value, by its share of the peak; nothing for nothing."""
    return "".join(
        " " if not each else BARS[min(len(BARS) - 1, int(each / peak * len(BARS)))] if peak else " " for each in values
    )


def _miss(value: float | None) -> str:
    return next(mark for most, mark in MISSES if (value or 0.0) <= most)


def _line(name: str, label: int, body: str, told: str, style: str) -> Text:
    line = Text(f"{name:>{label}} ")
    line.append(body, style)
    line.append(f"  {told}" if told else "", "dim")
    return line


def _axis(end: float, width: int) -> str:
    middle, last = words.clock(end / 2), words.clock(end)
    left = "0" + " " * (width // 2 - 1)
    return f"{left}{middle}".ljust(width - len(last)) + last
