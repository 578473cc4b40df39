"""The small parts: quantiles in bounded memory, balancing by load, room on nodes."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.simulate.fleet.balance import Balance
from inferops.simulate.fleet.distribution import SHARES, Distribution
from inferops.simulate.fleet.places import KEPT, Places
from inferops.simulate.fleet.replica import Replica
from inferops.simulate.scaling.scenario import ClusterFigures
from unit.simulate.fleet.services import ENGINE


@given(st.lists(st.floats(0, 1e6).map(lambda value: value if value > 1e-9 else 0.0), min_size=1), st.integers(0, 50))
def test_quantiles_are_exact_first_and_then_within_a_hundredth(values, exact):
    spread = Distribution(exact)
    for number, value in enumerate(values):
        spread.add(value)
        if number % 7 == 0:
            spread.settle()
    found = spread.summary()
    assert len(spread) == len(values)
    assert found["mean"] == pytest.approx(sum(values) / len(values))
    within = 0.0 if len(values) <= exact else 0.005
    for name, share in SHARES.items():
        assert found[name] == pytest.approx(sorted(values)[ceil(share * len(values)) - 1], rel=within + 1e-12, abs=0)


def test_of_nothing_there_are_no_quantiles():
    assert Distribution().summary() == {}


def test_memory_does_not_grow_with_what_is_added():
    spread = Distribution(exact=100)
    for number in range(10_000):
        spread.add(0.01 + number % 500)
        if number % 100 == 0:
            spread.settle()
    assert len(spread._values) <= 101 and len(spread._buckets) < 1100


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "load", "unload"]), st.integers(0, 9)), max_size=80))
def test_balance_always_knows_the_least_loaded(steps):
    balance, here, made = Balance(), [], 0
    for step, which in steps:
        if step == "add":
            made += 1
            here.append(Replica(made, 0.0, ENGINE))
            balance.add(here[-1])
        elif here:
            replica = here[which % len(here)]
            if step == "remove":
                balance.remove(replica)
                here.remove(replica)
            elif step == "load":
                balance.load(balance.pick())
            elif replica.in_flight:
                balance.unload(replica)
        assert (balance.size, balance.total) == (len(here), sum(replica.in_flight for replica in here))
        if here:
            assert balance.least == balance.pick().in_flight == min(replica.in_flight for replica in here)


def test_equals_take_turns():
    balance = Balance()
    for number in range(3):
        balance.add(Replica(number, 0.0, ENGINE))
    order = []
    for _ in range(6):
        replica = balance.pick()
        balance.load(replica)
        balance.unload(replica)
        order.append(replica.number)
    assert order == [0, 1, 2, 0, 1, 2]


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=60), st.integers(1, 6))
def test_no_replica_gets_more_than_its_share_of_sessions(sessions, size):
    balance = Balance()
    for number in range(size):
        balance.add(Replica(number, 0.0, ENGINE))
    for session in sessions:
        total = balance.total
        replica = balance.pick_for(session, 1e9)
        assert replica.in_flight + 1 <= ceil(1.25 * (total + 1) / size)
        balance.load(replica)


def test_sessions_stay_where_they_are_when_a_replica_comes():
    balance = Balance()
    for number in range(4):
        balance.add(Replica(number, 0.0, ENGINE))
    before = {session: balance.pick_for(session, 1e9) for session in range(1000)}
    balance.add(Replica(4, 0.0, ENGINE))
    moved = {session: replica for session in before if (replica := balance.pick_for(session, 1e9)) != before[session]}
    assert 100 < len(moved) < 300 and {replica.number for replica in moved.values()} == {4}


def places(*clusters: ClusterFigures, gpus: int = 4) -> Places:
    return Places(clusters, gpus, lambda: 100.0)


def test_there_is_as_much_room_as_is_said():
    found = places(ClusterFigures(replicas=5, provisioned=3))
    nodes = [found.take(0.0) for _ in range(9)]
    assert [node.up if node else None for node in nodes] == [0.0] * 5 + [100.0] * 3 + [None]
    assert len({id(node) for node in nodes}) == 6, "two on a node, but one on the last of each kind, and none"
    found.give_back(nodes[0], 10.0)
    assert found.take(10.0) is nodes[0]


def test_a_node_with_the_image_comes_before_one_without():
    found = places(ClusterFigures(replicas=4), gpus=8)
    nodes = [found.take(0.0) for _ in range(4)]
    nodes[2].pulled = 5.0
    for node in nodes:
        found.give_back(node, 10.0)
    assert found.take(20.0) is nodes[2]


def test_added_nodes_go_when_nothing_was_on_them_for_a_while():
    found = places(ClusterFigures(replicas=0, provisioned=2))
    node = found.take(0.0)
    node.pulled = 150.0
    found.give_back(node, 200.0)
    assert found.take(200.0 + KEPT - 1) is node
    found.give_back(node, 1000.0)
    other = found.take(1000.0 + KEPT)
    assert other is not node and (other.up, other.pulled) == (1100.0 + KEPT, None)


def test_a_small_node_goes_and_comes_as_others_do():
    found = places(ClusterFigures(replicas=0, provisioned=3))
    nodes = [found.take(0.0) for _ in range(3)]
    assert [node.size for node in nodes] == [2, 2, 1]
    for node in nodes[:2]:
        found.give_back(node, 0.0)
    assert [found.take(KEPT).size for _ in range(2)] == [2, 2] and found.take(KEPT) is None
    found.give_back(nodes[2], KEPT)
    assert found.take(3 * KEPT) is not nodes[2]


def test_a_lost_cluster_keeps_neither_added_nodes_nor_images():
    found = places(ClusterFigures(replicas=1, provisioned=1), gpus=8)
    nodes = [found.take(0.0) for _ in range(2)]
    for node in nodes:
        node.pulled = 5.0
    found.lose("local")
    for node in nodes:
        found.give_back(node, 10.0)
    found.find("local")
    again = [found.take(20.0) for _ in range(2)]
    assert [(node.pulled, node.up) for node in again] == [(None, 0.0), (None, 120.0)]


def test_a_lost_cluster_takes_nobody():
    found = places(ClusterFigures("a", 1, price=1.0), ClusterFigures("b", 1, price=2.0), gpus=8)
    found.lose("a")
    assert found.take(0.0).cluster.name == "b"
    assert found.take(0.0) is None
    found.find("a")
    assert found.take(0.0).cluster.name == "a"
