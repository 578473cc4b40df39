"""What a placement is decided on: one service, its clusters, what is on record, and what is to be placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inferops.api.placement import ClusterPlacement
from inferops.core.clusters import eligible
from inferops.core.clusters.kinds import Kind, kinds
from inferops.core.clusters.seen import ClusterView
from inferops.core.clusters.target import Target, target
from inferops.core.observation import Observation


@dataclass(frozen=True, slots=True)
class Case:
    """One service and all of its clusters."""

    seen: Observation
    views: Mapping[str, ClusterView]  # of all clusters that there are
    kinds: Sequence[Kind]
    before: Mapping[str, ClusterPlacement]  # on record, or found there
    refusals: Mapping[str, eligible.Refusal]
    target: Target

    @property
    def works(self) -> Mapping[str, float]:
        return {kind.name: 1.0 if not self.target.by_load else kind.work for kind in self.kinds}


def case_of(seen: Observation, clusters: Sequence[ClusterView]) -> Case:
    views = {each.name: each for each in clusters}
    found = kinds(seen)
    spec, namespace = seen.service.spec.placement, seen.service.metadata.namespace
    on_record = {each.cluster: each for each in seen.service.status.placement.clusters if each.cluster in views}
    before = {**_adopted(views), **on_record}
    before = {name: _refreshed(entry, views[name]) for name, entry in before.items()}
    refusals = {
        name: why
        for name, view in views.items()
        if (why := eligible.refusal(eligible.Case(namespace, spec, found, view))) is not None
    }
    works = {kind.name: kind.work for kind in found}
    held = [entry for entry in before.values() if entry.state not in ("Lost", "Removing")]
    short = {name for name, view in views.items() if view.healthy and view.child is not None and view.child.short}
    asked = sum((each.desired_replicas + (each.cluster in short)) * works.get(each.accelerator, 1.0) for each in held)
    certain = all(views[entry.cluster].healthy for entry in held)
    return Case(seen, views, found, before, refusals, target(seen, asked, certain=certain))


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
    desired = child.desired if child.desired is not None else child.ready
    told = {"desired_replicas": desired, "ready_replicas": child.ready, "revision": child.stable}
    return entry.model_copy(update={"state": state, **told})
