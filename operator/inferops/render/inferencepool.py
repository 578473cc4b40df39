"""The InferencePool of a revision: its replicas, as an endpoint picker chooses among them.

Source: inference.networking.k8s.io/v1 (Gateway API Inference Extension). What the API server would fill in is spelled
out, so that what was applied and what is there compare equal.
"""

from __future__ import annotations

from typing import Any

from inferops.api.resources import InferenceService
from inferops.api.traffic import EndpointPicker
from inferops.core.revision import revision_name
from inferops.render import labels
from inferops.render.record import Record

GROUP = "inference.networking.k8s.io"


def render_inferencepool(
    service: InferenceService, revision: str, record: Record, picker: EndpointPicker
) -> dict[str, Any]:
    """The pool of the revision with the hash `revision`: the pods that its Service selects, on their HTTP port."""
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "InferencePool",
        "metadata": labels.metadata(service, revision_name(service.metadata.name, revision), revision),
        "spec": {
            "selector": {"matchLabels": dict(record.objects["service"]["spec"]["selector"])},
            "targetPorts": [{"number": http_port(record)}],
            "endpointPickerRef": {
                "group": "",
                "kind": "Service",
                "name": picker.name,
                "port": {"number": picker.port},
                "failureMode": picker.failure_mode,
            },
        },
    }


def http_port(record: Record) -> int:
    """The port of HTTP on the revision's Service, which is headless: so it is the pods' own."""
    ports = record.objects["service"]["spec"]["ports"]
    return int(next(port["port"] for port in ports if port["name"] == "http"))
