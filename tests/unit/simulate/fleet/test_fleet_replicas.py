"""How replicas begin, end, die and are billed, and where they find room."""

from __future__ import annotations

import pytest

from inferops.simulate.scaling.scenario import ClusterFigures, ColdStart, Outage, Request
from unit.simulate.fleet.services import AT_ONCE, Told, played, poisson

ONE = [Request(0.0, 100, 1)]
LATE = [*ONE, Request(1000.0, 100, 1)]  # the run goes on for a thousand seconds


def counts(rule: Told) -> dict[float, tuple[int, int, int]]:
    """What was ready, starting and homeless at each look."""
    return {seen.now: (seen.ready, seen.starting, seen.homeless) for seen in rule.seen}


def starts(rule: Told) -> list[float]:
    return [seconds for seen in rule.seen for seconds in seen.started]


def test_a_replica_is_ready_after_all_parts_of_its_start_and_pulls_once_a_node():
    rule = Told(lambda now: 2 if now >= 20 else 1)
    played(LATE, rule, gpus=8)
    assert starts(rule) == [100.0], "2 to schedule, 20 to pull, 60 to load, 18 to warm up"
    assert (counts(rule)[110.0], counts(rule)[120.0]) == ((1, 1, 0), (2, 0, 0))
    rule = Told(lambda now: 2 if now >= 20 else 1)
    played(LATE, rule, gpus=1)
    assert starts(rule) == [80.0], "the node of the first has the image"


def test_replicas_that_start_on_one_node_wait_for_one_pull():
    rule = Told(lambda now: 9 if now >= 20 else 0)
    played([Request(500.0, 100, 1)], rule, begin=0, lowest=0)
    assert starts(rule) == [100.0] * 9, "eight on the first node, one on the second"


def test_nodes_are_added_up_to_the_limit_and_those_beyond_wait():
    cluster = ClusterFigures(replicas=1, provisioned=2)
    rule = Told(lambda now: 5 if now >= 20 else 1)
    played(LATE, rule, gpus=8, clusters=(cluster,))
    assert starts(rule) == [220.0] * 2, "120 s for a node before the 100"
    assert counts(rule)[990.0] == (3, 2, 2)


def test_a_node_that_was_added_stays_for_a_while_with_its_image():
    cluster = ClusterFigures(replicas=1, provisioned=1)
    for again, seconds in ((700.0, 80.0), (950.0, 220.0)):
        rule = Told(lambda now, again=again: 2 if 20 <= now < 300 or now >= again else 1)
        played([*ONE, Request(1300.0, 100, 1)], rule, gpus=8, clusters=(cluster,))
        assert starts(rule) == [220.0, seconds]


def test_room_that_is_made_goes_to_those_without():
    rule = Told(lambda now: 3 if now < 300 else 2)
    played(LATE, rule, gpus=8, begin=2, clusters=(ClusterFigures(replicas=2),), outages=(Outage(100.0, "replica"),))
    assert counts(rule)[90.0] == (2, 1, 1)
    assert counts(rule)[110.0] == (1, 2, 1), "the one that waited longest takes the place of the dead, which waits"
    assert counts(rule)[310.0] == (2, 0, 0)


def test_pending_replicas_go_first_the_newest_before_others():
    rule = Told(lambda now: 4 if now < 50 else 2)
    result = played(LATE, rule, begin=2)
    assert counts(rule)[60.0] == (2, 0, 0)
    assert result.replica_hours == pytest.approx((2 * result.seconds + 2 * 40.0) / 3600)


def test_a_replica_is_billed_until_its_drain_ends():
    long = Request(1.0, 100, 3000)  # some 30 s
    rule = Told(lambda now: 1 if now >= 10 else 2)
    result = played([Request(0.0, 100, 6000), long], rule, begin=2)
    alone = played([long], Told(1))
    assert alone.seconds > 30
    assert result.replica_hours * 3600 == pytest.approx(result.seconds + alone.seconds)
    assert result.met == 2, "what runs on a replica that drains goes on"


def test_the_cheapest_cluster_is_filled_first_and_billed_as_it_costs():
    clusters = (ClusterFigures("dear", 5, price=4.0), ClusterFigures("cheap", 2, price=1.0))
    result = played(LATE, Told(3), begin=3, clusters=clusters)
    assert result.cost == pytest.approx((2 * 1.0 + 4.0) * result.seconds / 3600)
    assert result.gpu_hours == result.replica_hours == pytest.approx(3 * result.seconds / 3600)


def test_a_cluster_that_is_gone_is_replaced_elsewhere():
    clusters = (ClusterFigures("a", 2), ClusterFigures("b", 3, price=2.0))
    rule = Told(3)
    played(LATE, rule, begin=3, clusters=clusters, outages=(Outage(200.0, "cluster", 300.0, "a"),), gpus=8)
    assert counts(rule)[210.0] == (1, 2, 0), "on two other nodes of b"
    assert counts(rule)[310.0] == (3, 0, 0)


def test_those_without_a_node_find_one_when_the_cluster_is_back():
    rule = Told(2)
    played(LATE, rule, begin=2, outages=(Outage(200.0, "cluster", 300.0),))
    assert counts(rule)[490.0] == (0, 2, 2)
    assert counts(rule)[510.0] == (0, 2, 0)
    assert counts(rule)[610.0] == (2, 0, 0), "it had no image any more"


def test_a_number_starts_in_the_same_time_under_every_rule():
    drawn = ColdStart(spread=0.5)
    first, second = Told(lambda now: 5 if now >= 20 else 1), Told(lambda now: 3 if now >= 60 else 1)
    for rule in (first, second):
        played(LATE, rule, cold=drawn, gpus=8)
    assert len(starts(first)) == 4
    assert {round(seconds, 6) for seconds in starts(second)} <= {round(seconds, 6) for seconds in starts(first)}


def test_changes_and_turns_are_counted():
    rule = Told(lambda now: {20: 3, 30: 3, 40: 5, 50: 2, 60: 4}.get(int(now), 4))
    result = played(LATE, rule, begin=1)
    # 10 s: 1 to 4, then 3, 5, 2, 4
    assert (result.changes, result.turns) == (5, 4)


def test_a_rule_is_kept_within_the_bounds():
    for wanted, kept in ((0, 2), (9, 3)):
        rule = Told(wanted)
        played(LATE, rule, lowest=2, highest=3, begin=2, cold=AT_ONCE)
        assert rule.seen[-1].wanted == rule.seen[-1].ready == kept


def test_the_mean_of_a_drawn_part_is_what_is_said():
    rule = Told(lambda now: 400 if now >= 20 else 1)
    played(LATE, rule, cold=ColdStart(schedule=0, pull=0, load=100.0, warm=0, spread=0.3), gpus=8)
    assert sum(starts(rule)) / len(starts(rule)) == pytest.approx(100.0, rel=0.03)


def test_a_run_is_the_same_each_time():
    requests = poisson(20, 300)
    outages = (Outage(50.0, "replica"), Outage(100.0, "replica"))
    given = {"cold": ColdStart(spread=0.4), "begin": 4, "outages": outages, "gpus": 8}
    first, second = (played(requests, Told(lambda now: 2 + int(now) // 40), **given) for _ in range(2))
    assert first == second
    other = played(requests, Told(lambda now: 2 + int(now) // 40), **given, seed=1)
    assert other.ttft != first.ttft
