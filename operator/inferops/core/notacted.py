"""Which parts of a spec are valid and stored and have no effect, said plainly in the status.

Some wait for a later version, others for something that the cluster has not: a Gateway, or the built-in gateway. Only
what differs from its default is told, so that a short spec has a short status.
"""

from __future__ import annotations

from collections.abc import Callable

from inferops.api.inferenceservice import InferenceServiceSpec
from inferops.api.inferenceservicestatus import NotActedOn
from inferops.api.traffic import TrafficSpec
from inferops.core import routing
from inferops.core.clusters.naming import is_placed
from inferops.core.observation import Observation

_TRAFFIC = TrafficSpec()

LATER: tuple[tuple[str, Callable[[InferenceServiceSpec], bool], str], ...] = (
    (
        "spec.slo.errorRate",
        lambda spec: spec.slo.error_rate is not None,
        "nothing goes by it yet: a canary's errors are compared with those of what serves",
    ),
    (
        "spec.scaling.schedule",
        lambda spec: bool(spec.scaling.schedule) and spec.scaling.mode in ("fixed", "external"),
        "windows have no effect in the modes fixed and external; choose another one",
    ),
    (
        "spec.rollout.clusters",
        lambda spec: spec.rollout.clusters is not None and spec.placement.clusters is None,
        "it runs in the operator's own cluster alone; choose others in spec.placement.clusters",
    ),
)
PART = "a hub wrote this service for one cluster, and places it; change placement there"

# What somebody must do who is not there, by what is missing.
GATEWAY = "the built-in gateway does this, and no replica of it is ready; run `inferops gateway`"
ROUTE = "an HTTPRoute does this, and there is none; name a Gateway in spec.traffic.gatewayRef"
EITHER = (
    "requests come by the Service of the service's name alone; name a Gateway in spec.traffic.gatewayRef, or run "
    "`inferops gateway`"
)

TRAFFIC: tuple[tuple[str, Callable[[TrafficSpec], bool], str], ...] = (
    ("spec.traffic.hostnames", lambda traffic: bool(traffic.hostnames), EITHER),
    ("spec.traffic.requestTimeout", lambda traffic: traffic.request_timeout != _TRAFFIC.request_timeout, EITHER),
    ("spec.traffic.matchModelName", lambda traffic: traffic.match_model_name is not None, ROUTE),
    ("spec.traffic.endpointPicker", lambda traffic: traffic.endpoint_picker is not None, ROUTE),
    ("spec.traffic.queueTimeout", lambda traffic: traffic.queue_timeout != _TRAFFIC.queue_timeout, GATEWAY),
    ("spec.traffic.maxQueue", lambda traffic: traffic.max_queue != _TRAFFIC.max_queue, GATEWAY),
    ("spec.traffic.maxConcurrency", lambda traffic: traffic.max_concurrency is not None, GATEWAY),
    ("spec.traffic.sessionHeader", lambda traffic: traffic.session_header is not None, GATEWAY),
)


def not_acted_on(seen: Observation) -> list[NotActedOn]:
    """The parts of the spec that have no effect, in this version or in this cluster as it is."""
    spec = seen.service.spec
    held, routed = bool(seen.gateways), routing.gateway(seen) is not None
    missing = {need for need, there in ((GATEWAY, held), (ROUTE, routed), (EITHER, held or routed)) if not there}
    later = [(field, message) for field, differs, message in LATER if differs(spec)]
    if spec.placement.clusters is not None and not is_placed(seen.service):
        later.append(("spec.placement", PART))
    idle = [(field, needed) for field, differs, needed in TRAFFIC if needed in missing and differs(spec.traffic)]
    return [NotActedOn(field=field, message=message) for field, message in (*later, *idle)]
