"""One service that follows its load on a bench cluster: the product around it, all of which may be hurt."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from controlplane import Cluster
from harness import NAMESPACE, GatewayProcess, OperatorProcess, gpu_nodes, install, install_gateway, wait_until
from inferops.api import API_VERSION
from inferops.controller.operator import LEASE_NAME

# One L4 carries a request or two a second of these: few enough for one machine to send ten times as many.
MODEL = "hf://meta-llama/Llama-3.1-8B-Instruct"
ACCELERATOR = "nvidia-l4"
AT_ONCE = 4  # requests that a replica is sent
TOKENS = 32  # of an answer
TTFT, TPOT = 4.0, 0.1  # seconds


class Stage:
    """Operator, two gateways and nodes."""

    def __init__(self, cluster: Cluster, stack: ExitStack, agent: subprocess.Popen[bytes]) -> None:
        """`agent`: the process that plays the nodes, and runs the engines."""
        self.cluster, self._stack, self._agent = cluster, stack, agent
        self.gateways = [GatewayProcess(cluster, number, ("--drain-delay", "0.5")) for number in range(2)]
        self.start_operator()
        for gateway in self.gateways:
            stack.enter_context(gateway)

    @property
    def urls(self) -> list[str]:
        return [gateway.url for gateway in self.gateways]

    def start_operator(self) -> None:
        """Returns when it leads."""
        self.operator = self._stack.enter_context(OperatorProcess(self.cluster))
        wait_until("the operator leads", self.operator.leads, 30)

    def kill_operator(self) -> None:
        """SIGKILL. The next one need not wait for the lease to run out: how long that takes is not our matter."""
        self.operator.kill()
        self.cluster.kubectl("delete", "lease", LEASE_NAME, "-n", NAMESPACE)

    def tell(self, *, metrics: bool) -> None:
        """Whether gateways and engines tell what is asked for. Requests get on either way."""
        self._agent.send_signal(signal.SIGUSR2 if metrics else signal.SIGUSR1)
        for gateway in self.gateways:
            gateway.tell(metrics=metrics)

    def apply(self, namespace: str, name: str, scaling: Mapping[str, Any]) -> None:
        """A service that scales as told."""
        self.cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(manifest(namespace, name, scaling)))


def manifest(namespace: str, name: str, scaling: Mapping[str, Any]) -> dict[str, Any]:
    """The service."""
    return {
        "apiVersion": API_VERSION,
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"uri": MODEL, "maxModelLen": 4096},
            "accelerators": [{"type": ACCELERATOR}],
            "slo": {"ttft": f"{TTFT * 1000:.0f}ms", "tpot": f"{TPOT * 1000:.0f}ms"},
            "load": {"promptTokens": 32, "outputTokens": TOKENS},
            "scaling": scaling,
            "traffic": {"maxConcurrency": AT_ONCE, "queueTimeout": "2m", "maxQueue": 2000},
        },
    }


@contextmanager
def staged(cluster: Cluster, gpus: int, load_seconds: float, prefix: str) -> Iterator[Stage]:
    """The product, and so many GPUs on one node, on which pods come and go quickly and engines take real time."""
    pace = ("--time-scale", "10", "--engine-time-scale", "1", "--load-seconds", str(load_seconds))
    with ExitStack() as stack:
        agent = stack.enter_context(gpu_nodes(cluster, f"1x{gpus}x{ACCELERATOR}", "--name-prefix", prefix, *pace))
        install(cluster)
        install_gateway(cluster)
        yield Stage(cluster, stack, agent)
