"""Who decides on the number of replicas: a number, the mode, the schedule, the load; and what load may not do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from inferops.api.rolloutstatus import RolloutStatus
from inferops.api.scalingstatus import ScalingStatus
from inferops.core import fleet, scalinglook
from inferops.core.activation import WOKEN
from inferops.core.autoscale import memory
from inferops.core.autoscale.history import History
from inferops.core.autoscale.rule import Recommendation
from inferops.core.autoscale.terms import Goals, Numbers, Reason, Signals
from inferops.core.decide import decide
from inferops.core.observation import Demand, Looked, Observation
from inferops.core.scaling import wanted
from unit.core.building import NOW, revision
from unit.core.scaled import REST, later, load, play, replicas, running

LUNCH = {"name": "lunch", "cron": "0 11 * * *", "duration": "2h", "minReplicas": 4}  # now it is noon
NIGHT = {"name": "night", "cron": "0 22 * * *", "duration": "2h", "minReplicas": 9}
GATEWAYS = ("10.1.0.1:8080",)
ZERO = {"minReplicas": 0, "scaleToZeroAfter": "1m"}


class Rule:
    """A rule that says what a test has it say, and remembers what it was asked."""

    def __init__(self, replicas: int, reason: Reason = "Demand", again: float = 15.0) -> None:
        self.replicas, self.reason, self.again = replicas, reason, again
        self.asked: list[tuple[History, Signals, Goals, float]] = []

    def __call__(self, history: History, signals: Signals, goals: Goals, now: float) -> Recommendation:
        self.asked.append((history, signals, goals, now))
        reason: Reason = "NoSignals" if signals.load is None else self.reason
        number = signals.fleet.wanted if signals.load is None else self.replicas
        after = History(looked=now)
        return Recommendation(number, reason, signals.why or "so it says", Numbers(arrivals=1.0), after, self.again)


@pytest.fixture
def rule(monkeypatch: pytest.MonkeyPatch) -> Rule:
    found = Rule(5)
    monkeypatch.setattr(scalinglook, "recommend", found)
    return found


def looked(at: float = NOW.timestamp() - 15, **facts: Any) -> Looked:
    return Looked(history=History(looked=at, starts=(2.0,)), at=at, again=15.0, **{"told": at, **facts})


def counted(world: Observation, **facts: Any) -> Observation:
    """The next look at a world that was looked at before."""
    known = {"load": load(NOW.timestamp(), 5.0), "looked": looked(), **facts}
    return replace(world, **known)


def status(world: Observation, **facts: Any) -> Observation:
    changed = world.service.status.model_copy(update=facts)
    return replace(world, service=world.service.model_copy(update={"status": changed}))


@pytest.mark.parametrize(
    ("case", "scaling", "number", "says"),
    [
        ("a number that somebody set", {"replicas": 7}, 7, ()),
        ("none at all", {"replicas": 0}, 0, ()),
        ("a fixed one", {"mode": "fixed", "minReplicas": 3}, 3, ()),
        ("a scaler of somebody else's", {"mode": "external", "minReplicas": 2}, 2, ()),
        ("a window", {"mode": "schedule", "schedule": [LUNCH, NIGHT]}, 4, ("lunch",)),
        ("no window", {"mode": "schedule", "schedule": [NIGHT], "minReplicas": 2}, 2, ("night",)),
        ("the maximum is the highest window's", {"mode": "schedule", "schedule": [LUNCH], "maxReplicas": None}, 4,
         ("lunch",)),
        ("a number wins over windows", {"mode": "schedule", "schedule": [LUNCH], "replicas": 1}, 1, ()),
        ("no room", {"minReplicas": 2, "maxReplicas": 2}, 2, ()),
        ("no maximum", {"minReplicas": 2, "maxReplicas": None}, 2, ()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_the_load_does_not_decide(
    rule: Rule, case: str, scaling: dict[str, Any], number: int, says: tuple[str, ...]
) -> None:
    found = wanted(counted(running(2, scaling=scaling)), "")
    assert found.replicas == found.needed == number
    assert len(found.why) == len(says) and all(word in why for word, why in zip(says, found.why, strict=True))
    assert rule.asked == [] and found.looked is None


@pytest.mark.parametrize("mode", ["auto", "queueDepth", "latency"])
def test_the_load_decides_within_the_bounds(rule: Rule, mode: str) -> None:
    scaling = {"mode": mode, "minReplicas": 2, "maxReplicas": 4}
    world = counted(running(3, scaling=scaling, slo={"ttft": "1s", "attainment": 0.95}))
    for said, number in ((5, 4), (4, 4), (3, 3), (2, 2), (1, 2), (0, 2)):
        rule.replicas = said
        assert wanted(world, "").replicas == number
    history, signals, goals, now = rule.asked[0]
    assert (goals.mode, goals.lowest, goals.highest, goals.ttft, goals.attainment) == (mode, 2, 4, 1.0, 0.95)
    assert goals.settle == (None if mode == "auto" else 300.0)
    assert (signals.load, history.starts, now) == (world.load, (2.0,), NOW.timestamp())
    assert (signals.fleet.wanted, signals.fleet.ready, signals.fleet.settled) == (3, 3, True)


def test_windows_raise_the_minimum_and_say_so(rule: Rule) -> None:
    rule.replicas = 1
    found = wanted(counted(running(2, scaling={"schedule": [LUNCH]})), "")
    assert (found.replicas, found.needed) == (4, 4)
    assert any("lunch" in why for why in found.why)
    rule.replicas = 6
    found = wanted(counted(running(2, scaling={"schedule": [LUNCH]})), "")
    assert (found.replicas, found.needed) == (6, 4)
    assert wanted(counted(running(2, scaling={"schedule": [NIGHT]})), "").replicas == 6
    assert rule.asked[-1][2].highest == 10


def test_it_looks_at_its_own_pace(rule: Rule) -> None:
    rule.replicas = 4
    world = counted(running(2))
    first = decide(world)
    assert first.looked is not None and (replicas(first), first.again) == (4, 15.0)
    rule.replicas = 9
    between = decide(later(world, first, 50.0, seconds=5))
    assert (replicas(between), between.looked, between.again) == (4, None, 10.0)
    assert between.status.scaling == first.status.scaling
    assert len(rule.asked) == 1
    after = decide(later(world, first, 50.0, seconds=15))
    assert replicas(after) == 9 and after.looked is not None
    assert rule.asked[-1][0].looked == NOW.timestamp(), "it goes on from what it remembers"


def test_a_look_is_put_off_while_nothing_newer_was_counted(rule: Rule) -> None:
    rule.replicas = 4
    world = counted(running(2))
    first = decide(world)
    same = decide(replace(later(world, first, 50.0), load=load(NOW.timestamp(), 0.0, seconds=0.0)))
    assert (replicas(same), same.looked, same.again) == (4, None, 1.0)
    assert same.status.scaling == first.status.scaling
    assert len(rule.asked) == 1


def test_another_wish_is_looked_at_at_once(rule: Rule) -> None:
    rule.replicas = 4
    world = counted(running(2))
    first = decide(world)
    soon = later(world, first, 5.0, seconds=3)
    other = running(2, scaling={"minReplicas": 6})
    soon = replace(soon, service=other.service.model_copy(update={"status": first.status}))
    found = decide(soon)
    assert replicas(found) == 6 and found.looked is not None


def test_a_clock_that_goes_back_neither_stops_it_nor_takes_anything_away(rule: Rule) -> None:
    rule.replicas = 1
    ahead = looked(at=NOW.timestamp() + 3600)
    found = wanted(counted(running(3), looked=ahead), "")
    assert found.replicas == 3 and found.looked is not None and found.looked.at == NOW.timestamp()
    world = running(3)
    asked = fleet.goals(world.service.spec, 1)
    little = wanted(counted(world, looked=looked(at=NOW.timestamp() + 20, asked=asked)), "")
    assert little.looked is None and little.again == 35.0


def test_after_a_start_nothing_is_taken_away_before_the_second_look(rule: Rule) -> None:
    rule.replicas = 1
    world = status(running(4), scaling=ScalingStatus(learned=memory.written(History(starts=(75.0,)))))
    first = decide(replace(world, looked=Looked(), load=load(NOW.timestamp(), 1.0)))
    assert replicas(first) == 4
    assert rule.asked[0][0].starts == (75.0,), "it goes on from what it had learned"
    assert replicas(decide(later(world, first, 1.0))) == 1


def test_more_may_be_added_at_the_first_look(rule: Rule) -> None:
    rule.replicas = 6
    assert wanted(replace(running(4), load=load(NOW.timestamp(), 90.0)), "").replicas == 6


def test_a_lost_status_takes_nothing_away(rule: Rule) -> None:
    rule.replicas = 1
    world = status(running(4), desired_replicas=None, stable_revision="", revisions=[])
    found = wanted(replace(world, load=load(NOW.timestamp(), 1.0)), "")
    assert found.replicas == 4 and found.looked is not None


def test_missing_signals_take_nothing_away_and_are_said_when_they_last(rule: Rule) -> None:
    rule.replicas = 1
    world = running(4)
    taken = play(world, [None] * 6)
    assert {replicas(decision) for _, decision in taken} == {4}
    reasons = [decision.status.scaling.reason for _, decision in taken]
    assert reasons == ["Start"] * 3 + ["NoSignals"] * 3
    [sentence] = taken[-1][1].status.explain
    assert sentence == "no gateway tells; none is taken away meanwhile"
    assert [event for _, decision in taken for event in decision.events] == []
    back = decide(later(*taken[-1], 5.0))
    assert back.status.scaling.reason == "Demand" and replicas(back) == 1


def test_a_short_silence_is_not_spoken_of(rule: Rule) -> None:
    rule.replicas = 4
    world = running(4)
    taken = play(world, [5.0, 5.0, None, 5.0, None, None, 5.0])
    written = [decision.status.scaling for _, decision in taken]
    assert all(each == written[0] for each in written)


ROLLING = ["WaitingForCapacity", "Loading", "Warming", "Shifting", "Observing", "Gated", "Promoting", "RollingBack"]


@pytest.mark.parametrize("phase", ROLLING)
def test_a_rollout_under_way_keeps_what_there_is_and_may_get_more(rule: Rule, phase: Any) -> None:
    world = running(4)
    canary = revision(running(model={"uri": "hf://org/next"}).service, 2, ready=1)
    world = replace(world, revisions=(*world.revisions, canary))
    world = counted(
        status(world, rollout=RolloutStatus(phase=phase, canary=canary.hash, stable=world.revisions[0].hash))
    )
    rule.replicas = 2
    found = wanted(world, "")
    assert found.replicas == 4 and found.told.reason == "Rollout" and "rollout is under way" in found.why[0]
    assert rule.asked[0][1].fleet.settled is False
    rule.replicas = 7
    assert wanted(world, "").replicas == 7


@pytest.mark.parametrize("phase", ["Idle", "Succeeded", "Retaining", "RolledBack"])
def test_a_rollout_at_rest_keeps_nothing(rule: Rule, phase: Any) -> None:
    rule.replicas = 2
    world = counted(status(running(4), rollout=RolloutStatus(phase=phase)))
    assert wanted(world, "").replicas == 2
    assert rule.asked[0][1].fleet.settled is True


def test_a_schedule_takes_nothing_from_a_rollout_either() -> None:
    world = running(6, scaling={"mode": "schedule", "schedule": [LUNCH]})
    assert wanted(world, "").replicas == 4
    rolls = status(world, rollout=RolloutStatus(phase="Observing"))
    assert wanted(rolls, "").replicas == 6 and "rollout is under way" in wanted(rolls, "").why[0]


def lacking(world: Observation, homeless: int, **facts: Any) -> Observation:
    """With so many replicas without a node beside those that are ready."""
    one = world.revisions[0]
    more = revision(one.spec, ready=world.service.status.desired_replicas, homeless=homeless, unschedulable="no GPU")  # type: ignore[arg-type]
    return status(replace(world, revisions=(more,)), desired_replicas=len(more.pods), **facts)


@pytest.mark.parametrize(("reason", "number"), [("Queue", 8), ("Latency", 8), ("Demand", 10), ("Forecast", 10)])
def test_replicas_without_a_node_bring_no_others(rule: Rule, reason: Reason, number: int) -> None:
    rule.replicas, rule.reason = 12, reason
    found = wanted(counted(lacking(running(5), 3)), "")
    fleet = rule.asked[0][1].fleet
    assert (fleet.wanted, fleet.ready, fleet.starting, fleet.homeless) == (8, 5, 3, 3)
    assert found.replicas == number and f"3 of {number} replicas find no node" in found.why[-1]


def test_a_service_stays_ready_while_load_waits_for_gpus(rule: Rule) -> None:
    rule.replicas = 8
    world = counted(lacking(running(5), 3))
    conditions = {each.type: each for each in decide(world).status.conditions}
    assert conditions["Ready"].status == conditions["Scheduled"].status == "True"
    assert "3 of 8 replicas pending" in conditions["Scheduled"].message
    must = counted(lacking(running(5, scaling={"minReplicas": 6}), 3))
    conditions = {each.type: each for each in decide(must).status.conditions}
    assert (conditions["Ready"].status, conditions["Scheduled"].status) == ("Unknown", "False")


def asleep(**facts: Any) -> Observation:
    world = running(1, scaling=ZERO, world={"gateways": GATEWAYS, "demand": Demand(idle=3600.0), **facts})
    one = replace(world.revisions[0], pods=())
    return status(replace(world, revisions=(one,)), desired_replicas=0)


def test_at_zero_no_load_of_the_past_brings_it_back(rule: Rule) -> None:
    rule.replicas = 6
    found = wanted(counted(asleep()), "")
    assert (found.replicas, found.looked) == (0, None) and rule.asked == []
    assert found.told.reason == "AtZero" and found.why == (found.told.message,)


def test_from_zero_it_comes_back_with_as_many_as_those_who_wait_need(rule: Rule) -> None:
    rule.replicas = 1
    for waiting, number in ((1, 1), (8, 1), (9, 2), (30, 4), (999, 10)):
        world = asleep(demand=Demand(waiting=waiting, idle=0.0))
        scaled = running(1, scaling=ZERO, traffic={"maxConcurrency": 8}).service
        world = replace(world, service=scaled.model_copy(update={"status": world.service.status}))
        found = wanted(counted(world), "")
        assert found.replicas == number
        assert found.why[0] == WOKEN
        again = status(world, desired_replicas=number, explain=list(found.why))
        assert wanted(counted(again), "").replicas == number, "none is taken away before it serves"


def test_a_window_wakes_it_and_lets_it_sleep() -> None:
    world = asleep()
    spec = running(1, scaling={**ZERO, "schedule": [LUNCH]}).service
    world = replace(world, service=spec.model_copy(update={"status": world.service.status}))
    found = wanted(world, "")
    assert (found.replicas, found.managed) == (4, True) and "lunch" in found.why[0]
    assert found.again is not None and found.again <= 3600
    over = wanted(replace(world, now=NOW + timedelta(hours=3)), "")
    assert (over.replicas, over.managed) == (0, True)


def test_events_tell_of_both_directions_and_not_of_each_of_many(rule: Rule) -> None:
    rule.replicas = 4
    world = counted(running(2))
    first = decide(world)
    [event] = first.events
    assert (event.reason, event.message, event.warning) == ("ScaledUp", "from 2 to 4 replicas: so it says", False)
    rule.replicas = 3
    second = decide(later(world, first, 5.0))
    assert replicas(second) == 3 and second.events == ()
    rule.replicas = 2
    third = decide(later(later(world, first, 5.0), second, 5.0, seconds=61))
    assert [event.reason for event in third.events] == ["ScaledDown"]


def test_a_steady_load_writes_nothing(rule: Rule) -> None:
    rule.replicas = 2
    taken = play(running(2), [3.0] * 2)
    before = taken[-1][1].status
    for _, decision in play(taken[-1][0], [3.0] * 200):
        assert (decision.status, decision.events) == (before, ())
    assert len(rule.asked) > 200


def test_what_is_learned_of_a_steady_load_is_written_every_five_minutes_at_the_most() -> None:
    taken = play(running(2), [3.0] * 200)
    written = [decision.status for before, decision in taken if decision.status != before.service.status]
    assert len(written) <= 200 * 15 / 300 + 2
    assert all(decision.events == () for _, decision in taken[:100])


def test_the_rollout_at_rest_is_what_tests_take_it_for() -> None:
    assert decide(counted(running(2))).status.rollout.phase == REST.phase
