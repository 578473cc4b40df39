"""What services cost: US dollars an hour of their replicas, by revision or by cluster. A price that nobody knows is
None, never a guess."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.inferencecluster import InferenceClusterSpec
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.api.inferenceservicestatus import Role
from inferops.api.resources import InferenceService
from inferops.core.clusters import naming
from inferops.core.told import cost

MONTH = 730.0  # hours
HERE = "this cluster"
DESCRIBED = re.compile(r"(\d+)x ([-a-z0-9.]+)(?: on (\d+) nodes)?( \(spot\))?")
NOT_NEEDED: tuple[Role, ...] = ("Canary", "Previous", "Retiring")


@dataclass(frozen=True, slots=True)
class Prices:
    """What is known of prices."""

    accelerators: Mapping[str, AcceleratorSpec]
    clusters: Mapping[str, InferenceClusterSpec]

    def of(self, choice: AcceleratorChoice, cluster: str = "") -> float | None:
        """US dollars an hour of one replica; None where nobody knows."""
        own = self.clusters.get(cluster)
        for price in own.prices if own is not None else ():
            if price.accelerator == choice.type:
                spot = price.spot_usd_per_hour if choice.spot else None
                return choice.count * (price.usd_per_hour if spot is None else spot)
        known = self.accelerators.get(choice.type)
        return number(cost(choice, known.price)) if known is not None else None


@dataclass(frozen=True, slots=True)
class Part:
    """Replicas of one service that are alike."""

    namespace: str
    service: str
    cluster: str
    accelerator: str  # one of it
    count: int  # of them a replica
    replicas: int
    each: float | None  # US dollars an hour of a replica
    rollout: bool = False  # there beside the revision that serves, for the sake of a rollout

    @property
    def gpus(self) -> int:
        return self.count * self.replicas

    @property
    def hourly(self) -> float | None:
        return 0.0 if not self.replicas else None if self.each is None else self.each * self.replicas


def number(text: str) -> float | None:
    """A number of a status; None where there is none."""
    try:
        return float(text)
    except ValueError:
        return None


def choice_in(text: str) -> AcceleratorChoice | None:
    """What a status calls `4x nvidia-l4 on 2 nodes (spot)`; None where it is no such thing."""
    found = DESCRIBED.fullmatch(text)
    if found is None:
        return None
    count, type_, nodes, spot = found.groups()
    try:
        return AcceleratorChoice(type=type_, count=int(count), nodes=int(nodes or 1), spot=bool(spot))
    except ValueError:
        return None


def parts(
    service: InferenceService, prices: Prices | None = None, running: Mapping[str, int] | None = None
) -> list[Part]:
    """What a service is paid for. `running`: replicas that have their nodes, by revision; left out: those wanted.

    What runs in the hub's own cluster for a service that is placed counts with that service, so its part has none.
    """
    meta, status = service.metadata, service.status
    if naming.parent_name(meta.name, meta.annotations):
        return []
    found = []
    for revision in status.revisions:
        choice = choice_in(revision.accelerator)
        replicas = revision.replicas if running is None else running.get(revision.hash, 0)
        each = number(revision.usd_per_hour)
        beside = revision.role in NOT_NEEDED
        what = (choice.type, choice.count) if choice is not None else (revision.accelerator, 1)
        found.append(Part(meta.namespace, meta.name, HERE, *what, replicas, each, beside))
    for place in status.placement.clusters:
        choice = choice_in(place.accelerator)
        replicas = max(place.ready_replicas, place.desired_replicas)
        if choice is None:
            found.append(Part(meta.namespace, meta.name, place.cluster, place.accelerator, 1, replicas, None))
            continue
        each = prices.of(choice, place.cluster) if prices is not None else None
        found.append(Part(meta.namespace, meta.name, place.cluster, choice.type, choice.count, replicas, each))
    return found


def total(found: Iterable[Part]) -> tuple[float, bool]:
    """US dollars an hour of all whose price is known, and whether that is all of them."""
    hourly = [each.hourly for each in found]
    return sum(each for each in hourly if each is not None), None not in hourly


def dollars(found: Iterable[Part]) -> str:
    """The same for people; `+?` where some prices are not known, `?` where none is."""
    listed = list(found)
    known, complete = total(listed)
    if complete:
        return f"{known:.2f}"
    return f"{known:.2f}+?" if known else "?"


def idle(service: InferenceService) -> float | None:
    """Share of what its ready replicas carry within the SLO that nobody asks for now, as scaling learned it; None
    where it has learned nothing."""
    told = service.status.scaling
    carries, arrive = number(told.capacity_per_second), number(told.arrivals_per_second)
    ready = service.status.ready_replicas
    if not carries or arrive is None or not ready:
        return None
    return max(0.0, 1 - arrive / (carries * ready))
