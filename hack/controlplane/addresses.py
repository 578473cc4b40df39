"""Which addresses each cluster of one namespace has: arithmetic, nothing is opened here.

Cluster i lives in 10.(244+i).0.0/16, every address of which can be bound in the bench's namespace. The first
quarter is the control plane's, the second the nodes', the upper half the pods'. Its service addresses, from
10.(96+i).0.0/16, are handed out and lead nowhere, since there is no kube-proxy.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from controlplane.errors import BenchError

LOCAL_RANGE = IPv4Network("10.244.0.0/14")  # what the namespace routes to itself
MAX_CLUSTERS = 4  # the /16 ranges in it

ETCD_PORT = 2379
ETCD_PEER_PORT = 2380
APISERVER_PORT = 6443
CONTROLLER_MANAGER_PORT = 10257
SCHEDULER_PORT = 10259


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of one cluster. No two clusters of a namespace share any of them."""

    host: IPv4Address  # where etcd, the API server, the controller manager and the scheduler listen
    cluster: IPv4Network  # all that follows but the services
    nodes: IPv4Network
    pods: IPv4Network
    services: IPv4Network

    @property
    def server(self) -> str:
        return f"https://{self.host}:{APISERVER_PORT}"

    @property
    def etcd(self) -> str:
        return f"http://{self.host}:{ETCD_PORT}"

    @property
    def service_host(self) -> IPv4Address:
        """The address of the Service default/kubernetes: the first of the services."""
        return self.services[1]


def addresses_of(index: int) -> Addresses:
    """The addresses of the cluster with this index, 0 to 3.

    Raises `BenchError` for any other index.
    """
    if not 0 <= index < MAX_CLUSTERS:
        raise BenchError(f"index: {index} is not one of 0 to {MAX_CLUSTERS - 1}, the clusters one namespace holds")
    cluster = list(LOCAL_RANGE.subnets(new_prefix=16))[index]
    lower, pods = cluster.subnets()
    own, nodes = lower.subnets()
    return Addresses(
        host=own[1], cluster=cluster, nodes=nodes, pods=pods, services=IPv4Network(f"10.{96 + index}.0.0/16")
    )
