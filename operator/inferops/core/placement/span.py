"""Work over at least so many clusters: those that are there anyway, and beside them the ones that cost the least."""

from __future__ import annotations

import math

from inferops.core.placement.cover import cover
from inferops.core.placement.fleet import Fleet, Layout, Option, room, sums
from inferops.core.placement.spread import spread
from inferops.core.placement.trim import trim


def span(fleet: Fleet, base: Layout, target: float, top: float, below: float = math.inf) -> Layout | None:
    """`base` and the cheapest beside it that carries `target` in as many clusters as asked, or else as can be.

    None where `target` cannot be carried, or not beside the base for less than `below`.
    """
    plain = cover(fleet, base, target, top, below)
    if plain is None:
        return None
    plain = spread(fleet, base, plain, target, top)
    lowest = sums(fleet, plain).clusters
    for wanted in range(fleet.clusters, lowest, -1):
        found = _seeded(fleet, base, plain, target, top, wanted)
        if found is not None:
            return found
    return plain


def _seeded(fleet: Fleet, base: Layout, plain: Layout, target: float, top: float, wanted: int) -> Layout | None:
    """The cheapest of some answers that begin or end with so many clusters, chosen at several prices of work."""
    have = sums(fleet, plain)
    rate = have.cost / max(have.work, fleet.slack)
    best: Layout | None = None
    cost = math.inf
    tried: list[Layout] = []
    priceless = 1000 * (max(fleet.rates, default=0.0) + 1)  # the largest replicas first, for where the limit is tight
    for start, worth in ((base, rate), (base, 0.0), (base, rate / 2), (plain, 0.0), (base, priceless)):
        seeded = _seeds(fleet, start, wanted, top, worth)
        if seeded is None or seeded in tried or (worth == priceless and best is not None):
            continue
        tried.append(seeded)
        found = cover(fleet, seeded, target, top)
        if found is None:
            continue
        found = trim(fleet, spread(fleet, seeded, found, target, top))
        spent = sums(fleet, found).cost
        if spent < cost - 1e-12:
            best, cost = found, spent
    return best


def _seeds(fleet: Fleet, base: Layout, wanted: int, top: float, worth: float) -> Layout | None:
    """`base` and the fewest replicas in the clusters that cost the least, where work is worth so much."""
    owned = {fleet.options[index].site for index in base}
    first: dict[str, tuple[tuple[float, int, float, int], Option]] = {}
    for option in fleet.options:
        if option.site in owned or room(fleet, option, top) < option.floor:
            continue
        net = option.floor * (fleet.prices[option.index] - worth * option.work)
        key = (round(net, 9), option.rank, -option.cap * option.work, option.index)
        if option.site not in first or key < first[option.site][0]:
            first[option.site] = (key, option)
    more = wanted - len(owned) - len(fleet.fixed)
    seeds = [option for _, option in sorted(first.values(), key=lambda each: each[0])[: max(more, 0)]]
    layout = {**base, **{option.index: option.floor for option in seeds}}
    if len(seeds) < more or sum(layout.values()) > fleet.limit:
        return None
    return layout
