"""Raw resources as the API server returns them, of what a gateway reads."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from inferops.api import API_VERSION
from inferops.kube.owned import Object

NAMESPACE = "chat"


def service(
    name: str = "llama",
    *,
    version: int = 1,
    namespace: str = NAMESPACE,
    revisions: Mapping[str, int] | None = None,
    stalled: str = "",
    created: str = "2025-11-03T12:00:00Z",
    **spec: Any,
) -> Object:
    """An InferenceService with the weights of its revisions."""
    status: dict[str, Any] = {}
    if revisions is not None:
        status["revisions"] = [
            {"name": f"{name}-{hash_}", "hash": hash_, "role": "Stable", "weight": weight, "usdPerHour": "2.5"}
            for hash_, weight in revisions.items()
        ]
    if stalled:
        status["conditions"] = [{"type": "Stalled", "status": "True", "reason": "CrashLoop", "message": stalled}]
    return {
        "apiVersion": API_VERSION,
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "creationTimestamp": created,
            "resourceVersion": str(version),
        },
        "spec": {"model": {"uri": "hf://Qwen/Qwen3-8B"}, **spec},
        "status": status,
    }


def pods(*names: str, **conditions: bool) -> list[Object]:
    """Endpoints of pods; each has the address 10.0.0.N, with N the number at the end of its name."""
    return [
        {
            "addresses": [f"10.0.0.{name.rpartition('-')[2]}"],
            "conditions": {"ready": True, "serving": True, "terminating": False, **conditions},
            "targetRef": {"kind": "Pod", "name": name, "namespace": NAMESPACE},
        }
        for name in names
    ]


def endpoint_slice(
    name: str,
    endpoints: Sequence[Object],
    *,
    service: str = "llama",
    revision: str = "aaa",
    namespace: str = NAMESPACE,
    version: int = 1,
    labels: Mapping[str, str] | None = None,
    **parts: Any,
) -> Object:
    """An EndpointSlice of a revision's Service, as the endpoints' controller makes it."""
    own = {
        "kubernetes.io/service-name": f"{service}-{revision}",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "app.kubernetes.io/managed-by": "inferops",
        "inferops.dev/service": service,
        "inferops.dev/revision": revision,
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "resourceVersion": str(version),
            "labels": {**own, **(labels or {})},
        },
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": "metrics", "port": 8002}, {"name": "http", "port": 8000}],
        **parts,
    }


def peers(*addresses: str, name: str = "gateways", ready: bool = True) -> Object:
    """An EndpointSlice of the gateways' own Service."""
    endpoints = [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": "inferops-system",
            "labels": {"kubernetes.io/service-name": "inferops-gateway"},
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080}],
    }


def runtime(name: str, engine: str, version: int = 1) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": "ServingRuntime",
        "metadata": {"name": name, "resourceVersion": str(version)},
        "spec": {"engine": engine},
    }


def secret(name: str, keys: Mapping[str, str], namespace: str = NAMESPACE) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "data": {client: base64.b64encode(key.encode()).decode() for client, key in keys.items()},
    }
