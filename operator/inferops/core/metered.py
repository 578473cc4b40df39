"""What metrics tell of one service and of one cluster, as samples: the state that dashboards and alerts go by.

Names follow kube-state-metrics: a unit at the end, `_info` for facts, one series with the value 1 for each state that
holds. A state that does not hold has no series. Labels are names of services, clusters and accelerators, hashes of
revisions that exist, and words of fixed lists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.conditions import Condition
from inferops.api.formats import seconds
from inferops.api.inferencecluster import ClusterAccess
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.api.inferenceservicestatus import RevisionStatus
from inferops.api.placement import ClusterPlacement
from inferops.api.resources import InferenceCluster, InferenceService
from inferops.core import fleet
from inferops.core.observation import NodeView, PodView
from inferops.core.offers import offers
from inferops.core.told import chosen

IN_CLUSTER = "in-cluster"  # the operator's own cluster where no InferenceCluster is it


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one gauge."""

    name: str
    help: str
    labels: tuple[str, ...]


class Sample(NamedTuple):
    """One of them; its labels in the order of the family's."""

    family: Family
    labels: tuple[str, ...]
    value: float


OF_SERVICE = ("namespace", "service")
OF_REVISION = (*OF_SERVICE, "cluster", "revision", "role")
OF_STOCK = ("cluster", "accelerator", "spot", "state")

INFO = Family(
    "inferops_service_info",
    "A service, its model, its engine, what a replica runs on, and its revisions.",
    (*OF_SERVICE, "model", "runtime", "accelerator", "stable", "latest"),
)
CONDITION = Family(
    "inferops_service_condition",
    "1 for each condition in the status, by the status that it has now.",
    (*OF_SERVICE, "condition", "status", "reason"),
)
GENERATION = Family("inferops_service_generation", "How often the spec was changed.", OF_SERVICE)
OBSERVED = Family("inferops_service_observed_generation", "The one of these that the status is about.", OF_SERVICE)
WANTED = Family("inferops_service_replicas_wanted", "Replicas that a revision is to have.", OF_REVISION)
HAD = Family(
    "inferops_service_replicas", "Replicas of a revision whose pods exist; of other clusters nobody tells.", OF_REVISION
)
READY = Family("inferops_service_replicas_ready", "Replicas of a revision that answer.", OF_REVISION)
WEIGHT = Family(
    "inferops_service_revision_weight_ratio",
    "Share of requests that a revision is sent, from 0 to 1.",
    (*OF_SERVICE, "revision", "role"),
)
PHASE = Family("inferops_service_rollout_phase", "1 for the phase of the rollout.", (*OF_SERVICE, "phase"))
PHASE_SINCE = Family(
    "inferops_service_rollout_phase_start_timestamp_seconds", "When the rollout came to its phase.", OF_SERVICE
)
PAUSED = Family("inferops_service_rollout_paused", "1 while the rollout rests until somebody acts, else 0.", OF_SERVICE)
DESIRED = Family("inferops_service_scaling_desired_replicas", "Replicas that scaling decided on.", OF_SERVICE)
LEAST = Family("inferops_service_scaling_min_replicas", "Never fewer replicas than this.", OF_SERVICE)
MOST = Family("inferops_service_scaling_max_replicas", "Never more replicas than this.", OF_SERVICE)
WHY = Family(
    "inferops_service_scaling_reason", "1 for why there are so many replicas.", (*OF_SERVICE, "mode", "reason")
)
HELD = Family(
    "inferops_service_accelerators",
    "Accelerators of its replicas, by whether these are ready, starting or pending (without a node).",
    (*OF_SERVICE, *OF_STOCK),
)
COST = Family(
    "inferops_service_cost_usd_per_hour",
    "US dollars an hour of the accelerators that it holds, pending ones left out. None where no price is known.",
    (*OF_SERVICE, "cluster", "accelerator", "spot"),
)
OBJECTIVE = Family(
    "inferops_service_slo_objective_ratio",
    "Share of requests that are to be good: errors, ttft, tpot, and client (ttft and tpot as clients see them).",
    (*OF_SERVICE, "objective"),
)
THRESHOLD = Family(
    "inferops_service_slo_threshold_seconds", "What is slow by the SLO: ttft, tpot.", (*OF_SERVICE, "objective")
)
PLACED = Family(
    "inferops_service_placement", "1 for the state of a service in a cluster.", (*OF_SERVICE, "cluster", "state")
)
CLUSTER_INFO = Family(
    "inferops_cluster_info", "An InferenceCluster and how it is reached.", ("cluster", "region", "zone", "access")
)
CLUSTER_CONDITION = Family(
    "inferops_cluster_condition",
    "1 for each condition of an InferenceCluster, by the status that it has now.",
    ("cluster", "condition", "status", "reason"),
)
STOCK = Family(
    "inferops_cluster_accelerators", "Accelerators on nodes that can be scheduled to: used and idle.", OF_STOCK
)
STOCK_COST = Family(
    "inferops_cluster_cost_usd_per_hour", "US dollars an hour of them. None where no price is known.", OF_STOCK
)
SERVICES: tuple[Family, ...] = (
    *(
        INFO,
        CONDITION,
        GENERATION,
        OBSERVED,
        WANTED,
        HAD,
        READY,
        WEIGHT,
        PHASE,
        PHASE_SINCE,
        PAUSED,
        DESIRED,
        LEAST,
        MOST,
        WHY,
    ),
    *(HELD, COST, OBJECTIVE, THRESHOLD, PLACED),
)
CLUSTERS: tuple[Family, ...] = (CLUSTER_INFO, CLUSTER_CONDITION, STOCK, STOCK_COST)


