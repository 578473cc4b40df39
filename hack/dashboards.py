"""Writes charts/inferops/dashboards from hack/dashboard_panels.py, or checks that they are up to date.

python hack/dashboards.py            writes them
python hack/dashboards.py --check    writes nothing; exits 1 and names the files that differ
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dashboard_panels import DASHBOARDS, Dashboard, Panel

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("charts/inferops/dashboards")
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, STATS, LINES = 24, 4, 8  # of a dashboard; heights of numbers and of lines
SCHEMA = 39  # of Grafana 10, which newer ones read


def generated() -> dict[Path, str]:
    """Every file, by its path from the root of the repository."""
    return {FOLDER / f"{each.name}.json": json.dumps(written(each), indent=2) + "\n" for each in DASHBOARDS}


def written(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": f"inferops-{dashboard.name}",
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": ["inferops"],
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": SCHEMA,
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": list(_variables(dashboard))},
        "panels": list(_panels(dashboard)),
    }


def _variables(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    match = ""
    for name, metric in dashboard.variables.items():
        query = f"label_values({metric}{match}, {name})"
        several = {"multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}
        yield {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": query, "refId": name},
            "definition": query,
            "refresh": 2,
            "sort": 1,
            **(several if name == "cluster" else {}),
        }
        match = f'{{{name}="${name}"}}'  # a service of the namespace that was chosen


def _panels(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    number, top = 0, 0
    for row in dashboard.rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
        }
        top += 1
        height = STATS if all(each.stat for each in row.panels) else LINES
        beside = min(len(row.panels), 6 if height == STATS else 2)
        for place, panel in enumerate(row.panels):
            number += 1
            x, y = place % beside * (WIDTH // beside), top + place // beside * height
            yield _panel(number, panel, {"x": x, "y": y, "w": WIDTH // beside, "h": height})
        top += -(-len(row.panels) // beside) * height


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    custom: dict[str, Any] = {"lineWidth": 1, "fillOpacity": 30 if panel.stacked else 5, "showPoints": "never"}
    if panel.stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    shown = {
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "auto", "colorMode": "value"}
        if panel.stat
        else {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    }
    return {
        "id": number,
        "type": "stat" if panel.stat else "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, **({} if panel.stat else {"custom": custom})},
            "overrides": [],
        },
        **shown,
        "targets": [
            {
                "refId": chr(ord("A") + each),
                "datasource": SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "range": True,
            }
            for each, query in enumerate(panel.queries)
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when a file differs")
    check, files = parser.parse_args().check, generated()
    known = {path.relative_to(ROOT) for path in (ROOT / FOLDER).glob("*.json")}
    stale = [path for path, text in files.items() if path not in known or (ROOT / path).read_text() != text]
    for path in sorted({*stale, *(known - files.keys())}):
        if check:
            print(f"{path} differs from hack/dashboard_panels.py; run: python hack/dashboards.py", file=sys.stderr)
        elif path in files:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(files[path])
        else:
            (ROOT / path).unlink()
    return 1 if check and (stale or known - files.keys()) else 0


if __name__ == "__main__":
    sys.exit(main())
