"""The cheapest replicas beside those there that carry a given work: a bounded search, the cheapest per work first."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from inferops.core.placement.fleet import Fleet, Layout, priced, room, sums
from inferops.core.placement.full import fullest, least, tight

NODES = 150  # looked at in one search; the first is the greedy answer, the rest are for its last replicas
OVER = 1.2  # times what is asked for: who carries more may have taken replicas that are too large
GAP = 0.004  # relative: a branch that can save no more is left


@dataclass(slots=True)
class Slot:
    """What a cluster can still be given."""

    index: int
    site: str
    room: int
    floor: int  # the fewest to give, where any


@dataclass(slots=True)
class Kind:
    """Slots whose replicas carry and cost the same."""

    work: float
    price: float
    rate: float
    slots: list[Slot]
    most: int
    floor: int  # the least of its slots' floors


def kinds(fleet: Fleet, base: Layout, top: float, among: Iterable[int] | None = None) -> list[Kind]:
    """What may be added to `base`, the cheapest per work first; of equals in the order of preference."""
    owner = {fleet.options[index].site: index for index in base}
    found: dict[tuple[int, int, int, float], Kind] = {}
    for index in range(len(fleet.options)) if among is None else among:
        option = fleet.options[index]
        if owner.get(option.site, index) != index:
            continue
        has = base.get(index, 0)
        free = room(fleet, option, top) - has
        floor = max(option.floor - has, 1)
        if free < floor:
            continue
        tier = fleet.tiers[index]
        key = (tier, option.rank, option.order, -option.work)
        kind = found.get(key)
        if kind is None:
            kind = found[key] = Kind(option.work, fleet.prices[index], fleet.rates[tier], [], 0, floor)
        kind.slots.append(Slot(index, option.site, free, floor))
        kind.most += free
        kind.floor = min(kind.floor, floor)
    ordered = [found[key] for key in sorted(found)]
    ways = Counter(slot.site for kind in ordered for slot in kind.slots)
    for kind in ordered:
        kind.slots.sort(key=lambda slot: (ways[slot.site], -slot.room, slot.site))
    return ordered


class Search:
    """Depth first over the kinds, most of the cheapest first, with the fractional rest as the bound."""

    def __init__(self, fleet: Fleet, ordered: list[Kind], below: float, close: bool) -> None:
        self.kinds, self.slack = ordered, fleet.slack
        self.best: dict[int, int] | None = None
        self.cost = below
        self.nodes = NODES
        self.close = close  # leave out what is alike but for its rank: quicker, and not always the best
        self.taken: dict[str, int] = {}
        self.closed: set[tuple[float, float]] = set()
        self.added: dict[int, int] = {}
        self.works, self.costs = [0.0], [0.0]
        for kind in ordered:
            self.works.append(self.works[-1] + kind.most * kind.work)
            self.costs.append(self.costs[-1] + kind.most * kind.work * kind.rate)
        self.largest = [0.0] * (len(ordered) + 1)
        for at in range(len(ordered) - 1, -1, -1):
            self.largest[at] = max(self.largest[at + 1], ordered[at].work)

    def bound(self, at: int, rest: float) -> float:
        """No less than this for the rest, by the kinds from `at` on."""
        until = self.works[at] + rest
        if until > self.works[-1] + self.slack:
            return math.inf
        end = min(max(bisect_left(self.works, until), at + 1), len(self.kinds))
        partly = (until - self.works[end - 1]) * self.kinds[end - 1].rate if end > at else 0.0
        return self.costs[end - 1] - self.costs[at] + partly

    def descend(self, at: int, rest: float, left: int, cost: float) -> None:
        """Try the kind at `at` with all numbers that may still be best, and those after it."""
        while at < len(self.kinds) and (self.kinds[at].rate, self.kinds[at].work) in self.closed:
            at += 1
        if at == len(self.kinds):
            return
        kind, alike = self.kinds[at], (self.kinds[at].rate, self.kinds[at].work)
        free = sum(slot.room for slot in kind.slots if slot.site not in self.taken)
        need = math.ceil((rest - self.slack) / kind.work) + kind.floor - 1
        for count in range(min(free, need, self._few(at, rest, left)), -1, -1):
            if self.nodes <= 0:
                return
            self.nodes -= 1
            spent, open_ = cost + count * kind.price, rest - count * kind.work
            if open_ <= self.slack:
                self._close(kind, count, spent)
                continue
            if at + 1 == len(self.kinds):
                return
            if spent + self.bound(at + 1, open_) >= self.cost * (1 - GAP):
                return
            placed = self._take(kind, count)
            if placed is not None:
                if self.close and count < free:  # those of a higher rank that are alike would do no better
                    self.closed.add(alike)
                self.descend(at + 1, open_, left - count, spent)
                self.closed.discard(alike)
                self._release(placed)

    def _few(self, at: int, rest: float, left: int) -> int:
        """The most of a kind with which the replicas left can still carry the rest, by the largest of the others."""
        small, large = self.kinds[at].work, self.largest[at + 1]
        if large <= small:
            return left
        return min(left, math.floor((left * large - rest + self.slack) / (large - small)))

    def _close(self, kind: Kind, count: int, cost: float) -> None:
        """The work is carried: keep the answer if it is the best."""
        if cost >= self.cost - 1e-12:
            return
        placed = self._take(kind, count)
        if placed is not None:
            self.best, self.cost = dict(self.added), cost
            self._release(placed)

    def _take(self, kind: Kind, count: int) -> list[Slot] | None:
        """Put so many into the kind's free slots; None where the fewest of a cluster do not allow it."""
        placed: list[Slot] = []
        for slot in kind.slots:
            if count <= 0:
                break
            if slot.site in self.taken or (count < slot.floor and not self._lend(placed, slot.floor - count)):
                continue
            some = max(min(slot.room, count), slot.floor)
            self.taken[slot.site] = self.added[slot.index] = some
            placed.append(slot)
            count -= some
        if count <= 0:
            return placed
        self._release(placed)
        return None

    def _lend(self, placed: list[Slot], wanted: int) -> bool:
        """Whether the clusters that have some can do with so many fewer; if so, they have."""
        if sum(self.added[slot.index] - slot.floor for slot in placed) < wanted:
            return False
        for slot in placed:
            some = min(wanted, self.added[slot.index] - slot.floor)
            self.added[slot.index] -= some
            wanted -= some
        return True

    def _release(self, placed: list[Slot]) -> None:
        for slot in placed:
            del self.taken[slot.site], self.added[slot.index]


