"""HTTPRoutes and InferencePools -> where each sends requests, and what its Gateway says of it.

A Gateway tells, for each parent that a route names, whether it has accepted the route and found what it refers to, and
of which generation that is true; and the same of a pool. Any controller may write there: whatever is missing reads as
not said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from inferops.core.observation import RouteView
from inferops.render.httproute import GROUP
from inferops.render.inferencepool import GROUP as POOLS

MESSAGE_LIMIT = 512

Raw = Mapping[str, Any]
Parent = tuple[str, str, str, str, str]  # group, kind, namespace, name, listener
Objection = tuple[str, str]  # a word and a sentence; empty ones: nothing was said yet

UNSAID: Objection = ("", "")
PASSING = ("Pending", "HTTPRouteNotAccepted")  # it looks at it still; of a pool: the route tells


def route_view(raw: Raw) -> RouteView:
    """What matters of an HTTPRoute."""
    meta, spec = raw["metadata"], raw.get("spec") or {}
    namespace, generation = str(meta.get("namespace", "")), meta.get("generation")
    backends = [backend for rule in spec.get("rules") or () for backend in rule.get("backendRefs") or ()]
    asked = {_parent(each, namespace) for each in spec.get("parentRefs") or ()}
    told = [(_parent(each.get("parentRef") or {}, namespace), _conditions(each)) for each in _parents(raw)]
    judged = [_objection(conditions, generation) for parent, conditions in told if parent in asked]
    refusal = next((found for found in judged if found and found != UNSAID), UNSAID)
    return RouteView(
        weights=dict(_weights(str(meta["name"]), backends)),
        hostnames=tuple(str(each) for each in spec.get("hostnames") or ()),
        pooled=any(backend.get("group") == POOLS for backend in backends),
        live=any(conditions.get("Accepted", {}).get("status") == "True" for _, conditions in told),
        programmed=bool(asked) and asked <= {parent for parent, _ in told} and not any(judged),
        reason=refusal[0],
        problem=": ".join(part for part in refusal if part)[:MESSAGE_LIMIT],
    )


def pool_objection(raw: Raw) -> Objection:
    """What a Gateway has against the newest generation of an InferencePool, such as that its picker is missing."""
    judged = (_objection(_conditions(each), raw["metadata"].get("generation")) for each in _parents(raw))
    return next((found for found in judged if found and found != UNSAID), UNSAID)


def with_pools(route: RouteView, pools: Mapping[str, tuple[str, Objection]]) -> RouteView:
    """The route with what its Gateway has against the pools that it sends to: name and objection by revision."""
    for hash_ in route.weights if route.pooled and not route.problem else ():
        name, objection = pools.get(hash_, ("", UNSAID))
        if objection != UNSAID:
            problem = f"InferencePool {name}: {': '.join(part for part in objection if part)}"
            return replace(route, reason=objection[0], problem=problem[:MESSAGE_LIMIT])
    return route


def _weights(service: str, backends: Iterable[Raw]) -> Iterable[tuple[str, int]]:
    """Of the backends that are revisions, by hash. The Service of the service's own name is none."""
    for backend in backends:
        name, weight = str(backend.get("name")), int(backend.get("weight", 1))
        if weight and name.startswith(f"{service}-"):
            yield name.removeprefix(f"{service}-"), weight


def _parents(raw: Raw) -> list[Raw]:
    return list((raw.get("status") or {}).get("parents") or ())


def _parent(reference: Raw, namespace: str) -> Parent:
    return (
        str(reference.get("group", GROUP)),
        str(reference.get("kind", "Gateway")),
        str(reference.get("namespace") or namespace),
        str(reference.get("name")),
        str(reference.get("sectionName") or ""),
    )


def _conditions(parent: Raw) -> dict[str, Raw]:
    return {str(condition.get("type")): condition for condition in parent.get("conditions") or ()}


def _objection(conditions: Mapping[str, Raw], generation: Any) -> Objection | None:
    """What one parent has against the newest generation; None where it has nothing against it."""
    new = {kind: each for kind, each in conditions.items() if each.get("observedGeneration") == generation}
    for kind, refusal in (("Accepted", "False"), ("ResolvedRefs", "False"), ("PartiallyInvalid", "True")):
        condition = new.get(kind, {})
        reason = str(condition.get("reason") or kind)
        if condition.get("status") == refusal and reason not in PASSING:
            return reason, str(condition.get("message") or "")
    accepted = all(new.get(kind, {}).get("status") == "True" for kind in ("Accepted", "ResolvedRefs"))
    return None if accepted else UNSAID
