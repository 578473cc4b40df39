"""The table, the JSON and the page hold the figures of the runs, and nobody's text breaks them."""

from __future__ import annotations

import json
import re
from io import StringIO
from math import inf
from xml.etree import ElementTree

import pytest
from rich.console import Console

from inferops.simulate.report.chart import chart
from inferops.simulate.report.data import as_data
from inferops.simulate.report.page import page
from inferops.simulate.report.table import show
from inferops.simulate.report.terms import Entry, Report, Suggestion
from inferops.simulate.scaling.scenario import Point, Result

NASTY = "<script>alert('x')</script> & \"q\" [bold]b[/] \x00\x1b[31m"
SVG = "{http://www.w3.org/2000/svg}"


def run(name: str, *, met: int, hours: float, ready: int, requests: int = 1000) -> Result:
    timeline = [
        Point(60.0 * at, 5.0 + at % 7, ready + (at > 30), ready, int(at > 30), 2, 9, 300, int(at > 50) * 30)
        for at in range(1, 61)
    ]
    quantiles = {"p50": 0.12, "p90": 0.3, "p95": 0.4, "p99": 0.9, "mean": 0.15}
    return Result(name, 3600.0, requests, met, 3, 1, quantiles, dict.fromkeys(quantiles, 0.02), hours, 4 * hours,
                  8.4 * hours, 5, 2, timeline)  # fmt: skip


def report(name: str = "hpa", **more: object) -> Report:
    ours = Entry("inferops", "mode auto", run("inferops", met=995, hours=3.5, ready=3), ours=True)
    other = Entry(name, "70 % of 20", run(name, met=970, hours=6.25, ready=6))
    facts = (("model", "hf://meta-llama/Llama-3.1-8B"), ("note", name))
    return Report("Simulation of chat", facts, (f"mind {name}",), 0.99, True, (ours, other), **more)  # type: ignore[arg-type]


def printed(found: Report, width: int = 200) -> str:
    console = Console(file=StringIO(), width=width, highlight=False, emoji=False)
    show(console, found)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def parsed(found: Report) -> ElementTree.Element:
    text = page(found)
    assert text.startswith("<!DOCTYPE html>\n")
    return ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))


def test_the_table_has_a_row_for_each_rule() -> None:
    ours, other = (
        next(line for line in printed(report()).splitlines() if line.startswith(name)) for name in ("inferops", "hpa")
    )
    assert ours.split()[1:3] == ["99.50", "%"] and other.split()[1:3] == ["97.0", "%"]
    assert "120 / 400 / 900 ms" in ours and "14.00" in ours and "$29.40" in ours and "mode auto" in ours


@pytest.mark.parametrize("width", [80, 100, 130, 170])
def test_a_narrow_terminal_cuts_nothing_off(width: int) -> None:
    told = printed(report(), width)
    assert "…" not in told and max(map(len, told.splitlines())) <= width
    for figure in ("99.50 %", "120 / 400 / 900 ms", "14.00", "$29.40", "mode auto", "70 % of 20"):
        assert figure in told


def test_json_holds_everything() -> None:
    data = json.loads(json.dumps(as_data(report()), allow_nan=False))
    ours = data["runs"][0]
    assert (ours["policy"], ours["attainment"], ours["gpu_hours"], ours["ours"]) == ("inferops", 0.995, 14.0, True)
    assert ours["ttft"]["p99"] == 0.9
    assert ours["timeline"]["ready"] == [3] * 60 and ours["timeline"]["time"][-1] == 3600.0
    assert "suggestion" not in data


def test_json_has_null_for_what_is_not_known() -> None:
    found = report()
    found.entries[0].result.ttft["p99"] = inf
    data = json.loads(json.dumps(as_data(found), allow_nan=False))
    assert data["runs"][0]["ttft"]["p99"] is None
    free = Report("t", (), (), 0.99, False, found.entries)
    assert as_data(free)["runs"][0]["cost"] is None


