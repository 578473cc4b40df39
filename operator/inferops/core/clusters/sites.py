"""The clusters as placement sees them: the ways in which replicas can run there, and what the service has there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from inferops.api.placement import ClusterPlacement
from inferops.core.clusters import eligible
from inferops.core.clusters.case import Case
from inferops.core.clusters.distance import ranks
from inferops.core.clusters.rooms import Room, overdue, room
from inferops.core.clusters.seen import ClusterView
from inferops.core.placement.terms import Share, Site, Way

SOONEST = 1 / 12  # hours for which a replica is there twice when it moves, however quickly the new one starts: to drain


More = Mapping[tuple[str, str], int]  # replicas for which there is room beside that of now, by cluster and way


def sites_of(case: Case, more: More = MappingProxyType({})) -> list[Site]:
    """The clusters as placement sees them. What a cluster has counts, unless it has to leave or is lost."""
    order = _ranks(case)
    found = []
    for name, view in case.views.items():
        refusal, entry = case.refusals.get(name), case.before.get(name)
        held = held_in(case, view, entry, refusal)
        if refusal is not None and held is None:
            continue
        there = case.ways(name, counted=not case.target.by_load)
        fixed = held is not None and not view.healthy
        if held is not None and entry is not None and case.target.by_load:
            held = used_of(entry, held)
        if held is not None and not fixed:
            held = _holds(case, held, view)
            there = tuple(_beside(way, held, view) for way in there)
        elif held is not None and not any(way.name == held.way for way in there):
            # what it has carries its part, though nobody knows now what finds a place there
            there = (*there, Way(held.way, case.work(name, held.way), 0.0, 0))
        there = tuple(replace(way, room=way.room + more.get((name, way.name), 0)) for way in there)
        starting = max(case.cold_starts[name], SOONEST)
        found.append(Site(name, there, held, order[name], open=refusal is None, fixed=fixed, starting=starting))
    return found


def _ranks(case: Case) -> dict[str, int]:
    """By the distance from the clients, where these are told, else by the user's order of regions."""
    spec = case.seen.service.spec.placement
    if spec.clients:
        return ranks(case.away)
    regions = {name: view.spec.region for name, view in case.views.items()}
    return {name: spec.regions.index(each) if each in spec.regions else 0 for name, each in regions.items()}


def _beside(way: Way, held: Share | None, view: ClusterView) -> Way:
    """The way with the room beside what is held, of which some may not have taken its place yet."""
    coming = max(held.replicas - view.scheduled, 0) if held is not None and held.way == way.name else 0
    return replace(way, room=max(way.room - coming, 0))


def held_in(
    case: Case, view: ClusterView, entry: ClusterPlacement | None, refusal: eligible.Refusal | None
) -> Share | None:
    if entry is None or not entry.replicas or entry.state in ("Lost", "Removing"):
        return None
    if (view.refused and view.child is None) or (refusal is not None and refusal.evicts):
        return None
    known = {kind.name for kind in case.kinds}
    way = entry.accelerator
    if way not in known and view.healthy:  # the spec lists others by now: what is there becomes one of these
        way = next((each.name for each in case.ways(view.name, counted=True)), "")
    return Share(way, entry.replicas) if way else None


def _holds(case: Case, held: Share, view: ClusterView) -> Share | None:
    """Of what a healthy cluster is to have, what it can: those with a node, those for which there is one, and those for
    which one may come, until they have waited for too long."""
    kind = case.kind(view.name, held.way)
    there = room(view, kind) if kind is not None else Room(0)
    late = overdue(view, kind, case.seen.now.timestamp())
    patient = max(held.replicas - late, min(held.replicas, view.scheduled))  # a rollout's may wait beside all of these
    number = min(patient, view.scheduled + there.now + there.hoped)
    return replace(held, replicas=number) if number > 0 else None


def used_of(entry: ClusterPlacement, held: Share) -> Share:
    """What a cluster that scales by load uses of its share. The rest is nobody's loss."""
    return replace(held, replicas=min(held.replicas, max(entry.ready_replicas, entry.desired_replicas, 1)))
