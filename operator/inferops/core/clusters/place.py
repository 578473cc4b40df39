"""Where a service goes: from what its clusters are and have to what each of them is to have.

What stands in `status.placement` is all that is remembered. It is written before anything is done in a cluster, so that
whatever runs anywhere is on record, also when the operator ends in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

from inferops.api.inferenceservice import AcceleratorChoice
from inferops.api.placement import ClusterPlacement, NotChosen, PlacementState, PlacementStatus
from inferops.core.clusters.bounds import floors_of, roomy
from inferops.core.clusters.case import Case, case_of
from inferops.core.clusters.idle import idle
from inferops.core.clusters.reserve import everything, openings, undone
from inferops.core.clusters.rooms import quota_told, waits
from inferops.core.clusters.seen import ClusterView
from inferops.core.clusters.sites import held_in, sites_of, used_of
from inferops.core.clusters.version import Version
from inferops.core.clusters.waves import staged
from inferops.core.observation import Observation
from inferops.core.placement.moves import next_shares
from inferops.core.placement.place import place
from inferops.core.placement.terms import Ask, Plan, Share
from inferops.core.told import describe

AT_ONCE = 4  # replicas that move at the same time
AGAIN = 300.0  # seconds at most until it is looked whether moving pays: nobody tells of each GPU that becomes free
MISSING = 20.0  # seconds, where replicas have no place or no node yet
MOST = 100  # clusters in a status
PASSING = ("Probing", "Suspect", "Returning")  # reasons that are over soon, or become another


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """What a cluster is to have."""

    choice: AcceleratorChoice
    least: int
    most: int
    fixed: bool  # whether it has just `most`, and does not scale in between
    version: Version | None = None  # model and runtime; None: not decided yet
    ttft: str | None = None  # what the way to the clients leaves of slo.ttft; None: all of it


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the service is to be."""

    record: PlacementStatus  # to be on record before anything is done in a cluster
    children: Mapping[str, ChildPlan]  # by cluster; those that are neither here nor removed stay as they are
    removed: frozenset[str]  # clusters that are to have nothing
    again: float  # seconds until time alone may change it


def place_service(seen: Observation, clusters: Sequence[ClusterView]) -> Placement:
    """Pure: the same clusters, the same placement. `clusters`: those that the selector means, and those on record."""
    case = case_of(seen, clusters)
    if not case.target.replicas:
        return _asleep(case)
    plan = _plan(case)
    shares = _next(case, plan)
    if case.target.by_load:
        more = everything(case)
        shares = roomy(case, plan, shares, [sites_of(case), *([sites_of(case, more)] if more else [])])
    shares = _unlessened(case, shares)
    floors = floors_of(case, plan, shares)
    entries, children = [], {}
    for name in sorted({*case.before, *shares}):
        entry, child = _entry(case, name, shares.get(name), plan, floors.get(name, 0))
        if entry is not None:
            entries.append(entry)
        if child is not None:
            children[name] = child
    return _placement(case, plan, entries, children)


def _plan(case: Case) -> Plan:
    spec, aim = case.seen.service.spec.placement, case.target
    ask = Ask(
        work=float(aim.replicas),
        clusters=spec.min_clusters,
        survives=spec.survive_cluster_loss,
        least=spec.min_per_cluster,
        most=spec.max_per_cluster,
        limit=aim.limit,
        # each cluster that scales by load holds a reserve of its own: no more of them than are asked for
        spread=not aim.by_load or spec.min_clusters > 1 or spec.survive_cluster_loss,
    )
    plan = _placed(case, ask)
    if aim.by_load and sum(share.replicas for share in plan.shares.values()) < aim.least:
        # Fewer of a faster kind would carry it, but so many were asked for.
        counted = replace(case, target=replace(aim, by_load=False))
        return _placed(counted, replace(ask, work=float(aim.least)))
    return plan


def _placed(case: Case, ask: Ask) -> Plan:
    """By the room that there is now, and only for what finds none by that which may come."""
    plan = place(ask, sites_of(case))
    for more in openings(case, plan, ask.least):
        plan = place(ask, sites_of(case, more))
        if not undone(plan):
            break
    return plan


