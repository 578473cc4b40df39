"""What scaling is told of a service: its user's goals, its replicas as they are, and what one should carry."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from inferops.api.inferenceservicestatus import RevisionStatus
from inferops.core import fleet, sizing
from inferops.core.autoscale.terms import StepLimit
from inferops.core.observation import Looked, Observation, PodView, WorkloadView
from unit.core.building import NOW, revision
from unit.core.scaled import ROOMY, SIZING, running

SINCE = Looked(at=NOW.timestamp() - 15)


@pytest.mark.parametrize(
    ("scaling", "by_load", "highest"),
    [
        ({"maxReplicas": None}, False, 1),
        ({"maxReplicas": None, "minReplicas": 3}, False, 3),
        ({"maxReplicas": 1, "minReplicas": 0}, False, 1),
        ({"maxReplicas": 2}, True, 2),
        ({"maxReplicas": 2, "mode": "queueDepth"}, True, 2),
        ({"maxReplicas": 2, "mode": "schedule", "schedule": [{"cron": "0 8 * * *", "duration": "1h",
                                                             "minReplicas": 2}]}, False, 2),
        ({"maxReplicas": None, "schedule": [{"cron": "0 8 * * *", "duration": "1h", "minReplicas": 5}]}, True, 5),
        ({"maxReplicas": 9, "replicas": 3}, False, 9),
        ({"maxReplicas": 9, "mode": "external"}, False, 9),
        ({"maxReplicas": 9, "mode": "fixed"}, False, 9),
    ],
)  # fmt: skip
def test_whether_load_decides_and_up_to_where(scaling: dict[str, Any], by_load: bool, highest: int) -> None:
    spec = running(scaling=scaling).service.spec.scaling
    assert (fleet.by_load(spec), fleet.highest(spec)) == (by_load, highest)


def test_goals_are_what_the_user_wrote_in_seconds() -> None:
    spec = running(
        scaling={"scaleUp": {"replicas": 4, "period": "30s"}, "scaleDown": {"limit": {"percent": 10}, "after": "2m"},
                 "queueDepth": 7},
        slo={"ttft": "800ms", "tpot": "50ms", "attainment": 0.999},
        traffic={"maxConcurrency": 64},
    ).service.spec  # fmt: skip
    goals = fleet.goals(spec, 3)
    assert (goals.lowest, goals.highest, goals.queue_depth, goals.most) == (3, 10, 7, 64)
    assert (goals.ttft, goals.tpot, goals.attainment) == (0.8, 0.05, 0.999)
    assert (goals.up, goals.down, goals.settle) == (StepLimit(30.0, 4), StepLimit(60.0, percent=10), 120.0)
    assert fleet.goals(running().service.spec, 1).up is None


def with_pods(world: Observation, *pods: PodView, **facts: Any) -> Observation:
    [one] = world.revisions
    return replace(world, revisions=(replace(one, pods=pods),), **facts)


def pod(name: str, ready: float | None = None, age: float = 100.0, **facts: Any) -> PodView:
    """A pod that was created `age` seconds ago and became ready `ready` seconds ago."""
    since = None if ready is None else NOW - timedelta(seconds=ready)
    return PodView(name, "r", node="n", ready=ready is not None, created=NOW - timedelta(seconds=age),
                   ready_since=since, **facts)  # fmt: skip


def test_how_long_replicas_took_is_told_once_of_those_that_started_now() -> None:
    world = with_pods(
        running(),
        pod("old", ready=50),
        pod("new", ready=10),
        pod("again", ready=10, restarts=1),
        pod("worker", ready=10, worker=True),
        pod("ends", ready=10, deleting=True),
        pod("loads"),
        replace(pod("undated", ready=10), created=None),
        looked=replace(SINCE, ready=frozenset({"old", "gone"})),
    )
    told = fleet.signals(world, 4).fleet
    assert told.started == (90.0,)
    assert (told.ready, told.starting) == (4, 1)
    ready = fleet.been_ready(world)
    assert ready == {"old", "new", "again", "undated"}
    later = with_pods(world, pod("new", ready=1), looked=replace(SINCE, ready=ready))
    assert fleet.signals(later, 4).fleet.started == (), "it was ready before, and lost its readiness for a while"


def test_the_first_look_does_not_know_which_are_new() -> None:
    assert fleet.signals(with_pods(running(), pod("a", ready=5)), 1).fleet.started == ()


def test_replicas_that_get_no_requests_do_not_count() -> None:
    world = running(2)
    canary = revision(running(model={"uri": "hf://org/next"}).service, 2, ready=1, loading=1)
    world = replace(world, revisions=(*world.revisions, canary))
    assert fleet.signals(world, 2).fleet.ready == 2
    weights = [RevisionStatus(name="c", hash=canary.hash, role="Canary", weight=25)]
    status = world.service.status.model_copy(update={"revisions": weights})
    shared = replace(world, service=world.service.model_copy(update={"status": status}))
    told = fleet.signals(shared, 2).fleet
    assert (told.ready, told.starting, told.kind) == (3, 1, world.revisions[0].hash)


def test_pods_that_are_refused_are_on_their_way() -> None:
    world = running(2)
    refused = replace(world.revisions[0], workload=WorkloadView(failure="exceeded quota"))
    told = fleet.signals(replace(world, revisions=(refused,)), 5).fleet
    assert (told.ready, told.starting, told.homeless) == (2, 3, 3)


def test_a_replica_is_taken_to_carry_what_sizing_says_of_it_at_its_full_load() -> None:
    world = running()
    seed = fleet.signals(world, 2).seed
    [option] = SIZING.options
    assert seed is not None and seed.concurrency == option.concurrency > option.load
    assert seed.tpot > option.tpot and seed.ttft > option.ttft and seed.output_tokens == 256
    assert sizing.times(SIZING, option, ROOMY["l4"], option.load)[:2] == pytest.approx((option.ttft, option.tpot))
    few = fleet.signals(running(traffic={"maxConcurrency": 2}), 2).seed
    assert few is not None and few.concurrency == 2 and few.tpot < seed.tpot, "and of no more than it is sent"
    many = fleet.signals(running(traffic={"maxConcurrency": seed.concurrency + 1}), 2).seed
    assert many == seed
    assert fleet.signals(replace(world, sizing=None), 2).seed is None
    next_model = running(model={"uri": "hf://org/next"}).service
    status = world.service.status
    assert fleet.signals(replace(world, service=next_model.model_copy(update={"status": status})), 2).seed is None
