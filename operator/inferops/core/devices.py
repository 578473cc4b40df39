"""Accelerators that a cluster offers by dynamic resource allocation (DRA): how many a node has, and when it is used.

What a ResourceSlice says is a driver's word and of any shape; attributes are compared as text and nothing else. The
claim that is rendered asks for the very devices that are counted here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from inferops.api.accelerator import AcceleratorSpec, DeviceSpec
from inferops.core.observation import DeviceView, NodeView

Device = tuple[str, str]  # driver and "<pool>/<device>"
Held = Collection[Device]

# Attributes of NVIDIA's driver, and the standard one of a device's place on the PCI bus. A slice (MIG) carries the name
# of its GPU's product; one without a UUID of its own could be cut, and is none yet.
UUID, PARENT, BUS = "uuid", "parentUUID", "resource.kubernetes.io/pciBusID"
TYPE, PASSED_THROUGH = "type", "vfio"  # the same GPU again, for virtual machines


def offers(device: DeviceView, wanted: DeviceSpec) -> bool:
    """Whether `device` is one of those that `wanted` means."""
    if device.driver != wanted.driver:
        return False
    return all(device.attributes.get(attribute.name) in attribute.values for attribute in wanted.attributes)


def count(node: NodeView, wanted: DeviceSpec | None) -> int:
    """How many devices of this kind a node lists, whole ones or slices."""
    return sum(offers(device, wanted) for device in node.devices) if wanted is not None else 0


def stock(node: NodeView, accelerator: AcceleratorSpec, taken: Held) -> dict[Device, bool]:
    """The devices that a node has of an accelerator, and whether each is free where claims hold those in `taken`. A
    whole GPU is free while nobody has it, a slice of it, or it in another form."""
    busy = {body for device in node.devices if (device.driver, device.name) in taken for body in _bodies(device)}
    found: dict[Device, bool] = {}
    for device in having(node, accelerator):
        held, sliced = (device.driver, device.name) in taken, PARENT in device.attributes
        if device.name:
            found[device.driver, device.name] = not held and (sliced or busy.isdisjoint(_bodies(device)))
    return found


def having(node: NodeView, accelerator: AcceleratorSpec) -> list[DeviceView]:
    """The devices of an accelerator that a node has. The same GPU is there once: whole, or by its slices where it is
    cut, and these are nothing to an accelerator that is a whole one."""
    wanted = accelerator.device
    if wanted is None:
        return []
    cut = {device.attributes[PARENT] for device in node.devices if PARENT in device.attributes and _exists(device)}
    return [
        device
        for device in node.devices
        if offers(device, wanted)
        and _exists(device)
        and (accelerator.slice if PARENT in device.attributes else device.attributes.get(UUID) not in cut)
    ]


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
    if node.allocatable.get(accelerator.resource_name, 0) <= 0:
        return False
    return labelled(node, accelerator) or count(node, accelerator.device) > 0


def _exists(device: DeviceView) -> bool:
    """Whether it is there as it is listed: not a slice that could be cut, nor a GPU that is listed in another form."""
    if device.attributes.get(TYPE) == PASSED_THROUGH:
        return False
    return PARENT not in device.attributes or UUID in device.attributes


def _bodies(device: DeviceView) -> set[str]:
    """The GPU that a device is of, by all that it tells of it."""
    return {device.attributes[name] for name in (UUID, PARENT, BUS) if name in device.attributes}
