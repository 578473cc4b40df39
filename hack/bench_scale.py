"""`make bench`: a thousand InferenceServices at once: how fast, with how much memory, and how silent afterwards.

Prints figures; judges nothing. Run on a machine that does nothing else. Writes are the API server's own count of
mutating requests, Leases left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable

from rich.console import Console

from controlplane import Cluster, enter, find_binaries
from harness import OperatorProcess, cpu_seconds, gpu_nodes, install, wait_until
from inferops.kube.client import METADATA_ONLY, Client
from inferops.kube.kinds import BUDGET, DEPLOYMENT, INFERENCE_SERVICE, RECORD, SERVICE, Kind
from inferops.kube.owned import Object
from inferops.kube.session import load_configuration

console = Console(highlight=False, soft_wrap=True)
NAMESPACE = "bench"
GPUS_A_NODE = 8
AT_A_TIME = 16
MIB = 1024 * 1024
# What the operator creates for each service, and how many of each.
CHILDREN = {DEPLOYMENT: 1, SERVICE: 2, BUDGET: 1, RECORD: 1}
# Written by the operator, or because of it; Leases and the nodes' heartbeats are not.
QUIET = ("leases", "nodes", "nodes/status")


def service(number: int) -> Object:
    return {
        "apiVersion": "serving.inferops.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": f"model-{number:04}", "namespace": NAMESPACE},
        "spec": {
            "model": {"uri": "hf://meta-llama/Llama-3.1-8B-Instruct"},
            "accelerators": [{"type": "nvidia-h100-80gb", "count": 1}],
        },
    }


def writes(cluster: Cluster) -> Counter[str]:
    """Mutating requests so far by resource and verb, but for those of heartbeats."""
    counts: Counter[str] = Counter()
    for (resource, verb), number in cluster.write_counts().items():
        if resource not in QUIET:
            counts[f"{verb} {resource}"] += int(number)
    return counts


def count(cluster: Cluster, kind: Kind) -> int:
    """How many of the operator's objects there are.

    By metadata alone and from the API server's cache: counting is not to slow down what is counted, and the cache may
    be late but never tells of what is not there.
    """
    path = kind.path(NAMESPACE) + "?resourceVersion=0&labelSelector=app.kubernetes.io%2Fmanaged-by%3Dinferops"
    return len(json.loads(cluster.get(path, METADATA_ONLY))["items"] or ())  # of none it says null


def ready(cluster: Cluster) -> int:
    path = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
    answer = cluster.kubectl("get", "infs", "-n", NAMESPACE, "-o", f"jsonpath={path}")
    return answer.split().count("True")


def nodes_for(services: int) -> str:
    """Nodes with a GPU for each service, and some to spare."""
    return f"{-(-services // GPUS_A_NODE) + 1}x{GPUS_A_NODE}xnvidia-h100-80gb"


def figure(name: str, value: str) -> None:
    console.print(f"  {name:<58} {value}")


async def create_all(cluster: Cluster, services: Iterable[Object]) -> None:
    """Create all services, many at a time, as the admin."""
    client = Client(await load_configuration(str(cluster.kubeconfig)), timeout=60)
    left = iter(services)

    async def creator() -> None:
        for each in left:
            await client.create(INFERENCE_SERVICE, each)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_A_TIME):
                group.create_task(creator())
    finally:
        await client.close()


def apply_all(cluster: Cluster, operator: OperatorProcess, services: int) -> None:
    """Create everything at once and time the way to all children and to all Ready."""
    started, cpu, peak = time.monotonic(), operator.cpu_seconds(), 0
    others = {name: cpu_seconds(pid) for name, pid in cluster.pids().items()}
    asyncio.run(create_all(cluster, map(service, range(services))))
    figure("all InferenceServices accepted after", f"{time.monotonic() - started:.1f} s")
    wanted = {kind: number * services for kind, number in CHILDREN.items()}
    while wanted and time.monotonic() - started < 600:
        time.sleep(1)
        peak = max(peak, operator.rss())
        for kind, number in tuple(wanted.items()):  # the next is counted once this one is complete
            if count(cluster, kind) < number:
                break
            del wanted[kind]
    figure("all children created after", f"{time.monotonic() - started:.1f} s")
    while ready(cluster) < services and time.monotonic() - started < 900:
        time.sleep(5)
        peak = max(peak, operator.rss())
    figure(f"Ready: {ready(cluster)} of {services} after", f"{time.monotonic() - started:.1f} s")
    figure("operator, resident memory at most", f"{peak / MIB:.0f} MiB")
    figure("operator, CPU", f"{operator.cpu_seconds() - cpu:.1f} s")
    for name, before in others.items():
        figure(f"{name}, CPU", f"{cpu_seconds(cluster.pids()[name]) - before:.1f} s")


def silence(cluster: Cluster, operator: OperatorProcess, seconds: float, what: str) -> None:
    """Count writes for a while."""
    before, cpu, started = writes(cluster), operator.cpu_seconds(), time.monotonic()
    while time.monotonic() - started < seconds:
        time.sleep(min(10.0, seconds))
        console.print(f"  … {what}: {time.monotonic() - started:.0f} of {seconds:.0f} s", style="dim")
    during = writes(cluster) - before
    figure(f"{what}: writes besides Leases in {seconds:.0f} s", str(sum(during.values())))
    for name, number in during.items():
        figure(f"    {name}", str(number))
    figure(f"{what}: operator, CPU", f"{operator.cpu_seconds() - cpu:.2f} s")
    figure(f"{what}: operator, resident memory", f"{operator.rss() / MIB:.0f} MiB")


def settle(cluster: Cluster, timeout: float = 120) -> None:
    """Until the cluster's own controllers have written their last."""
    last = writes(cluster)

    def still() -> bool:
        nonlocal last
        now = writes(cluster)
        same, last = now == last, now
        return same

    wait_until("the cluster at rest", still, timeout, every=10)


def measure(cluster: Cluster, services: int, seconds: float) -> None:
    console.print(f"[bold]{services} InferenceServices applied at once[/]")
    with OperatorProcess(cluster) as operator:
        wait_until("leading", operator.leads, 30)
        figure("operator, resident memory before", f"{operator.rss() / MIB:.0f} MiB")
        apply_all(cluster, operator, services)
        settle(cluster)
        silence(cluster, operator, seconds, "at rest")
    console.print("[bold]the operator restarted[/]")
    before = writes(cluster)
    with OperatorProcess(cluster) as operator:
        took = wait_until("leading", operator.leads, 60)
        figure("leading after", f"{took:.1f} s")
        silence(cluster, operator, min(seconds, 30), "after the restart")
        since = writes(cluster) - before
        figure("writes since before the restart", f"{sum(since.values())} {dict(since) or ''}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--silence", type=float, default=300, help="seconds")
    options = parser.parse_args()
    binaries = find_binaries()
    enter()
    with Cluster("bench", binaries=binaries) as cluster:
        install(cluster)
        cluster.kubectl("create", "namespace", NAMESPACE)
        with gpu_nodes(cluster, nodes_for(options.services), "--mode", "report", timeout=60):
            measure(cluster, options.services, options.silence)


if __name__ == "__main__":
    main()
