"""A real local Kubernetes without Docker and without root, from etcd to the scheduler; only nodes are missing.

    binaries = find_binaries()  # built once, into the user's cache; needs the network, so it comes first
    enter()                     # this process moves into a network namespace of the bench's own
    with Cluster("hub", index=0, binaries=binaries) as hub, Cluster("member", index=1, binaries=binaries) as member:
        hub.kubectl("apply", "-f", "-", input=manifest)
        subprocess.run(["inferops", "run"], env=hub.environ)

Tests use the fixtures of tests/cluster/conftest.py instead. People use `python -m controlplane shell`, with the
folder hack on PYTHONPATH.

A cluster has no nodes of its own: pods wait until something plays kubelet. What does so from Python, in this
process or in a child of it, needs four facts:

- `cluster.kubeconfig` is the admin's. A node that wants to be held to what a kubelet may do (node authorization,
  NodeRestriction) takes `cluster.kubeconfig_for_user(f"system:node:{name}", ["system:nodes"])`.
- Every address of `cluster.pod_cidr` and `cluster.node_cidr` can be bound, by as many listeners as one likes. A
  server bound to a pod's address is reached from every process inside, through EndpointSlices, and through the API
  server's pod and service proxies, as soon as the pod's status has that address as `podIP` and `podIPs`. No controller
  hands out addresses or `podCIDR`: whoever plays kubelet counts through `pod_cidr`.
- A node's InternalIP out of `node_cidr`, with a server on the port in its `status.daemonEndpoints`, is where the API
  server asks for logs (TLS, any certificate).
- Service addresses lead nowhere: there is no kube-proxy. Webhooks by Service are reached all the same, at their pods.

Start clusters and restart components from the main thread, before or after other threads run; `enter` wants to be
called while there is one thread.
"""

from __future__ import annotations

from controlplane.api import ApiError
from controlplane.binaries import Binaries, find_binaries
from controlplane.cluster import Cluster
from controlplane.counts import AuditEvent, write_counts
from controlplane.errors import BenchError
from controlplane.namespace import enter

__all__ = ["ApiError", "AuditEvent", "BenchError", "Binaries", "Cluster", "enter", "find_binaries", "write_counts"]
