"""What metrics tell of services and clusters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.api.inferenceservice import AcceleratorChoice
from inferops.api.inferenceservicestatus import InferenceServiceStatus, RevisionStatus
from inferops.api.resources import InferenceCluster
from inferops.core import metered
from inferops.core.metered import IN_CLUSTER, Family, Sample
from inferops.core.told import chosen, describe
from unit.core.building import ACCELERATORS, accelerator, node, pods, service

PRICE = {"usdPerHour": 0.5, "spotUsdPerHour": 0.2, "date": "2025-11-03"}
PRICED = {**ACCELERATORS, "l4": accelerator("nvidia.com/gpu.product", "NVIDIA-L4", price=PRICE)}
PRICES = metered.prices(PRICED, (), IN_CLUSTER)
STABLE = RevisionStatus(
    name="llama-aaa", hash="aaa", role="Stable", accelerator="2x l4", replicas=3, ready_replicas=2, weight=90
)
CANARY = STABLE.model_copy(update={"name": "llama-bbb", "hash": "bbb", "role": "Canary", "replicas": 1, "weight": 10})
STATUS = InferenceServiceStatus(stable_revision="aaa", latest_revision="bbb", revisions=[STABLE, CANARY])
PODS = (*pods("aaa", ready=2, homeless=1), *pods("bbb", loading=1))


def of(samples: Iterable[Sample], family: Family) -> dict[tuple[str, ...], float]:
    """The values of one family by its labels, those that name the service left out."""
    skip = 2 if family.labels[:2] == metered.OF_SERVICE else 0
    return {each.labels[skip:]: each.value for each in samples if each.family is family}


def told(status: InferenceServiceStatus = STATUS, *, part: bool = False, **spec: Any) -> list[Sample]:
    return list(metered.service(service(status=status, **spec), PODS, PRICES, IN_CLUSTER, part=part))


def cluster(**spec: Any) -> InferenceCluster:
    offers = [{"accelerator": "l4", "nodes": 2, "total": 16, "free": 6}]
    return InferenceCluster.model_validate(
        {
            "metadata": {"name": "east"},
            "spec": {"access": {"kubeconfigSecret": {"name": "east", "key": "kubeconfig"}}, **spec},
            "status": {"offers": offers},
        }
    )


def test_replicas_are_told_by_revision_and_role() -> None:
    samples = told()
    stable, canary = (IN_CLUSTER, "aaa", "stable"), (IN_CLUSTER, "bbb", "canary")
    assert of(samples, metered.WANTED) == {stable: 3, canary: 1}
    assert of(samples, metered.HAD) == {stable: 3, canary: 1}
    assert of(samples, metered.READY) == {stable: 2, canary: 0}
    assert of(samples, metered.WEIGHT) == {("aaa", "stable"): 0.9, ("bbb", "canary"): 0.1}


def test_accelerators_cost_money_once_they_have_a_node() -> None:
    samples = told()
    kind = (IN_CLUSTER, "l4", "false")
    assert of(samples, metered.HELD) == {(*kind, "ready"): 4, (*kind, "starting"): 2, (*kind, "pending"): 2}
    assert of(samples, metered.COST) == {kind: pytest.approx(6 * 0.5)}


def test_a_part_of_another_service_tells_neither_accelerators_nor_money() -> None:
    samples = told(part=True)
    assert not of(samples, metered.HELD) and not of(samples, metered.COST)
    assert of(samples, metered.READY) == of(told(), metered.READY)


def test_a_group_is_ready_with_its_leader() -> None:
    spread = STABLE.model_copy(update={"accelerator": "4x l4 on 2 nodes (spot)"})
    status = STATUS.model_copy(update={"revisions": [spread]})
    leader = pods("aaa", ready=1)[0].__class__(name="l", revision="aaa", group="0", node="n", ready=True)
    worker = leader.__class__(name="w", revision="aaa", group="0", node="n", worker=True)
    samples = list(metered.service(service(status=status), (leader, worker), PRICES, IN_CLUSTER, part=False))
    assert of(samples, metered.HELD) == {(IN_CLUSTER, "l4", "true", "ready"): 4}
    assert of(samples, metered.HAD) == {(IN_CLUSTER, "aaa", "stable"): 1}
    assert of(samples, metered.COST) == {(IN_CLUSTER, "l4", "true"): pytest.approx(0.8)}


def test_objectives_are_told_where_they_are_set() -> None:
    assert not of(told(), metered.OBJECTIVE)
    samples = told(slo={"ttft": "800ms", "errorRate": 0.001, "attainment": 0.95})
    assert of(samples, metered.OBJECTIVE) == {("errors",): 0.999, ("ttft",): 0.95, ("client",): 0.95}
    assert of(samples, metered.THRESHOLD) == {("ttft",): 0.8}


def test_a_rollout_tells_its_phase_since_when_and_whether_it_rests() -> None:
    rollout = {"phase": "Gated", "since": "2025-11-03T12:00:00Z", "paused": {"since": "", "reason": "GateWaits"}}
    samples = told(InferenceServiceStatus.model_validate({"rollout": rollout}))
    assert of(samples, metered.PHASE) == {("Gated",): 1}
    assert of(samples, metered.PHASE_SINCE) == {(): 1762171200}
    assert of(samples, metered.PAUSED) == {(): 1}
    assert of(told(), metered.PHASE_SINCE) == {}


def test_a_placed_service_tells_of_its_clusters() -> None:
    entry = {"cluster": "east", "state": "Serving", "accelerator": "2x l4", "desiredReplicas": 3, "readyReplicas": 2}
    samples = told(InferenceServiceStatus.model_validate({"placement": {"clusters": [entry]}}))
    assert of(samples, metered.READY) == {("east", "", "stable"): 2}
    assert of(samples, metered.HELD) == {("east", "l4", "false", "ready"): 4, ("east", "l4", "false", "starting"): 2}
    assert of(samples, metered.PLACED) == {("east", "Serving"): 1}


def test_a_cluster_tells_what_is_used_and_idle_by_its_own_prices() -> None:
    own = cluster(prices=[{"accelerator": "l4", "usdPerHour": 1.5}])
    samples = list(metered.cluster(own, metered.prices(PRICED, [own], IN_CLUSTER)))
    kind = ("east", "l4", "false")
    assert of(samples, metered.STOCK) == {(*kind, "used"): 10, (*kind, "idle"): 6}
    assert of(samples, metered.STOCK_COST) == {(*kind, "used"): 15, (*kind, "idle"): 9}
    assert of(samples, metered.CLUSTER_INFO) == {("east", "", "", "kubeconfig"): 1}


def test_without_a_price_no_money_is_told() -> None:
    samples = list(metered.stock("east", "h100", 8, 2, PRICES, spot=False))
    assert [each.value for each in samples] == [2, 6]


def test_what_the_cluster_has_is_counted_on_nodes_that_can_be_scheduled_to() -> None:
    nodes = [node("a"), node("b", cordoned=True), node("c", spot=True)]
    assert metered.totals(nodes, {"l4": ACCELERATORS["l4"]}) == {("l4", False): 8, ("l4", True): 8}


@given(st.integers(1, 4), st.integers(1, 16), st.booleans())
def test_a_choice_is_read_back_as_it_was_described(share: int, nodes: int, spot: bool) -> None:
    choice = AcceleratorChoice(type="nvidia-h100-80gb", count=share * nodes, nodes=nodes, spot=spot)
    assert chosen(describe(choice)) == choice


@pytest.mark.parametrize("text", ["", "l4", "0x l4", "3x l4 on 2 nodes", "9999x l4", "1x l4 on 0 nodes"])
def test_any_other_text_is_no_choice(text: str) -> None:
    assert chosen(text) is None


def test_families_have_names_and_labels_of_their_own() -> None:
    families = (*metered.SERVICES, *metered.CLUSTERS)
    assert len({each.name for each in families}) == len(families)
    assert all(len(set(each.labels)) == len(each.labels) for each in families)
    assert all(len(each.labels) == len(each.family.labels) for each in told(slo={"ttft": "1s"}))
