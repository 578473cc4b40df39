"""The traffic that rollouts are simulated with: what comes out must be what was put in."""

from random import Random
from statistics import fmean, pvariance

import pytest

from inferops.simulate.rollouts.rules import sized
from inferops.simulate.rollouts.scenarios import MIDDLING, SCENARIOS, cold, failing, healthy, one_bad, under_load
from inferops.simulate.rollouts.traffic import Condition, Moment, Replica, World, binomial, poisson


@pytest.mark.parametrize(("trials", "share"), [(7, 0.4), (100, 0.01), (5000, 0.2), (20, 0.97)])
def test_binomial(trials, share):
    random = Random(1)
    drawn = [binomial(trials, share, random) for _ in range(4000)]
    assert fmean(drawn) == pytest.approx(trials * share, rel=0.05)
    assert pvariance(drawn) == pytest.approx(trials * share * (1 - share), rel=0.1)
    assert 0 <= min(drawn) <= max(drawn) <= trials


@pytest.mark.parametrize("mean", [0.3, 10, 200])
def test_poisson(mean):
    random = Random(1)
    drawn = [poisson(mean, random) for _ in range(4000)]
    assert fmean(drawn) == pytest.approx(mean, rel=0.05)
    assert pvariance(drawn) == pytest.approx(mean, rel=0.1)


def world(condition, canary: int = 2) -> World:
    made = World(MIDDLING, condition, Random(1))
    made.size(stable=8, canary=canary)
    return made


def test_requests_go_by_weight_and_evenly_over_replicas():
    one = world(healthy)
    for _ in range(500):
        one.tick(20)
    canary, stable = (sum(replica.served for replica in arm) for arm in (one.canary, one.stable))
    assert canary + stable == pytest.approx(500 * 100, rel=0.02)
    assert canary / (canary + stable) == pytest.approx(0.2, rel=0.05)
    assert one.stable[0].served == pytest.approx(stable / 8, rel=0.02)


def test_bad_requests_are_as_many_as_the_condition_says():
    one = world(lambda moment: Condition(0.1, 1.5))
    requests = failed = late = slow = 0
    for _ in range(500):
        one.tick(50)
        for replica in one.canary:
            assert replica.slow <= replica.late <= replica.requests - replica.failed
            requests, failed = requests + replica.requests, failed + replica.failed
            late, slow = late + replica.late, slow + replica.slow
    assert failed / requests == pytest.approx(0.1, rel=0.1)
    assert late / (requests - failed) == pytest.approx(MIDDLING.beyond(0.8, 1.5), rel=0.1)
    assert slow / (requests - failed) == pytest.approx(MIDDLING.beyond(MIDDLING.slow, 1.5), rel=0.1)


def test_the_99th_percentile_is_what_a_hundredth_is_beyond():
    assert MIDDLING.beyond(MIDDLING.slow / 1.25, 1.0) == pytest.approx(0.01, rel=0.01)


class TestHurt:
    def test_a_harmless_version_hurts_nobody(self):
        one = world(healthy)
        for _ in range(50):
            one.tick(50)
        one.go_on(100, 3600)
        assert one.hurt == 0
        assert one.time == 3600

    def test_it_is_the_canary_s_excess(self):
        one = world(failing(10))
        for _ in range(100):
            one.tick(20)
        served = sum(replica.served for replica in one.canary)
        assert one.hurt == pytest.approx(served * 0.1 * (1 - MIDDLING.beyond(0.8, 1.0)))

    def test_it_goes_on_by_the_mean(self):
        one = world(failing(10))
        one.go_on(50, 600)
        assert one.hurt == pytest.approx(20 * 0.5 * 600 * 0.1 * (1 - MIDDLING.beyond(0.8, 1.0)))

    def test_nobody_is_hurt_without_requests(self):
        one = world(failing(10))
        one.tick(0)
        one.go_on(0, 600)
        assert one.hurt == 0


def moment(canary: bool, served: float = 0, index: int = 0, weight: int = 5) -> Moment:
    return Moment(Replica("pod", canary, index, served=served), canary, 0.0, weight)


class TestScenarios:
    def test_caches_get_warm(self):
        condition = cold(100)
        assert condition(moment(True)).slower == 2
        assert condition(moment(True, served=1000)).slower < 1.001
        assert condition(moment(False)).slower == 1

    def test_one_replica_is_bad(self):
        condition = one_bad(True, 2, 20)
        assert condition(moment(True, index=2)).errors == pytest.approx(0.205)
        assert condition(moment(True, index=1)) == condition(moment(False, index=2)) == Condition(0.005)

    def test_some_show_under_load_only(self):
        condition = under_load(10, 25)
        assert condition(moment(True, weight=5)) == condition(moment(False, weight=50))
        assert condition(moment(True, weight=25)).errors > 0.1

    def test_they_have_names_of_their_own_and_repeat(self):
        assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
        one, other = SCENARIOS[0].world(7), SCENARIOS[0].world(7)
        for each in (one, other):
            each.size(stable=3, canary=1)
            each.tick(20)
        assert one.stable == other.stable


@pytest.mark.parametrize(("weight", "replicas"), [(1, 1), (5, 1), (25, 3), (50, 5), (100, 10)])
def test_a_canary_is_sized_for_its_share(weight, replicas):
    assert sized(MIDDLING, weight) == replicas
