"""Two replicas of the operator: one leads, the other takes over, and never do both write.

Who wrote is told by the API server's audit log, in which each replica has a user agent of its own. In each test the
leader comes to harm while it has much to write.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster.faultproxy import Fault, FaultProxy
from cluster.services import Say, Services, eventually, gpu_nodes
from controlplane import AuditEvent, Cluster
from harness import ACCOUNT, NAMESPACE, OperatorProcess, install
from inferops.controller.operator import LEASE_NAME
from inferops.kube.client import Client as KubeClient
from inferops.kube.client import KubeError
from inferops.kube.kinds import LEASE, SERVICE
from inferops.kube.lease import Times
from inferops.kube.session import load_configuration
from nodeagent.client import Client, load_kubeconfig

READS = ("get", "list", "watch")
MANY = [f"model-{number}" for number in range(8)]
# A silent death shows when the lease has run out since its last renewal, a release at once. The figures are printed;
# what is asserted leaves room for a machine that has much else to do.
AFTER_DEATH = Times().lease + 5
AFTER_RELEASE = 5.0


@pytest.fixture(scope="module")
def product(cluster: Cluster) -> Iterator[None]:
    """The CRDs and the operator's rights, and nodes enough for all."""
    install(cluster)
    with gpu_nodes(cluster, "1x100xnvidia-h100-80gb", "failover-"):
        yield


class Replicas:
    """The leader and the one that waits."""

    def __init__(self, cluster: Cluster, services: Services) -> None:
        self.cluster, self.services = cluster, services
        self._stack = ExitStack()

    async def start(self, kubeconfig: Path | None = None) -> None:
        """Start both; the leader with a kubeconfig of its own where one is given."""
        await self.services.api.delete(LEASE.path(NAMESPACE, LEASE_NAME))  # what an earlier test left
        self.leader = self._run("leader", kubeconfig)
        await eventually("the first leads", lambda: leads(self.leader))
        self.waiting = self._run("waiting")
        await asyncio.to_thread(self.waiting.wait_ready)
        await self.services.create("first")
        await self.services.ready("first")

    def _run(self, name: str, kubeconfig: Path | None = None) -> OperatorProcess:
        replica = OperatorProcess(self.cluster, name, kubeconfig)
        self._stack.callback(replica.kill)
        return replica

    async def burden(self) -> None:
        """Give the leader much to write, and let it begin."""
        assert await leads(self.leader) and not await leads(self.waiting)
        await self.services.create(*MANY)
        await asyncio.sleep(0.1)

    async def taken_over(self, since: float, within: float) -> float:
        """Wait until the other leads. Returns the seconds since `since`."""
        while not await leads(self.waiting):
            assert time.monotonic() - since < within, self.waiting.tail()
            await asyncio.sleep(0.02)
        return time.monotonic() - since

    async def ended(self) -> int:
        """The exit code of the leader that was, once it has ended."""
        return await asyncio.to_thread(self.leader.process.wait, 30)

    def writes(self, replica: OperatorProcess) -> list[tuple[int, AuditEvent]]:
        """The replica's requests for changes, each with its place in the audit log."""
        mine = f"_{replica.process.pid}_"
        events = enumerate(self.cluster.audit_events())
        return [(place, event) for place, event in events if mine in event.agent and event.verb not in READS]

    async def succeeded(self) -> None:
        """Assert that the new leader finished what the old one began, and that the old one wrote nothing after."""
        names = ["first", *MANY]
        await self.services.ready(*names)
        await self.services.one_pod_each(*names)
        await self.services.whole(*names)
        assert 'result="bug"' not in self.waiting.get("/metrics")[1], self.waiting.tail()
        old, new = self.writes(self.leader), self.writes(self.waiting)
        assert any(event.resource == "deployments" for _, event in old), "the leader was harmed before it began"
        assert any(event.resource != "leases" for _, event in new), "nothing was left for the new leader to write"
        late = [event for place, event in old if place > new[0][0]]
        # To ask for the lease again is how it learns that it has lost it.
        assert [event for event in late if (event.resource, event.code) != ("leases", 409)] == []

    def close(self) -> None:
        self._stack.close()


