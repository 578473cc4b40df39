"""Accelerators that a cluster offers by dynamic resource allocation (DRA): how many a node has, and when it is used.

What a ResourceSlice says is a driver's word and of any shape; attributes are compared as text and nothing else. The
claim that is rendered asks for the very devices that are counted here.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferops.api.accelerator import AcceleratorSpec, DeviceSpec
from inferops.core.observation import DeviceView, NodeView


def offers(device: DeviceView, wanted: DeviceSpec) -> bool:
    """Whether `device` is one of those that `wanted` means."""
    attributes = ((device.attributes.get(attribute.name), attribute.values) for attribute in wanted.attributes)
    return device.driver == wanted.driver and all(found in values for found, values in attributes)


def count(node: NodeView, wanted: DeviceSpec | None) -> int:
    """How many devices of this kind a node has."""
    return sum(offers(device, wanted) for device in node.devices) if wanted is not None else 0


def claimed(accelerator: AcceleratorSpec, nodes: Sequence[NodeView]) -> bool:
    """Whether pods get this accelerator by a ResourceClaim: it names its devices, some node has such, and none that has
    the accelerator offers the extended resource. Never both: a driver and a device plugin would give the same GPU away
    twice."""
    if accelerator.device is None or any(_plugged(node, accelerator) for node in nodes):
        return False
    return any(count(node, accelerator.device) for node in nodes)


def labelled(node: NodeView, accelerator: AcceleratorSpec) -> bool:
    """Whether the node has a label of those by which this accelerator's nodes are recognised."""
    return any(node.labels.get(label.key) in label.values for label in accelerator.node_labels)


def _plugged(node: NodeView, accelerator: AcceleratorSpec) -> bool:
    """Whether a device plugin offers this accelerator on the node."""
    its_own = labelled(node, accelerator) or count(node, accelerator.device) > 0
    return its_own and node.allocatable.get(accelerator.resource_name, 0) > 0
