"""No two pods and no two nodes ever have the same address, and all are in the cluster's range."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.addresses import ClusterAddresses, range_around


def test_nodes_and_pods_keep_clear_of_each_other_and_of_the_control_plane():
    cluster = ClusterAddresses("10.246.0.0/16")
    nodes = [cluster.node() for _ in range(256)]
    control_plane = IPv4Network("10.246.0.0/18")
    own = [IPv4Address(node.node) for node in nodes]
    assert len(set(own)) == len({node.network for node in nodes}) == 256
    assert not any(address in control_plane for address in own)
    assert not any(node.network.overlaps(control_plane) for node in nodes)
    assert not any(address in node.network for address in own for node in nodes)
    with pytest.raises(RuntimeError, match="remove nodes"):
        cluster.node()


@given(st.lists(st.one_of(st.none(), st.integers(0, 200)), max_size=400))
def test_an_address_is_never_given_twice(steps):
    """None takes an address, a number gives the one of that rank back."""
    node = ClusterAddresses("10.244.0.0/16").node()
    held: list[str] = []
    for step in steps:
        if step is None and len(held) < 126:
            address = node.take()
            assert address not in held
            assert IPv4Address(address) in node.network
            held.append(address)
        elif step is not None and held:
            node.release(held.pop(step % len(held)))


def test_a_full_node_says_so_and_a_freed_address_is_found_again():
    node = ClusterAddresses("10.244.0.0/16").node()
    addresses = [node.take() for _ in range(126)]
    with pytest.raises(RuntimeError, match="no free pod address"):
        node.take()
    node.release(addresses[60])
    assert node.take() == addresses[60]


def test_an_address_rests_before_it_is_given_again():
    node = ClusterAddresses("10.244.0.0/16").node()
    first = node.take()
    node.release(first)
    assert node.take() != first


def test_a_pod_that_had_an_address_gets_it_back():
    node = ClusterAddresses("10.244.0.0/16").node()
    wanted = str(node.network[77])
    assert node.take(wanted) == wanted
    assert node.take(wanted) != wanted
    assert node.take("10.9.9.9") in {str(address) for address in node.network}


def test_a_node_that_stands_keeps_its_addresses():
    first = ClusterAddresses("10.244.0.0/16")
    before = first.node(), first.node()
    second = ClusterAddresses("10.244.0.0/16")
    second.reserve([str(before[0].network)])
    again = second.node(str(before[1].network))
    assert (again.node, again.network) == (before[1].node, before[1].network)
    assert second.node().network not in {node.network for node in before}


@pytest.mark.parametrize("given_range", ["10.244.0.0/15", "10.244.0.0/24", "10.244.0.1/16", "pods"])
def test_other_ranges_are_refused(given_range):
    with pytest.raises(ValueError, match=r"cluster_range: .*10\.244\.0\.0/16"):
        ClusterAddresses(given_range)


def test_the_range_is_told_from_the_server_s_address():
    assert range_around("10.245.0.1") == "10.245.0.0/16"
    for host in ("127.0.0.1", "localhost", "api.example.com", "8.8.8.8"):
        with pytest.raises(ValueError, match="cluster_range: not to be told"):
            range_around(host)
