"""Placement from scratch beside the optimum of a MILP solver, over fleets drawn by seed."""

from __future__ import annotations

from statistics import fmean

from inferops.core.placement.place import place
from placement_fleets import fleet
from placement_optimum import cheapest, complete, cost

FLEETS = 200  # `make bench-placement` judges 1000
AVERAGE, WORST = 0.05, 0.10


def test_costs_little_more_than_the_optimum() -> None:
    gaps: dict[int, float] = {}
    for seed in range(FLEETS):
        ask, sites = fleet(seed)
        least, plan = cheapest(ask, sites), place(ask, sites)
        if least is None:
            assert not complete(plan), f"fleet {seed}: the solver finds that this cannot be had"
            continue
        assert complete(plan), f"fleet {seed}: all that is asked can be had for {least}"
        spent = cost(plan, sites)
        assert spent >= least * (1 - 1e-3), f"fleet {seed}: less than the least"
        gaps[seed] = spent / least - 1
    worst = max(gaps, key=gaps.__getitem__)
    print(f"\n{len(gaps)} fleets: {fmean(gaps.values()):.3%} above on average, {gaps[worst]:.1%} at worst ({worst})")
    assert len(gaps) > FLEETS / 2
    assert fmean(gaps.values()) <= AVERAGE
    assert gaps[worst] <= WORST