class Stock(NamedTuple):
    """Accelerators of one kind in one state, as `OF_STOCK` labels them."""

    cluster: str
    accelerator: str
    spot: bool
    state: str


Prices = Mapping[tuple[str, str, bool], float]  # US dollars an hour of one, by cluster, accelerator and whether spot


def prices(
    accelerators: Mapping[str, AcceleratorSpec], clusters: Iterable[InferenceCluster], home: str
) -> dict[tuple[str, str, bool], float]:
    """What accelerators cost in each cluster: by its InferenceCluster, else by the Accelerators."""
    found: dict[tuple[str, str, bool], float] = {}
    members = list(clusters)
    for cluster in {home, *(each.metadata.name for each in members)}:
        for name, accelerator in accelerators.items():
            if accelerator.price is not None:
                usual, spot = accelerator.price.usd_per_hour, accelerator.price.spot_usd_per_hour
                found |= {(cluster, name, False): usual, (cluster, name, True): usual if spot is None else spot}
    for member in members:
        for each in member.spec.prices:
            at, spot = (member.metadata.name, each.accelerator), each.spot_usd_per_hour
            found |= {(*at, False): each.usd_per_hour, (*at, True): each.usd_per_hour if spot is None else spot}
    return found


def service(
    seen: InferenceService, pods: Sequence[PodView], cost: Prices, home: str, *, part: bool
) -> Iterator[Sample]:
    """What is told of a service. `home`: the name of the operator's own cluster. `part`: it is what another service
    has in this cluster, which tells of its accelerators and money; told twice they would be counted twice."""
    name = (seen.metadata.namespace, seen.metadata.name)
    status, spec = seen.status, seen.spec
    stable = next((each.accelerator for each in status.revisions if each.role == "Stable"), "")
    facts = (spec.model.uri, spec.runtime.name, stable, status.stable_revision, status.latest_revision)
    yield Sample(INFO, (*name, *facts), 1)
    yield from conditions(name, status.conditions)
    yield Sample(GENERATION, name, seen.metadata.generation)
    yield Sample(OBSERVED, name, status.observed_generation)
    held: Counter[Stock] = Counter()
    for revision in status.revisions:
        own = [pod for pod in pods if pod.revision == revision.hash and not pod.deleting]
        yield from _revision(name, revision, own, home)
        held += _holds(revision, own, home)
    for entry in status.placement.clusters:
        yield from _placed(name, entry)
        held += _placed_holds(entry)
    yield from _rollout(name, seen)
    yield from _scaling(name, seen)
    yield from _objectives(name, seen)
    if not part:
        yield from _held(name, held, cost)


def conditions(name: tuple[str, str], told: Iterable[Condition]) -> Iterator[Sample]:
    """What is told of a service's conditions, readable or not."""
    return (Sample(CONDITION, (*name, *_condition(each)), 1) for each in told)


def _condition(condition: Condition) -> tuple[str, str, str]:
    return condition.type, condition.status.lower(), condition.reason


def _revision(name: tuple[str, str], revision: RevisionStatus, pods: Sequence[PodView], home: str) -> Iterator[Sample]:
    role = revision.role.lower()
    labels = (*name, home, revision.hash, role)
    replicas = [pod for pod in pods if not pod.worker]
    yield Sample(WANTED, labels, revision.replicas)
    yield Sample(HAD, labels, len(replicas))
    yield Sample(READY, labels, sum(pod.ready for pod in replicas))
    yield Sample(WEIGHT, (*name, revision.hash, role), revision.weight / 100)


def _holds(revision: RevisionStatus, pods: Sequence[PodView], home: str) -> Counter[Stock]:
    """The accelerators of a revision's pods. Those of a group are all ready once its leader is."""
    choice = chosen(revision.accelerator)
    if choice is None:
        return Counter()
    leaders = {pod.group for pod in pods if pod.ready and not pod.worker}
    found: Counter[Stock] = Counter()
    for pod in pods:
        ready = pod.group in leaders if pod.worker else pod.ready
        state = "ready" if ready else "starting" if pod.node else "pending"
        found[Stock(home, choice.type, choice.spot, state)] += choice.count // choice.nodes
    return found


