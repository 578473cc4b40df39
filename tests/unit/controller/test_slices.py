"""What drivers list of devices: read whatever its shape, counted by node, and of the newest generation alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.catalogue import accelerators, runtimes
from inferops.controller.slices import by_node, slice_view
from inferops.controller.store import Store
from inferops.core.observation import DeviceView
from inferops.kube.kinds import DEVICE_SLICE, INFERENCE_SERVICE, NODE
from unit.controller.building import node, raw, service
from unit.controller.world import LLAMA

DRIVER = "gpu.example.com"
GPU = {"name": "gpu-0", "attributes": {"productName": {"string": "H100"}, f"{DRIVER}/type": {"string": "gpu"},
                                       "index": {"int": 0}, "driverVersion": {"version": "1.2.3"}}}  # fmt: skip


def listed(
    name: str, version: int = 1, *, on: str = "node-1", pool: str = "", generation: int = 1, gpus: int = 1
) -> Any:
    spec = {
        "driver": DRIVER,
        "nodeName": on,
        "pool": {"name": pool or on, "generation": generation, "resourceSliceCount": 1},
        "devices": [GPU] * gpus,
    }
    return raw(DEVICE_SLICE, name, version, spec=spec)


def test_texts_are_kept_of_a_device() -> None:
    found = DeviceView(DRIVER, {"productName": "H100", "type": "gpu"}, "node-1/gpu-0")
    assert slice_view(listed("a")).devices == (found,)


def test_devices_are_named_as_claims_name_them() -> None:
    """By pool and device: names are one's own only within a pool, and a pool's may have parts."""
    assert [device.name for device in slice_view(listed("a", pool="rack-1/node-1")).devices] == ["rack-1/node-1/gpu-0"]


@pytest.mark.parametrize("odd", [{"name": None}, {"name": 7}, {}, "gpu-0"])
def test_a_device_without_a_name_is_no_claims(odd: Any) -> None:
    spec = {"driver": DRIVER, "nodeName": "node-1", "pool": {"name": "node-1"}, "devices": [odd]}
    assert [device.name for device in slice_view({"spec": spec}).devices] == [""]


def test_only_the_newest_generation_of_a_pool_counts() -> None:
    """And each pool by itself."""
    slices = [listed("a", gpus=8), listed("b", generation=2, gpus=4), listed("c", generation=2, gpus=3),
              listed("d", on="node-2", gpus=2), listed("e", pool="more", gpus=1)]  # fmt: skip
    found = by_node(map(slice_view, slices))
    assert {name: len(devices) for name, devices in found.items()} == {"node-1": 8, "node-2": 2}


def test_nodes_show_their_devices_and_services_that_wait_are_told() -> None:
    store = Store(accelerators(), runtimes())
    store.put(INFERENCE_SERVICE, service())
    store.put(NODE, node())
    assert store.put(DEVICE_SLICE, listed("a", gpus=2)) == {LLAMA}
    assert [len(found.devices) for found in store.nodes()] == [2]
    assert store.put(DEVICE_SLICE, listed("a", 2, gpus=2)) == set(), "nothing new"
    assert store.remove(DEVICE_SLICE, "", "a", 3) == {LLAMA}
    assert [found.devices for found in store.nodes()] == [()]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["driver", "nodeName", "pool", "devices", "attributes", "generation", "name", "string"]), inner
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_a_mangled_slice_is_read_and_breaks_nothing(junk: Any) -> None:
    """The API server would refuse it; a webhook or a newer version may not."""
    view = slice_view({"metadata": {"name": "a"}, "spec": junk})
    assert set(by_node([view])) <= {view.node}
