"""Ways to get `spec.rollout.gates` wrong: a case, the gates, and the field and the remedy that the refusals name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HERE = "spec.rollout.gates"
URL = "http://judge.ml.svc/canary"


def _one(case: str, gate: Mapping[str, Any], remedy: str, at: str = "[0]") -> tuple[str, Mapping[str, Any], str, str]:
    return case, {HERE: [{"name": "quality", **gate}]}, f"{HERE}{at}", remedy


def _hook(case: str, field: str, value: str, remedy: str) -> tuple[str, Mapping[str, Any], str, str]:
    return _one(case, {"webhook": {"url": URL, field: value}}, remedy, f"[0].webhook.{field}")


GATES: tuple[tuple[str, Mapping[str, Any], str, str], ...] = (
    _one("a gate that nobody opens", {}, "give exactly one of manual: true, webhook and job"),
    _one("a gate of two kinds", {"manual": True, "webhook": {"url": URL}}, "give exactly one of manual"),
    _one("a gate at a weight without a step", {"manual": True, "at": [7]}, "must name 0 or the weight of one", ""),
    _one("a gate that waits for nothing", {"manual": True, "wait": "0s"}, "must be longer than 0", "[0].wait"),
    ("a gate twice", {HERE: [{"name": "a", "manual": True}, {"name": "a", "manual": True}]}, HERE, "Duplicate value"),
    _hook("a webhook with a password", "url", "http://me:secret@judge.ml.svc/", "without user, password and query"),
    _hook("a webhook of a file", "url", "file:///etc/passwd", "must be an http or https address"),
    _hook("a webhook with a query", "url", f"{URL}?token=secret", "without user, password and query"),
    _hook("a webhook that takes a minute", "timeout", "1m", "must be at most 30s, for example 10s"),
    _hook("a webhook that takes 31 s", "timeout", "31s", "must be at most 30s"),
    _hook("a webhook that takes 30.001 s", "timeout", "30001ms", "must be at most 30s"),
    _hook("a webhook that takes no time", "timeout", "0ms", "must be longer than 0"),
    _one(
        "a job by a command line",
        {"job": {"image": "eval:1", "args": ["--suite smoke"]}},
        "must be one word",
        "[0].job.args[0]",
    ),
    _one("a job without an image", {"job": {}}, "equired", "[0].job.image"),
)
