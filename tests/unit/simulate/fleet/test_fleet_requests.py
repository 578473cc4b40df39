"""What becomes of requests: at the gateway, at replicas, when these die, and in the counts that rules are shown."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.simulate.batching import Batch
from inferops.simulate.fleet.world import World, run
from inferops.simulate.replay import Arrival, replay
from inferops.simulate.scaling.scenario import ClusterFigures, Outage, Request
from unit.simulate.fleet.services import AT_ONCE, ENGINE, EXACT, Told, played, poisson, scenario


def test_one_replica_serves_as_the_engine_alone_would():
    requests = poisson(8, 200)
    result = played(requests, Told(1))
    served = replay(Batch(ENGINE.timing, ENGINE.kv_tokens), [Arrival(*request[:3]) for request in requests])
    waits = [seq.first_token - seq.arrived for seq in served]
    assert result.ttft["mean"] == pytest.approx(sum(waits) / len(waits), rel=1e-9)
    assert result.ttft["p99"] == pytest.approx(sorted(waits)[-(len(waits) // 100) - 1], rel=1e-6)
    assert result.met == result.requests == len(requests)


def test_what_rules_are_shown_adds_up_to_what_happened():
    requests = [request._replace(output=150) for request in poisson(30, 200)]
    rule = Told(3)
    result = played([*requests, Request(1005.0, 10, 1)], rule, begin=3, max_concurrency=8, queue_timeout=1e4)
    total = Counter()
    for seen in rule.seen:
        for name in ("arrivals", "ended", "judged", "missed", "tokens_in", "tokens_out", "busy", "queued"):
            total[name] += getattr(seen, name)
    assert all(before.now == after.since for before, after in pairwise(rule.seen))
    assert total["arrivals"] == total["ended"] == total["judged"] == len(requests)
    assert total["missed"] == len(requests) + 1 - result.met > 0
    assert (total["tokens_in"], total["tokens_out"]) == (
        sum(r.prompt for r in requests),
        sum(r.output for r in requests),
    )
    # Little's law: the seconds of all requests from arrival to end are those at replicas and those in the gateway.
    spent = sum(seen.ended * (seen.ttft + 149 * seen.tpot) for seen in rule.seen if seen.ended)
    assert total["busy"] < spent < total["busy"] + total["queued"]
    assert spent == pytest.approx(total["busy"] + total["queued"], rel=0.03), "those in engines' queues count twice"
    assert total["queued"] > 0 and rule.seen[-1].waiting == rule.seen[-1].running == 0


def test_the_one_with_the_fewest_requests_gets_the_next():
    long = [Request(0.001 * number, 10, 2000) for number in range(8)]
    rule = Told(4)
    played(long, rule, begin=4)
    assert rule.seen[0].running == 8
    alone = played(long[:2], Told(1))
    assert played(long, Told(4), begin=4).seconds == pytest.approx(alone.seconds, rel=0.01), "two on each"


def test_a_session_finds_its_prefix_again():
    requests = [
        Request(2.0 * turn + session / 10, 3000, 5, session + 1, 2900) for turn in range(20) for session in range(8)
    ]
    strangers = [request._replace(session=0) for request in requests]
    own, others = (played(each, Told(4), begin=4) for each in (requests, strangers))
    assert own.ttft["p50"] < 0.5 * others.ttft["p50"]
    assert own.ttft["p99"] == pytest.approx(others.ttft["p99"], rel=0.2), "the first of each session is computed"


def test_more_than_a_replica_is_sent_waits_in_the_gateway_first_come_first_served():
    requests = [Request(0.0, 10, 100) for _ in range(10)]
    rule = Told(2, every=0.5)
    result = played(requests, rule, begin=2, max_concurrency=1)
    assert (rule.seen[0].running, rule.seen[0].waiting) == (2, 8)
    alone = played(requests[:1], Told(1)).seconds
    assert result.seconds == pytest.approx(5 * alone, rel=0.01)


def test_a_full_queue_turns_away_and_so_does_a_long_wait():
    requests = [Request(0.0, 10, 1000) for _ in range(10)]  # some 10 s each
    result = played(requests, Told(1), max_concurrency=1, max_queue=4)
    assert (result.requests, result.met, result.refused) == (10, 1, 5)
    result = played(requests, Told(1), max_concurrency=1, queue_timeout=25.0)
    assert result.refused == 7, "three begin within 25 s"


def test_a_request_that_no_replica_can_hold_is_turned_away():
    result = played([Request(0.0, 99_999, 3), Request(1.0, 99_999, 1)], Told(1))
    assert (result.refused, result.met + result.refused) == (1, 1)
    assert result.ttft["p50"] > 1


def test_the_way_to_a_cluster_and_back_takes_its_time():
    request = [Request(0.0, 100, 10)]
    near, far = (played(request, Told(1), clusters=(ClusterFigures(delay=delay),)) for delay in (0.0, 0.2))
    assert far.ttft["mean"] == pytest.approx(near.ttft["mean"] + 0.2)
    assert far.tpot["mean"] == pytest.approx(near.tpot["mean"])


def test_requests_that_nothing_was_seen_of_survive_a_replica():
    streaming, waiting = Request(0.0, 10, 3000), Request(9.99, 90_000, 5)  # its prompt takes almost 2 s
    result = played(
        [streaming, waiting], Told(1), begin=1, outages=(Outage(10.5, "replica"),), ttft=200.0, queue_timeout=200.0
    )
    assert (result.requests, result.met, result.unfinished) == (2, 1, 0)
    assert result.ttft["p50"] > 80, "it waited for the new replica"


def test_at_zero_a_request_wakes_the_service_and_silence_sends_it_back():
    rule = Told(1)
    requests = [Request(50.0, 100, 1), Request(500.0, 100, 1)]
    result = played(requests, rule, begin=0, lowest=0, zero_after=60.0, queue_timeout=300.0, gpus=8)
    at = {seen.now: (seen.wanted, seen.ready) for seen in rule.seen}
    assert (at[40.0], at[100.0], at[160.0], at[200.0], at[220.0]) == ((0, 0), (1, 0), (1, 1), (1, 1), (0, 0))
    assert result.ttft["mean"] == pytest.approx((100.0 + 80.0) / 2, abs=0.1)
    assert result.refused == 0


def test_a_service_that_is_never_asked_goes_to_zero():
    rule = Told(1)
    result = run(scenario([], zero_after=60.0, lowest=0, horizon=600.0), rule)
    assert result.replica_hours * 3600 == pytest.approx(60.0)
    assert (result.requests, result.attainment, result.seconds) == (0, 1.0, 600.0)


def test_while_metrics_are_out_a_rule_is_not_asked_unless_it_wants_to_be():
    requests, outage = poisson(5, 100), Outage(25.0, "metrics", 40.0)
    told = Told(2)
    played(requests, told, outages=(outage,))
    assert [seen.now for seen in told.seen[:4]] == [10.0, 20.0, 70.0, 80.0]
    assert told.seen[2].since == 20.0, "what was not shown before is shown now"
    assert sum(seen.arrivals for seen in told.seen if seen.now <= 100) == sum(
        request.time <= 100 for request in requests
    )

    class Asked(Told):
        def blind(self, seen):
            blinded.append(seen)
            return 3

    blinded, asked = [], Asked(2)
    played(requests, asked, outages=(outage,), cold=AT_ONCE)
    assert [seen.now for seen in blinded] == [30.0, 40.0, 50.0, 60.0]
    assert blinded[0].ready == 2 and (blinded[1].ready, blinded[1].arrivals, blinded[1].ttft) == (3, 0, None)


def test_what_has_not_ended_at_the_horizon_is_missed():
    result = played([Request(0.0, 10, 100), Request(9.0, 10, 1000), Request(11.0, 10, 1)], Told(1), horizon=10.0)
    assert (result.requests, result.met, result.unfinished, result.seconds) == (2, 1, 1, 10.0)
    assert result.attainment == 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"requests": [Request(2.0, 1, 1), Request(1.0, 1, 1)]}, "comes after"),
        ({"lowest": 5, "highest": 4}, "lowest"),
        ({"clusters": (ClusterFigures(), ClusterFigures())}, "each name once"),
        ({"outages": (Outage(1.0, "fire"),)}, "there are replica, cluster and metrics"),
        ({"outages": (Outage(1.0, "cluster", 1.0, "mars"),)}, "no cluster 'mars'; there are local"),
    ],
)
def test_what_cannot_be_played_is_said(given, message):
    with pytest.raises(ValueError, match=message):
        run(scenario(**{"requests": [], **given}), Told(1))
    with pytest.raises(ValueError, match="step"):
        run(scenario([]), Told(1), step=0.0)


@st.composite
def upheavals(draw: st.DrawFn) -> dict[str, object]:
    """A busy service that much happens to."""
    gaps = st.floats(0.0, 3.0)
    request = st.tuples(gaps, st.integers(1, 2500), st.integers(1, 600), st.integers(0, 2))
    now, requests = 0.0, []
    for gap, prompt, output, session in draw(st.lists(request, max_size=40)):
        now += gap
        requests.append(Request(now, prompt, output, session, prompt // 2 if session else 0))
    names = ("a", "b")
    outage = st.builds(
        Outage, st.floats(0.0, 60.0), st.sampled_from(["replica", "cluster", "metrics"]), st.floats(0.0, 40.0),
        st.sampled_from(names),
    )  # fmt: skip
    cluster = [
        ClusterFigures(name, draw(st.integers(0, 3)), draw(st.integers(0, 2)), draw(st.sampled_from([0.0, 0.3])))
        for name in names
    ]
    return {
        "requests": requests,
        "engine": draw(st.sampled_from([ENGINE, type(ENGINE)(ENGINE.timing, 3200, 4, 64)])),
        "begin": draw(st.integers(0, 4)),
        "lowest": draw(st.integers(0, 1)),
        "highest": 4,
        "gpus": draw(st.sampled_from([1, 8])),
        "clusters": tuple(cluster),
        "cold": draw(st.sampled_from([AT_ONCE, EXACT])),
        "outages": tuple(draw(st.lists(outage, max_size=4))),
        "max_concurrency": draw(st.sampled_from([None, 1, 3])),
        "max_queue": draw(st.sampled_from([2, 100])),
        "queue_timeout": draw(st.sampled_from([5.0, 200.0])),
        "zero_after": draw(st.sampled_from([None, 4.0])),
        "horizon": draw(st.sampled_from([None, 30.0])),
    }


@settings(max_examples=150)
@given(upheavals(), st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_every_request_ends_once(given, wanted):
    rule = Told(lambda now: wanted[int(now / 7) % len(wanted)], every=7.0)
    world = World(scenario(**given), rule, 10.0, None)
    result = world.run()
    gateway, counters = world._gateway, world._counters
    within = [request for request in given["requests"] if request.time <= (given["horizon"] or 1e9)]
    assert result.requests == len(within)
    assert counters.ended + counters.lost + counters.refused + result.unfinished == result.requests
    assert result.met <= counters.ended
    assert sum(point.judged for point in result.timeline) == counters.judged
    assert sum(point.missed for point in result.timeline) == counters.judged - result.met
    if given["horizon"] is None:
        assert (result.unfinished, gateway._at_replicas, gateway.waiting) == (0, 0, 0)
        assert gateway.queued(0.0) >= -1e-9 and gateway.busy(0.0) >= -1e-9  # sums of differences of times
    balance = gateway.balance
    assert balance.total == sum(replica.in_flight for level in balance._levels for replica in level)
    assert all(seen.busy >= -1e-6 and seen.queued >= -1e-6 and seen.kv <= 1 for seen in rule.seen)
    assert all(seen.ready + seen.starting <= 4 for seen in rule.seen)
