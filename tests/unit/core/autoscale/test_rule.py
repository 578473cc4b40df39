"""The rule as a whole: what must hold whatever is told, and what it does in the usual cases."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from inferops.core.autoscale.history import History
from inferops.core.autoscale.rule import Recommendation, recommend
from inferops.core.autoscale.terms import Fleet, Goals, Seed, Signals, StepLimit
from inferops.core.load import Load

GOALS = Goals("auto", 1, 40, ttft=1.0, tpot=0.05, down=StepLimit(60.0, None, 25))
SEED = Seed(concurrency=32, ttft=0.4, tpot=0.04, output_tokens=200)  # 3.8 requests a second


def load(now: float, rate: float, *, seconds: float = 15.0, waiting: int = 0, missed: float = 0.0) -> Load:
    arrivals = round(rate * seconds)
    return Load(
        since=now - seconds,
        until=now,
        source="gateway",
        arrivals=arrivals,
        ended=arrivals,
        busy=rate * 8 * seconds,
        waiting=waiting,
        in_flight=round(rate * 8) + waiting,
        ttft=0.3,
        tpot=0.04,
        judged=arrivals,
        missed=round(missed * arrivals),
    )


class World:
    """A service whose replicas start after `cold` seconds, shown to the rule look by look."""

    def __init__(self, goals: Goals = GOALS, begin: int = 2, cold: float = 60.0, carries: float = 4.0) -> None:
        self.goals, self.cold, self.carries = goals, cold, carries
        self.now, self.wanted, self.ready = 1_000_000.0, begin, begin
        self.births: list[float] = []
        self.history = History()
        self.said: list[int] = []

    def look(self, rate: float | None, waiting: int = 0) -> str:
        self.now += 15.0
        started = [birth for birth in self.births if birth + self.cold <= self.now]
        self.births = [birth for birth in self.births if birth + self.cold > self.now]
        self.ready += len(started)
        missed = 0.0 if rate is None or rate <= self.carries * self.ready else 1 - self.carries * self.ready / rate
        told = None if rate is None else load(self.now, rate, waiting=waiting, missed=missed)
        fleet = Fleet(self.wanted, self.ready, len(self.births), started=tuple(self.cold for _ in started), kind="a")
        found = recommend(self.history, Signals(told, fleet, SEED, why="nobody tells"), self.goals, self.now)
        self.history = found.history
        more = found.replicas - self.wanted
        self.births += [self.now] * more
        for _ in range(-more):
            if self.births:
                self.births.pop()
            else:
                self.ready -= 1
        self.wanted = found.replicas
        self.said.append(found.replicas)
        return found.reason

    def run(self, rate: float | None, looks: int) -> list[int]:
        for _ in range(looks):
            self.look(rate)
        return self.said[-looks:]


def turns(said: list[int]) -> int:
    """Changes of direction."""
    steps = [after - before for before, after in pairwise(said) if after != before]
    return sum((one > 0) != (two > 0) for one, two in pairwise(steps))


def test_a_steady_load_comes_to_rest() -> None:
    world = World()
    world.run(20.0, 400)
    assert len(set(world.run(20.0, 400))) == 1
    assert 5 <= world.wanted <= 8


def test_a_step_is_answered_by_one_jump_and_no_way_back() -> None:
    world = World()
    world.run(4.0, 100)
    up = world.run(40.0, 60)
    assert up[1] >= 8  # two looks after the step: all of it, while none of the new replicas has started
    assert turns(up) <= 2  # with one replica fewer, tried once, that turns out to be one too few
    down = world.run(4.0, 200)
    assert down[-1] <= 3
    assert turns(down) == 0
    again = world.run(40.0, 60)
    assert again[1] >= 8
    assert turns(again) <= 1


def test_replicas_that_start_are_supply() -> None:
    """A slow start multiplies nothing: the same load asks for the same number for as long as it lasts."""
    world = World(cold=600.0)
    world.run(4.0, 20)
    up = world.run(24.0, 36)
    assert max(up) <= 14


def test_what_climbs_is_asked_for_before_it_comes() -> None:
    """Begun as late as they are needed, replicas that need three minutes would come three minutes late."""
    world = World(cold=180.0, begin=6)
    world.run(20.0, 100)
    missed = 0.0
    for look in range(120):
        rate = 20.0 + 0.5 * look
        world.look(rate)
        missed += max(0.0, rate - world.carries * world.ready) * 15
    assert missed < 0.015 * 120 * 50 * 15


def test_capacity_is_learned_from_misses() -> None:
    """Sizing promised 3.8 requests a second, and a replica carries 2."""
    world = World(carries=2.0)
    world.run(20.0, 1500)
    known = world.history.capacity
    assert known.carries is not None and 1.4 <= known.carries <= 2.6
    assert world.ready * 2.0 >= 20.0


def test_capacity_is_learned_where_sizing_was_too_low() -> None:
    world = World(carries=12.0)
    for look in range(3000):
        world.look(40.0 if look % 40 < 30 else 60.0)
    assert world.wanted <= 10  # by sizing's word it would be 27


def test_a_quiet_service_does_not_plan_beyond_what_it_knows() -> None:
    world = World(begin=1)
    world.run(0.5, 800)
    known = world.history.capacity
    planned = known.planned(world.history.outlook.burst)
    assert planned is not None and known.carries is not None
    assert planned <= 1.11 * known.carries
    assert max(world.run(20.0, 3)) >= 4


def test_what_a_shock_left_waiting_says_nothing_of_replicas() -> None:
    """After a step that replicas came late for, all that waited is served late, by replicas that get little by then."""
    history, now, ready = History(), 1_000_000.0, 1
    carried = []
    for look in range(60):
        now += 15.0
        rate, late = (1.0, 0.0) if look < 20 else (20.0, 0.9) if look < 24 else (8.0, 0.6) if look < 32 else (8.0, 0.0)
        ready = 1 if look < 24 else 10
        found = recommend(history, Signals(load(now, rate, missed=late), Fleet(10, ready, kind="a"), SEED), GOALS, now)
        history = found.history
        carried.append(history.capacity.carries or 0.0)
    assert carried[-1] >= 0.9 * carried[19]


def after_peaks(rounds: int, *, late: int) -> list[float]:
    """What two replicas are believed to carry, where every quarter of an hour 4.8 requests a second each come for a
    minute, and what was left waiting is missed for `late` looks more, at 3 a second."""
    history, now, carried = History(), 1_000_000.0, []
    for look in range(60 * rounds):
        now += 15.0
        phase = look % 60
        rate, missed = (9.6, 0.3) if phase >= 56 else (6.0, 0.3) if look >= 60 and phase < late else (6.0, 0.0)
        found = recommend(history, Signals(load(now, rate, missed=missed), Fleet(2, 2, kind="a"), SEED), GOALS, now)
        history = found.history
        carried.append(history.capacity.carries or 0.0)
    return carried


def test_what_a_peak_left_waiting_is_put_down_to_the_peak() -> None:
    carried = after_peaks(16, late=6)
    assert carried[-1] > 3.1


def bursty(settle: float | None) -> tuple[World, list[int]]:
    """A minute of 40 requests a second every ten, and else one; and the replicas at each burst's beginning."""
    world, found = World(goals=replace(GOALS, down=None, settle=settle), cold=120.0), []
    for _ in range(14):
        found.append(world.ready)
        world.run(40.0, 4)
        world.run(1.0, 36)
    return world, found


