"""The report as one page of HTML, with plots and without scripts, fonts or anything else from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from inferops.simulate.report import words
from inferops.simulate.report.markup import Markup, joined, tag
from inferops.simulate.report.plots import Curve, Mark, over_time, scatter
from inferops.simulate.report.series import end_of, mean, missed, steps
from inferops.simulate.report.terms import Entry, Report, Suggestion
from inferops.simulate.scaling.scenario import Point

BINS, MOST = 160, 600  # of the load and of misses; of replicas
COLOURS = (
    ("#0b6bcb", "#4ea1ff"), ("#c8501a", "#ff9257"), ("#0f8a5f", "#3ddc97"), ("#a13fa1", "#e08ae0"),
    ("#8a6d00", "#e3c13b"), ("#0a7d8c", "#4fd0e0"), ("#7a4b2a", "#cf9a72"), ("#5a5fc9", "#a5a9ff"),
    ("#b3224f", "#ff7da0"), ("#5f6b1a", "#b9c85a"), ("#555555", "#aaaaaa"), ("#2f6f2f", "#7fd07f"),
)  # fmt: skip
COLUMNS = (
    "rule", "SLO met", "TTFT p50 / p95 / p99", "TPOT p50 / p95 / p99", "refused", "unfinished", "replica hours",
    "GPU hours", "cost", "changes", "settings",
)  # fmt: skip
STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1c1f24;--dim:#5b6470;--grid:#e3e6ea;--area:#c9d3df;--good:#0f7a3d;
--bad:#b3261e;LIGHT}
@media(prefers-color-scheme:dark){:root{--back:#14171b;--text:#e6e8eb;--dim:#9aa4b0;--grid:#2b3138;--area:#39434f;
--good:#52c98a;--bad:#ff8a80;DARK}}
*{box-sizing:border-box}
body{margin:0 auto;padding:24px;max-width:1080px;background:var(--back);color:var(--text);
font:15px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:22px;margin:0 0 12px}h2{font-size:17px;margin:32px 0 6px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:0}dt,.dim{color:var(--dim)}dd{margin:0}
p{margin:6px 0}.note{border-left:3px solid var(--bad);padding-left:10px}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;white-space:nowrap}
th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--grid)}
th:first-child,td:first-child,th:last-child,td:last-child{text-align:left}td:last-child{white-space:normal}
.ours{font-weight:600}.good{color:var(--good)}.bad{color:var(--bad)}
pre{background:var(--grid);padding:12px;border-radius:6px;overflow-x:auto}
svg{display:block;width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:var(--dim)}
svg .label{fill:var(--text);font-size:12px}.grid{stroke:var(--grid)}.goal{stroke:var(--bad);stroke-dasharray:5 4}
.line,.step{fill:none;stroke-width:1.6}.area{fill:var(--area);stroke:none}
.late{fill:var(--bad)}h3{font-size:14px;margin:14px 0 2px}h3 i{display:inline-block;width:12px;height:12px;
border-radius:2px;margin-right:6px;vertical-align:-1px}
.wanted{stroke-dasharray:3 3;opacity:.75;stroke-width:1.2}.dot{stroke:var(--back);stroke-width:1.5}
"""


def page(report: Report) -> str:
    """The whole document, well-formed XML but for its first line."""
    style = STYLE.replace("LIGHT", _variables(0)).replace("DARK", _variables(1)) + _classes()
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", report.title),
        tag("style", Markup(style)),
    )
    facts = tag("dl", *(joined(tag("dt", name), tag("dd", value)) for name, value in report.facts))
    notes = joined(*(tag("p", note, class_="note") for note in report.notes))
    body = tag("body", tag("h1", report.title), facts, notes, *_results(report), *_plots(report))
    return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"


def _variables(scheme: int) -> str:
    return "".join(f"--c{at}:{pair[scheme]};" for at, pair in enumerate(COLOURS)).rstrip(";")


def _classes() -> str:
    each = "".join(
        f".c{at}.line,.c{at}.step{{stroke:var(--c{at})}}.c{at}.dot,i.c{at}{{fill:var(--c{at});background:var(--c{at})}}"
        for at in range(len(COLOURS))
    )
    return each + "\n"


def _results(report: Report) -> list[Markup]:
    rows = [_row(entry, report) for entry in report.entries]
    table = tag(
        "table", tag("thead", tag("tr", *(tag("th", name, scope="col") for name in COLUMNS))), tag("tbody", *rows)
    )
    found = [tag("h2", "Results"), tag("div", table, class_="wide")]
    return found if report.suggestion is None else [*found, *_suggested(report, report.suggestion)]


