"""A gate's Job as it is -> how it ended, if it has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from inferops.render.gatejob import GATE, SINCE

# `Unjudged`: it ended before its container did, so that nothing was judged.
Outcome = Literal["Running", "Passed", "Failed", "Unjudged"]
MESSAGE_LIMIT = 512
EXIT_CODE = re.compile(r"failed with exit code (\d{1,3})\b")


@dataclass(frozen=True, slots=True)
class JobView:
    """What matters of a Job."""

    gate: str  # the name by which a rollout asks; empty: it is no gate's
    since: str = ""  # when it did
    outcome: Outcome = "Running"
    message: str = ""


def job_view(raw: Mapping[str, Any]) -> JobView:
    """What matters of a Job. `raw` is untrusted: whatever is missing reads as not there yet.

    Source: conditions and reasons of batch/v1. With its failure policy a Job fails by PodFailurePolicy where its
    container ended with another code than 0; every other reason tells of pods that did not get that far.
    """
    annotations = raw["metadata"].get("annotations") or {}
    view = JobView(gate=str(annotations.get(GATE) or ""), since=str(annotations.get(SINCE) or ""))
    for condition in (raw.get("status") or {}).get("conditions") or ():
        if condition.get("status") != "True":
            continue
        if condition.get("type") == "Complete":
            return JobView(view.gate, view.since, "Passed")
        if condition.get("type") == "Failed":
            return JobView(view.gate, view.since, *_failure(condition))
    return view


def _failure(condition: Mapping[str, Any]) -> tuple[Outcome, str]:
    reason, message = str(condition.get("reason") or ""), str(condition.get("message") or "")
    if reason == "PodFailurePolicy":
        code = EXIT_CODE.search(message)
        return "Failed", f"exit code {code[1]}" if code else message[:MESSAGE_LIMIT]
    if reason == "DeadlineExceeded":
        return "Unjudged", "it did not end within the gate's wait"
    return "Unjudged", f"it did not run to its end, so nothing was judged: {message or reason}"[:MESSAGE_LIMIT]
