"""What scales a service of mode external: a HorizontalPodAutoscaler or a KEDA ScaledObject on its scale subresource.

Both go by requests, those that wait and those that are worked on, over all replicas, for each of which so many are
planned. They are counted by the built-in gateways, where requests pass these, else by the engines themselves.

Metrics reach an HPA through an adapter of the cluster's, under the names that they have; KEDA asks Prometheus. Metrics
that are missing change nothing: an HPA rests without them, and KEDA is told to fail where it would read 0.

Source: autoscaling/v2; keda.sh/v1alpha1 (its reference of ScaledObject and of the trigger prometheus).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

from inferops.api import API_VERSION
from inferops.api.formats import seconds
from inferops.api.resources import InferenceService
from inferops.api.scaling import StepLimitSpec
from inferops.core.revision import HASH_LENGTH
from inferops.runtimes.base import Metrics

IN_FLIGHT = "inferops_gateway_requests_in_flight"  # with those that wait
Kind = Literal["hpa", "keda"]
WHO: dict[Kind, str] = {"hpa": "an HPA", "keda": "KEDA"}

# What autoscaling/v2 takes at most, in seconds; KEDA hands both on
LONGEST_PERIOD = 1800
LONGEST_WINDOW = 3600
AT_ONCE = 15  # seconds between two looks of an HPA: a limit that holds for no longer is none
SETTLE = 300  # seconds for which fewer must have been enough, where the user says nothing; an HPA's default as well
COOLDOWN = 300  # seconds without a request until zero, likewise; KEDA's default
LOOK, LOOK_AT_ZERO = 15, 5  # seconds between two looks of KEDA; at zero somebody may be waiting


@dataclass(frozen=True, slots=True)
class Target:
    """What a scaler goes by."""

    each: int  # requests at once that are planned for one replica
    engine: Metrics | None = None  # whose metrics count them, `running` among them; None: the gateways'


def lacking(service: InferenceService, kind: Kind) -> Iterator[str]:
    """What a service lacks to be scaled so: sentences that name the field and the remedy."""
    scaling = service.spec.scaling
    if scaling.mode != "external":
        yield (
            f"spec.scaling.mode: {scaling.mode} leaves the replicas to the operator, which {WHO[kind]} would fight; "
            "write mode: external"
        )
    if scaling.max_replicas is None:
        yield f"spec.scaling.maxReplicas: say how many replicas {WHO[kind]} may ask for at most, for example 8"
    if kind == "hpa" and scaling.min_replicas == 0:
        yield "spec.scaling.minReplicas: an HPA does not go to 0; write 1, or take --scaler keda"
    for name, limit in (("scaleUp", scaling.scale_up), ("scaleDown.limit", scaling.scale_down.limit)):
        if limit is not None and seconds(limit.period) > LONGEST_PERIOD:
            yield f"spec.scaling.{name}.period: {limit.period} is more than the 30m that {WHO[kind]} knows; shorten it"
    after = scaling.scale_down.after
    if after is not None and seconds(after) > LONGEST_WINDOW:
        yield f"spec.scaling.scaleDown.after: {after} is more than the 1h that {WHO[kind]} knows; shorten it"


def render_hpa(service: InferenceService, target: Target) -> dict[str, Any]:
    """The HorizontalPodAutoscaler of a service that lacks nothing."""
    scaling = service.spec.scaling
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(service),
        "spec": {
            "scaleTargetRef": _scaled(service),
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "metrics": list(_metrics(service, target)),
            "behavior": _behavior(service),
        },
    }


def render_scaled_object(service: InferenceService, target: Target, prometheus: str) -> dict[str, Any]:
    """The KEDA ScaledObject of a service that lacks nothing. `prometheus`: URL by which KEDA reaches it."""
    scaling = service.spec.scaling
    idle = scaling.scale_to_zero_after
    trigger = {
        "serverAddress": prometheus,
        "query": _query(service, target),
        "threshold": str(target.each),
        "activationThreshold": "0",
        "ignoreNullValues": "false",
    }
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": _metadata(service),
        "spec": {
            "scaleTargetRef": _scaled(service),
            "minReplicaCount": scaling.min_replicas,
            "maxReplicaCount": scaling.max_replicas,
            "pollingInterval": LOOK if scaling.min_replicas else LOOK_AT_ZERO,
            "cooldownPeriod": COOLDOWN if idle is None else ceil(seconds(idle)),
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(service)}},
            "triggers": [{"type": "prometheus", "metricType": "AverageValue", "metadata": trigger}],
        },
    }


def _metadata(service: InferenceService) -> dict[str, Any]:
    """No owner: it is the user's, and the operator neither repairs nor deletes it."""
    name = service.metadata.name
    return {"name": name, "namespace": service.metadata.namespace, "labels": {"app.kubernetes.io/name": name}}


def _scaled(service: InferenceService) -> dict[str, str]:
    return {"apiVersion": API_VERSION, "kind": "InferenceService", "name": service.metadata.name}


# 1. What it goes by


def _metrics(service: InferenceService, target: Target) -> Iterator[dict[str, Any]]:
    """An HPA cannot add two metrics up, and goes by the one that asks for more."""
    if target.engine is None:
        metric = {"name": IN_FLIGHT, "selector": {"matchLabels": {"service": service.metadata.name}}}
        yield {"type": "External", "external": {"metric": metric, "target": _average(target.each)}}
        return
    assert target.engine.running is not None, "it counts them"
    yield _of_pods(target.engine.running, target.each)
    if target.engine.waiting is not None:
        yield _of_pods(target.engine.waiting, service.spec.scaling.queue_depth)


def _of_pods(metric: str, each: int) -> dict[str, Any]:
    return {"type": "Pods", "pods": {"metric": {"name": metric}, "target": _average(each)}}


def _average(value: int) -> dict[str, str]:
    return {"type": "AverageValue", "averageValue": str(value)}


def _query(service: InferenceService, target: Target) -> str:
    """Requests that wait or are worked on, over all replicas, as one number."""
    meta = service.metadata
    if target.engine is None:
        return f'sum({IN_FLIGHT}{{namespace="{meta.namespace}",service="{meta.name}"}})'
    pods = f'{{namespace="{meta.namespace}",pod=~"{meta.name}-[0-9a-f]{{{HASH_LENGTH}}}-.+"}}'
    counted = (target.engine.running, target.engine.waiting)
    return " + ".join(f"sum({metric}{pods})" for metric in counted if metric is not None)


# 2. How fast


def _behavior(service: InferenceService) -> dict[str, Any]:
    scaling = service.spec.scaling
    up, down = scaling.scale_up, scaling.scale_down
    settle = SETTLE if down.after is None else ceil(seconds(down.after))
    at_once = [{"type": "Pods", "value": scaling.max_replicas, "periodSeconds": AT_ONCE}]
    return {
        "scaleUp": _rules(0, at_once if up is None else list(_policies(up))),
        "scaleDown": _rules(settle, list(_policies(down.limit))),
    }


def _rules(settle: int, policies: list[dict[str, Any]]) -> dict[str, Any]:
    return {"stabilizationWindowSeconds": settle, "selectPolicy": "Max", "policies": policies}


def _policies(limit: StepLimitSpec) -> Iterator[dict[str, Any]]:
    period = ceil(seconds(limit.period))
    for kind, value in (("Pods", limit.replicas), ("Percent", limit.percent)):
        if value is not None:
            yield {"type": kind, "value": value, "periodSeconds": period}
