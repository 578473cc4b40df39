"""Rules that judge rollouts, each at its own word: ours is the machine itself, the peers' are theirs."""

from dataclasses import replace

import pytest

from inferops.api.rollout import AnalysisSpec, RolloutSpec, RolloutStep
from inferops.simulate.rollouts import argo, flagger
from inferops.simulate.rollouts.argo import Argo, Strategy
from inferops.simulate.rollouts.flagger import Analysis, Flagger
from inferops.simulate.rollouts.ours import Ours
from inferops.simulate.rollouts.rules import HORIZON, Ended, run
from inferops.simulate.rollouts.scenarios import Scenario, cold, failing, healthy, incident, slower
from inferops.simulate.rollouts.traffic import Condition, Service, World

FLAWLESS = Scenario("flawless", False, lambda moment: Condition(0.0, 0.5))
BROKEN = Scenario("broken", True, failing(20))
IDLE = Scenario("idle", False, healthy, Service(replicas=2, rate=1e-9))


def weights(rule, scenario: Scenario) -> list[tuple[float, int]]:
    """When each weight came into force."""
    world, found = scenario.world(1), []
    world.compared = rule.compares
    world.size(stable=scenario.service.replicas, canary=0)
    wanted = rule.look(world)
    while wanted.verdict is None and world.time < HORIZON:
        if not found or found[-1][1] != wanted.weight:
            found.append((world.time, wanted.weight))
        world.size(stable=wanted.stable, canary=wanted.canary)
        world.tick(wanted.weight)
        wanted = rule.look(world)
    return found


class TestFlagger:
    def test_a_passed_check_is_a_step(self):
        found = weights(Flagger(FLAWLESS.service), FLAWLESS)
        assert found == [(0, 10), (60, 20), (120, 30), (180, 40), (240, 50)]
        assert run(Flagger(FLAWLESS.service), FLAWLESS, 1) == Ended("promoted", 300, 0.0)

    def test_it_rolls_back_a_check_after_the_threshold(self):
        assert run(Flagger(BROKEN.service), BROKEN, 1).seconds == 120
        ended = run(Flagger(BROKEN.service, flagger.SENSIBLE), BROKEN, 1)
        assert (ended.verdict, ended.seconds) == ("rolled back", 360)

    def test_no_traffic_is_a_failed_check(self):
        assert run(Flagger(IDLE.service, Analysis(threshold=3)), IDLE, 1) == Ended("rolled back", 240, 0.0)

    def test_failed_checks_are_never_taken_back(self):
        shaken = Scenario("an incident", False, incident)
        ended = run(Flagger(shaken.service, Analysis(threshold=2, step_weight=1)), shaken, 1)
        assert (ended.verdict, ended.seconds) == ("rolled back", 360)  # 240 and 300 failed, 60 to 180 passed


class TestArgo:
    def test_steps_go_by_the_clock(self):
        found = weights(Argo(FLAWLESS.service), FLAWLESS)
        assert found == [(0, 20), (600, 40), (1200, 60), (1800, 80)]
        assert run(Argo(FLAWLESS.service), FLAWLESS, 1) == Ended("promoted", 2400, 0.0)
        assert weights(Argo(FLAWLESS.service, argo.SENSIBLE), FLAWLESS) == [(0, 5), (120, 25), (420, 50)]

    @pytest.mark.parametrize("limit", [0, 3])
    def test_one_failure_too_many_aborts_at_once(self, limit):
        strategy = Strategy(steps=((20, 3600.0),), interval=60.0, failure_limit=limit)
        assert run(Argo(BROKEN.service, strategy), BROKEN, 1).seconds == 60 * (limit + 1)

    def test_without_traffic_it_depends_on_the_condition(self):
        strict, lenient = argo.DEFAULTS, replace(argo.DEFAULTS, nan_passes=True)
        assert run(Argo(IDLE.service, strict), IDLE, 1).verdict == "rolled back"
        assert run(Argo(IDLE.service, lenient), IDLE, 1).verdict == "promoted"


class TestOurs:
    def test_it_is_the_machine(self):
        spec = RolloutSpec(
            steps=[RolloutStep(weight=10, min_duration="1m"), RolloutStep(weight=50, min_duration="1m")],
            analysis=AnalysisSpec(warm_up="30s"),
        )
        found = weights(Ours(FLAWLESS.service, spec), FLAWLESS)
        assert [weight for _, weight in found] == [0, 10, 50]
        assert run(Ours(FLAWLESS.service, spec), FLAWLESS, 1).verdict == "promoted"

    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize(
        ("scenario", "verdict"),
        [
            (Scenario("A/A", False, healthy), "promoted"),
            (Scenario("both shaken", False, incident), "promoted"),
            (Scenario("cold", False, cold(100)), "promoted"),
            (Scenario("failing", True, failing(10)), "rolled back"),
            (Scenario("slow", True, slower(100)), "rolled back"),
        ],
        ids=lambda value: getattr(value, "name", ""),
    )
    def test_its_verdicts(self, scenario, verdict, seed):
        assert run(Ours(scenario.service), scenario, seed).verdict == verdict

    def test_without_traffic_it_waits_for_a_person(self):
        ended = run(Ours(IDLE.service), IDLE, 1)
        assert ended.verdict == "undecided"
        assert ended.seconds < HORIZON


def test_a_missed_regression_hurts_to_the_end():
    class Blind:
        compares = False

        def look(self, world: World):
            return Argo(BROKEN.service, Strategy(steps=(), interval=60.0)).look(world)

    ended = run(Blind(), BROKEN, 1)
    assert ended.verdict == "promoted"
    assert ended.hurt == pytest.approx(20 * HORIZON * 0.2 * (1 - BROKEN.service.beyond(0.8, 1.0)))
