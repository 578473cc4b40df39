"""Accelerators by dynamic resource allocation: when they are claimed, how they are counted, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inferops.api.accelerator import AcceleratorSpec
from inferops.core import devices
from inferops.core.decide import decide
from inferops.core.observation import DeviceView, NodeView
from inferops.core.scheduling import match, missing
from unit.core.building import ACCELERATORS, PRODUCT, accelerator, choice, node, revision, seen, service

H100 = DeviceView("gpu.example.com", {"productName": "Example H100", "type": "gpu"})
OTHERS = (
    DeviceView("gpu.example.com", {"productName": "Example L4", "type": "gpu"}),
    DeviceView("gpu.example.com", {"type": "gpu"}),
    DeviceView("net.example.com", {"productName": "Example H100", "type": "gpu"}),
)
DEVICE = {
    "className": "gpus",
    "driver": "gpu.example.com",
    "attributes": [{"name": "productName", "values": ["Example H100", "Example H100 NVL"]}],
}
CLAIMING = accelerator(PRODUCT, "NVIDIA-H100-SXM", device=DEVICE)


def having(name: str, *found: DeviceView, **facts: Any) -> NodeView:
    return NodeView(name, {}, {}, devices=found, **facts)


def test_only_the_devices_that_are_meant_count() -> None:
    assert devices.count(having("a", H100, *OTHERS, H100), CLAIMING.device) == 2
    assert devices.count(having("a", H100), None) == 0


def test_slices_of_a_gpu_are_not_counted_as_whole_ones() -> None:
    """NVIDIA's driver gives them the name of the GPU's product."""
    known = {"productName": "Example H100", "type": "mig", "parentUUID": "GPU-1"}
    whole = replace(H100, attributes={**H100.attributes, "uuid": "GPU-1"})
    slices = [replace(H100, attributes={**known, "uuid": f"MIG-{number}"}) for number in range(7)]
    cut, could_be = having("cut", *slices), having("whole", whole, replace(H100, attributes=known))
    both = having("both", whole, *slices)
    found = match(choice("h100"), CLAIMING, [cut, could_be, both])
    assert [each.name for each in found.matching] == ["whole"] and found.most == 1
    part = CLAIMING.model_copy(update={"slice": True})
    assert match(choice("h100", 7), part, [cut]).fits


@pytest.mark.parametrize(
    ("case", "spec", "nodes", "claimed"),
    [
        ("a driver lists them", CLAIMING, [having("a", H100)], True),
        ("beside nodes of other kinds", CLAIMING, [having("a", H100), node("b", "cpu")], True),
        ("a device plugin offers them", CLAIMING, [having("a", H100), node("b", "h100")], False),
        ("a device plugin offers others", CLAIMING, [having("a", H100), node("b", "l4")], True),
        ("both on one node", CLAIMING, [NodeView("a", {}, {"nvidia.com/gpu": 8}, devices=(H100,))], False),
        ("a plugin that has none left", CLAIMING, [having("a", H100), node("b", "h100", 0)], True),
        ("a driver lists others", CLAIMING, [having("a", *OTHERS)], False),
        ("nobody said which devices", ACCELERATORS["h100"], [having("a", H100)], False),
        ("no node at all", CLAIMING, [], False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_when_accelerators_are_claimed(case: str, spec: AcceleratorSpec, nodes: list[NodeView], claimed: bool) -> None:
    assert devices.claimed(spec, nodes) is claimed


def test_nodes_are_sorted_by_their_devices() -> None:
    spot = {"karpenter.sh/capacity-type": "spot"}
    nodes = [having("a", H100, H100), having("b", H100), having("c", *OTHERS), having("d", H100, H100, ready=False),
             replace(having("e", H100, H100), labels=spot), node("f", "cpu")]  # fmt: skip
    found = match(choice("h100", 2), CLAIMING, nodes)
    assert [[each.name for each in part] for part in (found.matching, found.large, found.usable)] == [
        ["a", "b", "d"], ["a", "d"], ["a"]]  # fmt: skip
    assert [each.name for each in match(choice("h100", 2, spot=True), CLAIMING, nodes).usable] == ["e"]


@pytest.mark.parametrize(
    ("wanted", "nodes", "says", "reason", "parts"),
    [
        (choice("h100", 8), [having("a", H100)], "", "NodesTooSmall", ["8x gpus (h100)", "the largest has 1 of gpus"]),
        (choice("h100", spot=True), [having("a", H100)], "", "NoMatchingNode", ["driver gpu.example.com"]),
        (choice("h100"), [having("a", H100)], "0/1 nodes are available: 1 cannot allocate all claims.",
         "InsufficientCapacity", ["1 of 1 nodes could hold it", "none of them has enough gpus free"]),
    ],
)  # fmt: skip
def test_why_a_claim_finds_no_node(wanted: Any, nodes: Any, says: str, reason: str, parts: list[str]) -> None:
    found = missing(wanted, CLAIMING, nodes, says)
    assert found.reason == reason
    for part in parts:
        assert part in found.message


def test_the_status_says_which_way_was_taken() -> None:
    of = service("h100")
    known = {**ACCELERATORS, "h100": CLAIMING}
    nodes = [having("a", H100, H100)]
    told = decide(seen(of, revision(of, ready=1), nodes=nodes, accelerators=known)).status.explain
    [sentence] = [each for each in told if "DeviceClass" in each]
    for part in ("DeviceClass gpus", "no node offers nvidia.com/gpu", "driver gpu.example.com lists 2"):
        assert part in sentence
    nodes = [node("a", "h100")]
    told = decide(seen(of, revision(of, ready=1), nodes=nodes, accelerators=known)).status.explain
    assert not [each for each in told if "DeviceClass" in each]
