"""What is in use of a cluster: extended resources by its pods, devices by its ResourceClaims, and what quotas leave.

All of these are anybody's, and untrusted: whatever is missing or of another shape reads as not there.
Source: how Kubernetes sums the requests of a pod (k8s.io/component-helpers, resource); resource.k8s.io/v1; of pods of
a LeaderWorkerSet, its labels and annotations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from inferops.controller.shapes import extended, listed, mapping, text
from inferops.controller.views import SERVICE_LABEL
from inferops.core.quotas import DEVICES, REQUESTS, Quota
from inferops.render.labels import ROLE, WORKER

ENDED = ("Succeeded", "Failed")
GROUP_SIZE = "leaderworkerset.sigs.k8s.io/size"  # an annotation of all pods of a group
MOST_PODS = 1000


class PodUse(NamedTuple):
    """What a pod uses: whole units of extended resources, on its node."""

    node: str  # empty: it uses nothing
    resources: Mapping[str, int]
    service: str = ""  # of inferops, whose replica it is
    size: int = 1  # pods that make up the replica
    since: float = 0.0  # it waits for a node: when it was made, Unix seconds


NOTHING = PodUse("", MappingProxyType({}))  # one for all the pods of which this is true


def pod_use(raw: Mapping[str, Any]) -> PodUse:
    """What a pod uses. One that is being deleted does so until it has ended or is gone."""
    spec, status = mapping(raw.get("spec")), mapping(raw.get("status"))
    node, meta = text(spec.get("nodeName")), mapping(raw.get("metadata"))
    if status.get("phase") in ENDED or (not node and meta.get("deletionTimestamp")):
        return NOTHING
    service, size = _replica(meta)
    if not node:
        waits = PodUse("", NOTHING.resources, service, size, _time(meta.get("creationTimestamp")))
        return waits if service else NOTHING
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
    return PodUse(node, dict(used), service, size) if used or service else NOTHING


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


def quota_view(raw: Mapping[str, Any]) -> tuple[Quota, ...]:
    """What a ResourceQuota says of accelerators, if it counts the pods of services. Those have no deadline, and the
    priority of a quota's scope is no concern of theirs unless it is to have none."""
    spec, status = mapping(raw.get("spec")), mapping(raw.get("status"))
    if not all(map(_is_ours, _scopes(spec))):
        return ()
    hard, used = extended(spec.get("hard")), extended(status.get("used"))
    name = text(mapping(raw.get("metadata")).get("name"))
    return tuple(
        Quota(name, resource, hard[resource], used.get(resource, 0))
        for resource in sorted(hard)
        if resource.startswith(REQUESTS) or resource.endswith(DEVICES)
    )


def _scopes(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    named = spec.get("scopes")
    plain = [{"scopeName": each, "operator": "Exists"} for each in (named if isinstance(named, list) else ())]
    return [*plain, *listed(mapping(spec.get("scopeSelector")).get("matchExpressions"))]


def _is_ours(scope: Mapping[str, Any]) -> bool:
    """Whether pods of services are in a quota's scope."""
    if scope.get("scopeName") == "PriorityClass":
        return scope.get("operator") in ("DoesNotExist", "NotIn")
    return scope.get("scopeName") in ("NotTerminating", "NotBestEffort")


def _replica(meta: Mapping[str, Any]) -> tuple[str, int]:
    """The service whose replica a pod is, and how many pods make one up. Where a group does not tell that, its leader
    is the replica."""
    labels = mapping(meta.get("labels"))
    service, told = text(labels.get(SERVICE_LABEL)), text(mapping(meta.get("annotations")).get(GROUP_SIZE))
    if told.isdecimal() and 0 < int(told[:4]) <= MOST_PODS:
        return service, int(told[:4])
    return "" if labels.get(ROLE) == WORKER else service, 1


def _time(stamp: Any) -> float:
    try:
        return datetime.fromisoformat(text(stamp)).timestamp()
    except ValueError:
        return 0.0


def _asked(container: Mapping[str, Any]) -> Counter[str]:
    """What a container requests; where it says only a limit, that."""
    resources = mapping(container.get("resources"))
    return Counter({**extended(resources.get("limits")), **extended(resources.get("requests"))})
