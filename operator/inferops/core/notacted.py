"""Which parts of a spec are valid and stored but not acted on by this version, said plainly in the status.

Only what differs from its default is told, so that a short spec has a short status. A line goes away with
the version that acts on the field.
"""

from __future__ import annotations

from collections.abc import Callable

from inferops.api.inferenceservice import (
    InferenceServiceSpec,
    PlacementSpec,
    RolloutSpec,
    ScalingSpec,
    SLOSpec,
)
from inferops.api.inferenceservicestatus import NotActedOn
from inferops.api.traffic import TrafficSpec

_SCALING = ScalingSpec()
_TRAFFIC = TrafficSpec()
_FIXED = "the number of replicas stays at scaling.replicas, or else scaling.minReplicas"

LATER: tuple[tuple[str, Callable[[InferenceServiceSpec], bool], str], ...] = (
    (
        "spec.slo",
        lambda spec: spec.slo != SLOSpec(),
        "sizing goes by ttft and tpot; neither scaling nor rollouts are judged by it yet",
    ),
    (
        "spec.scaling.mode",
        lambda spec: spec.scaling.mode not in (_SCALING.mode, "fixed", "external"),
        f"there is no autoscaling yet: {_FIXED}",
    ),
    (
        "spec.scaling.maxReplicas",
        lambda spec: (spec.scaling.max_replicas or 0) > spec.scaling.min_replicas and spec.scaling.mode == "auto",
        f"there is no autoscaling yet: {_FIXED}",
    ),
    (
        "spec.scaling.minReplicas",
        lambda spec: spec.scaling.min_replicas == 0 and spec.scaling.replicas is None,
        "there is no scaling from zero yet: one replica is kept; scaling.replicas: 0 stops the service",
    ),
    (
        "spec.scaling.queueDepth",
        lambda spec: spec.scaling.queue_depth != _SCALING.queue_depth,
        f"there is no autoscaling yet: {_FIXED}",
    ),
    (
        "spec.scaling.scaleToZeroAfter",
        lambda spec: spec.scaling.scale_to_zero_after is not None,
        "there is no scaling to zero yet: replicas are kept",
    ),
    (
        "spec.rollout",
        lambda spec: spec.rollout != RolloutSpec(),
        "there are no canaries yet: a new revision comes up beside the old one and takes all traffic once it is ready; "
        "the old one is then removed",
    ),
    (
        "spec.placement",
        lambda spec: spec.placement != PlacementSpec(),
        "there are no member clusters yet: everything runs in the operator's own cluster",
    ),
    (
        "spec.traffic",
        lambda spec: spec.traffic != _TRAFFIC,
        "there is no gateway yet: requests go to the Service of the service's name",
    ),
)


def not_acted_on(spec: InferenceServiceSpec) -> list[NotActedOn]:
    """The parts of `spec` that have no effect in this version."""
    return [NotActedOn(field=field, message=message) for field, differs, message in LATER if differs(spec)]
