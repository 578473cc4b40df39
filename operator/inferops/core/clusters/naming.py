"""How what the hub writes for a service is known again: by which marks, and in the hub's own cluster by which name.

There the service itself has the name. What it has there for its clusters is another InferenceService beside it, which
the hub's operator serves as any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from inferops.api.resources import NAME_LIMIT, InferenceService

HUB = "inferops.dev/hub"  # label: the UID of the namespace kube-system of the cluster whose operator writes it
PARENT = "inferops.dev/parent"  # annotation: the UID of the InferenceService there
PARENT_NAME = "inferops.dev/parent-name"  # annotation, in the hub's own cluster: the name of that one
SUFFIX = "-hub"
HASH = 6


def hub_name(service: str) -> str:
    """The name, in the hub's own cluster, of what a service has there. Always the same, and no longer than the API
    takes."""
    if len(service) + len(SUFFIX) <= NAME_LIMIT:
        return service + SUFFIX
    hash_ = hashlib.sha256(service.encode()).hexdigest()[:HASH]
    return f"{service[: NAME_LIMIT - len(SUFFIX) - HASH - 1]}-{hash_}{SUFFIX}"


def parent_name(name: str, annotations: Mapping[str, str]) -> str:
    """The name of the service whose part in the hub's own cluster is called `name`; empty: it is no such part."""
    told = str(annotations.get(PARENT_NAME) or "")
    return told if told and hub_name(told) == name else ""


def is_placed(service: InferenceService) -> bool:
    """Whether it goes to clusters: not what a hub wrote for one cluster, whatever somebody adds to it there."""
    return service.spec.placement.clusters is not None and HUB not in service.metadata.labels


def known_as(service: InferenceService) -> str:
    """The name by which requests know it: that of the service whose part it is, where it is one."""
    name = service.metadata.name
    return parent_name(name, service.metadata.annotations) or name
