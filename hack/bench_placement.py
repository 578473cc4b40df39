"""`make bench-placement`: what placement costs beside the optimum of a MILP solver, and how long it takes.

Random fleets by seed, so that every run has the same ones. Prints figures; judges nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from time import process_time

from inferops.core.placement.place import place
from inferops.core.placement.terms import Ask, Plan, Site, Way
from placement_fleets import fleet
from placement_optimum import cheapest, complete, cost


@dataclass(frozen=True, slots=True)
class Judged:
    """One fleet: what its placement cost, at the least, and the milliseconds that both took."""

    seed: int
    clusters: int
    survives: bool
    cost: float
    least: float | None  # None: not all that is asked can be had
    complete: bool
    took: float
    again: float  # the same, with what was placed as held
    solver: float

    @property
    def gap(self) -> float:
        """What it cost above the least, relative."""
        return self.cost / self.least - 1 if self.least else 0.0


def judged(seed: int, *, far: bool) -> Judged:
    """Place the fleet of this seed, and have it solved."""
    ask, sites = fleet(seed, far=far)
    start = process_time()
    plan = place(ask, sites)
    placed = process_time()
    held = with_held(sites, plan)
    settled = process_time()
    place(ask, held)
    again = process_time()
    least = cheapest(ask, sites)
    solved = process_time()
    took = [1000 * seconds for seconds in (placed - start, again - settled, solved - again)]
    return Judged(seed, len(sites), ask.survives, cost(plan, sites), least, complete(plan), *took)


def with_held(sites: Sequence[Site], plan: Plan) -> list[Site]:
    """The clusters with their shares of the plan as held, and the room that is left."""
    found = []
    for site in sites:
        share = plan.shares.get(site.name)
        ways = [
            replace(way, room=way.room - share.replicas) if share and share.way == way.name else way
            for way in site.ways
        ]
        found.append(replace(site, ways=tuple(ways), held=share))
    return found


def large() -> tuple[Ask, list[Site]]:
    """50 clusters of three ways with room for a thousand replicas each, half of which is asked for."""
    ways = (("4x a", 10.0, 30.0), ("2x b", 7.0, 22.0), ("1x c", 2.0, 7.0))
    sites = [
        Site(f"c{number:02}", tuple(Way(name, work, price * (1 + number % 7 / 20), 1000) for name, work, price in ways))
        for number in range(50)
    ]
    return Ask(work=5_000.0, clusters=3), sites


def many() -> tuple[float, float]:
    """Seconds to place 1000 services of few replicas over 50 clusters of three ways, new and unchanged."""
    _, sites = large()
    asks = [Ask(work=2.0 + 3.0 * (number % 17), survives=number % 3 == 0) for number in range(1000)]
    start = process_time()
    plans = [place(ask, sites) for ask in asks]
    took = process_time() - start
    held = [with_held(sites, plan) for plan in plans]
    start = process_time()
    for ask, some in zip(asks, held, strict=True):
        place(ask, some)
    return took, process_time() - start


def main() -> None:
    """Judge the fleets and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fleets", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--far", action="store_true", help="clusters are differently far from the clients")
    options = parser.parse_args()
    rows = [judged(seed, far=options.far) for seed in range(options.first, options.first + options.fleets)]
    solvable = [row for row in rows if row.least is not None]
    worst = max(solvable, key=lambda row: row.gap)
    print(f"{len(rows)} fleets, {len(solvable)} of which can have all that is asked")
    print(f"of those placed incompletely: {sum(not row.complete for row in solvable)}")
    print(f"cost above the optimum: {fmean(row.gap for row in solvable):.3%} on average,")
    print(f"  {worst.gap:.1%} at worst (seed {worst.seed}: {worst.cost:.3f} for {worst.least:.3f})")
    print(f"solver: {fmean(row.solver for row in rows):.1f} ms on average")
    for survives in (False, True):
        for clusters in sorted({row.clusters for row in rows}):
            some = [row for row in rows if row.clusters == clusters and row.survives == survives]
            if some:
                tell(f"{clusters:2} clusters{', survives' if survives else ''}", some)
    start = process_time()
    plan = place(*large())
    took = 1000 * (process_time() - start)
    print(f"50 clusters x 3 ways, {sum(share.replicas for share in plan.shares.values())} replicas: {took:.1f} ms")
    new, unchanged = many()
    print(f"1000 services over 50 clusters x 3 ways: {new:.1f} s new, {unchanged:.1f} s unchanged")


def tell(name: str, rows: Sequence[Judged]) -> None:
    """One line of times."""
    took, again = [row.took for row in rows], [row.again for row in rows]
    print(
        f"{name:<22} {len(rows):4} fleets: new {median(took):5.2f} ms median, {max(took):6.2f} at most;"
        f" unchanged {median(again):5.2f}, {max(again):6.2f}"
    )


if __name__ == "__main__":
    main()