def _placed(name: tuple[str, str], entry: ClusterPlacement) -> Iterator[Sample]:
    labels = (*name, entry.cluster, entry.revision, "stable")
    yield Sample(PLACED, (*name, entry.cluster, entry.state), 1)
    yield Sample(WANTED, labels, max(entry.desired_replicas, entry.min_replicas))
    yield Sample(READY, labels, entry.ready_replicas)


def _placed_holds(entry: ClusterPlacement) -> Counter[Stock]:
    """As the cluster told last: what is not ready there counts as starting."""
    choice = chosen(entry.accelerator)
    if choice is None:
        return Counter()
    starting = max(0, entry.desired_replicas - entry.ready_replicas)
    numbers = {"ready": entry.ready_replicas, "starting": starting}
    return Counter({_stock(entry.cluster, choice, state): choice.count * n for state, n in numbers.items() if n})


def _stock(cluster: str, choice: AcceleratorChoice, state: str) -> Stock:
    return Stock(cluster, choice.type, choice.spot, state)


def _rollout(name: tuple[str, str], seen: InferenceService) -> Iterator[Sample]:
    rollout = seen.status.rollout
    yield Sample(PHASE, (*name, rollout.phase), 1)
    yield Sample(PAUSED, name, float(rollout.paused is not None))
    since = _timestamp(rollout.since)
    if since is not None:
        yield Sample(PHASE_SINCE, name, since)


def _timestamp(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _scaling(name: tuple[str, str], seen: InferenceService) -> Iterator[Sample]:
    scaling, status = seen.spec.scaling, seen.status
    least, most = (
        (scaling.min_replicas, fleet.highest(scaling)) if scaling.replicas is None else (scaling.replicas,) * 2
    )
    yield Sample(LEAST, name, least)
    yield Sample(MOST, name, most)
    if status.desired_replicas is not None:
        yield Sample(DESIRED, name, status.desired_replicas)
    if status.scaling.reason:
        yield Sample(WHY, (*name, status.scaling.mode, status.scaling.reason), 1)


def _objectives(name: tuple[str, str], seen: InferenceService) -> Iterator[Sample]:
    slo = seen.spec.slo
    if slo.error_rate is not None:
        yield Sample(OBJECTIVE, (*name, "errors"), 1 - slo.error_rate)
    for objective, limit in (("ttft", slo.ttft), ("tpot", slo.tpot)):
        if limit is not None:
            yield Sample(OBJECTIVE, (*name, objective), slo.attainment)
            yield Sample(THRESHOLD, (*name, objective), seconds(limit))
    if slo.ttft is not None or slo.tpot is not None:
        yield Sample(OBJECTIVE, (*name, "client"), slo.attainment)


def _held(name: tuple[str, str], held: Counter[Stock], cost: Prices) -> Iterator[Sample]:
    costs: dict[tuple[str, str, bool], float] = {}
    for stock, number in sorted(held.items()):
        yield Sample(HELD, (*name, *_labels(stock)), number)
        price = cost.get(stock[:3])
        if price is not None and stock.state != "pending":
            costs[stock[:3]] = costs.get(stock[:3], 0.0) + price * number
    for (cluster, accelerator, spot), dollars in costs.items():
        yield Sample(COST, (*name, cluster, accelerator, str(spot).lower()), dollars)


def _labels(stock: Stock) -> tuple[str, str, str, str]:
    return stock.cluster, stock.accelerator, str(stock.spot).lower(), stock.state


def cluster(seen: InferenceCluster, cost: Prices) -> Iterator[Sample]:
    """What is told of an InferenceCluster."""
    name, spec = seen.metadata.name, seen.spec
    yield Sample(CLUSTER_INFO, (name, spec.region or "", spec.zone or "", _way(spec.access)), 1)
    for condition in seen.status.conditions:
        yield Sample(CLUSTER_CONDITION, (name, *_condition(condition)), 1)
    for offer in seen.status.offers:
        yield from stock(name, offer.accelerator, offer.total, offer.total - offer.free, cost, spot=offer.spot)


def _way(access: ClusterAccess) -> str:
    if access.hub:
        return "hub"
    if access.kubeconfig_secret is not None:
        return "kubeconfig"
    return "clusterProfile" if access.cluster_profile is not None else "managedCluster"


def stock(cluster: str, accelerator: str, total: int, used: int, cost: Prices, *, spot: bool) -> Iterator[Sample]:
    """Accelerators of a cluster, and their money."""
    price = cost.get((cluster, accelerator, spot))
    for state, number in (("used", min(used, total)), ("idle", max(0, total - used))):
        labels = (cluster, accelerator, str(spot).lower(), state)
        yield Sample(STOCK, labels, number)
        if price is not None:
            yield Sample(STOCK_COST, labels, number * price)


def totals(nodes: Sequence[NodeView], accelerators: Mapping[str, AcceleratorSpec]) -> dict[tuple[str, bool], int]:
    """Accelerators of the operator's own cluster on nodes that can be scheduled to, by kind and whether spot."""
    return {(each.accelerator, each.spot): each.total for each in offers(nodes, {}, (), accelerators, ())}
