"""Pareto plots as one SVG: GPU hours a day against the share of requests that missed the SLO, a panel for each case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import ceil, floor, log10

from bench_autoscale_ours import OURS
from bench_autoscale_results import Result, Shown
from bench_autoscale_rules import BOUND, DEFAULTS
from bench_autoscale_stats import Point, front

WIDTH, HEIGHT = 400, 300  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 72, 14, 40, 46
NARROWEST = 760  # that the title fits into
LEGEND = 60
# Colours that people who see few colours tell apart, after Okabe and Ito; rules beyond them are dashed.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#6B6B6B")
MOST, LEAST = 0.3, 0.0001  # of the axis
TICKS = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)


def svg(results: Sequence[Result], title: str, across: int = 3) -> str:
    """Panels in rows of so many, under one title and one legend."""
    rules = list(dict.fromkeys(rule for result in results for rule in result.rules))
    rows = ceil(len(results) / across)
    width = max(NARROWEST, WIDTH * min(across, len(results)))
    legend = _legend(rules, width)
    height = LEGEND + 24 * len(legend) + HEIGHT * rows
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#222">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="26" font-size="16" font-weight="600">{escape(title)}</text>',
        '<text x="16" y="46" fill="#555">Lines: settings tuned on the first week, played on the second. '
        "Hollow: defaults. Further down and to the left is better.</text>",
        *(f'<g transform="translate(0 {LEGEND + 24 * row})">{"".join(line)}</g>' for row, line in enumerate(legend)),
    ]
    for place, result in enumerate(results):
        x, y = WIDTH * (place % across), LEGEND + 24 * len(legend) + HEIGHT * (place // across)
        parts.append(f'<g transform="translate({x} {y})">{"".join(_panel(result, rules))}</g>')
    return "\n".join([*parts, "</svg>", ""])


def _style(rule: str, rules: Sequence[str]) -> tuple[str, str, float]:
    """Colour, dashes and width of a rule's line."""
    if rule == OURS:
        return "#000", "", 2.6
    if rule == BOUND:
        return "#999", "2 3", 1.6
    others = [each for each in rules if each not in (OURS, BOUND)]
    place = others.index(rule)
    return COLOURS[place % len(COLOURS)], "6 3" if place >= len(COLOURS) else "", 1.4


def _legend(rules: Sequence[str], width: int) -> list[list[str]]:
    """Lines of the legend."""
    lines: list[list[str]] = [[]]
    x = 16
    for rule in rules:
        size = 44 + 7 * len(rule)
        if x + size > width:
            lines.append([])
            x = 16
        colour, dashes, thick = _style(rule, rules)
        lines[-1].append(
            f'<line x1="{x}" y1="8" x2="{x + 22}" y2="8" stroke="{colour}" stroke-width="{thick}" '
            f'stroke-dasharray="{dashes}"/><text x="{x + 28}" y="12">{escape(rule)}</text>'
        )
        x += size
    return lines


def _panel(result: Result, rules: Sequence[str]) -> Iterable[str]:
    """One case."""
    days = result.days
    low, high, step = _range([each.hours.mean / days for each in result.shown if each.missed <= MOST])

    def place(hours: float, missed: float) -> tuple[float, float]:
        across = (hours / days - low) / (high - low)
        up = (log10(min(max(missed, LEAST), MOST)) - log10(LEAST)) / (log10(MOST) - log10(LEAST))
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    yield from _axes(result, low, high, step, place)
    for rule in sorted(result.rules, key=lambda each: (each == OURS, each)):
        yield from _rule(
            rule, [each for each in result.shown if each.rule == rule], (low * days, high * days), rules, place
        )


def _axes(result: Result, low: float, high: float, step: float, place) -> Iterable[str]:  # type: ignore[no-untyped-def]
    right = WIDTH - RIGHT
    yield f'<text x="{LEFT}" y="{TOP - 12}" font-weight="600">{escape(result.cell.title.partition(", ")[2])}</text>'
    for tick in TICKS:
        _, y = place(0.0, tick)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#e6e6e6"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#555">{100 * tick:g} %</text>'
    hours = ceil(low / step) * step
    while hours <= high + 1e-9:
        x, y = place(hours * result.days, LEAST)
        yield f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{y:.1f}" stroke="#f0f0f0"/>'
        yield f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle" fill="#555">{hours:g}</text>'
        hours += step
    middle = (LEFT + right) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle" fill="#555">GPU hours a day</text>'
    up = (TOP + HEIGHT - BOTTOM) / 2
    yield (
        f'<text transform="translate(14 {up}) rotate(-90)" text-anchor="middle" fill="#555">requests that missed the '
        "SLO</text>"
    )


def _rule(rule: str, shown: Sequence[Shown], axis: tuple[float, float], rules: Sequence[str], place) -> Iterable[str]:  # type: ignore[no-untyped-def]
    colour, dashes, thick = _style(rule, rules)
    points = [Point(each.hours.mean, each.missed) for each in shown if each.kind != DEFAULTS]
    inside = [each for each in front(points) if each.missed <= MOST and axis[0] <= each.hours <= axis[1]]
    spots = [place(each.hours, each.missed) for each in inside]
    if len(spots) > 1:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        yield (
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{thick}" '
            f'stroke-dasharray="{dashes}"/>'
        )
    yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{colour}"/>' for x, y in spots)
    for each in shown:
        if each.kind == DEFAULTS and axis[0] <= each.hours.mean <= axis[1]:
            x, y = place(each.hours.mean, each.missed)
            yield (
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#fff" stroke="{colour}" stroke-width="1.6">'
                f"<title>{escape(rule)}, defaults: {100 * each.missed:.2f} % missed</title></circle>"
            )


def _range(values: Sequence[float]) -> tuple[float, float, float]:
    """The axis for these values: its ends, of which the far one leaves out what costs far more, and a round step."""
    if not values:
        return 0.0, 1.0, 1.0
    ordered = sorted(values)
    low, high = ordered[0], min(ordered[-1], 1.8 * ordered[len(ordered) // 2])
    spread = max(high - low, 0.02 * high, 1e-6)
    rough = spread / 5
    unit = 10 ** floor(log10(rough))
    step = next(unit * each for each in (1, 2, 5, 10) if unit * each >= rough)
    return max(0.0, low - 0.05 * spread), high + 0.05 * spread, step
