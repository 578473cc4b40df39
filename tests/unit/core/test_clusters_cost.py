"""What clusters are compared by: the price of what a replica carries within the SLO, with its terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from inferops.api.inferencecluster import InferenceClusterSpec
from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.api.placement import ClusterPlacement, PlacementStatus
from inferops.core.clusters.place import Placement, place_service
from inferops.core.clusters.seen import ChildView, ClusterView
from inferops.core.offers import Free
from unit.core.models import LLAMA31_8B
from unit.core.test_choices import service, world

H100 = "nvidia-h100-80gb"
LOAD = {"promptTokens": 1024, "outputTokens": 128}
TTFT = "300ms"  # of which 100 ms on the way leave what a replica of eight tenths carries, 250 ms nothing


@dataclass
class There:
    """A cluster with its price for an H100, and what the service has there."""

    price: float = 4.0
    has: int = 0
    region: str | None = None
    latency: dict[str, int] = field(default_factory=dict)
    cold: float | None = None
    nodes: int = 8
    spot_price: float | None = None

    @property
    def spot(self) -> bool:
        return self.spot_price is not None

    def view(self, name: str) -> ClusterView:
        prices = {"accelerator": H100, "usdPerHour": self.price, "spotUsdPerHour": self.spot_price}
        spec = {
            "access": {"kubeconfigSecret": {"name": name, "key": "kubeconfig"}},
            "region": self.region,
            "prices": [prices],
            "latency": [{"region": each, "milliseconds": number} for each, number in self.latency.items()],
        }
        free = Free(H100, self.spot, self.nodes, self.nodes, (1,) * (self.nodes - self.has))
        way = f"1x {H100}" + (" (spot)" if self.spot else "")
        child = ChildView("uid", way, self.has, self.has, self.has, ready=self.has, current=True, cold_start=self.cold)
        return ClusterView(
            name, {}, InferenceClusterSpec.model_validate(spec), state="Healthy", free=(free,), listed=True,
            child=child if self.has else None, scheduled=self.has,
        )  # fmt: skip

    def entry(self, name: str) -> ClusterPlacement:
        way = f"1x {H100}" + (" (spot)" if self.spot else "")
        return ClusterPlacement(
            cluster=name, state="Serving", accelerator=way, replicas=self.has, min_replicas=self.has,
            desired_replicas=self.has, ready_replicas=self.has,
        )  # fmt: skip


def placed(
    clusters: dict[str, There],
    *,
    slo: str | None = TTFT,
    scaling: dict[str, Any] | None = None,
    record: PlacementStatus | None = None,
    **placement: Any,
) -> Placement:
    """Where it is placed, two replicas unless `scaling` says otherwise."""
    held = [each.entry(name) for name, each in clusters.items() if each.has]
    record = record or PlacementStatus(target=2, clusters=held)
    of = service(
        InferenceServiceStatus(placement=record),
        slo={"ttft": slo} if slo else {},
        load=LOAD,
        accelerators=[{"type": H100}, {"type": H100, "spot": True}],
        scaling=scaling or {"replicas": 2},
        placement={"clusters": {}, "clients": [{"region": "eu"}], **placement},
    )
    return place_service(world(of, LLAMA31_8B), [each.view(name) for name, each in clusters.items()])


def shares(found: Placement) -> dict[str, int]:
    return {each.cluster: each.replicas for each in found.record.clusters}


def why_not(found: Placement) -> dict[str, str]:
    return {each.cluster: each.message for each in found.record.not_chosen}


def test_the_farther_away_the_less_a_replica_carries_for_its_price() -> None:
    found = placed({"near": There(4.5, region="eu"), "far": There(4.0, latency={"eu": 100})})
    assert shares(found) == {"near": 2}
    assert why_not(found) == {
        "far": "others suffice at 4.50; it would cost 4.85 USD an hour for what a replica of the first kind carries, "
        "of which 0.85 for 100 ms to its clients"
    }
    assert shares(placed({"near": There(5.5, region="eu"), "far": There(4.0, latency={"eu": 100})})) == {"far": 2}


def test_more_replicas_are_placed_where_each_carries_less() -> None:
    by_load = {"mode": "auto", "minReplicas": 8, "maxReplicas": 20}
    assert sum(shares(placed({"a": There(region="eu", nodes=20)}, scaling=by_load)).values()) == 11, "a quarter beside"
    found = placed({"a": There(latency={"eu": 100}, nodes=20)}, scaling=by_load)
    assert sum(shares(found).values()) == 13


def test_a_cluster_is_held_to_what_the_way_leaves_of_the_slo() -> None:
    found = placed({"a": There(latency={"eu": 43})}, slo="1s")
    assert found.children["a"].ttft == "960ms"
    assert placed({"a": There(region="eu")}, slo="1s").children["a"].ttft is None
    assert placed({"a": There(latency={"eu": 43})}, slo=None).children["a"].ttft is None


def test_who_is_too_far_away_gets_nothing_and_the_numbers_are_told() -> None:
    found = placed({"a": There(latency={"eu": 250}), "b": There(9.0, region="eu"), "c": There(1.0, region="us")})
    assert shares(found) == {"b": 2}
    assert {each.cluster: each.reason for each in found.record.not_chosen} == {"a": "TooFar", "c": "TooFar"}
    assert why_not(found)["a"] == (
        "250 ms from its clients to its gateways and back leave too little of slo.ttft, 300ms, to serve a request "
        f"on 1x {H100}"
    )
    assert "(eu: the most that any cluster tells, counts where spec.latency says nothing)" in why_not(found)["c"]


def test_what_is_too_far_away_stays_until_others_have_room() -> None:
    far = There(has=2, latency={"eu": 250})
    alone = placed({"far": far, "full": There(region="eu", nodes=0)})
    assert shares(alone) == {"far": 2}
    assert alone.children["far"].ttft is None, "nobody could be served within what is left"
    assert shares(placed({"far": far, "dear": There(40.0, region="eu")})) == {"dear": 2, "far": 2}, "add before remove"


def test_without_an_slo_the_nearest_of_equals_comes_first() -> None:
    clusters = {"a": There(latency={"eu": 100}), "b": There(latency={"eu": 40}), "c": There(latency={"eu": 900})}
    assert shares(placed(clusters, slo=None)) == {"b": 2}
    assert shares(placed({**clusters, "d": There(3.0, latency={"eu": 400})}, slo=None)) == {"d": 2}


def test_without_clients_distance_does_not_count() -> None:
    clusters = {"a": There(latency={"eu": 250}, region="x"), "b": There(region="y")}
    assert shares(placed(clusters, clients=[])) == {"a": 1, "b": 1}
    assert shares(placed(clusters, clients=[], regions=["y", "x"])) == {"b": 2}


def test_spot_nodes_cost_what_their_loss_does_by_how_long_a_start_takes() -> None:
    spot = There(price=9.0, spot_price=4.0, region="eu")
    quick = placed({"spot": spot, "other": There(3.0, region="eu")})
    assert "it would cost 4.10" in why_not(quick)["spot"]
    assert "of which 0.10 for what is lost with spot nodes" in why_not(quick)["spot"]
    slow = placed({"spot": spot, "other": There(3.0, has=2, region="eu", cold=7200.0)})
    assert "of which 0.38 for what is lost with spot nodes" in why_not(slow)["spot"]


@pytest.mark.parametrize(("cold", "moves"), [(60.0, True), (3600.0, False)])
def test_what_starts_quickly_moves_for_less(cold: float, moves: bool) -> None:
    found = placed({"here": There(4.0, has=2, region="eu", cold=cold), "there": There(3.7, region="eu")})
    assert shares(found) == ({"here": 2, "there": 2} if moves else {"here": 2})


def test_equals_share_a_number_and_what_scales_by_load_stays_together() -> None:
    equals = {name: There(region="eu") for name in ("a", "b", "c")}
    assert shares(placed(equals, scaling={"replicas": 3})) == {"a": 1, "b": 1, "c": 1}
    by_load = {"mode": "auto", "minReplicas": 3, "maxReplicas": 20}
    assert list(shares(placed(equals, scaling=by_load))) == ["a"]
    assert len(shares(placed(equals, scaling=by_load, minClusters=2))) == 3


def test_what_is_far_away_and_scales_by_load_stays_as_it_is() -> None:
    clusters = {"far": There(has=8, latency={"eu": 100}, nodes=20), "dear": There(9.0, region="eu")}
    by_load = {"mode": "auto", "minReplicas": 2, "maxReplicas": 20}
    once = placed(clusters, scaling=by_load)
    assert (list(shares(once)), once.record.target) == (["far"], 7), "eight of which each carries eight tenths"
    assert placed(clusters, scaling=by_load, record=once.record).record == once.record
