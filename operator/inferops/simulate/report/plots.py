"""Plots as SVG: lines and steps over time, and points over two axes. Colours are the page's, by classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10

from inferops.simulate.report import words
from inferops.simulate.report.markup import Markup, joined, tag

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 880.0, 66.0, 16.0, 10.0, 30.0
LINES = (1.0, 2.0, 5.0)  # at which ticks stand, times a power of ten
TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)

Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Curve:
    """A line over time. `kind`: line, step (each value holds until the next point) or area."""

    points: Points  # None: a gap
    style: str  # classes
    kind: str = "line"
    title: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a scatter plot."""

    x: float
    y: float
    label: str
    style: str
    title: str


@dataclass(frozen=True, slots=True)
class Axis:
    """Values as positions in pixels."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high, value = (log10(each) if self.log else each for each in (self.low, self.high, value))
        return self.begin + (value - low) / ((high - low) or 1.0) * (self.end - self.begin)


def over_time(title: str, curves: Sequence[Curve], end: float, most: float, height: float = 190.0,
              told: Callable[[float], str] = words.rate, clocks: bool = True) -> Markup:  # fmt: skip
    """Curves from 0 to `end` seconds, and from 0 to `most`. `told` writes the values at the ticks.

    `clocks`: whether the times stand below it; without them a plot may be low, and has two ticks.
    """
    high, bottom = rounded(most), BOTTOM if clocks else 6.0
    across, up = Axis(0, end, LEFT, WIDTH - RIGHT), Axis(0, high, height - bottom, TOP)
    ticks = [_horizontal(up.at(value), told(value)) for value in (values(high) if clocks else (0.0, high))]
    ticks += [_vertical(across.at(time), words.clock(time) if clocks else "", height, bottom) for time in times(end)]
    drawn = [_curve(curve, across, up, end) for curve in curves]
    return _svg(title, height, *ticks, *drawn)


def scatter(title: str, marks: Sequence[Mark], x_name: str, least: float, goal: float, height: float = 320.0) -> Markup:
    """Points over hours (linear) and a share (logarithmic; less than `least` stands there), with a line at `goal`."""
    wide = rounded(max((mark.x for mark in marks), default=1.0) * 1.02)
    shares = [max(least, mark.y) for mark in marks]
    low = 10.0 ** floor(log10(min([goal, *shares]) * 0.999))
    high = min(1.0, 10.0 ** ceil(log10(max([goal, *shares, low * 10]))))
    across = Axis(0, wide, LEFT, WIDTH - RIGHT - 90)
    up = Axis(low, high, height - BOTTOM - 14, TOP, log=True)
    decades = [10.0**power for power in range(round(log10(low)), round(log10(high)) + 1)]
    parts = [_horizontal(up.at(value), f"{100 * value:.3g} %") for value in decades]
    parts += [_vertical(across.at(value), words.rate(value), height - 14) for value in values(wide)]
    parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=up.at(goal), y2=up.at(goal), class_="goal"))
    parts.append(tag("text", x_name, x=(LEFT + WIDTH) / 2, y=height - 4, class_="tick", text_anchor="middle"))
    spots = [(across.at(mark.x), up.at(y)) for mark, y in zip(marks, shares, strict=True)]
    for mark, (x, y) in zip(marks, spots, strict=True):
        parts.append(tag("circle", tag("title", mark.title), cx=x, cy=y, r=5, class_=f"dot {mark.style}"))
    for mark, (x, y) in zip(marks, _apart(spots, [mark.label for mark in marks]), strict=True):
        parts.append(tag("text", mark.label, x=x, y=y, class_="label"))
    return _svg(title, height, *parts)


def _apart(spots: Sequence[tuple[float, float]], labels: Sequence[str]) -> list[tuple[float, float]]:
    """Where labels beside points stand without covering each other: as near as there is room."""
    taken: list[tuple[float, float, float]] = []
    found = []
    for (x, y), label in zip(spots, labels, strict=True):
        wide = 7.0 * len(label)
        free = (
            shift
            for shift in (4.0, 17.0, -9.0, 30.0, -22.0, 43.0)
            if all(abs(y + shift - at) >= 13 or x + 9 + wide < left or right < x + 9 for left, right, at in taken)
        )
        at = y + next(free, 4.0)
        taken.append((x + 9, x + 9 + wide, at))
        found.append((x + 9, at))
    return found


def rounded(most: float) -> float:
    """The next number that ticks divide evenly, above 0."""
    if most <= 0:
        return 1.0
    power = 10.0 ** floor(log10(most))
    return next(each * power for each in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if each * power >= most * (1 - 1e-9))


def values(high: float) -> list[float]:
    """Some four ticks from 0 to `high`."""
    power = 10.0 ** floor(log10(high))
    step = next(each for each in (power * line / 10 for line in (1, 2, 2.5, 5, 10, 20, 25)) if high / each <= 4.001)
    return [step * at for at in range(int(high / step + 1e-6) + 1)]


def times(end: float) -> list[float]:
    """Some eight ticks of whole seconds, minutes, hours or days."""
    step = next((each for each in TIMES if end / each <= 9), None) or ceil(end / 8 / 604800) * 604800
    return [float(step * at) for at in range(int(end / step) + 1)]


def _curve(curve: Curve, across: Axis, up: Axis, end: float) -> Markup:
    path = "".join(_runs(curve, across, up, end))
    title = (tag("title", curve.title),) if curve.title else ()
    return tag("path", *title, d=path, class_=f"{curve.kind} {curve.style}") if path else Markup("")


def _runs(curve: Curve, across: Axis, up: Axis, end: float) -> list[str]:
    """The path of each stretch without a gap."""
    runs: list[list[tuple[float, float]]] = [[]]
    for time, value in curve.points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((across.at(min(time, end)), up.at(value)))
    if curve.kind == "step" and runs[-1]:
        runs[-1].append((across.at(end), runs[-1][-1][1]))
    return [_path(run, curve.kind, up.begin) for run in runs if run]


def _path(run: Sequence[tuple[float, float]], kind: str, base: float) -> str:
    begin, *_ = run
    parts = [f"M{begin[0]:.1f} {begin[1]:.1f}"]
    for (_, before), (x, y) in pairwise(run):
        if kind != "step":
            parts.append(f"L{x:.1f} {y:.1f}")
            continue
        parts.append(f"H{x:.1f}")
        if y != before:
            parts.append(f"V{y:.1f}")
    if len(run) == 1:
        parts.append("h1")
    if kind == "area":
        parts.append(f"V{base:.1f}H{begin[0]:.1f}Z")
    return "".join(parts)


def _horizontal(y: float, told: str) -> Markup:
    line = tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid")
    return joined(line, tag("text", told, x=LEFT - 6, y=y + 4, class_="tick", text_anchor="end"))


def _vertical(x: float, told: str, height: float, bottom: float = BOTTOM) -> Markup:
    line = tag("line", x1=x, x2=x, y1=TOP, y2=height - bottom, class_="grid")
    if not told:
        return line
    return joined(line, tag("text", told, x=x, y=height - bottom + 16, class_="tick", text_anchor="middle"))


def _svg(title: str, height: float, *parts: Markup) -> Markup:
    return tag(
        "svg",
        tag("title", title),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        role="img",
        aria_label=title,
    )