def test_the_page_is_well_formed_and_asks_nobody_for_anything() -> None:
    root = parsed(report())
    text = page(report())
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|src=|href=", text)
    assert set(re.findall(r"https?://[^\"' <]+", text)) == {"http://www.w3.org/2000/svg"}
    assert len(list(root.iter(f"{SVG}svg"))) == 5  # one of all, and two for each rule
    assert "prefers-color-scheme:dark" in text
    rows = [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")][1:]
    assert [row[0] for row in rows] == ["inferops", "hpa"] and rows[0][1] == "99.50 %"


def test_plots_stay_within_their_frames() -> None:
    for svg in parsed(report()).iter(f"{SVG}svg"):
        wide, high = map(float, svg.attrib["viewBox"].split()[2:])
        for circle in svg.iter(f"{SVG}circle"):
            assert 0 <= float(circle.attrib["cx"]) <= wide and 0 <= float(circle.attrib["cy"]) <= high
        for path in svg.iter(f"{SVG}path"):
            for command, numbers in re.findall(r"([MLHVh])([-\d. ]+)", path.attrib["d"]):
                for at, number in enumerate(map(float, numbers.split())):
                    limit = high if command == "V" or (command in "ML" and at == 1) else wide
                    assert 0 <= number <= limit


def test_each_rule_has_its_steps() -> None:
    root = parsed(report())
    titles = [path.findtext(f"{SVG}title") for path in root.iter(f"{SVG}path")]
    for title in ("inferops: ready", "inferops: wanted", "hpa: ready", "hpa: missed"):
        assert title in titles
    wanted = next(path for path in root.iter(f"{SVG}path") if path.findtext(f"{SVG}title") == "inferops: wanted")
    assert wanted.attrib["d"].count("V") == 1  # it rose once


@pytest.mark.parametrize("name", [NASTY, "a" * 300, "ünïcödé 模型"])
def test_nobodys_text_is_markup(name: str) -> None:
    found = report(name, suggestion=Suggestion(f"# {name}", *report(name).entries, runs=9, meets=True))
    root = parsed(found)
    assert not list(root.iter("script"))
    if name != NASTY:
        assert any(name in (cell.text or "") for cell in root.iter("td"))
    told = printed(found)
    assert "\x1b" not in told and "\x00" not in told
    assert json.loads(json.dumps(as_data(found)))["runs"][1]["policy"] == name


def test_the_suggestion_is_told_with_both_figures() -> None:
    before, after = report().entries[1], report().entries[0]
    patch = "spec:\n  scaling: {minReplicas: 2}\n"
    found = report(suggestion=Suggestion(patch, before, after, runs=12, meets=True))
    told = printed(found)
    assert "minReplicas: 2" in told and "12 runs" in told
    assert "97.0 % within the SLO, 25.00 GPU hours, $52.50" in told and "99.50 % within the SLO" in told
    assert next(parsed(found).iter("pre")).text == patch
    assert as_data(found)["suggestion"]["after"]["attainment"] == 0.995


def test_the_chart_draws_replicas_to_one_scale_and_marks_misses() -> None:
    lines = [line.plain for line in chart(report().entries, 96)]
    assert lines[0].startswith("requests/s ") and "up to 11" in lines[0]
    assert lines[1].startswith("  inferops ") and "▅" * 60 in lines[1]
    assert "█" * 60 in lines[3] and lines[3].endswith("6 replicas")
    assert lines[2].endswith("missed") and set(lines[2].split("missed")[0][11:61]) == {" "}  # none in the first 50
    assert lines[-1].rstrip().endswith("1h")


def test_runs_without_a_timeline_or_requests_make_no_plots() -> None:
    empty = Report("t", (), (), 0.99, False, (Entry("inferops", "", Result("inferops", 0.0)),))
    assert list(parsed(empty).iter(f"{SVG}svg")) == []
    assert chart(empty.entries, 80) == []
    assert "100 %" in printed(empty)
