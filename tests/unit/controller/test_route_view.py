"""What is read of an HTTPRoute: where it leads, and what its Gateway says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inferops.controller.routes import UNSAID, pool_objection, route_view, with_pools
from inferops.core.observation import RouteView
from inferops.kube.owned import Object
from unit.controller.routed import condition, parent

PARENT = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "infra"}
GOOD = (condition("Accepted", 3), condition("ResolvedRefs", 3))


def raw_route(*parents: Object, **spec: Any) -> Object:
    meta = {"name": "llama", "namespace": "chat", "generation": 3}
    return {"metadata": meta, "spec": {"parentRefs": [PARENT], **spec}, "status": {"parents": list(parents)}}


@pytest.mark.parametrize(
    ("case", "raw", "live", "programmed", "reason"),
    [
        ("all is well", raw_route(parent(PARENT, *GOOD)), True, True, ""),
        ("defaults left out", raw_route(parent({"name": "public", "namespace": "infra"}, *GOOD)), True, True, ""),
        ("nothing said", raw_route(), False, False, ""),
        ("an older generation", raw_route(parent(PARENT, condition("Accepted", 2), GOOD[1])), True, False, ""),
        ("one half", raw_route(parent(PARENT, GOOD[0])), True, False, ""),
        ("the other half", raw_route(parent(PARENT, GOOD[1])), False, False, ""),
        ("another Gateway", raw_route(parent({**PARENT, "name": "other"}, *GOOD)), True, False, ""),
        ("another namespace's", raw_route(parent({"name": "public"}, *GOOD)), True, False, ""),
        ("another listener's", raw_route(parent({**PARENT, "sectionName": "https"}, *GOOD)), True, False, ""),
        ("one of two controllers is not done", raw_route(parent(PARENT, *GOOD), parent(PARENT, GOOD[0])), True, False,
         ""),
        ("it looks at it", raw_route(parent(PARENT, condition("Accepted", 3, "Unknown", "Pending"), GOOD[1])), False,
         False, ""),
        ("it says pending as no", raw_route(parent(PARENT, condition("Accepted", 3, "False", "Pending"))), False,
         False, ""),
        ("refused", raw_route(parent(PARENT, condition("Accepted", 3, "False", "NoMatchingParent"))), False, False,
         "NoMatchingParent"),
        ("an old refusal", raw_route(parent(PARENT, condition("Accepted", 2, "False", "NoMatchingParent"))), False,
         False, ""),
        ("refused by one", raw_route(parent(PARENT, *GOOD), parent(PARENT, GOOD[0], condition(
            "ResolvedRefs", 3, "False", "InvalidKind"))), True, False, "InvalidKind"),
        ("in part", raw_route(parent(PARENT, *GOOD, condition("PartiallyInvalid", 3, "True", "UnsupportedValue"))),
         True, False, "UnsupportedValue"),
        ("not in part", raw_route(parent(PARENT, *GOOD, condition("PartiallyInvalid", 3, "False"))), True, True, ""),
        ("no generation told", raw_route(parent(PARENT, {"type": "Accepted", "status": "True"})), True, False, ""),
        ("it names no Gateway", raw_route(parent(PARENT, *GOOD), parentRefs=[]), True, False, ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_a_gateway_says(case: str, raw: Object, live: bool, programmed: bool, reason: str) -> None:
    view = route_view(raw)
    assert (view.live, view.programmed, view.reason) == (live, programmed, reason)
    assert bool(view.problem) is bool(reason)


def test_where_a_route_leads() -> None:
    refs = [
        {"group": "", "kind": "Service", "name": "llama-a", "port": 8000, "weight": 95},
        {"group": "", "kind": "Service", "name": "llama-b", "port": 8000, "weight": 5},
        {"group": "", "kind": "Service", "name": "llama-c", "port": 8000, "weight": 0},
        {"group": "", "kind": "Service", "name": "llama", "port": 80},
        {"name": "other-a"},
    ]
    view = route_view(raw_route(hostnames=["a.example.com"], rules=[{"backendRefs": refs}, {"matches": []}]))
    assert view.weights == {"a": 95, "b": 5} and view.hostnames == ("a.example.com",) and not view.pooled
    pool = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "llama-a", "weight": 1}
    assert route_view(raw_route(rules=[{"backendRefs": [pool]}])).pooled


@pytest.mark.parametrize("raw", [{}, {"spec": None, "status": None}, {"status": {"parents": None}},
                                 {"spec": {"rules": None, "hostnames": None, "parentRefs": None}},
                                 {"status": {"parents": [{"conditions": None}]}}])  # fmt: skip
def test_what_is_missing_reads_as_not_said(raw: Object) -> None:
    assert route_view({**raw, "metadata": {"name": "llama"}}) == RouteView({})


@pytest.mark.parametrize(
    ("case", "parents", "objection"),
    [
        ("nothing said", [], UNSAID),
        ("all is well", [parent(PARENT, *GOOD)], UNSAID),
        ("not judged yet, as it is made", [parent({"kind": "Status", "name": "default"}, condition(
            "Accepted", 3, "Unknown", "Pending"))], UNSAID),
        ("its route is not accepted, which the route tells", [parent(PARENT, condition(
            "Accepted", 3, "False", "HTTPRouteNotAccepted"))], UNSAID),
        ("an old word", [parent(PARENT, condition("ResolvedRefs", 2, "False", "InvalidExtensionRef"))], UNSAID),
        ("its picker is missing", [parent(PARENT, GOOD[0], condition(
            "ResolvedRefs", 3, "False", "InvalidExtensionRef", "gone"))], ("InvalidExtensionRef", "gone")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_said_of_a_pool(case: str, parents: list[Object], objection: tuple[str, str]) -> None:
    raw = {"metadata": {"name": "llama-a", "generation": 3}, "status": {"parents": parents}}
    assert pool_objection(raw) == objection


def test_a_pools_fault_is_the_routes_where_it_sends_to_it() -> None:
    faults = {"a": ("llama-a", ("InvalidExtensionRef", "gone"))}
    route = RouteView({"a": 100}, pooled=True, programmed=True)
    assert (with_pools(route, faults).reason, with_pools(route, faults).programmed) == ("InvalidExtensionRef", True)
    for other in (RouteView({"a": 100}), RouteView({"b": 100}, pooled=True), replace(route, problem="its own")):
        assert with_pools(other, faults) == other
