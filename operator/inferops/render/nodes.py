"""Which nodes a replica may run on: those with its accelerator, whole, and spot nodes only where asked for."""

from __future__ import annotations

from typing import Any

from inferops.api.accelerator import AcceleratorSpec
from inferops.core.scheduling import SPOT_LABELS

# How nodes are marked whose GPUs are cut into partitions or shared among pods: by GKE and by GPU feature discovery.
# The labels of the clouds tell the type of such a GPU as if it were a whole one.
NOT_WHOLE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("cloud.google.com/gke-gpu-partition-size", ()),
    ("cloud.google.com/gke-gpu-sharing-strategy", ()),
    ("nvidia.com/gpu.sharing-strategy", ("mps", "time-slicing")),
)

Expression = dict[str, Any]


def constraints(accelerator: AcceleratorSpec, spot: bool) -> dict[str, Any]:
    """The parts of a pod's spec that place it: nodeSelector, affinity, tolerations."""
    selector = _only_label(accelerator)
    spec: dict[str, Any] = {"nodeSelector": selector} if selector else {}
    terms = [{"matchExpressions": term} for term in _terms(accelerator, spot)]
    spec["affinity"] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    }
    # The API server drops an empty value, and nobody else may own a part of the list.
    tolerations = [
        {field: value for field, value in toleration.dump().items() if value} for toleration in accelerator.tolerations
    ]
    if spot:
        tolerations += [{"key": key, "operator": "Equal", "value": value} for key, value in SPOT_LABELS]
    if tolerations:
        spec["tolerations"] = tolerations
    return spec


def _only_label(accelerator: AcceleratorSpec) -> dict[str, str]:
    """The label of all its nodes, where there is just one with one value; simpler to read than an affinity."""
    if len(accelerator.node_labels) == 1 and len(accelerator.node_labels[0].values) == 1:
        return {accelerator.node_labels[0].key: accelerator.node_labels[0].values[0]}
    return {}


def _terms(accelerator: AcceleratorSpec, spot: bool) -> list[list[Expression]]:
    """Alternatives, of which one must hold in all its expressions: one a label, times one a kind of spot node."""
    selected = bool(_only_label(accelerator))
    return [
        [
            *([] if selected else [_expression(label.key, "In", *label.values)]),
            *([] if accelerator.slice else _whole()),
            *(_expression(key, operator, value) for key, value in marks),
        ]
        for label in accelerator.node_labels
        for operator, marks in _spot_rules(spot)
    ]


def _spot_rules(spot: bool) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """Alternatives: a spot node has one of the marks, any other node has none of them."""
    return [("In", (mark,)) for mark in SPOT_LABELS] if spot else [("NotIn", SPOT_LABELS)]


def _whole() -> list[Expression]:
    return [_expression(key, "NotIn" if values else "DoesNotExist", *values) for key, values in NOT_WHOLE]


def _expression(key: str, operator: str, *values: str) -> Expression:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}
