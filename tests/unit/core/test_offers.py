"""What finds a place on a cluster: what is free is counted node by node, once, and only where it can be had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.base import Toleration
from inferops.catalogue import accelerators
from inferops.core.observation import DeviceView, NodeView, Taint
from inferops.core.offers import MOST, Free, offers, told

KNOWN = accelerators()
GPU, DRIVER = "nvidia.com/gpu", "gpu.nvidia.com"
PLUGGED, CLAIMED = f"requests.{GPU}", f"{DRIVER}.deviceclass.resource.k8s.io/devices"  # as quotas name them
H100, L4 = "nvidia-h100-80gb", "nvidia-l4"
PRODUCT = "nvidia.com/gpu.product"
H100_LABELS = {PRODUCT: "NVIDIA-H100-80GB-HBM3"}
GPU_TAINT = Taint(GPU, "present", "NoSchedule")
SPOT = {"cloud.google.com/gke-spot": "true"}
SPOT_TAINT = Taint("cloud.google.com/gke-spot", "true", "NoSchedule")


def node(name: str = "a", gpus: int = 8, labels: Mapping[str, str] = H100_LABELS, **facts: Any) -> NodeView:
    """A node with whole H100s of a device plugin."""
    return NodeView(name, labels, {GPU: gpus}, **{"taints": (GPU_TAINT,), **facts})


def gpu(number: int = 0, on: str = "a", product: str = "NVIDIA H100 80GB HBM3") -> DeviceView:
    """A whole GPU, as NVIDIA's driver lists it."""
    known = {"type": "gpu", "uuid": f"GPU-{on}-{number}", "productName": product,
             "resource.kubernetes.io/pciBusID": f"{on}:{number}"}  # fmt: skip
    return DeviceView(DRIVER, known, f"{on}/gpu-{number}")


def cut(number: int, part: int, on: str = "a", there: bool = True, profile: str = "3g.40gb") -> DeviceView:
    """A slice of a GPU, or one that could be cut."""
    whole = gpu(number, on)
    known = {**whole.attributes, "type": "mig", "parentUUID": whole.attributes["uuid"], "profile": profile}
    known.pop("uuid")
    own = {"uuid": f"MIG-{on}-{number}-{part}"} if there else {}
    return DeviceView(DRIVER, {**known, **own}, f"{on}/gpu-{number}-mig-{part}")


def listing(*devices: DeviceView, on: str = "a", **facts: Any) -> NodeView:
    """A node whose GPUs only a driver lists: there are none in its status."""
    return NodeView(on, {}, {}, devices=devices, **facts)


def found(
    *nodes: NodeView,
    used: Mapping[str, int] | None = None,
    taken: tuple[DeviceView, ...] = (),
    known: Mapping[str, AcceleratorSpec] = KNOWN,
    tolerations: tuple[Toleration, ...] = (),
) -> dict[tuple[str, bool], Free]:
    """`used`: GPUs in use by node."""
    in_use = {name: {GPU: number} for name, number in (used or {}).items()}
    held = {(device.driver, device.name) for device in taken}
    return {(free.accelerator, free.spot): free for free in offers(nodes, in_use, held, known, tolerations)}


def test_eight_nodes_with_one_free_gpu_are_no_room_for_eight() -> None:
    """Free GPUs in total are not GPUs that a replica can have."""
    names = [f"node-{number}" for number in range(8)]
    free = found(*map(node, names), used=dict.fromkeys(names, 7))[H100, False]
    assert (free.nodes, free.total, free.free) == (8, 64, (1,) * 8)
    assert [free.room(count) for count in (1, 2, 8)] == [8, 0, 0]
    [offer] = told([free])
    assert offer.free == 8
    assert [(room.accelerators, room.replicas) for room in offer.room] == [(1, 8), (2, 0), (4, 0), (8, 0)]