async def leads(replica: OperatorProcess) -> bool:
    return await asyncio.to_thread(replica.leads)


@pytest.fixture
async def replicas(cluster: Cluster, namespace: str, product: None) -> AsyncIterator[Replicas]:
    async with Client(load_kubeconfig(cluster.kubeconfig)) as api:
        replicas = Replicas(cluster, Services(api, namespace))
        yield replicas
        replicas.close()
        await replicas.services.delete("first", *MANY)


async def test_the_leader_is_killed(replicas: Replicas, say: Say) -> None:
    await replicas.start()
    await replicas.burden()
    replicas.leader.kill()
    say(f"taken over {await replicas.taken_over(time.monotonic(), AFTER_DEATH):.1f} s after SIGKILL")
    await replicas.succeeded()


async def test_the_leader_is_told_to_end(replicas: Replicas, say: Say) -> None:
    await replicas.start()
    await replicas.burden()
    replicas.leader.process.send_signal(signal.SIGTERM)
    say(f"taken over {await replicas.taken_over(time.monotonic(), AFTER_RELEASE):.1f} s after SIGTERM")
    assert await replicas.ended() == 0
    await replicas.succeeded()


async def test_the_leader_freezes_and_awakes(replicas: Replicas, say: Say) -> None:
    await replicas.start()
    await replicas.burden()
    replicas.leader.process.send_signal(signal.SIGSTOP)
    frozen = time.monotonic()
    say(f"taken over {await replicas.taken_over(frozen, AFTER_DEATH):.1f} s after SIGSTOP")
    await replicas.services.ready(*MANY)
    await replicas.services.change("first", {"model": {"revision": "v2"}})  # which the old one hears of as it awakes
    await replicas.services.ready("first")
    await asyncio.sleep(frozen + 20 - time.monotonic())
    replicas.leader.process.send_signal(signal.SIGCONT)
    assert await replicas.ended() == 1
    await replicas.succeeded()


async def test_the_leader_is_cut_off(replicas: Replicas, cluster: Cluster, say: Say) -> None:
    with FaultProxy(cluster.server, cluster.ca) as proxy:
        await replicas.start(proxy.kubeconfig(cluster.kubeconfig_for(NAMESPACE, ACCOUNT), "cut-off"))
        await replicas.burden()
        with proxy.fault(Fault(drop="before")):
            cut = time.monotonic()
            proxy.cut_watches()
            say(f"taken over {await replicas.taken_over(cut, AFTER_DEATH):.1f} s after the line was cut")
            assert await replicas.ended() == 1
        leases = [entry for entry in proxy.journal if "/leases" in entry.path and entry.method != "GET"]
        renewed = max(entry.at for entry in leases if entry.status in (200, 201))
        tried = [entry.at - renewed for entry in proxy.writes(cut)]
        assert tried, "it had nothing to write when the line was cut"
        assert max(tried) < Times().renew_deadline
        await replicas.succeeded()


async def test_a_write_that_was_allowed_is_held_back_when_it_leaves_too_late(cluster: Cluster, product: None) -> None:
    """As in a process that was frozen between the two moments."""
    allowed = iter([True, False])
    with FaultProxy(cluster.server, cluster.ca) as proxy:
        kubeconfig = proxy.kubeconfig(cluster.kubeconfig_for(NAMESPACE, ACCOUNT), "too-late")
        client = KubeClient(await load_configuration(str(kubeconfig)), may_write=lambda: next(allowed))
        try:
            with pytest.raises(KubeError) as held_back:
                await client.delete(SERVICE, "default", "kubernetes", "a-uid")
        finally:
            await client.close()
        assert next(allowed, None) is None, "it was not asked a second time"
        assert held_back.value.status == 0
        assert proxy.journal == []