def test_bursts_that_come_again_find_their_replicas() -> None:
    """A cold start is longer than a burst, so whoever lets replicas go after each meets the next with none."""
    world, found = bursty(None)
    assert max(found[:3]) < 3 and min(found[4:]) >= 9
    found_now = recommend_now(world)
    assert (found_now.reason, found_now.why[-10:]) == ("Held", "for 1800 s")
    world.run(1.0, 130)  # at last they have not come again
    assert world.wanted < 3


def test_who_says_how_long_fewer_must_be_enough_is_obeyed() -> None:
    _, found = bursty(120.0)
    assert max(found) < 3


def recommend_now(world: World) -> Recommendation:
    world.now += 15.0
    fleet = Fleet(world.wanted, world.ready, kind="a")
    return recommend(world.history, Signals(load(world.now, 1.0), fleet, SEED), world.goals, world.now)


def test_replicas_that_became_slower_are_seen_as_slower() -> None:
    """A peak explains what is missed for ten minutes; what goes on is the replicas' own."""
    history, now, carried = History(), 1_000_000.0, []
    for look in range(960):
        now += 15.0
        told = load(now, 6.0, missed=0.0 if look < 480 else 0.3)
        found = recommend(history, Signals(told, Fleet(2, 2, kind="a"), SEED), GOALS, now)
        history = found.history
        carried.append(history.capacity.carries or 0.0)
    assert carried[-1] < 3.0 < carried[479]