def test_room_is_counted_node_by_node() -> None:
    free = found(node("a"), node("b"), node("c", 4), used={"a": 1, "b": 3})[H100, False]
    assert free == Free(H100, False, 3, 20, (7, 5, 4), 8, 3, PLUGGED)
    assert [free.room(count) for count in (1, 2, 4, 5, 7, 8)] == [16, 7, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("case", "facts"),
    [
        ("cordoned", {"cordoned": True}),
        ("lost", {"ready": False}),
        ("of another team", {"taints": (GPU_TAINT, Taint("dedicated", "research", "NoSchedule"))}),
        ("being emptied", {"taints": (Taint("karpenter.sh/disrupted", "", "NoSchedule"),)}),
        ("short of memory", {"taints": (Taint("node.kubernetes.io/memory-pressure", "", "NoSchedule"),)}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nodes_to_which_nothing_can_be_scheduled_hold_nothing(case: str, facts: dict[str, Any]) -> None:
    """They are declared, and still tell people that there is such an accelerator."""
    assert found(node("a", **facts), node("b"))[H100, False] == Free(H100, False, 1, 8, (8,), 8, 2, PLUGGED)
    assert found(node("a", **facts)) == {(H100, False): Free(H100, False, 0, 0, (), 0, 1, PLUGGED)}
    [offer] = told(list(found(node("a", **facts)).values()))
    assert (offer.nodes, offer.total, offer.free, offer.room) == (0, 0, 0, [])


def test_a_clusters_own_tolerations_open_its_nodes() -> None:
    theirs = node(taints=(GPU_TAINT, Taint("dedicated", "inference", "NoExecute")))
    tolerated = Toleration(key="dedicated", operator="Equal", value="inference")
    assert found(theirs, tolerations=(tolerated,))[H100, False].room(8) == 1
    assert found(theirs)[H100, False].room(8) == 0


def test_spot_is_kept_apart_from_on_demand() -> None:
    spot = node("b", labels={**H100_LABELS, **SPOT}, taints=(GPU_TAINT, SPOT_TAINT))
    tainted_alone = node("c", taints=(GPU_TAINT, SPOT_TAINT))  # nothing says that it is spot, so no pod tolerates it
    free = offers([spot, node("a"), tainted_alone], {}, (), KNOWN, ())
    assert free == (Free(H100, False, 1, 8, (8,), 8, 2, PLUGGED), Free(H100, True, 1, 8, (8,), 8, 1, PLUGGED))


def test_azures_gpu_nodes_are_tolerated() -> None:
    labels = {"node.kubernetes.io/instance-type": "Standard_ND96isr_H100_v5"}
    assert found(node(labels=labels, taints=(Taint("sku", "gpu", "NoSchedule"),)))[H100, False].room(8) == 1


def test_arm_nodes_are_tolerated_only_by_what_runs_on_them() -> None:
    arm = Taint("kubernetes.io/arch", "arm64", "NoSchedule")
    grace = node("a", 4, {PRODUCT: "NVIDIA-GB200"}, taints=(GPU_TAINT, arm))
    free = found(grace, node("b", taints=(GPU_TAINT, arm)))
    assert free["nvidia-gb200", False].room(4) == 1 and free[H100, False].room(1) == 0


def test_slices_of_the_mixed_strategy_are_counted_by_their_own_resources() -> None:
    """Half of the node's GPUs are cut: what is left whole is offered as whole."""
    small, large = "nvidia.com/mig-1g.10gb", "nvidia.com/mig-3g.40gb"
    products = {f"{resource}.product": f"NVIDIA-H100-80GB-HBM3-MIG-{resource[15:]}" for resource in (small, large)}
    mixed = NodeView("a", {**H100_LABELS, **products}, {GPU: 4, small: 14, large: 4})
    free = {one.accelerator: one for one in offers([mixed], {"a": {small: 5, GPU: 1}}, (), KNOWN, ())}
    assert {name: (one.total, one.free) for name, one in free.items()} == {
        H100: (4, (3,)), f"{H100}-mig-1g.10gb": (14, (9,)), f"{H100}-mig-3g.40gb": (4, (4,))}  # fmt: skip
    all_cut = replace(mixed, allocatable={GPU: 0, small: 56})
    assert [one.accelerator for one in offers([all_cut], {}, (), KNOWN, ())] == [f"{H100}-mig-1g.10gb"]


def test_slices_of_the_single_strategy_are_no_whole_gpus() -> None:
    """They go by the whole GPUs' resource; the machine type still says that they are whole."""
    single = {PRODUCT: "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", "nvidia.com/gpu.slices.gi": "1",
              "node.kubernetes.io/instance-type": "p5.48xlarge"}  # fmt: skip
    assert found(node(gpus=56, labels=single)) == {}


@pytest.mark.parametrize(
    "labels",
    [
        {PRODUCT: "NVIDIA-H100-80GB-HBM3-SHARED", "nvidia.com/gpu.sharing-strategy": "time-slicing",
         "node.kubernetes.io/instance-type": "p5.48xlarge"},
        {**H100_LABELS, "nvidia.com/gpu.sharing-strategy": "mps"},
        {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb", "cloud.google.com/gke-gpu-sharing-strategy": "mps"},
        {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb", "cloud.google.com/gke-gpu-partition-size": "1g.10gb"},
    ],
)  # fmt: skip
def test_shared_and_cut_gpus_are_not_offered_as_whole_ones(labels: dict[str, str]) -> None:
    assert found(node(gpus=80, labels=labels)) == {}


def test_more_in_use_than_there_is_leaves_nothing() -> None:
    """A driver came back without some of the GPUs that pods still have."""
    assert found(node("a", 6), node("b"), used={"a": 8})[H100, False].free == (8, 0)


def test_what_no_node_has_is_left_out() -> None:
    """Also where nodes have its label and no device plugin."""
    assert found() == found(node(gpus=0)) == found(NodeView("cpu", {}, {"example.com/nic": 4})) == {}


def test_nodes_that_only_list_devices_are_counted_by_them() -> None:
    """Their status shows no GPUs; what is held is in ResourceClaims."""
    nodes = [listing(*(gpu(number, on) for number in range(8)), on=on) for on in ("a", "b")]
    free = found(*nodes, taken=(gpu(0, "a"), gpu(5, "a"), gpu(0, "elsewhere")))
    assert free == {(H100, False): Free(H100, False, 2, 16, (8, 6), 8, 2, CLAIMED)}
    assert found(replace(nodes[0], cordoned=True), nodes[1])[H100, False].nodes == 1


def test_spot_nodes_that_only_list_devices() -> None:
    spot = replace(listing(gpu(0)), labels=SPOT, taints=(GPU_TAINT, SPOT_TAINT))
    assert list(found(spot)) == [(H100, True)] and found(spot)[H100, True].room(1) == 1


def test_where_a_device_plugin_offers_them_listed_devices_are_not_counted() -> None:
    """Pods would ask for the extended resource, which the other node does not have."""
    both = replace(node("a", 1), devices=(gpu(0, "a"),))
    assert found(both, listing(gpu(0, "b"), on="b"))[H100, False] == Free(H100, False, 1, 1, (1,), 1, 1, PLUGGED)


def test_slices_that_are_listed_as_devices_are_no_whole_gpus() -> None:
    """They have their GPU's product name. It may be listed itself, and is no whole one any more."""
    parts = [cut(0, part) for part in range(2)]
    assert found(listing(*parts)) == found(listing(gpu(0), *parts)) == {}
    assert found(listing(gpu(0), *parts, gpu(1)))[H100, False].total == 1


PROFILE = {"className": "mig.nvidia.com", "attributes": [{"name": "profile", "values": ["3g.40gb"]}]}
SLICE = AcceleratorSpec.model_validate({**KNOWN[f"{H100}-mig-3g.40gb"].dump(), "device": PROFILE})


def test_slices_as_devices_are_offered_where_they_are_there() -> None:
    known = {**KNOWN, "slice": SLICE}
    parts = [cut(0, part) for part in range(2)]
    free = found(listing(*parts, gpu(1)), known=known, taken=(parts[0],))
    assert {name: (one.total, one.free) for (name, _), one in free.items()} == {H100: (1, (1,)), "slice": (2, (1,))}


def test_a_gpu_that_can_still_be_cut_is_offered_once() -> None:
    """As a whole; and no longer once somebody has a slice of it."""
    could = [cut(0, part, there=False) for part in range(7)]
    known = {**KNOWN, "slice": SLICE}
    free = found(listing(gpu(0), gpu(1), *could), known=known)
    assert free == {(H100, False): Free(H100, False, 1, 2, (2,), 2, 1, CLAIMED)}
    assert found(listing(gpu(0), gpu(1), *could), known=known, taken=(could[3],))[H100, False].free == (1,)


def test_a_gpu_that_a_virtual_machine_may_have_is_offered_once() -> None:
    known = {**gpu(0).attributes, "type": "vfio", "uuid": "of its own"}
    through = DeviceView(DRIVER, known, "a/gpu-vfio-0")
    assert found(listing(gpu(0), through))[H100, False].total == 1
    assert found(listing(gpu(0), through), taken=(through,))[H100, False].free == (0,)


def test_a_device_that_no_claim_can_name_is_not_offered() -> None:
    assert found(listing(replace(gpu(0), name=""), gpu(1), gpu(1)))[H100, False].total == 1


def test_two_names_for_the_same_gpus_offer_them_once() -> None:
    """To the one that is said of fewer nodes: who named these apart means to keep them apart."""
    apart = AcceleratorSpec.model_validate({**KNOWN[H100].dump(), "nodeLabels": [{"key": "pool", "values": ["a"]}]})
    nodes = [node("a", labels={**H100_LABELS, "pool": "a"}), node("b"), node("c")]
    free = found(*nodes, known={**KNOWN, "reserved": apart})
    assert (free[H100, False].nodes, free["reserved", False].nodes) == (2, 1)
    again = found(*nodes, known={**KNOWN, "h100": KNOWN[H100]})
    assert (again["h100", False].nodes, again[H100, False].nodes) == (3, 0)


def test_the_order_is_the_same_whatever_the_order_of_nodes() -> None:
    nodes = [
        node("a", labels={PRODUCT: "NVIDIA-L4", **SPOT}),
        node("b"),
        node("c", 4),
        node("d", 2, {PRODUCT: "NVIDIA-L4"}),
    ]
    free = offers(nodes, {}, (), KNOWN, ())
    assert [(one.accelerator, one.spot) for one in free] == [(H100, False), (L4, False), (L4, True)]
    backwards = dict(reversed(KNOWN.items()))
    assert free == offers(nodes[::-1], {}, (), backwards, ())


def test_the_status_tells_the_room_up_to_the_largest_node() -> None:
    free = [Free("a", False, 2, 9, (6, 0), 6), Free("b", True, 1, 56, (33,), 56)]
    assert [[(room.accelerators, room.replicas) for room in offer.room] for offer in told(free)] == [
        [(1, 6), (2, 3), (4, 1)], [(1, 33), (2, 16), (4, 8), (8, 4), (16, 2)]]  # fmt: skip
    assert [(offer.accelerator, offer.spot, offer.nodes, offer.total, offer.free) for offer in told(free)] == [
        ("a", False, 2, 9, 6), ("b", True, 1, 56, 33)]  # fmt: skip
    assert len(told([replace(free[0], accelerator=f"a{number}") for number in range(MOST + 1)])) == MOST
