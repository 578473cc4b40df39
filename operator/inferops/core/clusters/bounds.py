"""The bounds within which each cluster scales by its own load: how few and how many replicas it may have.

What all may have together is a quarter more than they ask for, so that a load that goes up and down a little moves no
bound; what they must have together is what the service must have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, inf

from inferops.core.clusters import home
from inferops.core.clusters.case import Case
from inferops.core.clusters.price import cost_of_work
from inferops.core.placement.apportion import seats
from inferops.core.placement.terms import Plan, Share, Site

GROWTH = 0.25  # of what is asked for now, by which bounds are beyond it


def roomy(case: Case, plan: Plan, shares: Mapping[str, Share], stages: Sequence[Sequence[Site]]) -> dict[str, Share]:
    """Shares by load with room to grow: bounds beyond what is asked for now, cheapest clusters first, and no others for
    that alone. `stages`: the clusters with the room that is there now, then with more."""
    most, limit = case.seen.service.spec.placement.max_per_cluster, case.target.limit
    taken = sum(max(share.replicas, _planned(plan, name)) for name, share in shares.items())
    spare = ceil(case.target.replicas * GROWTH) + 1
    spare = spare if limit is None else min(spare, max(limit - taken, 0))
    cheapest = _cheapest(case, shares)
    open_ = [name for name in cheapest if name in plan.shares and plan.shares[name].way == shares[name].way]
    bounds = {name: max(shares[name].replicas, _planned(plan, name)) for name in open_}
    for sites in stages:
        rooms = {site.name: _capacity(site, plan) for site in sites if site.name in plan.shares and not site.fixed}
        for name, bound in bounds.items():
            top = min(rooms.get(name, bound), most) if most is not None else rooms.get(name, bound)
            extra = max(min(spare, top - bound), 0)
            spare -= extra
            bounds[name] = bound + extra
    return {name: replace(shares[name], replicas=bounds.get(name, shares[name].replicas)) for name in cheapest}


def _capacity(site: Site, plan: Plan) -> int:
    way = next((each for each in site.ways if each.name == plan.shares[site.name].way), None)
    has = site.held.replicas if site.held is not None else 0
    return has + (way.room if way is not None and site.open else 0)


def _planned(plan: Plan, name: str) -> int:
    return plan.shares[name].replicas if name in plan.shares else 0


def _cheapest(case: Case, shares: Mapping[str, Share]) -> list[str]:
    """Clusters by what the work costs there, the least first."""

    def price(name: str) -> tuple[float, str]:
        kind = case.kind(name, shares[name].way)
        return (cost_of_work(case.views[name], kind, case.cold_starts[name]) if kind is not None else inf), name

    return sorted(shares, key=price)


def floors_of(case: Case, plan: Plan, shares: Mapping[str, Share]) -> dict[str, int]:
    """Replicas that each cluster has at least: what is to be there altogether, in the cheapest, and one in each of as
    many as are asked for. While some clusters are to give theirs up, or what ran in the hub before, the others have to
    be able to take over all that is asked for now."""
    spec = case.seen.service.spec
    caps = {name: shares[name].replicas for name in _cheapest(case, shares) if name in plan.shares}
    total = case.target.least
    if case.target.by_load and spec.scaling.scale_to_zero_after is None:
        total = max(total, 1)  # it never goes to zero
    leaving = [name for name in case.before if name in shares and name not in caps]
    if leaving and case.target.by_load:
        total = max(total, sum(case.before[name].desired_replicas for name in case.before if name in shares))
    if case.target.by_load and (here := home.answering(case.seen)):
        total = max(total, min(case.target.replicas, here + sum(each.ready_replicas for each in case.before.values())))
    if spec.placement.survive_cluster_loss:
        return _floors_without_any(total, caps)
    floors = dict.fromkeys(list(caps)[: min(spec.placement.min_clusters, total)], 1)
    left = total - len(floors)
    for name, cap in caps.items():
        more = min(max(left, 0), cap - floors.get(name, 0))
        floors[name] = floors.get(name, 0) + more
        left -= more
    return floors


def _floors_without_any(total: int, caps: Mapping[str, int]) -> dict[str, int]:
    """Such that so many are left when any one cluster is lost."""
    for number in range(total, sum(caps.values()) + 1):
        found = seats(number, caps, caps)
        if number - max(found.values(), default=0) >= total:
            return found
    return dict(caps)
