"""The Service of a service's own name: the address that stays, pointing at the revision that serves."""

from __future__ import annotations

from typing import Any

from inferops.api.resources import InferenceService
from inferops.render import labels
from inferops.render.record import Record

HTTP_PORT = 80  # what clients need not name


def render_stable(
    service: InferenceService, revision: str, record: Record, gateway: bool = False, of: str = ""
) -> dict[str, Any]:
    """The Service that sends all requests to the revision with the hash `revision`, on every port of its `record`.

    HTTP is on port 80, everything else, such as Triton's gRPC, on the engine's own port. Through the built-in
    `gateway` it selects no pod: its endpoints are those of another slice, for HTTP alone. `of`: the service whose
    revision it is, where that is another.
    """
    selector = labels.selector(of or service.metadata.name, revision) | (labels.THROUGH_GATEWAY if gateway else {})
    ports = [dict(port) for port in record.objects["service"]["spec"]["ports"]]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": labels.metadata(service, service.metadata.name),
        "spec": {
            "type": "ClusterIP",
            "selector": {**record.objects["service"]["spec"]["selector"], **selector},
            "ports": [{**port, "port": HTTP_PORT} if port["name"] == "http" else port for port in ports],
        },
    }
