"""Work that survives the loss of any one cluster: how much the cluster with the most may have, so that it costs least.

Where the cluster with the most carries L, all together have to carry the work and L: three equal clusters need half
as much again, two need twice. So L is searched for, and for each L it is a cover with no cluster above L.
"""

from __future__ import annotations

import math

from inferops.core.placement.fleet import Fleet, Layout, sums
from inferops.core.placement.left import most_left
from inferops.core.placement.promise import promising, within
from inferops.core.placement.span import span


def survive(fleet: Fleet, base: Layout, below: float = math.inf) -> Layout | None:
    """`base` and the cheapest with which the others carry the work when any one cluster is lost.

    Where that is not possible: with which as much as possible is left. None where nothing that does all that is asked
    costs less than `below`.
    """
    have = sums(fleet, base)
    if have.work - have.top >= fleet.work - fleet.slack and have.clusters >= fleet.clusters:
        return dict(base)
    found = _best(fleet, base, fleet.work, below)
    if found is not None or below < math.inf:
        return found
    full = most_left(fleet, base)
    have = sums(fleet, full)
    if have.work < fleet.work - fleet.slack:
        return full
    found = _best(fleet, base, min(fleet.work, have.work - have.top), math.inf)
    return found if found is not None else full


def _best(fleet: Fleet, base: Layout, left: float, below: float) -> Layout | None:
    """The cheapest over L with which `left` is left, and all the work carried while nothing is lost."""
    best: Layout | None = None
    cost, spent = below, sums(fleet, base).cost
    lacking = fleet.clusters if below == math.inf else 0
    for promise, top in promising(fleet, base, left):
        target = max(fleet.work, left + top)
        if promise == math.inf or (promise >= cost and not lacking) or not within(fleet, base, target, top):
            continue
        found = span(fleet, base, target, top, math.inf if lacking else cost - spent)
        if found is None:
            continue
        then = sums(fleet, found)
        short = max(0, fleet.clusters - then.clusters)
        if (short, then.cost) < (lacking, cost - 1e-12):
            best, lacking, cost = found, short, then.cost
    return best
