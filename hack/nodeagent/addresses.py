"""Hands out the addresses of nodes and pods, within the range of one cluster of the bench.

The range is a /16, of which the control plane has the first quarter. Nodes have the second, one address each; pods
have the upper half, cut into one /25 a node.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

NODE_PREFIX = 25  # 126 addresses, for the 110 pods of a usual node


class NodeAddresses:
    """The addresses of one node: `node` is its own, those of `network` are for its pods."""

    def __init__(self, node: str, network: IPv4Network) -> None:
        self.node = node
        self.network = network
        self._last = 0
        self._taken: set[str] = set()

    def take(self, preferred: str | None = None) -> str:
        """A free address; `preferred` when it is one. Raises RuntimeError when none is left.

        Goes round the range before it gives an address again, so that a late packet meets nobody.
        """
        if preferred and preferred not in self._taken and IPv4Address(preferred) in self.network:
            self._taken.add(preferred)
            return preferred
        usable = self.network.num_addresses - 2  # without the network's own and the broadcast address
        for step in range(usable):
            number = (self._last + step) % usable + 1
            address = str(self.network[number])
            if address not in self._taken:
                self._last = number
                self._taken.add(address)
                return address
        raise RuntimeError(f"no free pod address in {self.network}; add nodes")

    def release(self, address: str) -> None:
        """Give an address back."""
        self._taken.discard(address)


class ClusterAddresses:
    """The addresses of a cluster's nodes. Raises ValueError when `cluster_range` is no /16."""

    def __init__(self, cluster_range: str) -> None:
        try:
            whole = IPv4Network(cluster_range)
        except ValueError as error:
            raise ValueError(f"cluster_range: {cluster_range!r} is no range; write 10.244.0.0/16 or such") from error
        if whole.prefixlen != 16:
            raise ValueError(f"cluster_range: {cluster_range} has to be a /16, for example 10.244.0.0/16")
        lower, self._pods = whole.subnets()
        self._nodes = list(lower.subnets())[1]
        self._free = list(self._pods.subnets(new_prefix=NODE_PREFIX))

    def reserve(self, networks: Iterable[str]) -> None:
        """Never hand out `networks`: nodes that stand in the cluster have them."""
        taken = {IPv4Network(network) for network in networks}
        self._free = [network for network in self._free if network not in taken]

    def node(self, network: str | None = None) -> NodeAddresses:
        """The addresses of a new node, or of one that has `network` already. Raises RuntimeError when none is left."""
        if network is not None:
            self.reserve([network])
            chosen = IPv4Network(network)
        elif self._free:
            chosen = self._free.pop(0)
        else:
            raise RuntimeError(f"{self._pods} has no /{NODE_PREFIX} left for another node; remove nodes")
        number = (int(chosen.network_address) - int(self._pods.network_address)) >> (32 - NODE_PREFIX)
        return NodeAddresses(str(self._nodes[number + 1]), chosen)

    def release(self, node: NodeAddresses) -> None:
        """Give a node's addresses back."""
        self._free.append(node.network)


def range_around(server_host: str) -> str:
    """The range of the cluster whose API server has this address: the /16 around it.

    Raises ValueError for a loopback address, a public one or a name.
    """
    try:
        address = IPv4Address(server_host)
    except ValueError:
        address = IPv4Address("127.0.0.1")
    if address.is_loopback or not address.is_private:
        raise ValueError(
            f"cluster_range: not to be told from the server's address {server_host!r}; give it, such as 10.244.0.0/16"
        )
    return str(IPv4Network(f"{address}/16", strict=False))