def cover(fleet: Fleet, base: Layout, target: float, top: float, below: float = math.inf) -> Layout | None:
    """`base` and the cheapest beside it with which `target` is carried, none above `top`.

    None where there is no room, or where it costs `below` or more beside the base.
    """
    have = sums(fleet, base)
    rest, left = target - have.work, fleet.limit - have.replicas
    if rest <= fleet.slack:
        return dict(base)
    ordered = kinds(fleet, base, top)
    found, proven = _searched(fleet, ordered, rest, left, below, False)
    if not proven:
        chosen = kinds(fleet, base, top, tight(fleet, base, rest, top))
        for some in (ordered, chosen):
            found = _searched(fleet, some, rest, left, _spent(fleet, found, below), True)[0] or found
    seat = _seat(ordered, rest, left)
    if seat > 0:
        dear = scarce(fleet, seat)
        other = _searched(dear, kinds(dear, base, top), rest, left, math.inf, True)[0]
        if other is not None and _spent(fleet, other, below) < _spent(fleet, found, below):
            found = other
    if found is not None and _carried(fleet, found) > rest * OVER:
        small = [each.index for each in fleet.options if each.floor * each.work <= rest]
        other = _searched(fleet, kinds(fleet, base, top, small), rest, left, _spent(fleet, found, below), True)[0]
        found = other or found
    if found is None and below == math.inf:
        full = fullest(fleet, base, top)
        found = _beside(base, full) if sums(fleet, full).work >= target - fleet.slack else None
    if found is None:
        return None
    return {**base, **{index: base.get(index, 0) + count for index, count in found.items()}}


def _carried(fleet: Fleet, added: Layout) -> float:
    return math.fsum(fleet.options[index].work * count for index, count in added.items())


def _spent(fleet: Fleet, added: Layout | None, otherwise: float) -> float:
    if added is None:
        return otherwise
    return math.fsum([fleet.prices[index] * count for index, count in added.items()])


def seat_price(fleet: Fleet, base: Layout, target: float, top: float) -> float:
    """What each replica would have to cost beside its price for as few to do as the limit allows; 0: they do anyway."""
    have = sums(fleet, base)
    return _seat(kinds(fleet, base, top), target - have.work, fleet.limit - have.replicas)


def scarce(fleet: Fleet, seat: float) -> Fleet:
    """The fleet with every replica dearer by so much."""
    return priced(fleet, [price + seat for price in fleet.prices])


def _seat(ordered: list[Kind], rest: float, left: int) -> float:
    def fits(seat: float) -> bool:
        open_, count = rest, 0.0
        for kind in sorted(ordered, key=lambda each: (each.price + seat) / each.work):
            some = min(float(kind.most), open_ / kind.work)
            open_, count = open_ - some * kind.work, count + some
        return count <= left

    if fits(0.0):
        return 0.0
    high = max(kind.price + kind.rate * kind.work for kind in ordered) * 100 + 1e-6
    return least(fits, 0.0, high)


def _beside(base: Layout, layout: Layout) -> Layout:
    return {index: count - base.get(index, 0) for index, count in layout.items() if count > base.get(index, 0)}


def _searched(
    fleet: Fleet, ordered: list[Kind], rest: float, left: int, below: float, close: bool
) -> tuple[Layout | None, bool]:
    """What was found, if anything, and whether there is nothing better."""
    search = Search(fleet, ordered, below, close)
    if ordered and left > 0 and search.bound(0, rest) < below:
        search.descend(0, rest, left, 0.0)
    return search.best, search.nodes > 0
