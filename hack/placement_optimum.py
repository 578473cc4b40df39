"""The cheapest placement from scratch by a MILP solver: what the operator's own algorithm is measured against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import highspy

from inferops.core.placement.terms import Ask, Plan, Site, Way


@dataclass(slots=True)
class Program:
    """Variables so far: replicas of each way that can be used, whether it is, and the work of each cluster."""

    counts: list[Any] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    opened: list[Any] = field(default_factory=list)
    loads: list[Any] = field(default_factory=list)


def cheapest(ask: Ask, sites: Sequence[Site]) -> float | None:
    """The least cost at which all that is asked can be had, or None where it cannot. Nothing may be held or fixed."""
    model = _quiet()
    program = Program()
    for site in sites:
        _one_way(model, program, ask, site)
    if not program.counts:
        return None
    total = sum(count * way.work for count, way in zip(program.counts, program.ways, strict=True))
    model.addConstr(total >= ask.work)
    model.addConstr(sum(program.opened) >= max(ask.clusters, 2 if ask.survives else 0))
    if ask.limit is not None:
        model.addConstr(sum(program.counts) <= ask.limit)
    if ask.survives:
        top = model.addVariable(0, highspy.kHighsInf)
        for load in program.loads:
            model.addConstr(load - top <= 0)
        model.addConstr(total - top >= ask.work)
    model.minimize(sum(count * way.cost for count, way in zip(program.counts, program.ways, strict=True)))
    if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    return float(model.getObjectiveValue())


def cost(plan: Plan, sites: Sequence[Site]) -> float:
    """What a plan costs for an hour."""
    prices = {(site.name, way.name): way.cost for site in sites for way in site.ways}
    return sum(prices[name, share.way] * share.replicas for name, share in plan.shares.items())


def complete(plan: Plan) -> bool:
    """Whether a plan does all that was asked."""
    return not (plan.missing or plan.clusters or plan.exposed)


def _one_way(model: Any, program: Program, ask: Ask, site: Site) -> None:
    """A cluster's replicas: in one of its ways none, or from the fewest that it must have to those it has room for."""
    least = max(ask.least, 1)
    found = []
    for way in site.ways:
        cap = way.room if ask.most is None else min(way.room, ask.most)
        if cap < least or not site.open:
            continue
        count, used = model.addVariable(0, cap, type=highspy.HighsVarType.kInteger), model.addBinary()
        model.addConstr(count - cap * used <= 0)
        model.addConstr(count - least * used >= 0)
        found.append((count, used, way))
    if found:
        model.addConstr(sum(used for _, used, _ in found) <= 1)
        program.loads.append(sum(count * way.work for count, _, way in found))
        program.counts += [count for count, _, _ in found]
        program.opened += [used for _, used, _ in found]
        program.ways += [way for _, _, way in found]


def _quiet() -> Any:
    model: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    model.silent()
    model.setOptionValue("threads", 1)
    model.setOptionValue("mip_rel_gap", 1e-4)
    return model
