"""Counts what was written to an API server: by resource from its metrics, by user from its audit log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """A request as the audit log has it, answered or, for a watch, begun."""

    stage: str  # ResponseStarted, ResponseComplete or Panic
    user: str
    agent: str
    verb: str  # get, list, watch, create, update, patch, delete, deletecollection
    resource: str  # the plural, with /subresource where there is one; empty for a path such as /healthz
    namespace: str
    name: str
    uri: str
    code: int  # HTTP status; 0 where the log has none
    allowed: bool = True  # by authorization; a 403 of admission is allowed


def write_counts(metrics: str) -> Counter[tuple[str, str]]:
    """Mutating requests by (resource, verb) since the API server started, dry runs left out.

    `metrics` is the text of its /metrics. Resources are plurals with /subresource where there is one, verbs are
    POST, PUT, PATCH, APPLY, DELETE and DELETECOLLECTION. Subtract two counts to learn what happened between them.
    """
    # the whole text is megabytes, and only these lines matter
    lines = (line for line in metrics.splitlines() if line.startswith("apiserver_request_total{"))
    counts: Counter[tuple[str, str]] = Counter()
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            labels = sample.labels
            if labels["verb"] in WRITES and not labels.get("dry_run"):
                counts[_resource(labels), labels["verb"]] += int(sample.value)
    return counts


def parse_audit_log(lines: Iterable[str]) -> list[AuditEvent]:
    """The events of an audit log, oldest first; a line that is still being written is left out."""
    return [_event(json.loads(line)) for line in lines if line.endswith("\n")]


def _event(line: dict[str, Any]) -> AuditEvent:
    of = line.get("objectRef", {})
    return AuditEvent(
        stage=line["stage"],
        user=line["user"].get("username", ""),
        agent=line.get("userAgent", ""),
        verb=line["verb"],
        resource=_resource(of),
        namespace=of.get("namespace", ""),
        name=of.get("name", ""),
        uri=line["requestURI"],
        code=line.get("responseStatus", {}).get("code", 0),
        allowed=line.get("annotations", {}).get("authorization.k8s.io/decision") != "forbid",
    )


def _resource(labels: dict[str, Any]) -> str:
    resource, subresource = labels.get("resource", ""), labels.get("subresource", "")
    return f"{resource}/{subresource}" if subresource else str(resource)
