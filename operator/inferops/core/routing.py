"""How requests come in by the Gateway API: which Gateway, by which weights, and whether it goes by them yet.

Nothing that a Gateway may still send requests to is taken away. Weights move to what is ready; what had them before
stays until the Gateway says that it has taken in the newest generation of the route, however long that lasts: a
Gateway whose controller is away goes on by what it read last. The Service inside the cluster waits for none of this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inferops.api.conditions import Reason
from inferops.api.inferenceservice import ModelSpec
from inferops.api.traffic import GatewayRef
from inferops.core import activation
from inferops.core.clusters.naming import known_as
from inferops.core.observation import HTTP_ROUTE, INFERENCE_POOL, Observation, RevisionView

MOST_HELD = 8  # revisions that stay for a Gateway which does not answer; the status has room for 16
LISTED = 3  # host names in a sentence

# Words of the Gateway API that are reasons of ours too; what else a Gateway says stands in the message.
WORDS: Mapping[str, Reason] = {
    reason.value: reason
    for reason in (
        Reason.NOT_ALLOWED_BY_LISTENERS,
        Reason.NO_MATCHING_LISTENER_HOSTNAME,
        Reason.NO_MATCHING_PARENT,
        Reason.UNSUPPORTED_VALUE,
        Reason.UNSUPPORTED_PROTOCOL,
        Reason.REF_NOT_PERMITTED,
        Reason.INVALID_KIND,
        Reason.INVALID_EXTENSION_REF,
        Reason.BACKEND_NOT_FOUND,
    )
}


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """What the service's HTTPRoute must say. Without weights it sends to the Service of the service's name, behind
    which the built-in gateway is."""

    gateway: GatewayRef  # with its namespace
    models: tuple[str, ...]  # names that requests must ask for in a header; none: any request
    weights: Mapping[str, int]  # percentage by hash of the revision, none of them 0
    pooled: bool = False  # to the revisions' InferencePools, not to their Services


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the condition Routed says of the route."""

    status: bool | None
    reason: Reason
    message: str


def gateway(seen: Observation) -> GatewayRef | None:
    """The Gateway that the service is attached to, with its namespace; None where there is none."""
    found = seen.service.spec.traffic.gateway_ref or seen.default_gateway
    if found is None or found.namespace is not None:
        return found
    return found.model_copy(update={"namespace": seen.service.metadata.namespace})


def plan(seen: Observation, stable: str, split: Mapping[str, int]) -> RoutePlan | None:
    """The route to the revision with the hash `stable`, or by the weights in `split` where there are any.

    None where there is none to be made: no Gateway is named, its API is not installed, or nothing is there to route to.
    """
    found = gateway(seen)
    revision = next((each for each in seen.revisions if each.hash == stable), None)
    if found is None or revision is None or HTTP_ROUTE not in seen.kinds:
        return None
    weights = {} if through_own(seen) else dict(split or {stable: 100})
    return RoutePlan(found, _models(seen, revision), weights, bool(weights) and pools_wanted(seen))


def through_own(seen: Observation) -> bool:
    """Whether all requests go through the built-in gateway: where it must see them, to hold those that come at zero
    replicas or to pass some on to other clusters, for as long as it is there; and where it must check who asks, whether
    it is there or not."""
    spec = seen.service.spec
    seen_by_it = activation.unmanaged(spec) is None or spills(seen)
    return spec.traffic.access is not None or (bool(seen.gateways) and seen_by_it)


def spills(seen: Observation) -> bool:
    """Whether requests may be passed on to other clusters. Not where some are no HTTP, which would find nobody at the
    gateway."""
    http_alone = seen.engine is None or seen.engine.http_alone
    return bool(seen.service.spec.traffic.spillover) and http_alone


def unchecked(seen: Observation) -> str:
    """Why no request is let through, since nobody could check who asks; empty where requests are."""
    if seen.service.spec.traffic.access is None or seen.gateways:
        return ""
    return (
        "spec.traffic.access: no replica of the built-in gateway is ready, which checks API keys, so that no request "
        "is let through; run `inferops gateway`, or remove spec.traffic.access"
    )


def pools_wanted(seen: Observation) -> bool:
    """Whether every revision must have an InferencePool."""
    asked = seen.service.spec.traffic.endpoint_picker is not None and gateway(seen) is not None
    return asked and {HTTP_ROUTE, INFERENCE_POOL} <= seen.kinds


