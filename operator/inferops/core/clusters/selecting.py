"""Which clusters a selector means, by their labels, as Kubernetes' own selectors do."""

from __future__ import annotations

from collections.abc import Mapping

from inferops.api.base import LabelRequirement, LabelSelector


def selected(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether `labels` meet all of `selector`; an empty one means everybody."""
    plain = all(labels.get(key) == value for key, value in selector.match_labels.items())
    return plain and all(_meets(each, labels) for each in selector.match_expressions)


def _meets(asked: LabelRequirement, labels: Mapping[str, str]) -> bool:
    there = asked.key in labels
    match asked.operator:
        case "In":
            return there and labels[asked.key] in asked.values
        case "NotIn":  # as in Kubernetes: who lacks the label is meant too
            return not there or labels[asked.key] not in asked.values
        case "Exists":
            return there
        case "DoesNotExist":
            return not there
