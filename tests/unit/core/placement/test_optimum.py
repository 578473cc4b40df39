"""Placement from scratch beside the optimum of a MILP solver, over fleets drawn by seed."""

from __future__ import annotations

from statistics import fmean

import pytest

from inferops.core.placement.place import place
from placement_fleets import fleet
from placement_optimum import cheapest, complete, cost

FLEETS = 200  # `make bench-placement` judges 1000
AVERAGE = 0.05


@pytest.mark.parametrize(("far", "fleets", "largest"), [(False, FLEETS, 0.10), (True, FLEETS // 2, 0.15)])
def test_costs_little_more_than_the_optimum(far: bool, fleets: int, largest: float) -> None:
    gaps: dict[int, float] = {}
    for seed in range(fleets):
        ask, sites = fleet(seed, far=far)
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
    assert len(gaps) > fleets / 2
    assert fmean(gaps.values()) <= AVERAGE
    assert gaps[worst] <= largest
