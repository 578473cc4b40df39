"""The HTTPRoute of a service: which requests of a Gateway are its, and which revisions get them by which weights.

No more of an engine is open this way than through the built-in gateway: what changes an engine or tells of it is
nobody's business outside. What is closed by a pattern alone is the exception, since the Gateway API has none.

Source: Gateway API v1. Everything that the API server would fill in is spelled out as it would store it, so that what
was applied and what is there compare equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from inferops.api.formats import seconds
from inferops.api.resources import InferenceService
from inferops.api.traffic import GatewayRef
from inferops.core.revision import revision_name
from inferops.core.routing import RoutePlan
from inferops.render import labels
from inferops.render.inferencepool import GROUP as POOL_GROUP
from inferops.render.stable import HTTP_PORT
from inferops.runtimes.base import Api

GROUP = "gateway.networking.k8s.io"
MODEL_HEADER = "X-Gateway-Model-Name"  # which body-based routers set (Gateway API Inference Extension)
MOST_MATCHES = 64  # of a rule; 128 of a route
LONGEST = 99_999 * 3600  # seconds; a unit has five digits at most


def render_httproute(service: InferenceService, plan: RoutePlan, ports: Mapping[str, int], api: Api) -> dict[str, Any]:
    """The route that `plan` asks for, to what of the engine's `api` is open. `ports` are those of HTTP on the
    revisions' Services, by hash."""
    traffic = service.spec.traffic
    timeout = duration(seconds(traffic.request_timeout))
    rule = {
        "matches": _matches(plan, _open(plan, api)),
        "backendRefs": _backends(service.metadata.name, plan, ports),
        "timeouts": {"request": timeout, "backendRequest": timeout},
    }
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "HTTPRoute",
        "metadata": labels.metadata(service, service.metadata.name),
        "spec": {
            "parentRefs": [_parent(plan.gateway)],
            **({"hostnames": list(traffic.hostnames)} if traffic.hostnames else {}),
            "rules": [rule, *_closed(plan, api)],
        },
    }


def duration(of: float) -> str:
    """Seconds as the Gateway API writes them (GEP-2257), for example `1h30m`; at least a millisecond."""
    left = max(round(min(of, LONGEST) * 1000), 1)
    text = ""
    for unit, milliseconds in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, milliseconds)
        text += f"{count}{unit}" if count else ""
    return text


def _parent(gateway: GatewayRef) -> dict[str, Any]:
    section = {"sectionName": gateway.section_name} if gateway.section_name is not None else {}
    return {"group": GROUP, "kind": "Gateway", "name": gateway.name, "namespace": gateway.namespace, **section}


def _open(plan: RoutePlan, api: Api) -> list[dict[str, Any]]:
    """The paths that are open. With so many names that a rule cannot hold each with each, whole trees alone."""
    trees = [_prefix(path) for path in api.paths if path.endswith("/")]
    if len(plan.models) * len(api.paths) > MOST_MATCHES:
        return trees
    return [*trees, *({"type": "Exact", "value": path} for path in api.paths if not path.endswith("/"))]


def _closed(plan: RoutePlan, api: Api) -> list[dict[str, Any]]:
    """Rules for what is closed below an open path: the longer path wins, and what has no backend is refused."""
    paths = [_prefix(path) for path in api.closed if "*" not in path]
    matches = _matches(plan, paths)
    return [{"matches": matches[at : at + MOST_MATCHES]} for at in range(0, len(matches), MOST_MATCHES)]


def _prefix(path: str) -> dict[str, Any]:
    return {"type": "PathPrefix", "value": path.rstrip("/") or "/"}


def _matches(plan: RoutePlan, paths: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not plan.models:
        return [{"path": path} for path in paths]
    return [
        {"path": dict(path), "headers": [{"name": MODEL_HEADER, "type": "Exact", "value": model}]}
        for model, path in product(plan.models, paths)
    ]


def _backends(service: str, plan: RoutePlan, ports: Mapping[str, int]) -> list[dict[str, Any]]:
    if not plan.weights:
        return [_service(service, HTTP_PORT, 1)]
    if plan.pooled:
        return [
            {"group": POOL_GROUP, "kind": "InferencePool", "name": revision_name(service, hash_), "weight": weight}
            for hash_, weight in plan.weights.items()
        ]
    return [_service(revision_name(service, hash_), ports[hash_], weight) for hash_, weight in plan.weights.items()]


def _service(name: str, port: int, weight: int) -> dict[str, Any]:
    return {"group": "", "kind": "Service", "name": name, "port": port, "weight": weight}
