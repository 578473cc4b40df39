"""Room in a cluster for one service: never beyond what quotas, nodes and nodes that may come allow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferops.api.inferencecluster import ClusterAccess, ClusterGrowth, InferenceClusterSpec
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.catalogue import accelerators
from inferops.core.clusters.kinds import Kind
from inferops.core.clusters.rooms import Room, no_room, overdue, quota_told, room, waits
from inferops.core.clusters.seen import ClusterView
from inferops.core.offers import Coming, Free
from inferops.core.quotas import Quota, counted_as, tightest, without

L4, GPUS = "nvidia-l4", "requests.nvidia.com/gpu"
SPEC = InferenceClusterSpec(
    access=ClusterAccess(hub=True), growth=[ClusterGrowth(accelerator=L4, max_nodes=8, accelerators_per_node=4)]
)
NOW = 1_000_000.0


def kind(count: int = 1, nodes: int = 1) -> Kind:
    return Kind(AcceleratorChoice(type=L4, count=count, nodes=nodes), accelerators()[L4], 1.0, 1.0)


def cluster(
    free: tuple[int, ...], *quotas: Quota, coming: Coming | None = None, waiting: tuple[float, ...] = ()
) -> ClusterView:
    offer = Free(L4, False, len(free), 8 * len(free), free, 8, len(free), GPUS, coming)
    return ClusterView("east", {}, SPEC, free=(offer,), waiting=waiting, quotas=quotas)


amounts = st.lists(st.integers(0, 8), max_size=4).map(lambda found: tuple(sorted(found, reverse=True)))
quotas = st.lists(
    st.builds(Quota, st.just("q"), st.sampled_from([GPUS, "other"]), st.integers(0, 40), st.integers(0, 40))
)


@given(amounts, st.integers(0, 4), st.integers(0, 4), quotas, st.integers(1, 4), st.integers(1, 2), st.integers(0, 3))
def test_room_is_within_all_bounds(
    free: tuple[int, ...], more: int, trusted: int, bounds: list[Quota], share: int, nodes: int, waiting: int
) -> None:
    coming, count = Coming((4,) * more, min(trusted, more)), share * nodes
    view = cluster(free, *bounds, coming=coming, waiting=(NOW,) * waiting)
    found = room(view, kind(count, nodes))
    assert found.now >= 0 and 0 <= found.grown <= found.hoped
    assert found.now * count <= sum(free)
    assert (found.now + found.grown) * count <= sum(free) + 4 * coming.trusted
    assert (found.now + found.hoped) * count <= sum(free) + 4 * more
    for each in bounds:
        if each.resource == GPUS:
            assert (found.now + found.hoped - waiting) * count <= each.left
    if not bounds:
        assert found.now == sum(each.room(count, nodes) for each in view.free or ())


def test_the_tightest_quota_counts_and_those_of_other_resources_do_not() -> None:
    bounds = Quota("wide", GPUS, 8, 1), Quota("tight", GPUS, 8, 6), Quota("other", "requests.amd.com/gpu", 0, 0)
    assert tightest(bounds, GPUS) == bounds[1]
    assert tightest(bounds, "requests.cpu") is None
    assert room(cluster((8,), *bounds), kind()) == Room(2)
    assert [each.left for each in without(bounds, {GPUS: 5})] == [2, 0, 0]


def test_accelerators_that_are_claimed_are_counted_by_their_class() -> None:
    h100 = accelerators()["nvidia-h100-80gb"]
    assert counted_as(h100, claimed=False) == GPUS
    assert counted_as(h100, claimed=True) == "gpu.nvidia.com.deviceclass.resource.k8s.io/devices"


def test_why_there_is_no_room() -> None:
    full = Quota("gpus", GPUS, 8, 8)
    assert no_room(cluster((8,), full), [kind(2)]) == (
        "Quota",
        f"ResourceQuota gpus leaves no room for a replica of 2x nvidia-l4: 8 of 8 {GPUS} are used or promised",
    )
    assert no_room(cluster((1, 1), full), [kind(2)]) == (
        "NoRoom",
        "no room for a replica of 2x nvidia-l4 on any one node",
    )
    late = Coming((4, 4), 0, 0.25, "2025-11-03T12:00:00Z")
    told = "no room for a replica of 16x nvidia-l4 on 2 nodes; 2 nodes may come, and 25% of them are reckoned with"
    assert no_room(cluster((), coming=late), [kind(16, 2)])[1].startswith(told)
    assert not quota_told(cluster((8,), full, waiting=(NOW,)), kind()), "one that waits has its part of the quota"


def test_who_waits_for_longer_than_nodes_take() -> None:
    view = cluster((), waiting=(NOW - 900, NOW - 600, NOW - 599))
    assert overdue(view, kind(), NOW) == 2
    assert waits(view, kind(), NOW) == "2 replicas have waited for nodes for longer than 10m (spec.growth)"
    spot = Kind(AcceleratorChoice(type=L4, spot=True), accelerators()[L4], 1.0, 1.0)
    assert (overdue(view, spot, NOW), overdue(view, None, NOW), waits(view, spot, NOW)) == (0, 0, "")
