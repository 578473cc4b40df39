"""What a decision sees of the member clusters, for one service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inferops.api.conditions import Condition
from inferops.api.inferencecluster import InferenceClusterSpec
from inferops.core.membership import State
from inferops.core.offers import Free
from inferops.core.quotas import Quota


@dataclass(frozen=True, slots=True)
class ChildView:
    """The InferenceService that we wrote into a member for the service, as it is there."""

    uid: str
    way: str = ""  # what a replica runs on, as `told.describe` says it
    least: int = 0  # replicas that its spec allows
    most: int = 0
    desired: int | None = None  # replicas that its operator decided on; None: none yet
    short: bool = False  # whether it is at its most, and needs more, or cannot tell
    replicas: int = 0  # that exist there
    ready: int = 0  # of the revision that serves there
    stable: str = ""  # hash of that revision
    latest: str = ""  # of the one that its spec asks for
    rejected: str = ""  # why its operator went back from that one; empty: it did not
    cold_start: float | None = None  # seconds until a new replica is ready, as learned there; None: not yet
    version: str = ""  # hash of the model and runtime that it was given
    content: str = ""  # these, as JSON; empty: too long to be kept
    rollout: str = ""  # its rollout's status, as JSON (core/clusters/rolling.py); empty: none to tell of
    current: bool = False  # whether its operator has seen its newest spec
    deleting: bool = False
    conditions: Mapping[str, Condition] = field(default_factory=dict)  # by type


@dataclass(frozen=True, slots=True)
class ClusterView:
    """A member cluster."""

    name: str
    labels: Mapping[str, str]
    spec: InferenceClusterSpec
    state: State = "Probing"
    cut_off: bool = False  # so many are silent that it must be the hub
    problem: str = ""  # why it is not asked at all
    free: tuple[Free, ...] | None = None  # what finds a place now, without what was promised to others; None: unknown
    listed: bool = False  # whether all that we wrote there is known: no child is then none
    child: ChildView | None = None
    scheduled: int = 0  # replicas of the service that have a node there
    refused: str = ""  # why it did not take what was to be written, of late
    waiting: tuple[float, ...] = ()  # replicas of the service without a node there: since when, Unix seconds
    quotas: tuple[Quota, ...] = ()  # of the service's namespace there, with what was promised to others in it

    @property
    def healthy(self) -> bool:
        """Whether what is known of it is true now, and it does what it is told."""
        return self.state == "Healthy" and not self.problem and self.listed
