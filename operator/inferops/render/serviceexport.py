"""The ServiceExport of a service: its Service of the same name, for the other clusters of a clusterset.

Source: Multi-Cluster Services API (KEP-1645), multicluster.x-k8s.io. Clusters that serve v1beta1 serve v1alpha1 too,
and both say the same.
"""

from __future__ import annotations

from typing import Any

from inferops.api.resources import InferenceService
from inferops.render import labels


def render_export(service: InferenceService) -> dict[str, Any]:
    """The ServiceExport. It has no spec: it means the Service that has its name and namespace."""
    return {
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "kind": "ServiceExport",
        "metadata": labels.metadata(service, service.metadata.name),
    }