def test_another_kind_of_replica_is_learned_anew() -> None:
    world = World(carries=2.0)
    world.run(20.0, 400)
    fleet = Fleet(world.wanted, world.ready, kind="b")
    found = recommend(world.history, Signals(load(world.now + 15, 20.0), fleet, SEED), GOALS, world.now + 15)
    assert not any(bad for _, bad in found.history.capacity.misses.values())
    assert found.history.starts == world.history.starts


def test_what_waits_asks_for_more() -> None:
    def needs(waiting: int) -> int:
        now, fleet = 1_000_015.0, Fleet(4, 4, kind="a")
        return recommend(History(), Signals(load(now, 8.0, waiting=waiting), fleet, SEED), GOALS, now).replicas

    assert needs(400) > needs(0)


def test_missing_signals_hold_and_say_why() -> None:
    world = World()
    world.run(20.0, 100)
    held = world.wanted
    assert world.look(None) == "NoSignals"
    assert set(world.run(None, 8)) == {held}
    fleet = Fleet(held, world.ready, kind="a")
    found = recommend(world.history, Signals(None, fleet, SEED, why="nobody tells"), GOALS, world.now + 15)
    assert found.why == "as many as before: nobody tells"
    # What it sees first after an outage is no ground to go down at once.
    assert world.run(0.5, 4) == [held] * 4


def test_limits_of_steps_hold() -> None:
    world = World(replace(GOALS, up=StepLimit(60.0, 2, None)))
    world.run(4.0, 20)
    up = world.run(60.0, 40)
    for at in range(4, len(up)):
        assert up[at] - up[at - 4] <= 2
    world.run(60.0, 100)
    down = world.run(1.0, 200)
    for at in range(4, len(down)):
        assert down[at - 4] - down[at] <= -(-down[at - 4] // 4)


def test_longer_answers_are_more_load() -> None:
    def after(tokens: int) -> int:
        history, now, wanted = History(), 1_000_000.0, 10
        for look in range(60):
            now += 15.0
            each = 200 if look < 40 else tokens
            told = replace(load(now, 40.0), tokens_in=600 * 1000, tokens_out=600 * each)
            found = recommend(history, Signals(told, Fleet(wanted, wanted, kind="a"), SEED), GOALS, now)
            history, wanted = found.history, found.replicas
        return wanted

    assert after(400) > after(200)


rates = st.lists(st.one_of(st.none(), st.floats(0, 200)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(rates, st.integers(1, 5), st.integers(0, 30), st.sampled_from(["auto", "queueDepth", "latency"]))
def test_never_outside_the_bounds_and_never_down_unseen(
    told: list[float | None], lowest: int, more: int, mode: str
) -> None:
    world = World(replace(GOALS, lowest=lowest, highest=lowest + more, mode=mode), begin=lowest)
    for rate in told:
        before = world.wanted
        world.look(rate, waiting=0 if rate is None else int(rate))
        assert lowest <= world.wanted <= lowest + more
        assert rate is not None or world.wanted >= before


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.1, 100), max_size=60), st.floats(0.1, 100), st.floats(1, 4), st.integers(0, 50))
def test_more_load_is_never_fewer_replicas(before: list[float], rate: float, times: float, waiting: int) -> None:
    world = World()
    for each in before:
        world.look(each)
    now, fleet = world.now + 15.0, Fleet(world.wanted, world.ready, len(world.births), kind="a")

    def needs(rate: float, waiting: int) -> int:
        told = Signals(load(now, rate, waiting=waiting), fleet, SEED)
        return recommend(world.history, told, GOALS, now).replicas

    assert needs(rate * times, waiting) >= needs(rate, waiting)
    assert needs(rate, waiting + 100) >= needs(rate, waiting)


