"""Alerts fire when they must and are silent when they must not, speak of what exists, and each has its runbook."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from exposed import TARGET, samples
from fieldtools import find
from harness import ROOT
from unit.hack.promql import Check

RULES = ROOT / "charts" / "inferops" / "alerts.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks"
HERE = Path(__file__).parent
GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
ALL: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in ALL if "alert" in rule}
BUDGET = "inferops:budget_usd_per_hour"  # of the admin's own
PARTS = ("**What it means.**", "**How bad it is.**", "## Look at", "## Do", "## It ends")
LINK = re.compile(r"\]\(([^)#:]+\.md)\)")


def known() -> dict[str, frozenset[str]]:
    """What is told, and what the rules record of it."""
    found = {**samples(), BUDGET: frozenset(("namespace",))}
    for rule in ALL:
        if "record" in rule:
            labels = Check(found, TARGET).labels(rule["expr"]) | (rule.get("labels") or {}).keys()
            assert found.get(rule["record"], labels) == labels, f"{rule['record']} is recorded with different labels"
            found[rule["record"]] = labels
    return found


KNOWN = known()


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_what_is_told(rule: dict[str, Any]) -> None:
    check = Check(KNOWN, TARGET)
    labels = check.labels(rule["expr"])
    assert not check.wrong
    texts = " ".join((rule.get("annotations") or {}).values())
    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= labels


@pytest.mark.parametrize("rule", ALERTS.values(), ids=ALERTS)
def test_an_alert_says_how_bad_it_is_and_where_to_look(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
    assert not {"instance", "pod", "job"} & Check(KNOWN, TARGET).labels(rule["expr"]), "it would fire twice"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == ALERTS.keys()


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_runbook_says_all_of_it(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n")
    places = [text.find(part) for part in PARTS]
    assert -1 not in places and places == sorted(places)
    assert all((path.parent / link).is_file() for link in LINK.findall(text))


def test_the_docs_list_every_alert() -> None:
    text = (ROOT / "docs" / "observability.md").read_text()
    listed = dict(re.findall(r"^\| \[(\w+)\]\(runbooks/\1\.md\) \| (\w+) \|", text, re.MULTILINE))
    assert listed == {name: rule["labels"]["severity"] for name, rule in ALERTS.items()}


def test_every_alert_is_seen_to_fire_and_to_be_silent() -> None:
    told = [case for name in CASES for test in yaml.safe_load(cases(name))["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in told if case.get("exp_alerts")} == ALERTS.keys()
    quiet = {case["alertname"] for case in told if not case.get("exp_alerts")}
    only_some = {name for name in ALERTS if name not in quiet}
    assert only_some <= {"InferopsClusterStalled"}, "of that one, others beside the one that fires are silent"


CASES = ("alerts_test.yaml", "alerts_slow_test.yaml")


def cases(name: str) -> str:
    return (HERE / name).read_text()


@pytest.fixture
def promtool() -> Path:
    return find("promtool")


def test_prometheus_takes_them(promtool: Path) -> None:
    subprocess.run([promtool, "check", "rules", str(RULES)], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("name", CASES)
def test_they_fire_when_they_must(promtool: Path, tmp_path: Path, name: str) -> None:
    """Annotations are left out: promtool wants each of them word by word, and their labels were looked at above."""
    bare = {"groups": [{**group, "rules": [_bare(rule) for rule in group["rules"]]} for group in GROUPS]}
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(bare))
    (tmp_path / name).write_text(cases(name))
    done = subprocess.run([promtool, "test", "rules", name], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def _bare(rule: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if name != "annotations"}


def test_what_the_chart_installs_are_these_very_rules() -> None:
    template = (ROOT / "charts/inferops/templates/monitoring/alerts.yaml").read_text()
    assert '.Files.Get "alerts.yaml"' in template
    assert all(promql_parser.parse(rule["expr"]) for rule in ALL)
