"""Why a cluster that could hold replicas has none: what it would cost there, by its terms, and what the others cost."""

from __future__ import annotations

from inferops.api.placement import NotChosen
from inferops.core.clusters.case import Case
from inferops.core.clusters.price import cost_of_work, price
from inferops.core.clusters.rooms import no_room
from inferops.core.placement.terms import Plan

UNIT = "USD an hour for what a replica of the first kind carries"


def idle(case: Case, plan: Plan, name: str) -> NotChosen:
    """`name`: of a cluster without replicas that nothing rules out."""
    there = case.ways(name, counted=True)
    if not any(way.room for way in there):
        kinds = [kind for way in there if (kind := case.kind(name, way.name)) is not None]
        reason, why = no_room(case.views[name], kinds)
        return NotChosen(cluster=name, reason=reason, message=why[:512])
    cheapest = min((way for way in there if way.room), key=lambda way: way.cost)
    told = f"others suffice{_others(case, plan)}; it would cost {cheapest.cost:.2f} {UNIT}"
    return NotChosen(cluster=name, reason="NotNeeded", message=told + _terms(case, name, cheapest.name))


def _others(case: Case, plan: Plan) -> str:
    costs = [
        cost_of_work(case.views[name], kind, case.cold_starts[name])
        for name, share in plan.shares.items()
        if (kind := case.kind(name, share.way)) is not None
    ]
    return f" at {max(costs):.2f}" if costs else ""


def _terms(case: Case, name: str, way: str) -> str:
    """What of the cost is not the price itself."""
    kind = case.kind(name, way)
    if kind is None or not kind.work:
        return ""
    each = price(case.views[name], kind, case.cold_starts[name])
    risk, far = each.risk / kind.work, each.whole / kind.work - each.whole / kind.near
    terms = [f"{risk:.2f} for what is lost with spot nodes"] if round(risk, 2) else []
    terms += [f"{far:.2f} for {case.away[name].milliseconds:.0f} ms to its clients"] if round(far, 2) else []
    return f", of which {' and '.join(terms)}" if terms else ""
