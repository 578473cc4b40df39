"""What a decision says beside the plan: events, explanations, and what it holds on to when its status is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.core.activation import by_number
from inferops.core.decide import decide
from inferops.core.observation import Observation
from inferops.core.revision import revision_of
from inferops.core.told import describe
from unit.core.building import accelerator, choice, node, revision, seen, service

ONE = service()
NEXT = service(model={"uri": "hf://org/next"})
old, new = revision(ONE, ready=1), revision(NEXT, 2, ready=1)
CRASH: dict[str, Any] = {"waiting": "CrashLoopBackOff"}


def after(*worlds: Observation) -> Observation:
    """The last of `worlds`, with the status to which the ones before it led."""
    status = worlds[0].service.status
    for world in worlds:
        last = replace(world, service=world.service.model_copy(update={"status": status}))
        status = decide(last).status
    return last


SERVES = seen(ONE, old, stable=old, routed_to=old)
FAILS = seen(ONE, revision(ONE, loading=1), routed_to=old)
CRASHES = seen(ONE, revision(ONE, loading=1, **CRASH), routed_to=old)
MOVES = seen(NEXT, old, new, routed_to=old)


HOMELESS = seen(ONE, revision(ONE, homeless=1, unschedulable="x"))


@pytest.mark.parametrize(
    ("case", "worlds", "reasons"),
    [
        ("a new service waits in silence", [seen(ONE)], []),
        ("it finds its node", [seen(ONE), seen(ONE, revision(ONE, loading=1))], []),
        ("it finds none", [seen(ONE), HOMELESS], ["Unschedulable!"]),
        ("it finds one after all", [HOMELESS, seen(ONE, revision(ONE, loading=1))], ["Scheduled"]),
        ("it serves", [seen(ONE), FAILS, SERVES], ["Promoted"]),
        ("it goes on serving", [FAILS, SERVES, SERVES], []),
        ("it stops serving", [FAILS, SERVES, FAILS], ["NoReplicaAvailable!"]),
        ("it serves again and is not promoted again", [FAILS, SERVES, FAILS, SERVES], ["MinimumReplicasAvailable"]),
        ("it crashes", [FAILS, SERVES, CRASHES], ["NoReplicaAvailable!", "CrashLoop!"]),
        ("it goes on crashing", [FAILS, SERVES, CRASHES, CRASHES], []),
        ("an update takes over", [SERVES, MOVES], ["RolloutStarted", "Promoting", "Promoted"]),
        ("the spec turns invalid", [SERVES, seen(service("tpu"), old, routed_to=old)], ["AcceleratorNotFound!"]),
        ("the spec is invalid from the first", [seen(service("tpu"))], ["AcceleratorNotFound!"]),
        ("the spec turns valid", [seen(service("tpu")), seen(ONE)], ["Valid"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_events(case: str, worlds: list[Observation], reasons: list[str]) -> None:
    events = decide(after(*worlds)).events
    assert [event.reason + "!" * event.warning for event in events] == reasons
    assert all(event.message for event in events)


@pytest.mark.parametrize(
    ("scaling", "replicas"),
    [
        ({}, 1),
        ({"minReplicas": 3}, 3),
        ({"minReplicas": 0}, 1),
        ({"replicas": 0}, 0),
        ({"replicas": 5, "minReplicas": 2}, 5),
        ({"replicas": 1, "minReplicas": 2}, 1),
    ],
)
def test_replicas_by_number(scaling: dict[str, Any], replicas: int) -> None:
    of = service(scaling=scaling)
    assert by_number(of.spec.scaling) == replicas
    assert [plan.replicas for plan in decide(seen(of)).revisions] == [replicas]


def test_all_revisions_keep_the_replicas_that_are_wanted() -> None:
    of = service(model={"uri": "hf://org/next"}, scaling={"replicas": 3})
    decision = decide(seen(of, old, revision(of, 2, loading=1), stable=old, routed_to=old))
    assert [(plan.hash, plan.replicas) for plan in decision.revisions] == [(old.hash, 3), (revision(of).hash, 3)]


def test_a_new_revision_is_recorded_once_with_the_next_order() -> None:
    [kept, recorded] = decide(seen(NEXT, replace(old, order=7), stable=old, routed_to=old)).revisions
    assert (kept.hash, kept.new) == (old.hash, None)
    assert (recorded.new, recorded.order) == (revision_of(NEXT.spec, NEXT.spec.accelerators[0]), 8)
    assert [plan.new for plan in decide(MOVES).revisions] == [None, None]


def test_a_lost_record_is_written_again_where_the_spec_asks_for_it() -> None:
    [again] = decide(seen(ONE, revision(ONE, ready=1, record=False), stable=old, routed_to=old)).revisions
    assert (again.hash, again.new) == (old.hash, revision_of(ONE.spec, ONE.spec.accelerators[0]))


LIKES_H100 = service("h100", {"type": "l4", "count": 4, "spot": True})
fallback = revision(revision_of(LIKES_H100.spec, LIKES_H100.spec.accelerators[1]), ready=1)
H100, L4_SPOT = node("a", "h100"), node("b", "l4", spot=True)


@pytest.mark.parametrize(
    ("case", "nodes", "parts"),
    [
        ("no node has the first", [L4_SPOT], ["runs on 4x l4 (spot), not on 1x h100", "none of the 1 nodes"]),
        ("the first came later", [L4_SPOT, H100], ["runs on 4x l4 (spot)", "moving it would make a new revision"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_why_not_the_first_accelerator(case: str, nodes: list[Any], parts: list[str]) -> None:
    status = LIKES_H100.status.model_copy(update={"latest_revision": fallback.hash})
    of = LIKES_H100.model_copy(update={"status": status})
    decision = decide(seen(of, fallback, stable=fallback, routed_to=fallback, nodes=nodes))
    [sentence] = decision.status.explain
    for part in parts:
        assert part in sentence
    assert [plan.hash for plan in decision.revisions] == [fallback.hash]


def test_the_first_accelerator_needs_no_explanation() -> None:
    assert decide(seen(LIKES_H100, nodes=[H100])).status.explain == []


def test_a_lost_status_moves_nothing_to_another_accelerator() -> None:
    decision = decide(seen(LIKES_H100, fallback, routed_to=fallback, nodes=[L4_SPOT, H100]))
    assert [plan.hash for plan in decision.revisions] == [fallback.hash]
    assert decision.status.stable_revision == decision.status.latest_revision == fallback.hash


def test_a_revision_keeps_its_image_and_says_so() -> None:
    newer = ServingRuntimeSpec(engine="vllm", image="vllm/vllm-openai:v2")
    world = after(SERVES, replace(SERVES, runtime=newer))
    [sentence] = decide(world).status.explain
    assert f"revision {old.hash} keeps the image vllm/vllm-openai:v1" in sentence
    assert "vllm/vllm-openai:v2" in sentence
    built_in = replace(world, runtime=ServingRuntimeSpec(engine="vllm"))
    assert decide(built_in).status.explain == []


@pytest.mark.parametrize(
    ("chosen", "words"),
    [(choice(), "1x l4"), (choice("h100", 4), "4x h100"), (choice("l4", 2, spot=True), "2x l4 (spot)")],
)
def test_choices_for_people(chosen: Any, words: str) -> None:
    assert describe(chosen) == words


PRICE = {"usdPerHour": 0.7, "spotUsdPerHour": 0.2, "date": "2025-11-01"}


@pytest.mark.parametrize(
    ("case", "price", "chosen", "cost"),
    [
        ("one", PRICE, choice(), "0.7"),
        ("four", PRICE, choice(count=4), "2.8"),
        ("four on spot nodes", PRICE, choice(count=4, spot=True), "0.8"),
        ("spot at an unknown price", {**PRICE, "spotUsdPerHour": None}, choice(spot=True), "0.7"),
        ("an unknown price", None, choice(), ""),
        ("nothing", {**PRICE, "usdPerHour": 0}, choice(), "0.0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_an_hour_of_a_replica_costs(case: str, price: Any, chosen: Any, cost: str) -> None:
    of = service(chosen.dump())
    priced = {"l4": accelerator("nvidia.com/gpu.product", "NVIDIA-L4", price=price)}
    serving = revision(of, ready=1)
    [shown] = decide(seen(of, serving, stable=serving, routed_to=serving, accelerators=priced)).status.revisions
    assert shown.usd_per_hour == cost
    assert not cost or float(cost) >= 0


def test_what_an_accelerator_costs_that_is_gone_nobody_knows() -> None:
    [shown, *_] = decide(seen(service("h100"), old, stable=old, routed_to=old, accelerators={})).status.revisions
    assert shown.usd_per_hour == ""
