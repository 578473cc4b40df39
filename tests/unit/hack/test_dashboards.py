"""Every panel asks for metrics and labels that the operator and the gateway really tell, and the files are current."""

from __future__ import annotations

import json
from typing import Any

import pytest

import dashboards
from dashboard_panels import DASHBOARDS, Dashboard, Panel
from exposed import TARGET, exposed, samples
from harness import ROOT
from unit.hack.promql import Check, filled, legend_labels

KNOWN = samples()
PANELS = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels()]


def checked(expr: str) -> tuple[frozenset[str], list[str]]:
    check = Check(KNOWN, TARGET)
    return check.labels(filled(expr)), check.wrong


@pytest.mark.parametrize("dashboard, panel", PANELS, ids=[f"{each.name}: {panel.title}" for each, panel in PANELS])
def test_a_panel_asks_for_what_is_told(dashboard: Dashboard, panel: Panel) -> None:
    for query in panel.queries:
        labels, wrong = checked(query.expr)
        assert not wrong, query.expr
        assert labels >= set(legend_labels(query.legend)), query.legend
        assert "$" not in filled(query.expr)


@pytest.mark.parametrize(
    "expr, problem",
    [
        ("sum(inferops_gateway_request_total)", "nobody tells inferops_gateway_request_total"),
        ('sum(inferops_leader{revision="a"})', "no label revision"),
        ("sum by (pod) (inferops_gateway_arrivals_total)", "no label pod"),
        ("sum by (service) (inferops_gateway_arrivals_total) / sum by (namespace) (inferops_leader)", "no label"),
        ("inferops_leader / inferops_gateways", "never matches"),
        ("inferops_gateways * on (instance) group_left (role) inferops_leader", "no label role"),
        ("histogram_quantile(0.9, sum by (service) (inferops_gateway_arrivals_total))", "no label le"),
    ],
)
def test_what_nobody_tells_is_found(expr: str, problem: str) -> None:
    assert any(problem in each for each in checked(expr)[1])


def test_the_files_are_as_generated() -> None:
    for path, text in dashboards.generated().items():
        assert (ROOT / path).read_text() == text, f"run: python hack/dashboards.py ({path})"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.name)
def test_grafana_can_read_it(dashboard: Dashboard) -> None:
    written = json.loads(json.dumps(dashboards.written(dashboard)))
    panels: list[dict[str, Any]] = written["panels"]
    assert len({each["id"] for each in panels}) == len(panels)
    assert len({each.title for each in dashboard.panels()}) == len(list(dashboard.panels())), "titles tell them apart"
    names = {each["name"] for each in written["templating"]["list"]}
    used = {name for name in ("datasource", "namespace", "service", "cluster") if f"${name}" in json.dumps(panels)}
    assert names == used | {"datasource"}
    cells = [
        (x, y)
        for each in panels
        for x in range(each["gridPos"]["x"], each["gridPos"]["x"] + each["gridPos"]["w"])
        for y in range(each["gridPos"]["y"], each["gridPos"]["y"] + each["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)), "panels lie upon each other"
    assert max(x for x, _ in cells) < dashboards.WIDTH


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.name)
def test_its_variables_are_labels_that_are_told(dashboard: Dashboard) -> None:
    for name, metric in dashboard.variables.items():
        assert name in KNOWN[metric]


def test_every_metric_says_what_it_is() -> None:
    assert all(each.help.endswith(".") or each.name.startswith("process_") for each in exposed())
    own = [each for each in exposed() if not each.name.startswith("process_")]
    assert all(each.name.startswith("inferops_") for each in own)
