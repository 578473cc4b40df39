"""Our own rule in a simulation: what it is told, and that it is asked when it wants to be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inferops.core.autoscale.history import History
from inferops.core.autoscale.rule import Recommendation
from inferops.core.autoscale.terms import Goals, Numbers, Seed
from inferops.simulate.fleet import run
from inferops.simulate.scaling import ours
from inferops.simulate.scaling.ours import Ours
from inferops.simulate.scaling.policy import Seen
from inferops.simulate.scaling.scenario import Outage, Request
from unit.simulate.fleet.services import Told, poisson, scenario

GOALS = Goals("auto", 1, 8, ttft=0.5, tpot=0.05)
SEEN = Seen(
    now=30.0, since=15.0, wanted=3, ready=2, starting=1, homeless=1, started=(100.0,), arrivals=40, ended=38,
    tokens_in=400, tokens_out=900, busy=120.0, queued=5.0, waiting=4, running=9, judged=39, missed=2, ttft=0.2,
    tpot=0.01, kv=0.5,
)  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """What the rule is called with; it wants 5 replicas, and to be asked again after 7 s."""
    calls = []

    def recommend(history, signals, goals, now):
        calls.append((history, signals, goals, now))
        return Recommendation(5, "Demand", "because", Numbers(), history._replace(looked=now), 7.0)

    monkeypatch.setattr(ours, "recommend", recommend)
    return calls


def test_the_rule_is_told_what_a_gateway_would_tell(asked):
    seed = Seed(16, 0.1, 0.02, 100.0)
    rule = Ours(GOALS, seed)
    assert rule.look(SEEN) == 5
    ((history, signals, goals, now),) = asked
    assert (history, goals, now, signals.seed, signals.why) == (History(), GOALS, 30.0, seed, "")
    load, fleet = signals.load, signals.fleet
    assert (load.since, load.until, load.arrivals, load.ended) == (15.0, 30.0, 40, 38)
    assert (load.tokens_in, load.tokens_out, load.judged, load.missed) == (400, 900, 39, 2)
    assert (load.ttft, load.tpot, load.waiting) == (0.2, 0.01, 4)
    assert (fleet.wanted, fleet.ready, fleet.starting, fleet.homeless, fleet.started) == (3, 2, 1, 1, (100.0,))


@pytest.mark.parametrize(
    ("case", "most", "ready", "queued", "in_flight"),
    [
        ("engines queue what they are sent", None, 2, 0.0, 13),
        ("with a limit the gateway does", 8, 2, 5.0, 9),
        ("and while nobody is ready", None, 0, 5.0, 9),
    ],
)
def test_who_waits_where(asked, case, most, ready, queued, in_flight):
    Ours(replace(GOALS, most=most)).look(replace(SEEN, ready=ready))
    load = asked[0][1].load
    assert (load.queued, load.in_flight) == (queued, in_flight), case


def test_it_remembers_and_says_when_it_wants_to_look_again(asked):
    rule = Ours(GOALS)
    rule.look(SEEN)
    rule.look(replace(SEEN, since=30.0, now=37.0))
    assert (asked[1][0], rule.every) == (History(looked=30.0), 7.0)


def test_it_is_asked_as_often_as_it_wants_and_told_when_metrics_are_out(asked):
    requests = [*poisson(5, 60), Request(60.0, 10, 1)]
    run(scenario(requests, outages=(Outage(25.0, "metrics", 10.0),)), Ours(GOALS))
    looks = [(now, signals.load is None, bool(signals.why)) for _, signals, _, now in asked]
    assert looks[:4] == [(15.0, False, False), (22.0, False, False), (29.0, True, True), (36.0, False, False)]
    assert asked[3][1].load.since == 22.0


def test_the_rule_itself_brings_more_replicas_for_more_load():
    requests = poisson(4, 240) + [request._replace(time=240 + request.time) for request in poisson(60, 300, seed=2)]
    seed = Seed(32, 0.1, 0.02, 100.0)
    rule = Ours(GOALS, seed)
    result = run(scenario(requests, highest=8, max_concurrency=32, gpus=8), rule)
    wanted = {point.time: point.wanted for point in result.timeline}
    assert wanted[240.0] <= 2 < wanted[480.0] <= 8
    fewer = run(scenario(requests, max_concurrency=32), Told(wanted[240.0]))
    assert result.met > fewer.met
