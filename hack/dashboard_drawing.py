"""A dashboard as a picture: its panels with their lines, as they were over a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from autoscale_picture import FAINT, INK, grid_step, label
from dashboard_data import Line, Span
from dashboard_panels import Dashboard, Panel

WIDTH, COLUMNS, MARGIN = 1080, 3, 16
STATS, STAT_HEIGHT = 6, 74  # numbers beside each other, and how high one is
HEIGHT, CHART = 204, 112  # of a panel, and of the chart in it
LEGEND = 3  # lines of it
COLORS = ("#0969da", "#bc4c00", "#2da44e", "#8250df", "#cf222e", "#1b7c83", "#9a6700", "#57606a")

Shown = Sequence[tuple[Panel, Sequence[Line]]]


def drawn(dashboard: Dashboard, shown: Shown, span: Span) -> str:
    """The picture. Panels without data are left out."""
    there = [(panel, lines) for panel, lines in shown if lines]
    numbers = [each for each in there if each[0].stat]
    charts = [each for each in there if not each[0].stat]
    parts: list[str] = []
    top = 44.0
    for index, (panel, lines) in enumerate(numbers):
        x = MARGIN + index % STATS * (WIDTH - MARGIN) / STATS
        parts += _number(panel, lines, x, top + index // STATS * STAT_HEIGHT)
    top += -(-len(numbers) // STATS) * STAT_HEIGHT + 8
    for index, (panel, lines) in enumerate(charts):
        x = MARGIN + index % COLUMNS * (WIDTH - MARGIN) / COLUMNS
        parts += _chart(panel, lines, span, x, top + index // COLUMNS * HEIGHT)
    height = top + -(-len(charts) // COLUMNS) * HEIGHT
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="system-ui, sans-serif" font-size="11" fill="{INK}">'
        f'<title>{dashboard.title}</title><rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>'
    )
    title = label(MARGIN, 26, f"{dashboard.title}, {_time(span.end - span.begin)}", more=' font-size="16"')
    return "\n".join([head, title, *parts, "</svg>", ""])


def _number(panel: Panel, lines: Sequence[Line], x: float, y: float) -> Iterator[str]:
    """The newest values of a panel."""
    wide = (WIDTH - MARGIN) / STATS - MARGIN
    last = max(line.series.points[-1][0] for line in lines)
    newest = [line for line in lines if line.series.points[-1][0] == last]
    value = newest[0].name if newest[0].name else told(panel.unit, newest[0].series.points[-1][1])
    yield f'<rect x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{STAT_HEIGHT - 12}" fill="#f6f8fa"/>'
    yield label(x + 8, y + 17, panel.title)
    yield label(x + 8, y + 46, value, more=' font-size="22" font-weight="600"')


def _chart(panel: Panel, lines: Sequence[Line], span: Span, x: float, y: float) -> Iterator[str]:
    left, wide = x + 44, (WIDTH - MARGIN) / COLUMNS - MARGIN - 44
    stacks = _stacked(lines) if panel.stacked else [list(line.series.points) for line in lines]
    highest = 1.1 * max((value for points in stacks for _, value in points), default=0.0)
    top, highest = y + 18, highest if highest > 0 else 1.0

    def at(point: tuple[float, float]) -> str:
        across = left + wide * (point[0] - span.begin) / (span.end - span.begin)
        return f"{across:.1f},{top + CHART * (1 - point[1] / highest):.1f}"

    yield label(x, y + 6, panel.title, more=' font-weight="600"')
    yield from _grid(panel, left, top, wide, highest)
    for number in reversed(range(len(lines))):
        points, color = stacks[number], COLORS[number % len(COLORS)]
        if panel.stacked:
            closed = [(points[0][0], 0.0), *points, (points[-1][0], 0.0)]
            yield f'<polygon points="{" ".join(map(at, closed))}" fill="{color}" stroke="{color}"/>'
        else:
            for part in _parts(points, 3 * span.step):
                shape = " ".join(map(at, part))
                yield f'<polyline points="{shape}" fill="none" stroke="{color}" stroke-width="1.5"/>'
    yield from _legend(lines, x, top + CHART + 16, wide + 44)


def _parts(points: Sequence[tuple[float, float]], gap: float) -> Iterator[list[tuple[float, float]]]:
    """Runs of points that are no further apart."""
    part: list[tuple[float, float]] = []
    for point in points:
        if part and point[0] - part[-1][0] > gap:
            yield part
            part = []
        part.append(point)
    if part:
        yield part


def _stacked(lines: Sequence[Line]) -> list[list[tuple[float, float]]]:
    """Each upon those before it."""
    every = sorted({at for line in lines for at, _ in line.series.points})
    below, found = dict.fromkeys(every, 0.0), []
    for line in lines:
        for at, value in line.series.points:
            below[at] += value
        found.append([(at, below[at]) for at in every])
    return found


def _grid(panel: Panel, left: float, top: float, wide: float, highest: float) -> Iterator[str]:
    scale = 10 ** math.floor(math.log10(highest))
    step = scale * grid_step(highest / scale) if highest / scale > 2 else scale / 2
    for number in range(math.floor(highest / step) + 1):
        y = top + CHART * (1 - number * step / highest)
        yield (
            f'<line x1="{left:.0f}" x2="{left + wide:.0f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{FAINT}" '
            'stroke-width="0.6"/>'
        )
        yield label(left - 5, y + 4, told(panel.unit, number * step), "end", ' font-size="10"')


def _legend(lines: Sequence[Line], x: float, y: float, wide: float) -> Iterator[str]:
    """As many names as there is room for."""
    across, row = 0.0, 0
    for number, line in enumerate(lines):
        length = 22 + 5.6 * len(line.name)
        if across and across + length > wide:
            across, row = 0.0, row + 1
        if row >= LEGEND:
            yield label(x, y + 15 * LEGEND + 1, f"and {len(lines) - number} more")
            return
        color, place = COLORS[number % len(COLORS)], y + 15 * row
        yield f'<rect x="{x + across:.0f}" y="{place - 8:.0f}" width="10" height="10" fill="{color}"/>'
        yield label(x + across + 14, place + 1, line.name, more=' font-size="10"')
        across += length


def told(unit: str, value: float) -> str:
    """A value with its unit."""
    match unit:
        case "s":
            return _time(value)
        case "percentunit":
            return f"{100 * value:.3g}%"
        case "currencyUSD":
            return f"${value:.3g}"
        case "bytes":
            return f"{value / 2**20:.4g} MiB"
    return f"{value:.3g}"


def _time(seconds: float) -> str:
    if seconds >= 120:
        return f"{seconds / 60:.3g} min"
    return f"{seconds:.3g} s" if seconds >= 1 or not seconds else f"{1000 * seconds:.3g} ms"
