"""Which nodes can hold a replica, which accelerator is chosen by that, and why a replica finds no node.

Here a node counts by what it has, not by what is free on it: what is free is the scheduler's to say, and
its words are passed on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.conditions import Reason
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.core import devices
from inferops.core.engine import Obstacle
from inferops.core.observation import LEADER_WORKER_SET, Nodes, NodeView, Observation, RevisionView

# How spot nodes are marked: by the clouds and Karpenter, and by admins whose nodes nobody else marks. The taints that
# keep others off such nodes have the same keys and values.
SPOT_LABELS: tuple[tuple[str, str], ...] = (
    ("cloud.google.com/gke-spot", "true"),
    ("cloud.google.com/gke-preemptible", "true"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
    ("eks.amazonaws.com/capacityType", "SPOT"),
    ("karpenter.sh/capacity-type", "spot"),
    ("inferops.dev/spot", "true"),
)

# How nodes are marked whose GPUs are cut into partitions or shared among pods: by GKE and by GPU feature discovery.
# The labels of the clouds tell the type of such a GPU as if it were a whole one. No values: any.
NOT_WHOLE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("cloud.google.com/gke-gpu-partition-size", ()),
    ("cloud.google.com/gke-gpu-sharing-strategy", ()),
    ("nvidia.com/gpu.sharing-strategy", ("mps", "time-slicing")),
    ("nvidia.com/gpu.slices.gi", ()),  # MIG, all of a node alike
)


ZONE = "topology.kubernetes.io/zone"
# A StatefulSet's pods carry its name and a hash in a label of 63 characters; the name of a group's is ours, with the
# hash of the revision, and its index: 63 - 11 - 4 - 11.
GROUP_NAME_LIMIT = 37


@dataclass(frozen=True, slots=True)
class Match:
    """How the nodes of a cluster answer to one choice of accelerator."""

    total: int  # nodes in the cluster
    matching: tuple[NodeView, ...]  # with the accelerator's labels, spot or not as asked
    large: tuple[NodeView, ...]  # of these, with enough accelerators on the one node
    usable: tuple[NodeView, ...]  # of these, ready and not cordoned
    most: int  # accelerators on the largest matching node
    wanted: int = 1  # nodes that a replica takes

    @property
    def fits(self) -> bool:
        """Whether the cluster could hold one replica, were nothing else on it."""
        return len(self.usable) >= self.wanted


def is_spot(node: NodeView) -> bool:
    return any(node.labels.get(key) == value for key, value in SPOT_LABELS)


def is_whole(node: NodeView) -> bool:
    """Whether its GPUs are neither cut nor shared, as far as its labels tell."""
    marks = ((node.labels.get(key), values) for key, values in NOT_WHOLE)
    return not any(found is not None and (not values or found in values) for found, values in marks)


def has_accelerator(node: NodeView, accelerator: AcceleratorSpec) -> bool:
    """Whether it is a node with this accelerator, whole unless the accelerator is a slice itself."""
    return devices.labelled(node, accelerator) and (accelerator.slice or is_whole(node))


def match(choice: AcceleratorChoice, accelerator: AcceleratorSpec, nodes: Sequence[NodeView]) -> Match:
    """Sort `nodes` by how far each gets towards holding one replica on `choice`, or its share of one."""
    if not isinstance(nodes, Nodes):
        return _match(choice, accelerator, nodes)
    what = (id(accelerator), choice.count, choice.nodes, choice.spot)
    of, found = nodes.found.get(what, (None, None))
    if found is None or of is not accelerator:
        found = _match(choice, accelerator, nodes)
        nodes.found[what] = (accelerator, found)
    kept: Match = found
    return kept


def _match(choice: AcceleratorChoice, accelerator: AcceleratorSpec, nodes: Sequence[NodeView]) -> Match:
    claimed = devices.claimed(accelerator, nodes)

    def number(node: NodeView) -> int:
        offered = node.allocatable.get(accelerator.resource_name, 0)
        return len(devices.having(node, accelerator)) if claimed else offered

    having = (node for node in nodes if (number(node) if claimed else has_accelerator(node, accelerator)))
    matching = tuple(node for node in having if is_spot(node) == choice.spot)
    counts = {node.name: number(node) for node in matching}
    large = tuple(node for node in matching if counts[node.name] >= choice.count // choice.nodes)
    usable = tuple(node for node in large if node.ready and not node.cordoned)
    return Match(len(nodes), matching, large, usable, max(counts.values(), default=0), choice.nodes)


def zoned(accelerator: AcceleratorSpec, nodes: Sequence[NodeView]) -> bool:
    """Whether all nodes with this accelerator tell their zone.

    Where one does not, the scheduler would not spread replicas over such nodes at all: it scores only nodes that have
    all labels of a pod's spread constraints.
    """
    return all(ZONE in node.labels for node in nodes if has_accelerator(node, accelerator))


def unoffered(choice: AcceleratorChoice, seen: Observation) -> Obstacle | None:
    """Why replicas on `choice` cannot be made for this service with the API that the cluster has, or None."""
    if choice.nodes == 1:
        return None
    group = f"{choice.count}x {choice.type} on {choice.nodes} nodes"
    if len(seen.service.metadata.name) > GROUP_NAME_LIMIT:
        return Obstacle(
            Reason.INVALID_SPEC,
            f"metadata.name: longer than the {GROUP_NAME_LIMIT} characters that leave room for the names of the pods "
            f"of a group, as {group} makes one; give the InferenceService a shorter name, or name a choice with "
            "nodes: 1",
        )
    if LEADER_WORKER_SET in seen.kinds:
        return None
    return Obstacle(
        Reason.LEADER_WORKER_SET_MISSING,
        f"spec.accelerators: {group} needs {LEADER_WORKER_SET} (leaderworkerset.x-k8s.io/v1), which this cluster does "
        "not offer to the operator; have an admin install it (LWS of Kubernetes SIGs), or name a choice with nodes: 1",
    )


def choose(seen: Observation, choices: Iterable[AcceleratorChoice], current: RevisionView | None) -> AcceleratorChoice:
    """The accelerator for the revision that the spec asks for, out of `choices`.

    The first in their order that the nodes could hold. A choice once made is kept while a pod of it
    runs or the nodes could hold it, since changing it makes a new revision. What needs a kind that the cluster does
    not offer comes last. Requires at least one, of known types; takes no more of them than it needs to look at.
    """

    def held(choice: AcceleratorChoice) -> bool:
        return offered(choice) and match(choice, seen.accelerators[choice.type], seen.nodes).fits

    def offered(choice: AcceleratorChoice) -> bool:
        return unoffered(choice, seen) is None

    made = current.spec.accelerator if current is not None and current.spec is not None else None
    runs = current is not None and current.scheduled
    listed: list[AcceleratorChoice] = []
    for choice in choices:
        if choice == made and (runs or held(choice)):
            return choice
        listed.append(choice)
    hopeful = [choice for choice in listed if choice == made]
    return next((choice for choice in listed if held(choice)), min((*hopeful, *listed), key=lambda c: not offered(c)))


def missing(
    choice: AcceleratorChoice, accelerator: AcceleratorSpec, nodes: Sequence[NodeView], scheduler_says: str
) -> Obstacle:
    """Why a pending replica finds no node: which resource is missing, and on how many nodes."""
    found = match(choice, accelerator, nodes)
    claimed = accelerator.device if devices.claimed(accelerator, nodes) else None
    resource = claimed.class_name if claimed is not None else accelerator.resource_name
    need = _need(choice, resource)
    labels = " or ".join(f"{label.key} in ({', '.join(label.values)})" for label in accelerator.node_labels)
    known = f"devices of the driver {claimed.driver}" if claimed is not None else labels
    scheduler = f"; the scheduler says: {scheduler_says}" if scheduler_says else ""
    if not found.matching:
        kind = " spot" if choice.spot else ""
        return Obstacle(
            Reason.NO_MATCHING_NODE,
            f"a replica needs {need}: none of the {found.total} nodes is a{kind} node with {known}; "
            "add such a node or another type to spec.accelerators",
        )
    if len(found.large) < found.wanted:
        enough = f", {len(found.large)} have enough," if found.wanted > 1 else ","
        return Obstacle(
            Reason.NODES_TOO_SMALL,
            f"a replica needs {need}: {len(found.matching)} of {found.total} nodes have {choice.type}{enough} the "
            f"largest has {found.most} of {resource}; lower spec.accelerators count or add "
            f"{'larger nodes' if found.wanted > 1 else 'a larger node'}",
        )
    if not found.fits:
        cordoned = sum(node.cordoned for node in found.large)
        lost = sum(not node.ready for node in found.large)
        return Obstacle(
            Reason.NODES_UNAVAILABLE,
            f"a replica needs {need}: of the {len(found.large)} nodes that have it, {cordoned} are cordoned and "
            f"{lost} are not ready; uncordon or repair {'one' if found.wanted == 1 else 'them'}",
        )
    in_use = ("cannot allocate all claims" if claimed is not None else f"Insufficient {resource}") in scheduler_says
    return Obstacle(
        Reason.INSUFFICIENT_CAPACITY if in_use else Reason.UNSCHEDULABLE,
        f"a replica needs {need}: {len(found.usable)} of {found.total} nodes could hold it"
        + (f", and none of them has enough {resource} free" if in_use else "")
        + scheduler,
    )


def _need(choice: AcceleratorChoice, resource: str) -> str:
    kind = f"{resource} ({choice.type}{', spot' if choice.spot else ''})"
    if choice.nodes == 1:
        return f"{choice.count}x {kind} on one node"
    return f"{choice.count}x {kind} on {choice.nodes} nodes, {choice.count // choice.nodes} on each"
