"""`make quickstart`: everything installed, a service under traffic, and a line whenever something becomes of it.

It stays until Ctrl-C, for somebody who goes through docs/quickstart.md: `make cluster` in a second terminal opens a
shell in which kubectl works, and what is applied there is told here.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from pathlib import Path

from rich.console import Console

from controlplane import BenchError, Cluster
from controlplane.holder import holding
from demo_rollout import Traffic
from harness import (
    ROOT,
    GatewayProcess,
    OperatorProcess,
    gpu_nodes,
    install,
    install_gateway,
    wait_until,
)
from inferops.api.conditions import ConditionType
from inferops.api.resources import InferenceService
from inferops.cli import rolloutstate as state

SAMPLES = Path("manifests/samples/quickstart")
NAME = "chat"
NODES = "1x4xnvidia-h100-80gb,1x4xnvidia-l4"
SERVICES = "/apis/serving.inferops.dev/v1alpha1/namespaces/default/inferenceservices"
EVERY = 0.5  # seconds between two looks
FOREVER = 86_400.0  # seconds of traffic
NEXT = f"""
[bold]It runs.[/] In a second terminal, in this folder:

  [bold cyan]make cluster[/]                                          [dim]# a shell in which kubectl works[/]
  [bold cyan]kubectl apply -f {SAMPLES}/better.yaml[/]   [dim]# a canary, which is promoted[/]
  [bold cyan]kubectl apply -f {SAMPLES}/worse.yaml[/]    [dim]# one that is rolled back, by itself[/]

Here you see what becomes of it; there, ask `kubectl inferops status chat`, or `why`, or `rollout history`.
Ctrl-C ends all of it.
"""

console = Console(highlight=False, soft_wrap=True)


class Narrator(threading.Thread):
    """Prints a line whenever a service's stands otherwise, with what clients got since the last one."""

    def __init__(self, cluster: Cluster, traffic: Traffic) -> None:
        super().__init__(daemon=True)
        self._cluster, self._traffic, self._over = cluster, traffic, threading.Event()
        self._last: dict[str, str] = {}

    def run(self) -> None:
        while not self._over.wait(EVERY):
            try:
                for item in json.loads(self._cluster.get(SERVICES))["items"]:
                    service = InferenceService.model_validate(item)
                    self._tell(service.metadata.name, line(service))
            except (BenchError, OSError, ValueError) as error:
                self._tell("", f"the API server does not answer as it should: {error}")

    def stop(self) -> None:
        self._over.set()
        self.join(timeout=30)

    def _tell(self, name: str, text: str) -> None:
        if not text or self._last.get(name) == text:
            return
        self._last[name] = text
        got = ", ".join(f"{number}x {code or 'no answer'}" for code, number in sorted(self._traffic.answers.items()))
        self._traffic.answers.clear()
        console.print(f"{time.strftime('%H:%M:%S')}  {name}  {text}", markup=False)
        console.print(f"          clients got {got or 'nothing'} before that", style="dim", markup=False)


def line(service: InferenceService) -> str:
    """Where a service stands; empty while the operator has not looked at the newest spec."""
    if state.behind(service):
        return ""
    why = state.why(service)[1]
    ready = next((each for each in service.status.conditions if each.type == ConditionType.READY), None)
    waits = "" if ready is None or ready.status == "True" or ready.message in why else f"not Ready: {ready.message}"
    # What is weighed, and how far it has come, stands in the status; here whatever is decided.
    stands = state.summary(service).partition(", errorRate ")[0]
    return ": ".join([stands, *filter(None, ("; ".join(filter(None, (why, waits))),))])


def start(cluster: Cluster) -> None:
    """Bring everything up and stay until Ctrl-C or SIGTERM."""
    began = time.monotonic()
    console.print("[bold cyan]==>[/] operator, gateway and simulated GPU nodes")
    install(cluster)
    install_gateway(cluster)
    with gpu_nodes(cluster, NODES, "--load-seconds", "6"), OperatorProcess(cluster) as operator:
        wait_until("the operator leads", operator.leads, 30)
        with GatewayProcess(cluster, 0) as gateway:
            console.print(f"[bold cyan]==>[/] kubectl apply -f {SAMPLES}/chat.yaml")
            cluster.kubectl("apply", "-f", str(ROOT / SAMPLES / "chat.yaml"))
            cluster.kubectl("wait", "--for=condition=Ready", f"infs/{NAME}", "--timeout=120s")
            console.print(
                f"{NAME} is Ready, {time.monotonic() - began:.0f} s after the API server; clients ask from now on"
            )
            # From here on only threads are started, which are to leave these signals to this one.
            ends = {signal.SIGINT, signal.SIGTERM}
            signal.pthread_sigmask(signal.SIG_BLOCK, ends)
            with Traffic(gateway, NAME, FOREVER, stream=True) as traffic:
                console.print(NEXT)
                narrator = Narrator(cluster, traffic)
                narrator.start()
                signal.sigwait(ends)
                console.print("ending")
                narrator.stop()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)


def main() -> int:
    try:
        console.print("[bold cyan]==>[/] a real control plane: etcd, kube-apiserver, controllers, scheduler")
        with holding(1) as clusters:
            start(clusters[0])
    except (BenchError, TimeoutError, RuntimeError) as error:
        console.print(f"\n[bold red]{error}[/]", markup=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