def _row(entry: Entry, report: Report) -> Markup:
    result = entry.result
    cells = [*words.figures(result, report.priced), entry.settings]
    met = tag("td", words.share(result.attainment), class_="good" if result.attainment >= report.goal else "bad")
    return tag("tr", tag("td", entry.name, class_="ours" if entry.ours else None), met, *(tag("td", x) for x in cells))


def _suggested(report: Report, suggestion: Suggestion) -> list[Markup]:
    before, after = suggestion.before.result, suggestion.after.result
    told = "meets" if suggestion.meets else "comes nearest to meeting"
    sentence = (
        f"Of {suggestion.runs} runs, this {told} the SLO for {words.goal(report.goal)} of requests at the least cost: "
        f"{words.share(before.attainment)} before and {words.share(after.attainment)} after, with "
        f"{words.hours(before.gpu_hours)} and {words.hours(after.gpu_hours)} GPU hours."
    )
    return [tag("h2", "Suggestion"), tag("p", sentence), tag("pre", suggestion.patch)]


def _plots(report: Report) -> list[Markup]:
    entries = [entry for entry in report.entries if entry.result.timeline]
    if not entries:
        return []
    hint = "The nearer to the lower left the better; the dashed line is the goal. None missed stands as half a request."
    found = [tag("h2", "GPU hours against misses"), tag("p", hint, class_="dim"), _pareto(report)]
    told = "Line: replicas that are ready; dashed: wanted; grey: requests a second, to a scale of their own. "
    told += "Below it the share of the requests of the time that missed the SLO."
    found += [tag("h2", "Over time"), tag("p", told, class_="dim")]
    end = end_of([entry.result for entry in entries])
    most = max(max(point.wanted, point.ready) for entry in entries for point in entry.result.timeline)
    for at, entry in enumerate(entries):
        found += [_title(entry, at), _replicas(entry, at, end, max(1, most)), _missed(entry, end)]
    return found


def _title(entry: Entry, at: int) -> Markup:
    return tag("h3", tag("i", class_=_colour(at)), entry.name)


def _colour(at: int) -> str:
    return f"c{at % len(COLOURS)}"


def _replicas(entry: Entry, at: int, end: float, most: float) -> Markup:
    """Replicas of one rule over the load, all rules to one scale."""
    timeline, colour = entry.result.timeline, _colour(at)
    load = mean(timeline, lambda point: point.arrivals, end, BINS)
    peak = max((each or 0.0 for each in load), default=0.0) or 1.0
    scaled = [None if each is None else each / peak * most for each in load]
    curves = [
        Curve(_over(scaled, end), "", "area", f"up to {words.rate(peak)} requests a second"),
        Curve(steps(timeline, _wanted, end, MOST), f"{colour} wanted", "step", f"{entry.name}: wanted"),
        Curve(steps(timeline, _ready, end, MOST), colour, "step", f"{entry.name}: ready"),
    ]
    return over_time(f"Replicas over time, {entry.name}", curves, end, most, 170.0)


def _missed(entry: Entry, end: float) -> Markup:
    shares = missed(entry.result.timeline, end, BINS)
    curve = Curve(_over(shares, end), "late", "area", f"{entry.name}: missed")
    title = f"Missed share over time, {entry.name}"
    return over_time(title, [curve], end, 1.0, 70.0, lambda value: f"{100 * value:.3g} %", clocks=False)


def _pareto(report: Report) -> Markup:
    marks = [
        Mark(
            entry.result.gpu_hours,
            1 - entry.result.attainment,
            entry.name,
            _colour(at),
            f"{entry.name}: {words.hours(entry.result.gpu_hours)} GPU hours, {words.share(entry.result.attainment)}",
        )
        for at, entry in enumerate(report.entries)
    ]
    least = 0.5 / max(1, max(entry.result.requests for entry in report.entries))
    return scatter("GPU hours against missed share", marks, "GPU hours", least, 1 - report.goal)


def _over(values: Sequence[float | None], end: float) -> list[tuple[float, float | None]]:
    """Values of equal parts of the time, at their middles."""
    return [((at + 0.5) * end / len(values), value) for at, value in enumerate(values)]


def _ready(point: Point) -> float:
    return point.ready


def _wanted(point: Point) -> float:
    return point.wanted
