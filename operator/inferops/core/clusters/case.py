"""What a placement is decided on: one service, its clusters, what is on record, and what is to be placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inferops.api.formats import seconds
from inferops.api.placement import ClusterPlacement
from inferops.core.clusters import eligible, home
from inferops.core.clusters.coldstart import cold_starts
from inferops.core.clusters.distance import Distance, distances
from inferops.core.clusters.kinds import Kind, kinds, kinds_at
from inferops.core.clusters.seen import ClusterView
from inferops.core.clusters.target import Target, target
from inferops.core.clusters.ways import ways
from inferops.core.observation import Observation
from inferops.core.placement.terms import Way


@dataclass(frozen=True, slots=True)
class Case:
    """One service and all of its clusters."""

    seen: Observation
    views: Mapping[str, ClusterView]  # of all clusters that there are
    kinds: Sequence[Kind]
    before: Mapping[str, ClusterPlacement]  # on record, or found there
    refusals: Mapping[str, eligible.Refusal]
    target: Target
    away: Mapping[str, Distance]  # from the clients, by cluster
    kinds_there: Mapping[str, Sequence[Kind]]  # by cluster, as far from the clients as it is
    cold_starts: Mapping[str, float]  # hours, by cluster

    def kind(self, cluster: str, way: str) -> Kind | None:
        """The kind of that name, as it is in a cluster."""
        return next((each for each in self.kinds_there[cluster] if each.name == way), None)

    def work(self, cluster: str, way: str) -> float:
        """What a replica counts for in the sum of what is to be placed."""
        kind = self.kind(cluster, way) if self.target.by_load else None
        return 1.0 if kind is None else kind.work or kind.near

    def ttft(self, cluster: str, way: str) -> str | None:
        """What the way to the clients leaves of slo.ttft, to which the cluster is held; None: all, also where it would
        leave too little to serve anybody in time."""
        kind, whole, away = self.kind(cluster, way), self.seen.service.spec.slo.ttft, self.away[cluster].seconds
        if whole is None or not away or kind is None or not kind.work:
            return None
        return f"{round((seconds(whole) - away) * 1000)}ms"

    def ways(self, cluster: str, *, counted: bool) -> tuple[Way, ...]:
        """How replicas can run in a cluster; what carries nothing there only while the cluster has it."""
        had = self.before[cluster].accelerator if cluster in self.before else ""
        kinds = [each for each in self.kinds_there[cluster] if each.work or each.name == had]
        return ways(self.views[cluster], kinds, self.cold_starts[cluster], counted=counted)


def case_of(seen: Observation, clusters: Sequence[ClusterView]) -> Case:
    views = {each.name: each for each in clusters}
    found = kinds(seen)
    spec, namespace = seen.service.spec.placement, seen.service.metadata.namespace
    on_record = {each.cluster: each for each in seen.service.status.placement.clusters if each.cluster in views}
    before = {**_adopted(views), **on_record}
    before = {name: _refreshed(entry, views[name]) for name, entry in before.items()}
    away = distances(spec.clients, {name: view.spec for name, view in views.items()})
    there = kinds_at(seen, found, away)
    ttft = seen.service.spec.slo.ttft
    refusals = {
        name: why
        for name, view in views.items()
        if (why := eligible.refusal(eligible.Case(namespace, spec, there[name], view, away[name], ttft))) is not None
    }
    works = {(name, kind.name): kind.work or kind.near for name, some in there.items() for kind in some}
    held = [entry for entry in before.values() if entry.state not in ("Lost", "Removing")]
    short = {name for name, view in views.items() if view.healthy and view.child is not None and view.child.short}
    asked = sum(
        (each.desired_replicas + (each.cluster in short)) * works.get((each.cluster, each.accelerator), 1.0)
        for each in held
    )
    asked = max(asked, home.answering(seen))
    certain = all(views[entry.cluster].healthy for entry in held)
    aim = target(seen, asked, certain=certain)
    return Case(seen, views, found, before, refusals, aim, away, there, cold_starts(views))


def _adopted(views: Mapping[str, ClusterView]) -> dict[str, ClusterPlacement]:
    """What is ours in a cluster and not on record: this hub was restored from an older backup. It serves, so it stays
    until others do."""
    return {
        name: ClusterPlacement(
            cluster=name,
            state="Serving",
            accelerator=view.child.way,
            replicas=view.child.most,
            min_replicas=view.child.least,
            version=view.child.version,
        )
        for name, view in views.items()
        if view.child is not None and not view.child.deleting
    }


def _refreshed(entry: ClusterPlacement, view: ClusterView) -> ClusterPlacement:
    """What is on record, with what the cluster tells now. One that is silent is as it was."""
    if view.state == "Lost":
        return entry.model_copy(update={"state": "Removing" if entry.state == "Removing" else "Lost", "message": ""})
    if not view.healthy:
        return entry
    state = "Serving" if entry.state in ("Lost", "Suspect") else entry.state
    child = view.child
    if child is None:
        told = {"desired_replicas": 0, "ready_replicas": 0, "revision": ""}
        return entry.model_copy(update={"state": state, **told})
    # Who tells no number asks for what he did before: it may be his status that was lost, not his load.
    desired = child.desired if child.desired is not None else max(entry.desired_replicas, child.ready)
    told = {"desired_replicas": desired, "ready_replicas": child.ready, "revision": child.stable}
    return entry.model_copy(update={"state": state, **told})
