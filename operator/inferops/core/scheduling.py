"""Which nodes can hold a replica, which accelerator is chosen by that, and why a replica finds no node.

Here a node counts by what it has, not by what is free on it: what is free is the scheduler's to say, and
its words are passed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.conditions import Reason
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.core.engine import Obstacle
from inferops.core.observation import NodeView, Observation, RevisionView

# How the clouds and Karpenter mark spot nodes.
SPOT_LABELS: tuple[tuple[str, str], ...] = (
    ("cloud.google.com/gke-spot", "true"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
    ("eks.amazonaws.com/capacityType", "SPOT"),
    ("karpenter.sh/capacity-type", "spot"),
)


@dataclass(frozen=True, slots=True)
class Match:
    """How the nodes of a cluster answer to one choice of accelerator."""

    total: int  # nodes in the cluster
    matching: tuple[NodeView, ...]  # with the accelerator's labels, spot or not as asked
    large: tuple[NodeView, ...]  # of these, with enough accelerators on the one node
    usable: tuple[NodeView, ...]  # of these, ready and not cordoned
    most: int  # accelerators on the largest matching node


def is_spot(node: NodeView) -> bool:
    return any(node.labels.get(key) == value for key, value in SPOT_LABELS)


def has_accelerator(node: NodeView, accelerator: AcceleratorSpec) -> bool:
    return any(node.labels.get(label.key) in label.values for label in accelerator.node_labels)


def match(choice: AcceleratorChoice, accelerator: AcceleratorSpec, nodes: Sequence[NodeView]) -> Match:
    """Sort `nodes` by how far each gets towards holding one replica on `choice`."""
    matching = tuple(n for n in nodes if has_accelerator(n, accelerator) and is_spot(n) == choice.spot)
    counts = {node.name: node.allocatable.get(accelerator.resource_name, 0) for node in matching}
    large = tuple(node for node in matching if counts[node.name] >= choice.count)
    usable = tuple(node for node in large if node.ready and not node.cordoned)
    return Match(len(nodes), matching, large, usable, max(counts.values(), default=0))


def choose(seen: Observation, current: RevisionView | None) -> AcceleratorChoice:
    """The accelerator for the revision that the spec asks for.

    The first in the user's order that some node could hold. A choice once made is kept while a pod of it
    runs or a node could hold it, since changing it makes a new revision. Requires a non-empty, known list.
    """
    choices = seen.service.spec.accelerators
    kept = current.spec.accelerator if current is not None and current.spec is not None else None
    if kept not in choices:
        kept = None

    def held(choice: AcceleratorChoice) -> bool:
        return bool(match(choice, seen.accelerators[choice.type], seen.nodes).usable)

    if kept is not None and current is not None and (current.scheduled or held(kept)):
        return kept
    return next((choice for choice in choices if held(choice)), kept or choices[0])


def missing(
    choice: AcceleratorChoice, accelerator: AcceleratorSpec, nodes: Sequence[NodeView], scheduler_says: str
) -> Obstacle:
    """Why a pending replica finds no node: which resource is missing, and on how many nodes."""
    found = match(choice, accelerator, nodes)
    need = f"{choice.count}x {accelerator.resource_name} ({choice.type}{', spot' if choice.spot else ''}) on one node"
    labels = " or ".join(f"{label.key} in ({', '.join(label.values)})" for label in accelerator.node_labels)
    scheduler = f"; the scheduler says: {scheduler_says}" if scheduler_says else ""
    if not found.matching:
        kind = " spot" if choice.spot else ""
        return Obstacle(
            Reason.NO_MATCHING_NODE,
            f"a replica needs {need}: none of the {found.total} nodes is a{kind} node with {labels}; "
            "add such a node or another type to spec.accelerators",
        )
    if not found.large:
        return Obstacle(
            Reason.NODES_TOO_SMALL,
            f"a replica needs {need}: {len(found.matching)} of {found.total} nodes have {choice.type}, the largest "
            f"has {found.most} of {accelerator.resource_name}; lower spec.accelerators count or add a larger node",
        )
    if not found.usable:
        cordoned = sum(node.cordoned for node in found.large)
        lost = sum(not node.ready for node in found.large)
        return Obstacle(
            Reason.NODES_UNAVAILABLE,
            f"a replica needs {need}: of the {len(found.large)} nodes that have it, {cordoned} are cordoned and "
            f"{lost} are not ready; uncordon or repair one",
        )
    in_use = f"Insufficient {accelerator.resource_name}" in scheduler_says
    return Obstacle(
        Reason.INSUFFICIENT_CAPACITY if in_use else Reason.UNSCHEDULABLE,
        f"a replica needs {need}: {len(found.usable)} of {found.total} nodes could hold it"
        + (f", and none of them has enough {accelerator.resource_name} free" if in_use else "")
        + scheduler,
    )
