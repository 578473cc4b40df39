"""The labels of everything that belongs to a service, and the reference to its owner."""

from __future__ import annotations

from typing import Any

from inferops.api import API_VERSION
from inferops.api.resources import InferenceService

SERVICE = "inferops.dev/service"
REVISION = "inferops.dev/revision"
ROLE = "inferops.dev/role"  # leader or worker, of a replica's group of pods; a replica that is one pod has none
LEADER, WORKER = "leader", "worker"
THROUGH_GATEWAY = {"inferops.dev/through": "gateway"}  # in the selector of Services that pods are not to be behind


def selector(service: str, revision: str) -> dict[str, str]:
    """The labels by which a revision's pods are found. They can never change: a Deployment's selector cannot."""
    return {SERVICE: service, REVISION: revision}


def endpoints(service: str, revision: str, nodes: int) -> dict[str, str]:
    """The labels of the pods that take requests: of a replica on several `nodes` the leader alone."""
    return {**selector(service, revision), **({ROLE: LEADER} if nodes > 1 else {})}


def labels(service: str, revision: str = "") -> dict[str, str]:
    """The labels of an object of `service`, and of its revision with the hash `revision` where it has one."""
    return {
        "app.kubernetes.io/name": service,
        "app.kubernetes.io/managed-by": "inferops",
        SERVICE: service,
        **({REVISION: revision} if revision else {}),
    }


def owner(service: InferenceService) -> dict[str, Any]:
    """The owner reference to `service`, with which its children go when it goes. Raises ValueError without a uid."""
    if not service.metadata.uid:
        raise ValueError(
            f"metadata.uid: {service.metadata.name} has none; take the object as the API server returned it"
        )
    return {
        "apiVersion": API_VERSION,
        "kind": "InferenceService",
        "name": service.metadata.name,
        "uid": service.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def metadata(service: InferenceService, name: str, revision: str = "") -> dict[str, Any]:
    """The metadata of the object `name` that belongs to `service`."""
    return {
        "name": name,
        "namespace": service.metadata.namespace,
        "labels": labels(service.metadata.name, revision),
        "ownerReferences": [owner(service)],
    }
