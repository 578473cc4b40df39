"""Keeps one node alive in the eyes of the control plane: its Node, its status and its lease."""

from __future__ import annotations

import asyncio
import logging
import random

import aiohttp

from nodeagent.client import MERGE, ApiError, Client, Json
from nodeagent.kubelet import Place
from nodeagent.pace import micro_timestamp, timestamp

logger = logging.getLogger(__name__)

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
KUBELET_PORT = 10250  # where logs are asked for
LEASE_SECONDS = 40  # how long the control plane believes in a lease, as kubelet asks
RENEW_EVERY = 10.0  # seconds
STATUS_EVERY = 300.0  # seconds
HEALTHY = {
    "MemoryPressure": ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    "Ready": ("True", "KubeletReady", "kubelet is posting ready status"),
}


class Registration:
    """A Node and its Lease, for as long as its heart beats."""

    def __init__(self, client: Client, place: Place) -> None:
        self._client = client
        self._place = place
        self._path = f"/api/v1/nodes/{place.name}"
        self._lease = f"{LEASES}/{place.name}"
        self._since = timestamp()
        self._beating: asyncio.Task[None] | None = None

    async def register(self, *, adopt: bool = False) -> None:
        """Create the Node and its Lease, or take over those of that name, and keep them alive from now on.

        Raises ApiError with status 409 when there is such a Node and it is not to be adopted.
        """
        if adopt:
            node = await self._take_over()
        else:
            node = await self._client.create("/api/v1/nodes", self._object())
        await self._claim_lease(node["metadata"]["uid"])
        self._beating = asyncio.create_task(self._beat(), name=f"heart of {self._place.name}")

    async def stop_beating(self) -> None:
        """Let the control plane find out by itself that the node is gone."""
        if self._beating:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)

    async def beat_again(self) -> None:
        """Come back after `stop_beating`: Ready at once."""
        self._since = timestamp()
        await self._renew()
        await self._report()
        self._beating = asyncio.create_task(self._beat(), name=f"heart of {self._place.name}")

    async def remove(self) -> None:
        """Stop, and delete the Node and its Lease."""
        await self.stop_beating()
        await self._client.delete(self._path)
        await self._client.delete(self._lease)

    async def _beat(self) -> None:
        """Renew the lease every 10 s, from a random moment on so that many nodes spread; the status every 5 min."""
        await asyncio.sleep(random.uniform(0, RENEW_EVERY))
        beats = 0
        while True:
            try:
                await self._renew()
                beats += 1
                if beats % int(STATUS_EVERY / RENEW_EVERY) == 0:
                    await self._report()
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                logger.warning("heart beat of %s: %s", self._place.name, error)
            await asyncio.sleep(RENEW_EVERY)

    async def _renew(self) -> None:
        await self._client.patch(self._lease, {"spec": {"renewTime": micro_timestamp()}}, MERGE)

    async def _report(self) -> None:
        await self._client.patch(f"{self._path}/status", {"status": self._status()})

    async def _claim_lease(self, uid: str) -> None:
        owner = {"apiVersion": "v1", "kind": "Node", "name": self._place.name, "uid": uid}
        lease: Json = {
            "metadata": {"name": self._place.name, "namespace": "kube-node-lease", "ownerReferences": [owner]},
            "spec": {
                "holderIdentity": self._place.name,
                "leaseDurationSeconds": LEASE_SECONDS,
                "renewTime": micro_timestamp(),
            },
        }
        try:
            await self._client.create(LEASES, lease)
        except ApiError as error:
            if error.status != 409:
                raise
            await self._client.patch(self._lease, lease, MERGE)

    async def _take_over(self) -> Json:
        labels = {"metadata": {"labels": self._place.profile.labels(self._place.name)}}
        node = await self._client.patch(self._path, labels, MERGE)
        await self._report()
        return node

    def _object(self) -> Json:
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self._place.name, "labels": self._place.profile.labels(self._place.name)},
            "spec": {
                "podCIDR": str(self._place.addresses.network),
                "podCIDRs": [str(self._place.addresses.network)],
                "providerID": f"bench://{self._place.profile.zone}/{self._place.name}",
                "taints": self._place.profile.taints(),
            },
            "status": self._status(),
        }

    def _status(self) -> Json:
        now = timestamp()
        conditions = [
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": now,
                "lastTransitionTime": self._since,
            }
            for kind, (status, reason, message) in HEALTHY.items()
        ]
        return {
            "addresses": [
                {"type": "InternalIP", "address": self._place.addresses.node},
                {"type": "Hostname", "address": self._place.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
            "capacity": self._place.profile.capacity(),
            "allocatable": self._place.profile.allocatable(),
            "conditions": conditions,
            "nodeInfo": {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "osImage": "bench",
                "kernelVersion": "bench",
                "containerRuntimeVersion": "bench://1",
                "kubeletVersion": "v1.34.0-bench",
                "kubeProxyVersion": "",
                "machineID": self._place.name,
                "systemUUID": self._place.name,
                "bootID": self._place.name,
            },
        }
