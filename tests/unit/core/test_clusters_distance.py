"""How far clusters are from clients, and how long replicas take to start there."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.api.inferencecluster import InferenceClusterSpec
from inferops.api.placement import ClientRegion
from inferops.core.clusters.coldstart import USUAL, cold_starts
from inferops.core.clusters.distance import distances, ranks
from inferops.core.clusters.seen import ChildView, ClusterView


def cluster(region: str | None = None, **latency: int) -> InferenceClusterSpec:
    told = [{"region": each, "milliseconds": number} for each, number in latency.items()]
    return InferenceClusterSpec.model_validate({"access": {"hub": True}, "region": region, "latency": told})


def clients(**weights: int) -> list[ClientRegion]:
    return [ClientRegion(region=region, weight=weight) for region, weight in weights.items()]


CLUSTERS = {"a": cluster("eu", us=90), "b": cluster("us", eu=100, ap=150), "c": cluster(), "d": cluster("ap", ap=12)}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, {"a": 0, "b": 0, "c": 0, "d": 0}),
        ({"eu": 1}, {"a": 0, "b": 100, "c": 100, "d": 100}),
        ({"eu": 3, "us": 1}, {"a": 22.5, "b": 75, "c": 97.5, "d": 97.5}),
        ({"ap": 1}, {"a": 150, "b": 150, "c": 150, "d": 12}),
        ({"af": 1}, {"a": 0, "b": 0, "c": 0, "d": 0}),
    ],
)
def test_a_round_trip_in_the_mean_over_clients_and_what_nobody_tells_is_the_longest(
    asked: dict[str, int], found: dict[str, float]
) -> None:
    assert {name: each.milliseconds for name, each in distances(clients(**asked), CLUSTERS).items()} == found


def test_what_was_not_told_is_named() -> None:
    found = distances(clients(eu=1, ap=1), CLUSTERS)
    assert {name: each.guessed for name, each in found.items()} == {
        "a": ("ap",),
        "b": (),
        "c": ("eu", "ap"),
        "d": ("eu",),
    }


@pytest.mark.parametrize(("told", "counts"), [(4, 0.0), (5, 0.01), (14, 0.01), (45, 0.05), (149, 0.15)])
def test_small_differences_are_none(told: int, counts: float) -> None:
    assert distances(clients(us=1), {"a": cluster(us=told)})["a"].seconds == pytest.approx(counts)


def test_the_nearest_is_first_and_then_who_tells_of_it() -> None:
    found = distances(clients(eu=1), {"a": cluster("us"), "b": cluster("eu"), "c": cluster(eu=3)})
    assert ranks(found) == {"a": 1, "b": 0, "c": 0}
    found = distances(clients(eu=1), {**CLUSTERS, "e": cluster(eu=40)})
    assert ranks(found) == {"a": 0, "e": 1, "b": 2, "c": 3, "d": 3}


def view(name: str, cold: float | None = None, child: bool = True) -> ClusterView:
    there = ChildView("uid", cold_start=cold) if child else None
    return ClusterView(name, {}, cluster(), child=there)


def starts(*views: ClusterView) -> dict[str, Any]:
    return {name: round(hours * 3600) for name, hours in cold_starts({each.name: each for each in views}).items()}


def test_where_no_start_was_seen_the_mean_of_the_others_counts_and_else_the_usual_time() -> None:
    assert starts(view("a"), view("b", child=False)) == {"a": USUAL * 3600, "b": USUAL * 3600}
    found = starts(view("a", 100.0), view("b", 300.0), view("c"), view("d", child=False))
    assert found["a"] < found["c"] == found["d"] < found["b"]
    assert found["c"] == pytest.approx(200, rel=0.13)


@pytest.mark.parametrize("seconds", [0.01, 1.0, 40.0, 600.0, 7200.0])
def test_starts_that_differ_little_are_the_same(seconds: float) -> None:
    [found] = cold_starts({"a": view("a", seconds)}).values()
    assert found * 3600 == pytest.approx(max(seconds, 1.0), rel=0.13)
    assert cold_starts({"a": view("a", found * 3600 * 1.05)}) == {"a": found}
