"""The data of every panel over a time, as Grafana would ask a Prometheus for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from dashboard_panels import DASHBOARDS, RATE, Dashboard, Panel
from promserver import Prometheus, Series

LABEL = re.compile(r"\{\{(\w+)\}\}")


class Span(NamedTuple):
    """The time that is shown, in Unix seconds, and how finely."""

    begin: float
    end: float
    step: float


class Line(NamedTuple):
    """A series by the name that its panel gives it."""

    name: str
    series: Series


Data = dict[tuple[str, str], list[Line]]  # by the names of the dashboard and the panel


def evaluated(prometheus: Prometheus, span: Span, rate: float, values: Mapping[str, str]) -> Data:
    """All panels. `rate`: seconds over which rates are taken. `values`: those of the dashboards' variables. Raises
    ValueError where Prometheus does not take a query."""
    return {
        (dashboard.name, panel.title): _lines(prometheus, panel, span, rate, values)
        for dashboard in DASHBOARDS
        for panel in dashboard.panels()
    }


def missing(data: Data) -> list[str]:
    """Queries without data of panels that always have some."""
    return [
        f"{dashboard.name}: {panel.title}"
        for dashboard in DASHBOARDS
        for panel in dashboard.panels()
        if not panel.sometimes and not any(line.series.points for line in data[dashboard.name, panel.title])
    ]


def of(data: Data, dashboard: Dashboard) -> list[tuple[Panel, list[Line]]]:
    return [(panel, data[dashboard.name, panel.title]) for panel in dashboard.panels()]


def _lines(prometheus: Prometheus, panel: Panel, span: Span, rate: float, values: Mapping[str, str]) -> list[Line]:
    found: list[Line] = []
    for query in panel.queries:
        expr = query.expr.replace(RATE, f"{rate:.0f}s")
        for name, value in values.items():
            expr = expr.replace(f"${name}", value)
        for series in prometheus.range(expr, *span):
            if series.points:
                found.append(Line(_named(query.legend, series), series))
    return found


def _named(legend: str, series: Series) -> str:
    return LABEL.sub(lambda label: series.labels.get(label[1], ""), legend) or _labels(series)


def _labels(series: Series) -> str:
    """What Grafana calls a series without a legend."""
    return ", ".join(f"{name}={value}" for name, value in sorted(series.labels.items()) if name != "__name__")