def pools_left(seen: Observation) -> bool:
    """Whether no request can come by an InferencePool any more, where none is wanted."""
    route = seen.route
    return not pools_wanted(seen) and (route is None or not route.live or (route.programmed and not route.pooled))


def carried(seen: Observation) -> frozenset[str]:
    """The revisions that the Gateway may be sending requests to.

    One that never accepted the route, or has refused it, sends none. While it has not taken in the newest generation
    it may go by any earlier one: so all stay that have served and still answer, the oldest first, since nobody can
    tell how long it has been away.
    """
    route = seen.route
    if route is None or not route.live:
        return frozenset()
    named = frozenset(hash_ for hash_, weight in route.weights.items() if weight)
    if route.programmed:
        return named
    idle = {told.hash for told in seen.service.status.revisions if told.role == "Canary" and not told.weight}
    # Of one that is not on record, because somebody removed the status, nobody knows whether it served.
    served = [each.hash for each in seen.revisions if each.ready and each.hash not in idle]
    return named | frozenset(served[:MOST_HELD])


def hostnames(seen: Observation, route: RoutePlan | None) -> list[str]:
    """The host names under which the Gateway takes requests. While it looks at a change, those that it had before."""
    if route is None or seen.route is None or not seen.route.live:
        return []
    names = list(seen.route.hostnames)
    return names if seen.route.programmed else [name for name in seen.service.status.hostnames if name in names]


def verdict(seen: Observation, route: RoutePlan | None) -> Verdict | None:
    """Whether the Gateway sends requests as `route` says; None where no Gateway is named."""
    found = gateway(seen)
    if found is None:
        return None
    who = f"Gateway {found.namespace}/{found.name}"
    if HTTP_ROUTE not in seen.kinds:
        return Verdict(False, Reason.GATEWAY_API_MISSING, _not_installed(seen, who))
    if seen.unroutable is not None:
        return Verdict(False, seen.unroutable.reason, seen.unroutable.message)
    if route is None or seen.route is None:
        return Verdict(None, Reason.CREATING, "the HTTPRoute is being created")
    if seen.route.problem:
        reason = WORDS.get(seen.route.reason, Reason.ROUTE_REFUSED)
        return Verdict(False, reason, f"{who} refuses the HTTPRoute: {seen.route.problem}")
    if not seen.route.programmed or seen.route.weights != route.weights or seen.route.pooled != route.pooled:
        return Verdict(None, Reason.ROUTE_PENDING, _pending(seen, who))
    if seen.service.spec.traffic.endpoint_picker is not None and INFERENCE_POOL not in seen.kinds:
        return Verdict(
            False,
            Reason.INFERENCE_POOL_MISSING,
            "spec.traffic.endpointPicker: the cluster has no InferencePool (inference.networking.k8s.io/v1) that the "
            "operator may read; install the Gateway API Inference Extension. Requests go to Services meanwhile",
        )
    return Verdict(True, Reason.ROUTE_ACCEPTED, f"{who} has accepted the HTTPRoute{_for(seen.route.hostnames)}")


def _not_installed(seen: Observation, who: str) -> str:
    named = seen.service.spec.traffic.gateway_ref is not None
    where = "spec.traffic.gatewayRef" if named else "the operator's --gateway"
    return (
        f"{where} names {who}, and the cluster has no HTTPRoute (gateway.networking.k8s.io/v1) that the operator may "
        "read; install the Gateway API, or name no Gateway. Requests reach the Service inside the cluster meanwhile"
    )


def _pending(seen: Observation, who: str) -> str:
    if seen.route is not None and seen.route.live:
        return f"{who} has not taken in the newest generation of the HTTPRoute yet"
    return (
        f"{who} has not accepted the HTTPRoute yet; is there such a Gateway, and does a controller run for its class?"
    )


def _for(names: Sequence[str]) -> str:
    shown = ", ".join(names[:LISTED])
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f" for {shown}{more}" if names else ""


def _models(seen: Observation, revision: RevisionView) -> tuple[str, ...]:
    """Names of the model and its adapters, where requests are told apart by them.

    They are those of the revision that gets the requests: until the newest one serves, nobody knows its model yet.
    """
    traffic = seen.service.spec.traffic
    if traffic.match_model_name if traffic.match_model_name is not None else not traffic.hostnames:
        model: ModelSpec = revision.spec.model if revision.spec is not None else seen.service.spec.model
        return (model.name or known_as(seen.service), *(adapter.name for adapter in model.adapters))
    return ()
