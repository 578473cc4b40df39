"""The report for machines: shares from 0 to 1, times in seconds, money in US dollars; what is not known is null."""

from __future__ import annotations

from dataclasses import asdict, replace
from math import isfinite
from typing import Any

from inferops.simulate.report.terms import Entry, Report
from inferops.simulate.scaling.scenario import Point


def as_data(report: Report) -> dict[str, Any]:
    """The whole report; timelines as columns."""
    suggestion = report.suggestion
    found: dict[str, Any] = {
        "title": report.title,
        "facts": dict(report.facts),
        "notes": list(report.notes),
        "goal": report.goal,
        "priced": report.priced,
        "runs": [_entry(entry, report) for entry in report.entries],
    }
    if suggestion is not None:
        found["suggestion"] = {
            "patch": suggestion.patch,
            "meets": suggestion.meets,
            "runs": suggestion.runs,
            "before": _entry(suggestion.before, report),
            "after": _entry(suggestion.after, report),
        }
    finite: dict[str, Any] = known(found)
    return finite


def _entry(entry: Entry, report: Report) -> dict[str, Any]:
    timeline = entry.result.timeline
    result = asdict(replace(entry.result, timeline=[]))
    result["cost"] = entry.result.cost if report.priced else None
    result["attainment"] = entry.result.attainment
    result["timeline"] = {name: [point[at] for point in timeline] for at, name in enumerate(Point._fields)}
    return {**result, "policy": entry.name, "settings": entry.settings, "ours": entry.ours}


def known(value: Any) -> Any:
    """The same with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: known(each) for name, each in value.items()}
    if isinstance(value, list):
        return [known(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value
