"""The product on a bench cluster as a stage: operator, gateways, engines; and what the API server tells of it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager

from cluster.replicas import admin
from cluster.services import OPERATOR, denied
from cluster.watched import Watched
from controlplane import Cluster
from harness import (
    NAMESPACE,
    GatewayProcess,
    OperatorProcess,
    environ,
    gpu_nodes,
    install,
    install_gateway,
    wait_until,
)
from inferops.controller.operator import LEASE_NAME
from inferops.kube.kinds import LEASE

# Pods come and go faster than in real life; engines are as fast as real ones, and load in two seconds.
PACE = ("--time-scale", "10", "--engine-time-scale", "1", "--load-seconds", "2")


class Stage:
    """The product with two gateways, in a namespace in which scenes play. The operator may be killed."""

    def __init__(self, cluster: Cluster, stack: ExitStack, namespace: str) -> None:
        self.cluster, self.namespace, self._stack = cluster, namespace, stack
        self.gateways = [GatewayProcess(cluster, number, ("--drain-delay", "0.5")) for number in range(2)]
        self.start_operator()
        for gateway in self.gateways:
            stack.enter_context(gateway)
        cluster.kubectl("create", "namespace", namespace)
        cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", namespace, "--timeout=30s")

    def start_operator(self) -> None:
        """Returns when it leads."""
        self.operator = self._stack.enter_context(OperatorProcess(self.cluster))
        wait_until("the operator leads", self.operator.leads, 30)

    async def kill_operator(self) -> None:
        """SIGKILL, and another at once, as if the lease had run out: how long that takes is not our matter."""
        self.operator.kill()
        await self.api.delete(LEASE.path(NAMESPACE, LEASE_NAME))
        await asyncio.to_thread(self.start_operator)

    async def open(self, stack: AsyncExitStack) -> None:
        """What needs a running loop."""
        self.api = await stack.enter_async_context(admin(self.cluster))
        self.watched = await stack.enter_async_context(Watched(self.api, self.namespace))

    def cli(self, *command: str) -> str:
        """What `inferops …` prints, for this namespace, as the admin. Raises RuntimeError with what it says instead."""
        options = ("--namespace", self.namespace, "--kubeconfig", str(self.cluster.kubeconfig))
        done = subprocess.run(
            [sys.executable, "-m", "inferops", *command, *options],
            env=environ(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"inferops {' '.join(command)}: exit code {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def diagnosis(self, name: str) -> Iterator[str]:
        """What may tell why a scene failed: what the gateways sent to whom, and the operator's last words."""
        yield from self.operator.tail(12).splitlines()
        for gateway in self.gateways:
            lines = gateway.get("/metrics")[1].splitlines()
            yield from (each for each in lines if "attempts_total{" in each and f'service="{name}"' in each)

    def sound(self) -> None:
        """The operator came upon nothing that it does not know, and had all the rights that it needs."""
        assert not denied(self.cluster)
        assert 'result="bug"' not in self.operator.get("/metrics")[1], self.operator.tail()

    def written(self, name: str) -> list[tuple[str, str, str]]:
        """What the operator wrote for a service: verb, resource and name, in order. Events are no state."""
        return [
            (event.verb, event.resource, event.name)
            for event in self.cluster.audit_events()
            if event.user == OPERATOR
            and event.namespace == self.namespace
            and event.verb not in ("get", "list", "watch")
            and event.resource != "events"
            and (event.name == name or event.name.startswith(f"{name}-"))
        ]


@contextmanager
def staged(cluster: Cluster, nodes: str, namespace: str) -> Iterator[Stage]:
    """The product with two gateways, and nodes such as `2x8xnvidia-h100-80gb`."""
    with ExitStack() as stack:
        stack.enter_context(gpu_nodes(cluster, nodes, "--name-prefix", f"{namespace}-", *PACE))
        install(cluster)
        install_gateway(cluster)
        yield Stage(cluster, stack, namespace)
