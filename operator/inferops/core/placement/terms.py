"""What placement is asked, what it sees of each cluster, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run replicas in a cluster: so many accelerators of a type, on spot nodes or not."""

    name: str  # the same in every cluster, for example "4x nvidia-h100-80gb"
    work: float  # what one replica carries: any unit, the same for all; above 0
    cost: float  # of one replica for an hour: any unit, the same for all; not below 0
    room: int  # replicas for which there is room now, beside those that the service has there


@dataclass(frozen=True, slots=True)
class Share:
    """What a cluster has of a service. All of its replicas run in the same way, since they are of one revision."""

    way: str
    replicas: int  # at least 1


@dataclass(frozen=True, slots=True)
class Site:
    """A cluster that may hold replicas of the service."""

    name: str
    ways: tuple[Way, ...]  # in the user's order of preference
    held: Share | None = None  # what it has, as on record
    rank: int = 0  # of its region in the user's order; of clusters that cost the same the lowest comes first
    open: bool = True  # whether anything new may be placed there
    fixed: bool = False  # whether what it has stays as it is, such as while nobody knows how it is
    starting: float | None = None  # hours of its cost that a replica new there takes to start; None: as Moving says


@dataclass(frozen=True, slots=True)
class Ask:
    """What a service wants of its clusters together."""

    work: float  # to be carried
    clusters: int = 1  # at least so many have replicas
    survives: bool = False  # whether the others carry `work` when any one of them is lost
    least: int = 1  # replicas of a cluster that has any
    most: int | None = None  # replicas of one cluster; None: as many as there is room for
    limit: int | None = None  # replicas of all together; None: as many as it takes
    spread: bool = True  # whether equals share what is given to any of them; else it is together where there is room


@dataclass(frozen=True, slots=True)
class Moving:
    """What it costs to move replicas, and for how long a saving counts."""

    horizon: float = 6.0  # hours
    hours: float = 0.5  # of a replica's cost for each that is moved, where its new cluster does not say


@dataclass(frozen=True, slots=True)
class Plan:
    """Who gets what. Clusters without replicas are left out."""

    shares: Mapping[str, Share]  # by the cluster's name
    missing: float = 0.0  # of the work, for which there is no room
    clusters: int = 0  # by which too few clusters have replicas
    exposed: float = 0.0  # of the work, lost with the worst cluster; only where the loss of one is to be survived
    kept: bool = False  # what is there stays, though elsewhere would be cheaper: moving would not pay in time
