"""Whether a service's Service is exported to other clusters, by the Multi-Cluster Services API (KEP-1645).

It is the Service of the service's own name, which stays while revisions come and go, and leads to the gateways where
keys are checked or requests held. Nothing inside the cluster waits for the export.
"""

from __future__ import annotations

from inferops.api.conditions import Reason
from inferops.core.observation import SERVICE_EXPORT, Observation
from inferops.core.routing import Verdict

DOMAIN = "svc.clusterset.local"


def wanted(seen: Observation) -> bool:
    """Whether there is to be a ServiceExport."""
    return seen.service.spec.traffic.export and SERVICE_EXPORT in seen.kinds


def verdict(seen: Observation) -> Verdict | None:
    """Whether the Service is exported; None where nobody asks for that. What nobody says anything of counts as
    exported, since not all implementations do."""
    if not seen.service.spec.traffic.export:
        return None
    if SERVICE_EXPORT not in seen.kinds:
        return Verdict(
            False,
            Reason.SERVICE_EXPORT_MISSING,
            "spec.traffic.export: the cluster has no ServiceExport (multicluster.x-k8s.io/v1alpha1) that the operator "
            "may read; install an implementation of the Multi-Cluster Services API. Requests reach the Service inside "
            "the cluster meanwhile",
        )
    if seen.unexportable is not None:
        return Verdict(False, seen.unexportable.reason, seen.unexportable.message)
    if seen.export is None:
        return Verdict(None, Reason.EXPORT_PENDING, "the ServiceExport is being created")
    meta = seen.service.metadata
    name = f"{meta.name}.{meta.namespace}.{DOMAIN}"
    if seen.export.conflict:
        told = f"{name}: other clusters export another Service of this name: {seen.export.problem}"
        return Verdict(False, Reason.EXPORT_CONFLICT, told)
    if seen.export.problem:
        return Verdict(False, Reason.EXPORT_REFUSED, f"{name} is not exported: {seen.export.problem}")
    untold = "" if seen.export.told else " (no implementation of the Multi-Cluster Services API has told of it)"
    return Verdict(True, Reason.SERVICE_ROUTED, f"exported as {name}{untold}")
