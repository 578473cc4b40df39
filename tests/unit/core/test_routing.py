"""Routes of the Gateway API: where they lead, what of a revision they keep, and what is told of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from inferops.api.inferenceservicestatus import InferenceServiceStatus, RevisionStatus
from inferops.api.traffic import GatewayRef
from inferops.core import routing
from inferops.core.decide import decide
from inferops.core.observation import HTTP_ROUTE, INFERENCE_POOL, Demand, Observation, RouteView
from unit.core.building import revision, seen, service, told

REF = {"name": "public", "namespace": "infra"}
DEFAULT = GatewayRef(name="shared", namespace="infra")
BOTH = frozenset([HTTP_ROUTE, INFERENCE_POOL])
OURS = ("10.0.0.1:8080",)
PICKER = {"name": "picker"}


def world(
    *, ready: int = 1, kinds: frozenset[str] = BOTH, spec: dict[str, Any] | None = None, **more: Any
) -> Observation:
    """A service that serves, with a Gateway unless its `traffic` says otherwise."""
    traffic = more.pop("traffic", {"gatewayRef": REF})
    of = service(traffic=traffic, **(spec or {}))
    stable = revision(of, ready=ready, loading=int(not ready))
    return seen(of, stable, stable=stable, routed_to=stable, kinds=kinds, **more)


def hash_of(of: Observation) -> str:
    return of.revisions[0].hash


STABLE = hash_of(world())


def route(weights: dict[str, int], **facts: Any) -> RouteView:
    return RouteView(weights, **{"live": True, "programmed": True, **facts})


def planned(of: Observation) -> routing.RoutePlan:
    found = routing.plan(of, hash_of(of), {})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("case", "traffic", "more", "namespace", "name"),
    [
        ("the service's", {"gatewayRef": REF}, {"default_gateway": DEFAULT}, "infra", "public"),
        ("in its own namespace", {"gatewayRef": {"name": "own"}}, {}, "chat", "own"),
        ("the operator's", {}, {"default_gateway": DEFAULT}, "infra", "shared"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_which_gateway(case: str, traffic: dict[str, Any], more: dict[str, Any], namespace: str, name: str) -> None:
    found = planned(world(traffic=traffic, **more)).gateway
    assert (found.namespace, found.name) == (namespace, name)


ZERO: dict[str, Any] = {"spec": {"scaling": {"minReplicas": 0, "maxReplicas": 2, "scaleToZeroAfter": "5m"}}}


@pytest.mark.parametrize(
    ("case", "more", "revisions"),
    [
        ("all to the stable revision", {}, True),
        ("also while the built-in gateway is there", {"gateways": OURS}, True),
        ("also while it loads", {"ready": 0}, True),
        ("through the built-in gateway, which must see who asks", {**ZERO, "gateways": OURS}, False),
        ("not where there is none", ZERO, True),
        ("through it, which must check who asks",
         {"traffic": {"gatewayRef": REF, "access": {"apiKeysSecret": "keys"}}, "gateways": OURS}, False),
        ("nowhere else, though it is away",
         {"traffic": {"gatewayRef": REF, "access": {"apiKeysSecret": "keys"}}}, False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_where_requests_go(case: str, more: dict[str, Any], revisions: bool) -> None:
    of = world(**more)
    assert planned(of).weights == ({hash_of(of): 100} if revisions else {})


@pytest.mark.parametrize(
    ("case", "more"),
    [
        ("no Gateway is named", {"traffic": {}}),
        ("its API is not installed", {"kinds": frozenset()}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_route(case: str, more: dict[str, Any]) -> None:
    of = world(**more)
    assert routing.plan(of, hash_of(of), {}) is None


def test_nothing_to_route_to_leaves_the_route_as_it_is() -> None:
    of = seen(service(traffic={"gatewayRef": REF}), kinds=BOTH)
    decision = decide(of)
    assert decision.route is None and not decision.unrouted


MODELS = {"model": {"uri": "hf://org/m", "name": "org/m", "adapters": [{"name": "poet", "uri": "hf://org/poet"}]}}


@pytest.mark.parametrize(
    ("case", "traffic", "spec", "models"),
    [
        ("told apart by name without a host", {}, {}, ("llama",)),
        ("by host where there is one", {"hostnames": ["a.example.com"]}, {}, ()),
        ("by both where asked for", {"hostnames": ["a.example.com"], "matchModelName": True}, {}, ("llama",)),
        ("by nothing where asked for", {"matchModelName": False}, {}, ()),
        ("adapters have names too", {}, MODELS, ("org/m", "poet")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names(case: str, traffic: dict[str, Any], spec: dict[str, Any], models: tuple[str, ...]) -> None:
    assert planned(world(traffic={"gatewayRef": REF, **traffic}, spec=spec)).models == models


def test_a_model_is_asked_for_by_its_old_name_until_the_new_one_serves() -> None:
    old = revision(service(model={"uri": "hf://org/m", "name": "old"}), ready=1)
    of = service(traffic={"gatewayRef": REF}, model={"uri": "hf://org/m", "name": "new"})
    new = revision(of, 2, loading=1)
    decision = decide(seen(of, old, new, stable=old, routed_to=old, kinds=BOTH))
    assert decision.route is not None
    assert decision.route.models == ("old",) and decision.route.weights == {old.hash: 100}
    decision = decide(seen(of, old, replace(new, pods=revision(of, ready=1).pods), stable=old, kinds=BOTH))
    assert decision.route is not None
    assert decision.route.models == ("new",) and decision.route.weights == {new.hash: 100}


# What a Gateway may still send to


def changed(view: RouteView | None, *, role: str = "Retiring", ready: int = 1) -> tuple[Observation, str, str]:
    """A service whose Service and record point to its new revision. Returns what is seen, the old and the new one."""
    of = service(traffic={"gatewayRef": REF}, model={"uri": "hf://org/new"})
    old, new = revision(service(), ready=ready, loading=1 - ready), revision(of, 2, ready=1)
    on_record = [
        RevisionStatus.model_validate({"name": f"llama-{hash_}", "hash": hash_, "role": is_})
        for hash_, is_ in ((new.hash, "Stable"), (old.hash, role))
        if is_
    ]
    status = InferenceServiceStatus(stable_revision=new.hash, latest_revision=new.hash, revisions=on_record)
    of = of.model_copy(update={"status": status})
    return seen(of, old, new, routed_to=new, kinds=BOTH, route=view), old.hash, new.hash


OLD, NEW = changed(None)[1:]


@pytest.mark.parametrize(
    ("case", "view", "facts", "goes"),
    [
        ("the Gateway has taken it in", route({NEW: 100}), {}, True),
        ("it has not yet", route({NEW: 100}, programmed=False), {}, False),
        ("it finds fault with what is new", route({NEW: 100}, programmed=False, problem="no", reason="InvalidKind"),
         {}, False),
        ("it never took the route", route({NEW: 100}, programmed=False, live=False), {}, True),
        ("the route still names it", route({OLD: 100}), {}, False),
        ("the route names both", route({OLD: 95, NEW: 5}), {}, False),
        ("the route that nobody takes names it", route({OLD: 100}, programmed=False, live=False), {}, True),
        ("there is no route", None, {}, True),
        ("it never served", route({NEW: 100}, programmed=False), {"role": "Canary"}, True),
        ("nobody knows whether it served", route({NEW: 100}, programmed=False), {"role": ""}, False),
        ("it does not answer any more", route({NEW: 100}, programmed=False), {"ready": 0}, True),
        ("requests go to the built-in gateway by now", route({}), {}, True),
        ("they do not yet", route({}, programmed=False), {}, False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_when_an_old_revision_goes(case: str, view: RouteView | None, facts: dict[str, Any], goes: bool) -> None:
    of, old, new = changed(view, **facts)
    decision = decide(of)
    assert decision.removed == ((old,) if goes else ())
    kept = {each.hash: each for each in decision.status.revisions}
    assert (old in kept) is not goes and decision.route_to == new
    assert goes or (kept[old].role == "Retiring" and "Gateway" in kept[old].message)


def test_of_many_that_a_gateway_may_go_by_the_oldest_stay() -> None:
    """The status must have room for them, whatever a Gateway that is away was told meanwhile."""
    of = service(traffic={"gatewayRef": REF}, model={"uri": "hf://org/new"})
    olds = [revision(service(model={"uri": f"hf://org/m{number}"}), number, ready=1) for number in range(14)]
    new = revision(of, 20, ready=1)
    view = route({new.hash: 100}, programmed=False)
    decision = decide(seen(of, *olds, new, stable=new, routed_to=new, kinds=BOTH, route=view))
    assert len(decision.status.revisions) == routing.MOST_HELD + 1
    assert set(decision.removed) == {each.hash for each in olds[routing.MOST_HELD :]}


@pytest.mark.parametrize(
    ("case", "view", "replicas"),
    [
        ("all requests go through the built-in gateway", route({}), 0),
        ("the Gateway has not taken that in yet", route({}, programmed=False), 1),
        ("the route does not say so yet", route({STABLE: 100}), 1),
        ("no request comes that way", route({STABLE: 100}, live=False, programmed=False), 0),
        ("there is no route yet", None, 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_service_is_put_to_sleep_only_where_its_gateways_see_all(
    case: str, view: RouteView | None, replicas: int
) -> None:
    awake = world(**ZERO, gateways=OURS, demand=Demand(idle=0.0), route=route({}))
    serving = awake.service.model_copy(update={"status": decide(awake).status})
    later = awake.now + timedelta(hours=1)
    idle = {"held_since": awake.now, "demand": Demand(idle=3600.0)}
    decision = decide(replace(awake, service=serving, now=later, route=view, **idle))
    assert [each.replicas for each in decision.revisions] == [replicas]
    assert any("Gateway has not taken in" in line for line in decision.status.explain) is (replicas == 1)


# What is told


def verdict(of: Observation, view: RouteView | None) -> tuple[str, str]:
    return told(decide(replace(of, route=view)).status.conditions)["Routed"]


@pytest.mark.parametrize(
    ("case", "more", "view", "expected"),
    [
        ("no Gateway: as ever", {"traffic": {}}, None, ("True", "ServiceRouted")),
        ("accepted", {}, route({STABLE: 100}), ("True", "RouteAccepted")),
        ("not made yet", {}, None, ("Unknown", "Creating")),
        ("not accepted yet", {}, route({STABLE: 100}, live=False, programmed=False), ("Unknown", "RoutePending")),
        ("not taken in yet", {}, route({STABLE: 100}, programmed=False), ("Unknown", "RoutePending")),
        ("it says something else", {}, route({"other": 100}), ("Unknown", "RoutePending")),
        ("refused", {}, route({STABLE: 100}, programmed=False, reason="NotAllowedByListeners", problem="no"),
         ("False", "NotAllowedByListeners")),
        ("refused for a reason of its own", {}, route({}, programmed=False, reason="Moody", problem="Moody: no"),
         ("False", "RouteRefused")),
        ("no Gateway API", {"kinds": frozenset()}, None, ("False", "GatewayAPIMissing")),
        ("no Gateway API, by the operator's", {"kinds": frozenset(), "traffic": {}, "default_gateway": DEFAULT}, None,
         ("False", "GatewayAPIMissing")),
        ("no pools", {"kinds": frozenset([HTTP_ROUTE]), "traffic": {"gatewayRef": REF, "endpointPicker": PICKER}},
         route({STABLE: 100}), ("False", "InferencePoolMissing")),
        ("pools", {"traffic": {"gatewayRef": REF, "endpointPicker": PICKER}}, route({STABLE: 100}, pooled=True),
         ("True", "RouteAccepted")),
        ("pools are not named yet", {"traffic": {"gatewayRef": REF, "endpointPicker": PICKER}}, route({STABLE: 100}),
         ("Unknown", "RoutePending")),
        ("nobody checks who asks", {"traffic": {"gatewayRef": REF, "access": {"apiKeysSecret": "keys"}}}, route({}),
         ("False", "AccessNotChecked")),
        ("nobody checks who asks inside", {"traffic": {"access": {"apiKeysSecret": "keys"}}}, None,
         ("False", "AccessNotChecked")),
        ("the built-in gateway does",
         {"traffic": {"gatewayRef": REF, "access": {"apiKeysSecret": "keys"}}, "gateways": OURS}, route({}),
         ("True", "RouteAccepted")),
        ("no replica yet", {"ready": 0}, route({STABLE: 100}), ("Unknown", "NoEndpoints")),
        ("no replica yet, and refused: people must act", {"ready": 0},
         route({STABLE: 100}, programmed=False, reason="InvalidKind", problem="no"), ("False", "InvalidKind")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_routed(case: str, more: dict[str, Any], view: RouteView | None, expected: tuple[str, str]) -> None:
    assert verdict(world(**more), view) == expected


def test_what_stands_in_the_way_is_named_with_the_remedy() -> None:
    def message(of: Observation) -> str:
        return next(each.message for each in decide(of).status.conditions if each.type == "Routed")

    assert "spec.traffic.gatewayRef names Gateway infra/public" in message(world(kinds=frozenset()))
    by_default = world(kinds=frozenset(), traffic={}, default_gateway=DEFAULT)
    assert "the operator's --gateway names Gateway infra/shared" in message(by_default)
    refused = route({}, programmed=False, reason="Moody", problem="Moody: not on Sundays")
    assert "refuses the HTTPRoute: Moody: not on Sundays" in message(world(route=refused))
    many = route({STABLE: 100}, hostnames=tuple(f"{letter}.example.com" for letter in "abcde"))
    assert message(world(route=many)).endswith("for a.example.com, b.example.com, c.example.com and 2 more")


def test_pools_come_before_the_route_names_them_and_go_after_it_does_not() -> None:
    asked: dict[str, Any] = {"traffic": {"gatewayRef": REF, "endpointPicker": PICKER}}
    for view in (None, route({STABLE: 100})):
        decision = decide(world(**asked, route=view))
        assert decision.pooled and decision.route is not None and decision.route.pooled
    for view, gone in (
        (route({STABLE: 100}, pooled=True), False),
        (route({STABLE: 100}, programmed=False), False),
        (route({STABLE: 100}), True),
        (None, True),
    ):
        decision = decide(world(route=view))
        assert (decision.pooled, decision.unpooled) == (False, gone)
        assert decision.route is not None and not decision.route.pooled
    missing = decide(world(kinds=frozenset([HTTP_ROUTE]), **asked))
    assert missing.route is not None and not missing.route.pooled, "requests go to Services meanwhile"


@pytest.mark.parametrize(
    ("case", "view", "before", "names"),
    [
        ("accepted", route({STABLE: 100}, hostnames=("a.com", "b.com")), [], ["a.com", "b.com"]),
        ("a change is looked at", route({}, hostnames=("a.com", "c.com"), programmed=False), ["a.com", "b.com"],
         ["a.com"]),
        ("never accepted", route({}, hostnames=("a.com",), live=False, programmed=False), ["a.com"], []),
        ("no route", None, ["a.com"], []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_hostnames(case: str, view: RouteView | None, before: list[str], names: list[str]) -> None:
    of = world(route=view)
    status = of.service.status.model_copy(update={"hostnames": before})
    of = replace(of, service=of.service.model_copy(update={"status": status}))
    assert decide(of).status.hostnames == names


def test_a_refusal_is_an_event_and_so_is_its_end() -> None:
    def events(of: Observation, view: RouteView) -> list[tuple[bool, str]]:
        return [(each.warning, each.reason) for each in decide(replace(of, route=view)).events]

    fine, refused = route({STABLE: 100}), route({STABLE: 100}, reason="InvalidKind", problem="no", programmed=False)
    of = world()

    def after(view: RouteView) -> Observation:
        status = decide(replace(of, route=view)).status
        return replace(of, service=of.service.model_copy(update={"status": status}))

    assert (True, "InvalidKind") in events(after(fine), refused)
    assert events(after(refused), refused) == []
    assert (False, "RouteAccepted") in events(after(refused), fine)


SPILLS = [{"name": "west", "url": "https://west.example.com"}]


@pytest.mark.parametrize(
    ("case", "traffic", "gateways", "through"),
    [
        ("to other clusters", {"spillover": SPILLS}, OURS, True),
        ("without a gateway", {"spillover": SPILLS}, (), False),
        ("to none", {}, OURS, False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_may_be_passed_on_goes_through_the_gateway(
    case: str, traffic: dict[str, Any], gateways: tuple[str, ...], through: bool
) -> None:
    of = world(traffic=traffic, gateways=gateways)
    assert routing.through_own(of) is through
    assert bool(decide(of).gateways) is through
