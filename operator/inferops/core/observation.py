"""What a decision sees: one InferenceService and the world around it, frozen at one moment."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.base import Toleration
from inferops.api.resources import InferenceService
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.api.traffic import GatewayRef
from inferops.core.autoscale.history import History
from inferops.core.engine import Engine, Obstacle
from inferops.core.load import Load
from inferops.core.revision import RevisionSpec
from inferops.core.signal import Window
from inferops.core.sizing import Sizing

# Kinds that not every cluster has
LEADER_WORKER_SET = "LeaderWorkerSet"
HTTP_ROUTE = "HTTPRoute"
INFERENCE_POOL = "InferencePool"
SERVICE_EXPORT = "ServiceExport"


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod of a revision: a replica, or one of a replica's group on several nodes."""

    name: str
    revision: str
    group: str = ""  # index of its replica, where a replica is a group of pods
    worker: bool = False  # one of a group that takes no requests itself
    node: str = ""
    ready: bool = False
    deleting: bool = False
    unschedulable: str = ""  # the scheduler's message, while it finds no node
    waiting: str = ""  # reason for which the container waits, such as ImagePullBackOff
    waiting_message: str = ""
    restarts: int = 0
    exit: str = ""  # how the container ended last, such as "OOMKilled" or "Error, exit code 1"
    started: bool = False  # whether its container has started, so that images are pulled and volumes mounted
    created: datetime | None = None
    ready_since: datetime | None = None  # by the clock of its node; None: it is not
    address: str = ""  # its IP

    def answers_since(self, now: datetime) -> datetime | None:
        """Since when it is ready. None where it is not, or where its node's clock must be wrong: by it the pod was
        ready before it was made, or will only become so."""
        since = self.ready_since
        if since is None or since > now or (self.created is not None and since < self.created):
            return None
        return since


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """The Deployment or LeaderWorkerSet of a revision."""

    deleting: bool = False
    failure: str = ""  # why its pods are refused: quota, pod security, a webhook


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device of a node that a driver offers by dynamic resource allocation."""

    driver: str
    attributes: Mapping[str, str]  # texts alone, by their names in the driver's own domain
    name: str = ""  # "<pool>/<device>", of the driver's; by it claims say what they hold


class Taint(NamedTuple):
    """A taint that keeps pods off a node unless they tolerate it."""

    key: str
    value: str
    effect: str  # NoSchedule or NoExecute


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node, as far as placing replicas depends on it."""

    name: str
    labels: Mapping[str, str]
    allocatable: Mapping[str, int]  # whole units of extended resources
    ready: bool = True
    cordoned: bool = False
    devices: tuple[DeviceView, ...] = ()
    taints: tuple[Taint, ...] = ()


class Nodes(tuple[NodeView, ...]):
    """The nodes of a cluster at one moment. What was found out about them is kept with them, for all services to use:
    to look through a large cluster again for each of them would be most of a decision's work."""

    found: dict[Hashable, Any]

    def __new__(cls, nodes: Iterable[NodeView] = ()) -> Self:
        made = super().__new__(cls, nodes)
        made.found = {}
        return made


@dataclass(frozen=True, slots=True)
class RevisionView:
    """A revision that exists: its record, its workload and its pods."""

    hash: str
    spec: RevisionSpec | None = None  # None: somebody deleted its record
    image: str = ""
    tolerations: tuple[Toleration, ...] = ()  # of its pods
    order: int = 0  # counts up as revisions are made
    workload: WorkloadView | None = None
    pods: tuple[PodView, ...] = ()

    @property
    def scheduled(self) -> bool:
        return any(pod.node for pod in self.pods)

    @property
    def ready(self) -> int:
        """Replicas that answer. Of a group it is the leader that does, once all of it is there."""
        return sum(pod.ready and not pod.deleting and not pod.worker for pod in self.pods)

    @property
    def pods_per_replica(self) -> int:
        return self.spec.accelerator.nodes if self.spec is not None else 1


@dataclass(frozen=True, slots=True)
class Demand:
    """What the built-in gateways tell of one service: all of them together, at one moment.

    There is one only while every gateway that should be there tells; what some of them say is no ground to
    take replicas away, though `waiting` of one is ground enough to add some.
    """

    waiting: int = 0  # requests in their queues
    in_flight: int = 0  # requests at replicas
    idle: float | None = None  # seconds since the last request; None: not all gateways tell


