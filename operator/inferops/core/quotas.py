"""What the ResourceQuotas of a namespace leave of an accelerator.

A quota counts a pod from when it is made, whether it has a node or not. Source: Kubernetes, Resource Quotas: extended
resources as `requests.<resource>`, claimed devices as `<class>.deviceclass.resource.k8s.io/devices`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from inferops.api.accelerator import AcceleratorSpec

REQUESTS = "requests."
DEVICES = ".deviceclass.resource.k8s.io/devices"


class Quota(NamedTuple):
    """What a ResourceQuota says of one accelerator's resource."""

    name: str
    resource: str  # as the quota names it
    hard: int
    used: int  # by pods that exist; or promised

    @property
    def left(self) -> int:
        """A quota may be set below what is used."""
        return max(self.hard - self.used, 0)


def counted_as(accelerator: AcceleratorSpec, *, claimed: bool) -> str:
    """By which name quotas count an accelerator; `claimed`: pods get it by a ResourceClaim."""
    if claimed and accelerator.device is not None:
        return f"{accelerator.device.class_name}{DEVICES}"
    return f"{REQUESTS}{accelerator.resource_name}"


def tightest(quotas: Iterable[Quota], resource: str) -> Quota | None:
    """The one that leaves the least of a resource; None: no quota speaks of it."""
    return min((each for each in quotas if each.resource == resource), key=lambda each: each.left, default=None)


def without(quotas: Collection[Quota], promised: Mapping[str, int]) -> tuple[Quota, ...]:
    """With what was promised, by resource, and has no pod yet as if it were used."""
    return tuple(each._replace(used=each.used + promised.get(each.resource, 0)) for each in quotas)