def test_more_load_is_never_fewer_replicas_whatever_was_learned() -> None:
    """Calm hours and wild ones, so that plans by burstiness differ and forecasts take turns."""
    random, world = Random(5), World()
    for look in range(1500):
        world.look(20.0 * random.lognormvariate(0.0, 0.6 if look // 60 % 2 else 0.05))
        now, fleet = world.now + 15.0, Fleet(world.wanted, world.ready, len(world.births), kind="a")
        rate = random.uniform(0.1, 90.0)
        said = [
            recommend(world.history, Signals(load(now, each), fleet, SEED), GOALS, now).replicas
            for each in (rate, rate * random.uniform(1.0, 4.0))
        ]
        assert said == sorted(said)


@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.floats(0.5, 100), st.floats(1.0, 10.0), st.floats(10.0, 600.0))
def test_a_fixed_point_stays(rate: float, carries: float, cold: float) -> None:
    world = World(carries=carries, cold=cold)
    world.run(rate, 1500)
    said = world.run(rate, 400)
    # A replica more or less is the edge of what the histogram's bins tell apart: there it may turn once in ten minutes.
    assert max(said) - min(said) <= max(1, 0.06 * max(said))
    assert turns(said) <= 10


def plain(goals: Goals, rates: list[float]) -> list[int]:
    """Replicas under a plain target: a replica carries 2 requests a second, and what it gets beyond that waits."""
    history, now, wanted, waiting = History(), 1_000_000.0, 2, 0.0
    said = []
    for rate in rates:
        now += 15.0
        waiting = max(0.0, waiting + 15 * (rate - 2 * wanted))
        each = min(rate / wanted / 2, 0.99)
        told = load(now, rate, waiting=round(waiting))
        told = replace(told, ttft=0.1 / (1 - each), tpot=0.02 + 0.02 * each, missed=told.judged if waiting > 4 else 0)
        found = recommend(history, Signals(told, Fleet(wanted, wanted, kind="a")), goals, now)
        history, wanted = found.history, found.replicas
        said.append(wanted)
    return said


@pytest.mark.parametrize("mode", ["queueDepth", "latency"])
def test_plain_targets(mode: str) -> None:
    goals = replace(GOALS, mode=mode, settle=120.0)
    said = plain(goals, [8.0] * 200 + [2.0] * 200)
    assert 4 <= said[199] <= 6
    assert set(said[150:200]) == {said[199]}
    assert said[-1] <= 3


def test_a_clock_that_goes_back_counts_as_standing_still() -> None:
    world = World()
    world.run(20.0, 50)
    fleet = Fleet(world.wanted, world.ready, kind="a")
    found = recommend(world.history, Signals(load(world.now - 500, 20.0), fleet, SEED), GOALS, world.now - 500)
    assert found.history.looked == world.history.looked
