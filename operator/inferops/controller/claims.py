"""What is in use on a cluster's nodes: extended resources by its pods, devices by its ResourceClaims.

Pods and claims are anybody's, and untrusted: whatever is missing or of another shape reads as not there.
Source: how Kubernetes sums the requests of a pod (k8s.io/component-helpers, resource); resource.k8s.io/v1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from inferops.controller.shapes import extended, listed, mapping, text
from inferops.controller.views import SERVICE_LABEL

ENDED = ("Succeeded", "Failed")


class PodUse(NamedTuple):
    """What a pod uses: whole units of extended resources, on its node."""

    node: str  # empty: it uses nothing
    resources: Mapping[str, int]
    service: str = ""  # of inferops, whose replica it is


NOTHING = PodUse("", MappingProxyType({}))  # one for all the pods of which this is true


def pod_use(raw: Mapping[str, Any]) -> PodUse:
    """What a pod uses. One that is being deleted does so until it has ended or is gone."""
    spec, status = mapping(raw.get("spec")), mapping(raw.get("status"))
    node = text(spec.get("nodeName"))
    if not node or status.get("phase") in ENDED:
        return NOTHING
    sidecars: Counter[str] = Counter()
    most: Counter[str] = Counter()  # at any time before the containers run
    for container in listed(spec.get("initContainers")):
        if container.get("restartPolicy") == "Always":
            sidecars += _asked(container)
            most |= sidecars
        else:
            most |= sidecars + _asked(container)
    running = sum(map(_asked, listed(spec.get("containers"))), sidecars)
    used = (running | most) + Counter(extended(spec.get("overhead")))
    service = text(mapping(mapping(raw.get("metadata")).get("labels")).get(SERVICE_LABEL))
    return PodUse(node, dict(used), service) if used or service else NOTHING


def claim_use(raw: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """The devices that a claim holds, as driver and "<pool>/<device>". Access for administration holds none."""
    allocation = mapping(mapping(raw.get("status")).get("allocation"))
    results = listed(mapping(allocation.get("devices")).get("results"))
    found = (
        tuple(text(result.get(part)) for part in ("driver", "pool", "device"))
        for result in results
        if result.get("adminAccess") is not True
    )
    return frozenset((driver, f"{pool}/{device}") for driver, pool, device in found if driver and pool and device)


def _asked(container: Mapping[str, Any]) -> Counter[str]:
    """What a container requests; where it says only a limit, that."""
    resources = mapping(container.get("resources"))
    return Counter({**extended(resources.get("limits")), **extended(resources.get("requests"))})
