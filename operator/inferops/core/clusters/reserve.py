"""Room that is not there yet, for what finds none elsewhere: nodes that may come, and places that are waited for.

It is taken in this order: nodes that came whenever they were needed, those of which fewer are reckoned with; of equals
those that are waited for already, then the cheapest. At last replicas that wait for too long wait on, since they have
nowhere else to go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from inferops.core.clusters.case import Case
from inferops.core.clusters.rooms import overdue, room
from inferops.core.clusters.sites import More, sites_of
from inferops.core.placement.terms import Plan, Site, Way


@dataclass(frozen=True, slots=True)
class _Reserve:
    """Room for replicas of one way in one cluster."""

    where: tuple[str, str]
    replicas: int
    work: float
    order: tuple[float, bool, float, int, str]  # the least first


def openings(case: Case, plan: Plan, least: int) -> Iterator[More]:
    """What is to be opened for what a plan leaves undone, more and more of it; nothing where it does all. First no more
    than takes what is missing, so that nothing is moved there; `least`: replicas of a cluster that has any."""
    if not undone(plan):
        return
    found = _reserves(case)
    opened: list[More] = []
    if plan.missing and not plan.clusters and not plan.exposed:
        opened.append(_enough(found, plan.missing, least))
    opened.append(_all(each for each in found if each.order[0] < 0))
    opened.append(_all(found))
    for number, more in enumerate(opened):
        if more and more not in opened[:number]:
            yield more


def everything(case: Case) -> More:
    """All room on nodes that may come, as far as they are reckoned with."""
    return _all(each for each in _reserves(case) if each.order[0] < 0)


def undone(plan: Plan) -> bool:
    return bool(plan.missing or plan.clusters or plan.exposed)


def _enough(found: Sequence[_Reserve], missing: float, least: int) -> More:
    more: dict[tuple[str, str], int] = {}
    for each in found:
        if missing <= 0:
            break
        taken = min(each.replicas, max(ceil(missing / each.work), least))
        missing -= (taken - min(more.get(each.where, 0), taken)) * each.work
        more[each.where] = max(more.get(each.where, 0), taken)
    return more


def _all(found: Iterator[_Reserve] | Sequence[_Reserve]) -> More:
    more: dict[tuple[str, str], int] = {}
    for each in found:
        more[each.where] = max(more.get(each.where, 0), each.replicas)
    return more


def _reserves(case: Case) -> list[_Reserve]:
    """What there is of it, in the order in which it is taken."""
    if not any(view.spec.growth for view in case.views.values()):
        return []
    found = [
        each
        for site in sites_of(case)
        if site.open and not site.fixed
        for way in site.ways
        for each in _of(case, site, way)
        if each.replicas > 0 and each.work > 0
    ]
    return sorted(found, key=lambda each: each.order)


def _of(case: Case, site: Site, way: Way) -> Iterator[_Reserve]:
    view, kind, before = case.views[site.name], case.kind(site.name, way.name), case.before.get(site.name)
    if kind is None:
        return
    there, cost = room(view, kind), way.cost / way.work if way.work else 0.0
    held = site.held.replicas if site.held is not None and site.held.way == way.name else 0
    taken = max(held - view.scheduled - there.now, 0)  # of those that come, for which nodes have to come
    has = before is not None and before.accelerator == way.name
    late = overdue(view, kind, case.seen.now.timestamp()) if has else 0
    where, order = (site.name, way.name), (not late, cost, site.rank, site.name)
    yield _Reserve(where, there.grown - taken, way.work, (-there.trust, *order))
    yield _Reserve(where, min(late, there.hoped), way.work, (0.0, *order))
