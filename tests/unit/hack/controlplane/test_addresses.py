"""The clusters of a namespace share no address, and all that they bind is inside what the namespace routes."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane import BenchError
from controlplane.addresses import LOCAL_RANGE, MAX_CLUSTERS, addresses_of

INDEXES = range(MAX_CLUSTERS)


def test_the_first_cluster_reads_as_documented():
    hub = addresses_of(0)
    assert hub.server == "https://10.244.0.1:6443"
    assert hub.etcd == "http://10.244.0.1:2379"
    assert [str(part) for part in (hub.cluster, hub.nodes, hub.pods, hub.services)] == [
        "10.244.0.0/16",
        "10.244.64.0/18",
        "10.244.128.0/17",
        "10.96.0.0/16",
    ]


@pytest.mark.parametrize("index", INDEXES)
def test_the_parts_of_a_cluster_are_its_own_and_can_be_bound(index: int):
    of = addresses_of(index)
    assert of.cluster.subnet_of(LOCAL_RANGE)
    assert of.host in of.cluster and of.host not in of.nodes and of.host not in of.pods
    assert of.nodes.subnet_of(of.cluster) and of.pods.subnet_of(of.cluster) and not of.nodes.overlaps(of.pods)
    assert not of.services.overlaps(LOCAL_RANGE)  # else it would look reachable
    assert of.service_host in of.services


def test_no_two_clusters_share_an_address():
    for one, other in combinations(map(addresses_of, INDEXES), 2):
        assert not one.cluster.overlaps(other.cluster)
        assert not one.services.overlaps(other.services)


@given(st.integers().filter(lambda index: index not in INDEXES))
def test_any_other_index_is_refused_by_name(index: int):
    with pytest.raises(BenchError, match=f"^index: {index} is not one of 0 to 3"):
        addresses_of(index)
