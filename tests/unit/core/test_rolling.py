"""What a rollout sees of a service: who splits its requests, and how many replicas these need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inferops.api.inferenceservicestatus import InferenceServiceStatus, RevisionStatus, SizedOption, SizingStatus
from inferops.api.rolloutstatus import RolloutStatus
from inferops.core import rolling
from inferops.core.decide import decide
from inferops.core.observation import HTTP_ROUTE, Demand, Observation, RouteView
from inferops.core.rollout import Splitter
from inferops.runtimes import ENGINES
from unit.core.building import LONG, NOW, AnyEngine, revision, seen, service

GATEWAYS = ("10.1.0.1:8080",)
REF = {"name": "public", "namespace": "infra"}
ROUTED = {"gatewayRef": REF}
BOTH = frozenset((HTTP_ROUTE,))
STEPS = {"steps": [{"weight": 20, "minDuration": "1m"}]}


def status(replicas: int = 1, weights: dict[str, int] | None = None, **facts: Any) -> InferenceServiceStatus:
    options = [
        SizedOption.model_validate(
            {"accelerator": "1x l4", "precision": "bf16", "replicas": replicas, "concurrency": concurrency,
             "kvTokens": 1, "longestContext": 1, "ttft": "1ms", "tokensPerSecond": 1}
        )
        for concurrency in (32, 16)
    ]  # fmt: skip
    told = [
        RevisionStatus.model_validate({"name": hash_, "hash": hash_, "role": "Stable", "weight": weight})
        for hash_, weight in (weights or {}).items()
    ]
    return InferenceServiceStatus(sizing=SizingStatus(options=options), revisions=told, **facts)


@pytest.mark.parametrize(
    ("case", "spec", "facts", "splitter"),
    [
        ("nobody", {}, {}, Splitter.NOBODY),
        ("the built-in gateway", {}, {"gateways": GATEWAYS}, Splitter.OWN),
        ("a Gateway", {"traffic": ROUTED}, {"kinds": BOTH}, Splitter.GATEWAY_API),
        ("a Gateway, where both are", {"traffic": ROUTED}, {"kinds": BOTH, "gateways": GATEWAYS}, Splitter.GATEWAY_API),
        ("a Gateway without its API", {"traffic": ROUTED}, {"gateways": GATEWAYS}, Splitter.OWN),
        ("it must see who asks", {"traffic": {**ROUTED, "access": {"apiKeysSecret": "keys"}}},
         {"kinds": BOTH, "gateways": GATEWAYS}, Splitter.OWN),
        ("it must, and is away", {"traffic": {**ROUTED, "access": {"apiKeysSecret": "keys"}}}, {"kinds": BOTH},
         Splitter.NOBODY),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_who_splits(case: str, spec: dict[str, Any], facts: dict[str, Any], splitter: Splitter) -> None:
    assert rolling.splitter(seen(service(**spec), **facts)) is splitter


@pytest.mark.parametrize(
    ("case", "traffic", "demand", "needed"),
    [
        ("nobody tells", {}, None, None),
        ("not all tell", {}, Demand(3, 3), None),
        ("nobody asks", {}, Demand(0, 0, 9.0), 1),
        ("by what sizing reckons with, the less of two", {}, Demand(0, 32, 0.0), 3),
        ("those that wait count, too", {}, Demand(16, 16, 0.0), 3),
        ("by the limit that is set", {"maxConcurrency": 64}, Demand(0, 32, 0.0), 1),
        ("never more than there are", {}, Demand(0, 900, 0.0), 4),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_replicas_that_the_requests_need(
    case: str, traffic: dict[str, Any], demand: Demand | None, needed: int | None
) -> None:
    assert rolling.needed(seen(service(status=status(), traffic=traffic), demand=demand), 4) == needed


def test_nobody_knows_what_a_replica_takes() -> None:
    assert rolling.needed(seen(service(), demand=Demand(0, 1, 0.0)), 4) is None


@pytest.mark.parametrize(
    ("case", "view", "in_force"),
    [
        ("as on record", RouteView({"a": 80, "b": 20}, live=True, programmed=True), True),
        ("other weights", RouteView({"a": 95, "b": 5}, live=True, programmed=True), False),
        ("not taken in yet", RouteView({"a": 80, "b": 20}, live=True), False),
        ("never accepted, so that nobody comes this way", RouteView({"a": 100}), True),
        ("there is none", None, True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whether_weights_are_in_force(case: str, view: RouteView | None, in_force: bool) -> None:
    of = service(traffic=ROUTED, status=status(weights={"a": 80, "b": 20}))
    assert rolling.view(seen(of, kinds=BOTH, route=view), "b", 1).in_force is in_force


def canary(engine: Any = None, strategy: str = "auto", ready: int = 1, **facts: Any) -> Observation:
    """A service with a canary, which is ready or loads."""
    old = revision(service(model={"uri": "hf://org/old"}), ready=1)
    of = service(rollout={**STEPS, "strategy": strategy})
    new = revision(of, 2, ready=ready, loading=1 - ready)
    rollout = RolloutStatus(
        phase="Warming" if ready else "WaitingForCapacity",
        since="2025-11-03T11:59:30Z",
        started="2025-11-03T11:59:00Z",
        canary=new.hash,
        stable=old.hash,
        steps=1,
        strategy="recreate" if strategy == "recreate" else "surge",
    )
    of = of.model_copy(update={"status": InferenceServiceStatus(stable_revision=old.hash, rollout=rollout)})
    more = {"engine": engine} if engine is not None else {}
    return seen(of, old, new, routed_to=old, **more, **facts)


def test_requests_of_the_service_are_split_by_the_gateway_for_the_time_of_the_canary() -> None:
    world = canary(gateways=GATEWAYS)
    decision = decide(world)
    assert decision.gateways == GATEWAYS
    assert sorted(told.weight for told in decision.status.revisions) == [20, 80]
    assert {told.role: told.desired_weight for told in decision.status.revisions} == {"Stable": 80, "Canary": 20}
    after = decide(replace(world, now=NOW + LONG, service=world.service.model_copy(update={"status": decision.status})))
    assert after.status.rollout.phase in ("Shifting", "Observing")


@pytest.mark.parametrize(("strategy", "held"), [("recreate", True), ("surge", False)])
def test_requests_wait_in_the_gateway_while_nothing_serves(strategy: str, held: bool) -> None:
    decision = decide(canary(strategy=strategy, ready=0, gateways=GATEWAYS))
    assert decision.status.rollout.phase in ("WaitingForCapacity", "Loading")
    assert decision.gateways == (GATEWAYS if held else ())


def test_what_the_gateway_cannot_take_stays_with_stable() -> None:
    decision = decide(canary(engine=AnyEngine(http_alone=False), gateways=GATEWAYS))
    assert decision.gateways == () and sorted(told.weight for told in decision.status.revisions) == [20, 80]
    assert {name for name, engine in ENGINES.items() if not engine.http_alone} == {"triton", "onnxruntime"}


def test_weights_go_into_the_route() -> None:
    of = canary(kinds=BOTH)
    named = of.service.spec.model_copy(update={"traffic": service(traffic=ROUTED).spec.traffic})
    decision = decide(replace(of, service=of.service.model_copy(update={"spec": named})))
    assert decision.route is not None and sorted(decision.route.weights.values()) == [20, 80]
    assert decision.gateways == ()
