"""Which nodes a replica may run on: those with its accelerator, whole, and spot nodes only where asked for.

Among them replicas are spread over zones and nodes, and the pods of one replica kept in one zone, where that can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.base import Toleration
from inferops.core import taints
from inferops.core.scheduling import NOT_WHOLE, SPOT_LABELS, ZONE
from inferops.render import labels
from inferops.runtimes.base import Launch

HOSTNAME = "kubernetes.io/hostname"
GROUP = "leaderworkerset.sigs.k8s.io/group-key"  # a label of all pods of one group

Expression = dict[str, Any]


def placement(launch: Launch) -> dict[str, Any]:
    """The parts of a pod's spec that place it."""
    spec = constraints(launch.accelerator, launch.revision.accelerator.spot, launch.claimed, launch.tolerations)
    service, revision = launch.service, launch.revision.hash
    if launch.nodes > 1:
        spec["affinity"]["podAffinity"] = _together(labels.selector(service, revision))
    if not launch.worker:
        spread = labels.endpoints(service, revision, launch.nodes)
        keys = (HOSTNAME, ZONE) if launch.zoned else (HOSTNAME,)
        spec["topologySpreadConstraints"] = [_spread(key, spread) for key in keys]
    return spec


def _spread(key: str, selector: dict[str, str]) -> dict[str, Any]:
    """A wish, or a full zone would keep replicas from starting."""
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(selector)},
    }


def _together(selector: dict[str, str]) -> dict[str, Any]:
    """A wish that the pods of one group are in one zone: activations pass from node to node with every token."""
    term = {"labelSelector": {"matchLabels": selector}, "matchLabelKeys": [GROUP], "topologyKey": ZONE}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}


def constraints(
    accelerator: AcceleratorSpec, spot: bool, claimed: bool = False, further: Sequence[Toleration] = ()
) -> dict[str, Any]:
    """Which nodes: nodeSelector, affinity, tolerations and `further` ones. The nodes of a claim's devices are known to
    the scheduler."""
    selector = {} if claimed else _only_label(accelerator)
    spec: dict[str, Any] = {"nodeSelector": selector} if selector else {}
    terms = [{"matchExpressions": term} for term in (_spot_terms(spot) if claimed else _terms(accelerator, spot))]
    spec["affinity"] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    }
    own = taints.tolerations(accelerator, spot)
    # The API server drops an empty value, and nobody else may own a part of the list.
    tolerations = [
        {field: value for field, value in toleration.dump().items() if value}
        for toleration in (*own, *(each for each in further if each not in own))
    ]
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


def _spot_terms(spot: bool) -> list[list[Expression]]:
    return [[_expression(key, operator, value) for key, value in marks] for operator, marks in _spot_rules(spot)]


def _spot_rules(spot: bool) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """Alternatives: a spot node has one of the marks, any other node has none of them."""
    return [("In", (mark,)) for mark in SPOT_LABELS] if spot else [("NotIn", SPOT_LABELS)]


def _whole() -> list[Expression]:
    return [_expression(key, "NotIn" if values else "DoesNotExist", *values) for key, values in NOT_WHOLE]


def _expression(key: str, operator: str, *values: str) -> Expression:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}
