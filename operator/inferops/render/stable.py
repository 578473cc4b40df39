"""The Service of a service's own name: the address that stays, pointing at the revision that serves."""

from __future__ import annotations

from typing import Any

from inferops.api.resources import InferenceService
from inferops.render import labels
from inferops.render.record import Record

HTTP = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}


def render_stable(service: InferenceService, revision: str, record: Record | None = None) -> dict[str, Any]:
    """The Service that sends all requests to the revision with the hash `revision`.

    With the revision's `record` it has every port of the revision's own Service, such as Triton's gRPC; without it,
    HTTP alone.
    """
    ports = [HTTP] if record is None else record.objects["service"]["spec"]["ports"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": labels.metadata(service, service.metadata.name),
        "spec": {
            "type": "ClusterIP",
            "selector": labels.selector(service.metadata.name, revision),
            "ports": [dict(port) for port in ports],
        },
    }
