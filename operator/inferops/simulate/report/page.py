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
.wanted{stroke-dasharray:3 3;opacity:.75;stroke-width:1.2}.dot{stroke:var(--back);stroke-width:1.5}
.key{display:flex;flex-wrap:wrap;gap:4px 16px;margin:4px 0}.key i{display:inline-block;width:12px;height:12px;
border-radius:2px;margin-right:6px;vertical-align:-1px}
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
    cells = [
        words.spans(result.ttft),
        words.spans(result.tpot),
        f"{result.refused:,}",
        f"{result.unfinished:,}",
        words.hours(result.replica_hours),
        words.hours(result.gpu_hours),
        words.dollars(result.cost, report.priced),
        f"{result.changes:,}",
        entry.settings,
    ]
    met = tag("td", words.share(result.attainment), class_="good" if result.attainment >= report.goal else "bad")
    return tag("tr", tag("td", entry.name, class_="ours" if entry.ours else None), met, *(tag("td", x) for x in cells))


def _suggested(report: Report, suggestion: Suggestion) -> list[Markup]:
    before, after = suggestion.before.result, suggestion.after.result
    told = "meets" if suggestion.meets else "comes nearest to meeting"
    sentence = (
        f"Of {suggestion.runs} runs, this {told} the SLO for {words.share(report.goal)} of requests at the least cost: "
        f"{words.share(before.attainment)} before and {words.share(after.attainment)} after, with "
        f"{words.hours(before.gpu_hours)} and {words.hours(after.gpu_hours)} GPU hours."
    )
    return [tag("h2", "Suggestion"), tag("p", sentence), tag("pre", suggestion.patch)]


def _plots(report: Report) -> list[Markup]:
    entries = [entry for entry in report.entries if entry.result.timeline]
    if not entries:
        return []
    end = end_of([entry.result for entry in entries])
    found = [tag("h2", "Load"), tag("p", "Requests a second.", class_="dim"), _load(entries[0], end)]
    found += [
        tag("h2", "Replicas"),
        tag("p", "Ready; dashed: wanted.", class_="dim"),
        _key(entries),
        _replicas(entries, end),
        tag("h2", "Missed over time"),
        tag("p", "Share of the requests of the time that missed the SLO.", class_="dim"),
        _missed(entries, end),
    ]
    hint = "The nearer to the lower left the better; the dashed line is the goal. Never below half a request."
    return [*found, tag("h2", "GPU hours against misses"), tag("p", hint, class_="dim"), _pareto(report)]


def _key(entries: Sequence[Entry]) -> Markup:
    each = (tag("span", tag("i", class_=_colour(at)), entry.name) for at, entry in enumerate(entries))
    return tag("div", *each, class_="key")


def _colour(at: int) -> str:
    return f"c{at % len(COLOURS)}"


def _load(entry: Entry, end: float) -> Markup:
    found = mean(entry.result.timeline, lambda point: point.arrivals, end, BINS)
    curve = Curve(_over(found, end), "", "area", "requests a second")
    return over_time("Load over time", [curve], end, max((each or 0.0 for each in found), default=0.0), 140.0)


def _replicas(entries: Sequence[Entry], end: float) -> Markup:
    curves: list[Curve] = []
    for at, entry in reversed(list(enumerate(entries))):  # our own stands first and is drawn last
        timeline, colour = entry.result.timeline, _colour(at)
        curves.append(Curve(steps(timeline, _wanted, end, MOST), f"{colour} wanted", "step", f"{entry.name}: wanted"))
        curves.append(Curve(steps(timeline, _ready, end, MOST), colour, "step", f"{entry.name}: ready"))
    most = max(max(point.wanted, point.ready) for entry in entries for point in entry.result.timeline)
    return over_time("Replicas over time", curves, end, max(1, most), 260.0)


def _missed(entries: Sequence[Entry], end: float) -> Markup:
    found = [missed(entry.result.timeline, end, BINS) for entry in entries]
    most = max((each or 0.0 for shares in found for each in shares), default=0.0)
    curves = [
        Curve(_over(shares, end), _colour(at), title=f"{entries[at].name}: missed")
        for at, shares in reversed(list(enumerate(found)))
    ]
    return over_time(
        "Missed share over time", curves, end, max(0.01, most), 190.0, lambda value: f"{100 * value:.3g} %"
    )


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
