"""The EndpointSlice that puts the built-in gateway behind the Service of a service.

Kubernetes' own slices of that Service stay, and are empty meanwhile: each controller has its own (KEP-752).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferops.api.resources import InferenceService
from inferops.render import labels

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "inferops"  # as MANAGED_BY of slices in which the operator lists gateways
GATEWAYS = "inferops-gateway"  # the Service of the gateways themselves
MOST = 1000  # endpoints of a slice, as the API has it


def slice_name(service: str) -> str:
    """Name of the slice with the gateways' addresses."""
    return f"{service}-gateway"


def render_gateway_slice(service: InferenceService, gateways: Sequence[str]) -> dict[str, Any]:
    """The slice by which requests to the Service of the service's name come to `gateways` (IPv4, host:port).

    One slice has one port: gateways on another port than the first's are left out.
    """
    _, _, port = gateways[0].rpartition(":")
    hosts = [host for host, _, at in (each.rpartition(":") for each in gateways) if at == port]
    metadata = labels.metadata(service, slice_name(service.metadata.name))
    ours = {SERVICE_NAME: service.metadata.name, MANAGED_BY: MANAGER}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {**metadata["labels"], **ours}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}} for host in hosts[:MOST]],
        "ports": [{"name": "http", "port": int(port), "protocol": "TCP"}],
    }
