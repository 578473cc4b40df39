"""Ways to get `spec.scaling` wrong: a case, what is changed, and the field and the remedy that the refusals name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HERE = "spec.scaling"
WINDOW = {"cron": "0 8 * * 1-5", "duration": "10h", "minReplicas": 2}

Case = tuple[str, Mapping[str, Any], str, str]


def _one(case: str, field: str, value: Any, remedy: str, at: str = "") -> Case:
    return case, {f"{HERE}.{field}": value}, f"{HERE}.{field}{at}", remedy


def _window(case: str, field: str, value: Any, remedy: str) -> Case:
    return _one(case, "schedule", [{**WINDOW, field: value}], remedy, f"[0].{field}")


SCALING: tuple[Case, ...] = (
    ("fewer at most than at least", {HERE: {"minReplicas": 4, "maxReplicas": 2}}, f"{HERE}.maxReplicas",
     "raise maxReplicas or lower minReplicas"),
    ("more replicas than at most", {HERE: {"replicas": 4, "maxReplicas": 2}}, f"{HERE}.replicas",
     "lower replicas or raise maxReplicas"),
    _one("unknown mode of scaling", "mode", "hpa", "external"),
    _one("replicas below nothing", "minReplicas", -1, "greater than or equal to 0"),
    _one("replicas without an end", "maxReplicas", 1001, "less than or equal to 1000"),
    _one("a queue of nothing", "queueDepth", 0, "greater than or equal to 1"),
    _one("idle for ever", "scaleToZeroAfter", "never", "must be a duration"),
    _one("idle for ages", "scaleToZeroAfter", "99999999d", "must be a duration"),
    ("a schedule of nothing", {f"{HERE}.mode": "schedule"}, f"{HERE}.schedule",
     "mode schedule needs at least one window, for example {cron: '0 8 * * 1-5', duration: 10h, minReplicas: 4}"),
    ("a window above the maximum", {HERE: {"maxReplicas": 1, "schedule": [WINDOW]}}, f"{HERE}.schedule",
     "a window's minReplicas exceeds scaling.maxReplicas; lower it or raise maxReplicas"),
    _one("too many windows", "schedule", [WINDOW] * 17, "16"),
    _one("a window that never begins", "schedule", [{"duration": "1h", "minReplicas": 1}], "equired", "[0].cron"),
    _one("a window that never ends", "schedule", [{"cron": "0 8 * * *", "minReplicas": 1}], "equired", "[0].duration"),
    _one("a window for nothing", "schedule", [{"cron": "0 8 * * *", "duration": "1h"}], "equired", "[0].minReplicas"),
    _window("a window every morning", "cron", "@daily", "a cron expression of five fields, for example 0 8 * * 1-5"),
    _window("a window with seconds", "cron", "0 0 8 * * 1-5", "a cron expression of five fields"),
    _window("a window with two blanks", "cron", "0  8 * * 1-5", "a cron expression of five fields"),
    _window("a window of no length", "duration", "0h", "must be longer than 0"),
    _window("a window of hours without a unit", "duration", "10", "must be a duration"),
    _window("a window that lends replicas", "minReplicas", -1, "greater than or equal to 0"),
    _window("a window on another continent", "timeZone", "+02:00", "must be a time zone, for example Europe/Berlin"),
    _window("a window out of its folder", "timeZone", "Europe/../Berlin", "must be a time zone"),
    _window("a window with a long name", "name", "office hours", "must be a name of lower-case letters"),
    _one("a step up of no size", "scaleUp", {"period": "1m"}, "give replicas, percent or both, for example percent:",
         ".replicas"),
    _one("a step up of nothing", "scaleUp", {"replicas": 0}, "greater than or equal to 1", ".replicas"),
    _one("a step up beyond reason", "scaleUp", {"percent": 10_001}, "less than or equal to 10000", ".percent"),
    _one("a step up at once", "scaleUp", {"percent": 100, "period": "0s"}, "must be longer than 0", ".period"),
    _one("a step down of no size", "scaleDown", {"limit": {}}, "give replicas, percent or both", ".limit.replicas"),
    _one("a step down below nothing", "scaleDown", {"limit": {"percent": 0}}, "greater than or equal to 1",
         ".limit.percent"),
    _one("a step down some day", "scaleDown", {"after": "soon"}, "must be a duration", ".after"),
    _one("latency without a goal", "mode", "latency", "latency needs slo.ttft or slo.tpot to go by; set one of them"),
    ("an attainment in percent", {"spec.slo.attainment": 99}, "spec.slo.attainment",
     "must be a share from 0.5 to 0.99999"),
    ("an attainment of nobody", {"spec.slo.attainment": 0.1}, "spec.slo.attainment",
     "for example 0.99 for 99 of 100 requests"),
)  # fmt: skip