@dataclass(frozen=True, slots=True)
class Looked:
    """What the leader keeps of its last look at a service's load; `Looked()` after a start."""

    history: History | None = None  # None: as the status has it
    at: float | None = None  # when, in Unix seconds
    again: float = 0.0  # seconds from then until the next
    asked: Hashable = None  # for what; where that has changed, it looks again at once
    ready: frozenset[str] = frozenset()  # pods that were ready then, or at a look before
    silent: float | None = None  # since when nobody has told, in Unix seconds; None: somebody does
    homeless: float | None = None  # since when some replicas find no node; None: all have one
    short: float | None = None  # when a rollout last had to do without such replicas
    told: float | None = None  # when the status was last told of the load, or this operator began to look


@dataclass(frozen=True, slots=True)
class GateView:
    """What a webhook or a Job has said to a gate."""

    verdict: Literal["Waiting", "Passed", "Failed"]
    message: str = ""


@dataclass(frozen=True, slots=True)
class RouteView:
    """The service's HTTPRoute as it is."""

    weights: Mapping[str, int]  # by hash of the revision; empty while it sends to the built-in gateway
    hostnames: tuple[str, ...] = ()
    pooled: bool = False  # sends to InferencePools, not to Services
    live: bool = False  # its Gateway has accepted it as it is or as it was, so that requests may come this way
    programmed: bool = False  # Accepted and ResolvedRefs by its Gateway, at its newest generation
    reason: str = ""  # its Gateway's word for what it has against the newest generation
    problem: str = ""  # the same for people


@dataclass(frozen=True, slots=True)
class ExportView:
    """The service's ServiceExport as it is."""

    told: bool = False  # whether an implementation of the MCS API has said anything of it
    conflict: bool = False  # other clusters export another such Service, and this one is exported all the same
    problem: str = ""  # what it has against it, for people


@dataclass(frozen=True, slots=True)
class Observation:
    """One InferenceService and the world around it. Everything that a decision may depend on stands here."""

    service: InferenceService
    now: datetime
    runtime: ServingRuntimeSpec | None = None  # the one that the spec names
    runtime_names: tuple[str, ...] = ()
    engine: Engine | None = None
    accelerators: Mapping[str, AcceleratorSpec] = field(default_factory=dict)
    nodes: tuple[NodeView, ...] = ()
    kinds: frozenset[str] = frozenset()  # those of the API that not every cluster has, and this one has
    revisions: tuple[RevisionView, ...] = ()
    routed_to: str = ""  # hash of the revision that the stable Service selects
    route: RouteView | None = None  # its HTTPRoute, once there is one
    export: ExportView | None = None  # its ServiceExport, once there is one
    default_gateway: GatewayRef | None = None  # for services that name none
    gateways: tuple[str, ...] = ()  # addresses of the built-in gateway's replicas that are ready, host:port
    demand: Demand | None = None  # None: no built-in gateway tells
    load: Load | None = None  # counted since the last look; None: nobody tells, or nothing is to be scaled by it
    unloaded: str = ""  # why there is no load
    looked: Looked = Looked()  # the last look
    window: Window | None = None  # counted since its rollout was last judged; None: nothing was
    uncounted: str = ""  # why there is no window, or one without a metric
    gates: Mapping[str, GateView] = field(default_factory=dict)  # by the names that rollout.gate_name gives
    held_since: datetime | None = None  # when the gateways came behind its Service; None: they are not
    sizing: Sizing | None = None  # of the model that the spec names, on the listed or on all accelerators
    sizable: bool = True  # whether the engine serves what sizing can judge
    looking: bool = False  # whether somebody is being asked what the model is; the answer brings another observation
    unsized: str = ""  # why there is no sizing
    unroutable: Obstacle | None = None  # why the route was refused for good, and nothing else
    unexportable: Obstacle | None = None  # why the ServiceExport was refused for good, and nothing else
    refused: Obstacle | None = None  # why the last apply was refused for good, such as a name that is taken