def _next(case: Case, plan: Plan) -> dict[str, Share]:
    """The next shares on the way to the plan."""
    now, ready = {}, {}
    for name, entry in case.before.items():
        held = held_in(case, case.views[name], entry, None)
        if held is None:
            continue
        now[name] = used_of(entry, held) if case.target.by_load else held
        ready[name] = entry.ready_replicas
    works = {name: case.work(name, share.way) for name, share in {**now, **plan.shares}.items()}
    return next_shares(now, ready, plan.shares, works, AT_ONCE)


def _unlessened(case: Case, shares: Mapping[str, Share]) -> dict[str, Share]:
    """While nobody knows how one of the clusters is, none gets less."""
    shares = dict(shares)
    uncertain = any(entry.state == "Suspect" or not _sure(case, entry) for entry in case.before.values())
    for name, entry in case.before.items() if uncertain else ():
        held, found = held_in(case, case.views[name], entry, None), shares.get(name)
        if held is not None and (found is None or found.replicas < held.replicas):
            shares[name] = held
    return shares


def _sure(case: Case, entry: ClusterPlacement) -> bool:
    view = case.views[entry.cluster]
    return view.healthy or view.state == "Lost" or entry.state == "Removing"


def _entry(
    case: Case, name: str, share: Share | None, plan: Plan, floor: int
) -> tuple[ClusterPlacement | None, ChildPlan | None]:
    """What is on record of one cluster from now on, and what it is to have where that is known."""
    view, before = case.views[name], case.before.get(name)
    if before is not None and before.state == "Lost":
        return before.model_copy(update={"message": "others take over; what it has is drained once it is back"}), None
    if before is not None and not view.healthy:
        silent = bool(view.problem) or view.state not in ("Probing", "Healthy")
        state: PlacementState = "Suspect" if silent and before.state != "Removing" else before.state
        return before.model_copy(update={"state": state, "message": view.problem[:1024] or before.message}), None
    if share is None and before is not None and _stands_by(case, name, before, plan):
        had = next((each for each in case.kinds if each.name == before.accelerator), case.kinds[0])
        update = {"state": "Standby", "replicas": 0, "min_replicas": 0, "message": ""}
        return before.model_copy(update=update), ChildPlan(had.choice, 0, 0, True)
    if share is None:
        gone = before is None or (view.listed and view.child is None)
        update = {"state": "Removing", "replicas": 0, "min_replicas": 0, "message": ""}
        return (None if gone or before is None else before.model_copy(update=update)), None
    kind = next((each for each in case.kinds if each.name == share.way), None)
    base = before if before is not None else ClusterPlacement(cluster=name, state="Placing")
    fixed = not case.target.by_load
    least = share.replicas if fixed else min(floor, share.replicas)
    planned = plan.shares.get(name)
    # by load a bound is beyond what is planned, and lowering it takes nothing away
    draining = planned is None or (fixed and planned.replicas < min(share.replicas, base.replicas))
    state = "Draining" if draining else "Serving" if _serves(view, least) else "Placing"
    update = {"accelerator": share.way, "replicas": share.replicas, "min_replicas": least, "state": state}
    late = waits(view, case.kind(name, share.way), case.seen.now.timestamp())
    entry = base.model_copy(update={**update, "message": late or _says(view)})
    child = ChildPlan(kind.choice, least, share.replicas, fixed) if kind is not None else None
    return entry, child


def _stands_by(case: Case, name: str, before: ClusterPlacement, plan: Plan) -> bool:
    """Whether a cluster without replicas keeps the service, for its gateways to pass requests on: clients who know that
    cluster's address would find nothing there else."""
    view, refusal = case.views[name], case.refusals.get(name)
    if before.state == "Removing" or view.child is None or view.child.deleting or (refusal and refusal.bars):
        return False
    if case.seen.service.spec.traffic.endpoint_picker is not None:
        return False  # requests do not come by those gateways
    others = (case.views[each].spec.gateway for each in plan.shares if each != name)
    return view.spec.gateway is not None and any(others)


def _serves(view: ClusterView, least: int) -> bool:
    return view.child is not None and view.child.current and view.child.ready >= least


