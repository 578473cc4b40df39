"""Replicas over time as a picture: what was asked, decided on and ready, and who was answered in time."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP = 1080, 56, 16, 46
GAP, LABELS = 26, 54  # between panels; for the names of the phases and the axis below
BIN = 10.0  # seconds over which requests are counted
INK, FAINT, BLUE, ORANGE, GREEN, RED = "#24292f", "#d0d7de", "#0969da", "#bc4c00", "#2da44e", "#cf222e"

Point = tuple[float, float]


class Panel(NamedTuple):
    """One of the charts below each other, over the same time."""

    title: str
    top: float
    height: float
    highest: float  # value at its top; 0 at its bottom

    def y(self, value: float) -> float:
        return self.top + self.height * (1 - min(value, self.highest) / self.highest)


class Axis(NamedTuple):
    """Time, in seconds from the beginning."""

    begin: float
    seconds: float

    def x(self, at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (at - self.begin) / self.seconds


def drawn(found: Mapping[str, Any]) -> str:
    """The picture of a record, as `autoscale_record.Record.dump` writes it."""
    samples, phases = found["samples"], found["phases"]
    axis = Axis(phases[0]["since"], phases[-1]["until"] - phases[0]["since"])
    inside = [each for each in samples if axis.begin <= each["at"] <= axis.begin + axis.seconds]
    asked = Panel("requests a second", TOP, 90, 1.15 * max(max(each["rate"] for each in inside), 1))
    replicas = Panel("replicas", asked.top + asked.height + GAP, 190, found["most"] + 1)
    share = Panel("answered within the SLO, %", replicas.top + replicas.height + GAP, 90, 100)
    parts = [
        *_phases(axis, phases, share.top + share.height),
        *_frame(axis, asked, grid_step(asked.highest)),
        _area(axis, asked, [(each["at"], each["rate"]) for each in inside], BLUE),
        *_frame(axis, replicas, 2),
        _level(axis, replicas, found["gpus"], f"{found['gpus']} GPUs"),
        _area(axis, replicas, _steps(inside, "ready"), GREEN),
        _line(axis, replicas, _steps(inside, "wanted"), ORANGE),
        *_frame(axis, share, 50),
        *(_line(axis, share, points, INK) for points in _shares(found, axis)),
        *_marks(axis, found["marks"], replicas),
        *_times(axis, share.top + share.height),
    ]
    height = share.top + share.height + LABELS
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="system-ui, sans-serif" font-size="12" fill="{INK}">'
        f'<title>Replicas of a service over time</title><rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>'
    )
    return "\n".join([head, *_legend(), *parts, "</svg>", ""])


# What is shown


def _steps(samples: Sequence[Mapping[str, Any]], name: str) -> list[Point]:
    """A number that stays until it is another."""
    points: list[Point] = []
    for each in samples:
        if points:
            points.append((each["at"], points[-1][1]))
        points.append((each["at"], each[name]))
    return points


def _shares(found: Mapping[str, Any], axis: Axis) -> Iterator[list[Point]]:
    """Percent of the requests of each span of time that were answered within the SLO; a line of its own after each span
    in which none came."""
    bins: dict[int, list[bool]] = {}
    for began, ttft, tpot, error in found["requests"]:
        good = not error and ttft is not None and ttft <= found["ttft"] and (tpot is None or tpot <= found["tpot"])
        bins.setdefault(int((began - axis.begin) // BIN), []).append(good)
    points: list[Point] = []
    for number, goods in sorted(bins.items()):
        if points and number - 1 not in bins:
            yield points
            points = []
        points.append((axis.begin + (number + 0.5) * BIN, 100 * sum(goods) / len(goods)))
    yield points


# How it is drawn


def label(x: float, y: float, text: str, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _path(axis: Axis, panel: Panel, points: Sequence[Point]) -> str:
    return " ".join(f"{axis.x(at):.1f},{panel.y(value):.1f}" for at, value in points)


def _line(axis: Axis, panel: Panel, points: Sequence[Point], color: str) -> str:
    return f'<polyline points="{_path(axis, panel, points)}" fill="none" stroke="{color}" stroke-width="1.8"/>'


def _area(axis: Axis, panel: Panel, points: Sequence[Point], color: str) -> str:
    closed = [(points[0][0], 0.0), *points, (points[-1][0], 0.0)]
    return f'<polygon points="{_path(axis, panel, closed)}" fill="{color}" fill-opacity="0.35"/>'


def _level(axis: Axis, panel: Panel, value: float, name: str) -> str:
    y = panel.y(value)
    line = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{RED}" stroke-dasharray="4 4"/>'
    return line + label(WIDTH - RIGHT - 4, y - 4, name, "end", f' fill="{RED}"')


def _frame(axis: Axis, panel: Panel, every: float) -> Iterator[str]:
    """Title, grid and numbers."""
    yield label(LEFT, panel.top - 6, panel.title, more=' font-weight="600"')
    value = 0.0
    while value <= panel.highest:
        y = panel.y(value)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{FAINT}" stroke-width="0.6"/>'
        yield label(LEFT - 6, y + 4, f"{value:g}", "end")
        value += every


def _phases(axis: Axis, phases: Sequence[Mapping[str, Any]], bottom: float) -> Iterator[str]:
    for number, phase in enumerate(phases):
        x, end = axis.x(phase["since"]), axis.x(phase["until"])
        if number % 2:
            yield f'<rect x="{x:.1f}" y="{TOP}" width="{end - x:.1f}" height="{bottom - TOP:.1f}" fill="#f6f8fa"/>'
        lower = bottom + 32 + 13 * (number % 2)  # beside each other they would not have room
        yield label((x + end) / 2, lower, phase["name"], "middle", ' font-size="11"')


def _marks(axis: Axis, marks: Sequence[tuple[float, str]], panel: Panel) -> Iterator[str]:
    for number, (at, text) in enumerate(marks):
        x = axis.x(at)
        yield (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{panel.top:.1f}" y2="{panel.top + panel.height:.1f}" '
            f'stroke="{RED}" stroke-width="1"/>'
        )
        yield label(x + 3, panel.top + 12 + 13 * (number % 2), text, more=f' fill="{RED}" font-size="11"')


def _times(axis: Axis, bottom: float) -> Iterator[str]:
    minutes = int(axis.seconds // 60)
    for minute in range(0, minutes + 1, max(1, minutes // 16)):
        yield label(axis.x(axis.begin + 60 * minute), bottom + 16, f"{minute} min", "middle")


def _legend() -> Iterator[str]:
    shown: tuple[tuple[str, str], ...] = (("asked", BLUE), ("replicas decided on", ORANGE), ("replicas ready", GREEN))
    x = float(LEFT)
    for name, color in shown:
        yield f'<rect x="{x:.0f}" y="10" width="12" height="12" fill="{color}" fill-opacity="0.7"/>'
        yield label(x + 17, 20, name)
        x += 42 + 6.6 * len(name)


def grid_step(highest: float) -> float:
    """A distance of grid lines that makes three to six of them."""
    return next(step for step in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0, 1e9) if highest / step <= 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record", type=Path, help="as demo_autoscale.py --json writes it")
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    given.picture.write_text(drawn(json.loads(given.record.read_text())))


if __name__ == "__main__":
    main()
