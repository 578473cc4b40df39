"""How often the evidence is wrong, over many simulated rollouts. The seeds are fixed."""

from random import Random
from statistics import median

import pytest

from inferops.core.evidence import bets
from inferops.core.evidence.arms import Replica
from inferops.core.evidence.eprocess import Block
from inferops.core.evidence.memory import Memory

RUNS = 200
WINDOWS = 60


def bad(random: Random, total: int, share: float) -> int:
    return sum(random.random() < share for _ in range(total))


def highest(seed: int, canary: float, stable: float, sizes: tuple[int, int], late: int = 0) -> tuple[float, float]:
    """The most that both tests' wealth ever was. Shares swing with time, the same way for both."""
    random = Random(seed)
    memory = Memory()
    harm = no_worse = 0.0
    for window in range(WINDOWS):
        swing = 3.0 if window % 20 > 15 else 1.0
        of_canary = (canary if window >= late else stable) * swing
        n_canary, n_stable = (random.randint(size // 2, size) for size in sizes)
        block = Block(bad(random, n_canary, of_canary), n_canary, bad(random, n_stable, stable * swing), n_stable)
        memory = bets.after(memory, block, 0.0, 0.05, 1e6)
        harm, no_worse = max(harm, memory.harm.wealth), max(no_worse, memory.no_worse)
    return harm, no_worse


@pytest.mark.parametrize("sizes", [(5, 40), (30, 30)])
@pytest.mark.parametrize("share", [0.01, 0.2])
def test_a_harmless_version_is_seldom_thought_worse(share, sizes):
    shown = sum(highest(seed, share, share, sizes)[0] >= 10 for seed in range(RUNS))
    assert shown <= 0.1 * RUNS  # of an alpha of 0.1; in truth about a third of it


def test_a_version_worse_by_the_margin_is_seldom_thought_harmless():
    shown = sum(highest(seed, 0.08, 0.02, (20, 40))[1] >= 10 for seed in range(RUNS))
    assert shown <= 0.1 * RUNS


@pytest.mark.parametrize(("canary", "late", "power"), [(0.05, 0, 0.95), (0.3, 0, 1.0), (0.3, 40, 1.0), (0.03, 0, 0.6)])
def test_a_worse_version_is_found(canary, late, power):
    shown = sum(highest(seed, canary, 0.01, (30, 60), late)[0] >= 100 for seed in range(50))
    assert shown >= power * 50


def test_a_good_version_is_found_good():
    shown = sum(highest(seed, 0.01, 0.01, (10, 40))[1] >= 100 for seed in range(50))
    assert shown == 50


def spread_of(seed: int, canary: list[float], stable: list[float], each: int = 20) -> float:
    """phi after many windows in which each replica has its own share of bad requests."""
    random = Random(seed)
    spread = Memory().spread
    for _ in range(WINDOWS):
        arms = [
            [Replica(f"{arm}-{index}", bad(random, each, share), each) for index, share in enumerate(shares)]
            for arm, shares in (("c", canary), ("s", stable))
        ]
        spread = spread.and_window(*arms)
    return spread.phi(0.0, len(canary))


def test_replicas_that_are_alike_take_nothing_from_the_evidence():
    found = [spread_of(seed, [0.05] * 3, [0.05] * 10) for seed in range(20)]
    assert sum(found) / 20 < 1.5


def test_one_bad_replica_of_the_canary_takes_nearly_all():
    assert min(spread_of(seed, [0.3, 0.02, 0.02, 0.02], [0.02] * 10) for seed in range(20)) > 20


def test_a_canary_that_is_worse_in_all_its_replicas_keeps_its_evidence():
    found = [spread_of(seed, [0.3] * 4, [0.02] * 10) for seed in range(20)]
    assert sum(found) / 20 < 2


def test_bursts_are_seen_without_a_replica_that_stands_out():
    def clumped(seed: int) -> float:
        random = Random(seed)
        spread = Memory().spread
        for _ in range(WINDOWS):
            stable = [Replica(f"s-{index}", 20 if random.random() < 0.02 else 0, 20) for index in range(10)]
            spread = spread.and_window([Replica("c-0", 0, 20)], stable)
        return spread.phi(0.0, 1)

    assert 10 < median(clumped(seed) for seed in range(20)) < 40  # clumps of 20
