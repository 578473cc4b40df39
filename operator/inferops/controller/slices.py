"""ResourceSlices -> the devices of each node that drivers offer by dynamic resource allocation.

A slice is untrusted: whatever is missing or of another shape reads as not there. Only texts are kept of a device's
attributes; versions, numbers and capacities are not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from inferops.controller.shapes import mapping, text
from inferops.core.observation import DeviceView

MOST = 128  # devices of a slice, as the API has it


@dataclass(frozen=True, slots=True)
class SliceView:
    """One ResourceSlice: part of a pool of devices, at one generation of the pool."""

    node: str  # empty: its devices belong to several nodes, and are not counted
    pool: tuple[str, str]  # driver and name
    generation: int
    devices: tuple[DeviceView, ...]


def slice_view(raw: Mapping[str, Any]) -> SliceView:
    """What matters of a ResourceSlice."""
    spec = mapping(raw.get("spec"))
    pool, driver = mapping(spec.get("pool")), str(spec.get("driver") or "")
    name = text(pool.get("name"))
    generation = pool.get("generation")
    listed = spec.get("devices")
    return SliceView(
        node=str(spec.get("nodeName") or ""),
        pool=(driver, name),
        generation=generation if isinstance(generation, int) else 0,
        devices=tuple(_device(driver, name, device) for device in (listed if isinstance(listed, list) else ())[:MOST]),
    )


def by_node(slices: Iterable[SliceView]) -> dict[str, tuple[DeviceView, ...]]:
    """The devices of each node. Of a pool only its newest generation counts: a driver writes it slice by slice."""
    all_slices = list(slices)
    newest: dict[tuple[str, str], int] = {}
    for each in all_slices:
        newest[each.pool] = max(each.generation, newest.get(each.pool, 0))
    found: dict[str, tuple[DeviceView, ...]] = {}
    for each in all_slices:
        if each.node and each.generation == newest[each.pool]:
            found[each.node] = (*found.get(each.node, ()), *each.devices)
    return found


def _device(driver: str, pool: str, raw: Any) -> DeviceView:
    device = mapping(raw)
    texts = {
        str(name).removeprefix(f"{driver}/"): value["string"]
        for name, value in mapping(device.get("attributes")).items()
        if isinstance(value, dict) and isinstance(value.get("string"), str)
    }
    name = text(device.get("name"))
    return DeviceView(driver, texts, f"{pool}/{name}" if pool and name else "")
