"""Writes are counted: from metrics by resource, from the audit log by user."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from controlplane import AuditEvent, write_counts
from controlplane.counts import WRITES, parse_audit_log

VERBS = [*sorted(WRITES), "GET", "LIST", "WATCH", "CONNECT"]


def line(verb: str, resource: str, subresource: str, dry_run: str, value: int, code: int) -> str:
    return (
        f'apiserver_request_total{{code="{code}",component="apiserver",dry_run="{dry_run}",group="",'
        f'resource="{resource}",scope="resource",subresource="{subresource}",verb="{verb}",version="v1"}} {value}'
    )


@given(
    st.dictionaries(
        st.tuples(
            st.sampled_from(VERBS),
            st.sampled_from(["pods", "inferenceservices"]),
            st.sampled_from(["", "status", "scale"]),
            st.sampled_from(["", "All"]),
            st.sampled_from([200, 201, 409]),
        ),
        st.integers(0, 10**6),
    )
)
def test_every_write_counts_once_and_nothing_else_does(series: dict[tuple[str, str, str, str, int], int]):
    text = "\n".join(
        [
            "# HELP apiserver_request_total Counter of apiserver requests",
            "# TYPE apiserver_request_total counter",
            *(line(verb, of, sub, dry, value, code) for (verb, of, sub, dry, code), value in series.items()),
            'apiserver_request_duration_seconds_bucket{verb="POST",resource="pods",le="0.1"} 7',
            'apiserver_request_total_of_another{verb="POST",resource="pods"} 7',
        ]
    )
    counts = write_counts(text)
    wanted = {key: value for key, value in series.items() if key[0] in WRITES and key[3] == ""}
    assert counts.total() == sum(wanted.values())
    patched = [value for (verb, of, sub, *_), value in wanted.items() if (verb, of, sub) == ("PATCH", "pods", "status")]
    assert counts["pods/status", "PATCH"] == sum(patched)


def test_an_empty_text_counts_nothing():
    assert write_counts("") == {}


def test_audit_events_are_read_and_a_half_written_one_is_not():
    scale = {
        "stage": "ResponseComplete",
        "user": {"username": "system:serviceaccount:chat:inferops"},
        "userAgent": "inferops/0.1",
        "verb": "patch",
        "requestURI": "/apis/apps/v1/namespaces/chat/deployments/llama/scale",
        "objectRef": {"resource": "deployments", "subresource": "scale", "namespace": "chat", "name": "llama"},
        "responseStatus": {"code": 200},
    }
    health = {"stage": "Panic", "user": {}, "verb": "get", "requestURI": "/healthz"}
    lines = [json.dumps(scale) + "\n", json.dumps(health) + "\n", json.dumps(scale)[:40]]
    assert parse_audit_log(lines) == [
        AuditEvent(
            stage="ResponseComplete",
            user="system:serviceaccount:chat:inferops",
            agent="inferops/0.1",
            verb="patch",
            resource="deployments/scale",
            namespace="chat",
            name="llama",
            uri="/apis/apps/v1/namespaces/chat/deployments/llama/scale",
            code=200,
        ),
        AuditEvent("Panic", "", "", "get", "", "", "", "/healthz", 0),
    ]
