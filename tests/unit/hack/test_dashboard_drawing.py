"""Pictures of dashboards: what a panel shows is drawn, and a panel without data that must have some is named."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from dashboard_data import Data, Line, Span, missing
from dashboard_drawing import drawn, told
from dashboard_panels import DASHBOARDS, FLEET, Panel
from promserver import Series

SVG = "{http://www.w3.org/2000/svg}"
SPAN = Span(1000.0, 1100.0, 1.0)


def line(name: str, *values: tuple[float, float]) -> Line:
    return Line(name, Series({}, values or [(1000.0 + each, 2.0) for each in range(100)]))


def picture(panel: Panel, *lines: Line) -> ElementTree.Element:
    return ElementTree.fromstring(drawn(FLEET, [(panel, lines)], SPAN))


def texts(root: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in root.iter(f"{SVG}text")]


def test_lines_have_their_names_and_stay_in_the_picture() -> None:
    root = picture(Panel("Speed", (), "s"), line("p<50>"), line("p95"))
    assert {"Speed", "p<50>", "p95"} <= set(texts(root))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for each in root.iter(f"{SVG}polyline"):
        points = [point.split(",") for point in each.attrib["points"].split()]
        assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in points)


def test_where_nothing_was_told_no_line_is_drawn() -> None:
    root = picture(Panel("Gap", ()), line("a", (1000, 1), (1001, 1), (1050, 1), (1051, 1)))
    assert len(list(root.iter(f"{SVG}polyline"))) == 2


def test_areas_lie_upon_each_other() -> None:
    root = picture(Panel("Stack", (), stacked=True), line("a"), line("b"))
    tops = [
        min(float(each.split(",")[1]) for each in area.attrib["points"].split()) for area in root.iter(f"{SVG}polygon")
    ]
    assert len(tops) == 2 and tops[0] < tops[1], "the highest is drawn first, and lies behind"


def test_a_number_is_the_newest_one_or_the_name_of_what_holds() -> None:
    assert "$3" in texts(picture(Panel("Cost", (), "currencyUSD", stat=True), line("", (1000, 9), (1001, 3))))
    held = picture(Panel("Phase", (), stat=True), line("Idle", (1000, 1)), line("Observing", (1099, 1)))
    assert "Observing" in texts(held) and "Idle" not in texts(held)


@pytest.mark.parametrize(
    "unit, value, text",
    [
        ("s", 0.0123, "12.3 ms"),
        ("s", 300, "5 min"),
        ("percentunit", 0.5, "50%"),
        ("bytes", 2**21, "2 MiB"),
        ("short", 7, "7"),
    ],
)
def test_values_have_their_units(unit: str, value: float, text: str) -> None:
    assert told(unit, value) == text


def test_a_panel_that_must_have_data_is_named_where_it_has_none() -> None:
    full: Data = {(each.name, panel.title): [line("a")] for each in DASHBOARDS for panel in each.panels()}
    assert missing(full) == []
    sometimes = {(each.name, panel.title) for each in DASHBOARDS for panel in each.panels() if panel.sometimes}
    assert missing({name: [] if name in sometimes else lines for name, lines in full.items()}) == []
    name = next(name for name in full if name not in sometimes)
    assert missing({**full, name: []}) == [": ".join(name)]