def _says(view: ClusterView) -> str:
    """What a cluster that does not serve as asked tells of it."""
    ready = view.child.conditions.get("Ready") if view.child is not None else None
    return "" if ready is None or ready.status == "True" else f"{ready.reason}: {ready.message}"[:1024]


def _asleep(case: Case) -> Placement:
    """At zero by number: every cluster keeps its place and has no replicas."""
    entries, children = [], {}
    for name, before in sorted(case.before.items()):
        kind = next((each for each in case.kinds if each.name == before.accelerator), None)
        if before.state in ("Lost", "Removing") or not case.views[name].healthy or kind is None:
            entries.append(before)
            continue
        entries.append(before.model_copy(update={"replicas": 0, "min_replicas": 0, "state": "Serving", "message": ""}))
        children[name] = ChildPlan(kind.choice, 0, 0, True)
    return _placement(case, Plan({}), entries, children)


def _placement(
    case: Case, plan: Plan, entries: Sequence[ClusterPlacement], children: Mapping[str, ChildPlan]
) -> Placement:
    turn = staged(case.seen, case.views, entries)
    children = {
        name: replace(child, version=turn.given[name], ttft=case.ttft(name, describe(child.choice)))
        for name, child in children.items()
    }
    placed = {each.cluster for each in entries}
    refused = [NotChosen(cluster=n, reason=w.reason, message=w.message[:512]) for n, w in case.refusals.items()]
    unneeded = [idle(case, plan, name) for name in case.views if name not in case.refusals]
    others = sorted(
        (each for each in (*refused, *unneeded) if each.cluster not in placed), key=lambda each: each.cluster
    )
    message = _missing(case, plan)
    record = PlacementStatus(
        target=case.target.replicas,
        low_since=case.target.low_since,
        clusters=[_versioned(each, children) for each in entries][:MOST],
        not_chosen=(others if message else _as_before(case, others))[:MOST],
        rollout=turn.record,
        message=message,
    )
    removed = frozenset(each.cluster for each in entries if each.state == "Removing")
    usual = MISSING if message or any(_waits(case, each) for each in entries) else _in_turn(case)
    again = min(each for each in (usual, case.target.again, turn.again) if each is not None)
    return Placement(record, children, removed, again)


def _as_before(case: Case, others: Sequence[NotChosen]) -> list[NotChosen]:
    """Where nothing is missing, a cluster that is silent for a while was not needed before and is not now: else each
    silence would be written into every service, of which most have nothing to do with it."""
    before = {each.cluster: each for each in case.seen.service.status.placement.not_chosen}
    return [before.get(each.cluster, each) if each.reason in PASSING else each for each in others]


def _in_turn(case: Case) -> float:
    """Seconds that are another service's others, so that those that began together do not look again together."""
    share = crc32(case.seen.service.metadata.uid.encode()) / 2**32
    return AGAIN * (2 + share) / 3


def _waits(case: Case, entry: ClusterPlacement) -> bool:
    """Whether replicas that a cluster is to have found no node there yet: somebody may have taken their room."""
    view = case.views[entry.cluster]
    return view.healthy and view.scheduled < max(entry.min_replicas, entry.desired_replicas)


def _versioned(entry: ClusterPlacement, children: Mapping[str, ChildPlan]) -> ClusterPlacement:
    """With the version that it is given."""
    child = children.get(entry.cluster)
    version = child.version if child is not None else None
    return entry if version is None else entry.model_copy(update={"version": version.hash})


def _missing(case: Case, plan: Plan) -> str:
    """What of the wishes cannot be met."""
    told = []
    if plan.missing > 0:
        told.append(f"there is no room for {plan.missing:.4g} of {case.target.replicas} replicas")
        for name, share in plan.shares.items():
            kind = case.kind(name, share.way)
            quota = quota_told(case.views[name], kind) if kind is not None else ""
            told += [f"{name}: {quota}"] if quota else []
    if plan.clusters:
        spec = case.seen.service.spec.placement
        told.append(f"placement.minClusters is {spec.min_clusters}, and {plan.clusters} of them are missing")
    if plan.exposed > 0:
        told.append(
            f"the loss of one cluster would take {plan.exposed:.4g} replicas that no other could replace at once"
        )
    return "; ".join(told)[:1024]
