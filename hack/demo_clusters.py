"""`make demo-clusters`: one service over three clusters, all real control planes, as a user would see it.

A hub without GPUs knows three members: on-prem with H100, one in Europe with H200, one in America with L4 and A100 on
spot nodes. A service is placed over them by what is free and what it costs; one cluster is cut off, the others take
over, it comes back, and the surplus drains, while clients ask without pause. Then a new version goes out wave by wave.
Silences are shorter than usual, so that this takes minutes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import yaml

from controlplane import BenchError, Cluster, enter, find_binaries
from demo import console, inferops, show, step
from demo_rollout import Traffic
from harness import (
    NAMESPACE,
    ROOT,
    GatewayProcess,
    OperatorProcess,
    gpu_nodes,
    install,
    install_gateway,
    wait_until,
)
from link import Link

HUB_ACCOUNT = "inferops-hub"
NAME = "qwen"
PATIENCE = ("--member-suspect-after=6s", "--member-lost-after=15s", "--member-stable-after=6s")
SOON = 120.0
ONPREM, EU, US = "onprem", "eu", "us"
Record = dict[str, tuple[str, int, str]]  # state, replicas that are ready, and revision, by cluster
SERVICE = {
    "apiVersion": "serving.inferops.dev/v1alpha1",
    "kind": "InferenceService",
    "metadata": {"name": NAME, "namespace": "default"},
    "spec": {
        "model": {"uri": "hf://Qwen/Qwen3-8B"},
        "accelerators": [
            {"type": "nvidia-h100-80gb"},
            {"type": "nvidia-h200"},
            {"type": "nvidia-a100-80gb", "spot": True},
            {"type": "nvidia-l4", "count": 2, "spot": True},
        ],
        "scaling": {"replicas": 4},
        "placement": {"clusters": {}, "minClusters": 2},
        "rollout": {"steps": [], "clusters": {"waves": [[EU], [ONPREM]], "bake": "5s"}},
    },
}


@dataclass
class Member:
    """A member cluster with its operator and gateway, and the lines by which the hub reaches it."""

    cluster: Cluster
    gateway: GatewayProcess
    links: tuple[Link, Link]  # to its API server, to its gateway

    def cut(self) -> None:
        for link in self.links:
            link.cut()

    def mend(self) -> None:
        for link in self.links:
            link.mend()


@contextmanager
def member(hub: Cluster, cluster: Cluster, nodes: str, region: str, prices: dict[str, float]) -> Iterator[Member]:
    """A member as its admin makes it: inferops, rights for the hub, and the hub's InferenceCluster."""
    install(cluster)
    install_gateway(cluster)
    cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "manifests" / "member" / "rbac.yaml"))
    with ExitStack() as stack:
        stack.enter_context(gpu_nodes(cluster, nodes, "--load-seconds", "4", "--name-prefix", f"{cluster.name}-"))
        stack.enter_context(OperatorProcess(cluster))
        gateway = stack.enter_context(GatewayProcess(cluster, 0))
        links = (Link(cluster.host, 6443), Link(gateway.address, 8080))
        api, door = (stack.enter_context(link) for link in links)
        config = yaml.safe_load(cluster.kubeconfig_for(NAMESPACE, HUB_ACCOUNT).read_text())
        for each in config["clusters"]:
            each["cluster"] |= {"server": f"https://127.0.0.1:{api.port}", "tls-server-name": cluster.host}
        made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": cluster.name, "namespace": NAMESPACE},
                "stringData": {"kubeconfig": yaml.safe_dump(config)}}  # fmt: skip
        hub.kubectl("apply", "-f", "-", input=json.dumps(made))
        told = {
            "access": {"kubeconfigSecret": {"name": cluster.name, "key": "kubeconfig"}},
            "region": region,
            "gateway": {"url": f"http://127.0.0.1:{door.port}"},
            "prices": [{"accelerator": name, "usdPerHour": price} for name, price in prices.items()],
        }
        raw = {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceCluster",
               "metadata": {"name": cluster.name, "namespace": NAMESPACE}, "spec": told}  # fmt: skip
        hub.kubectl("apply", "-f", "-", input=json.dumps(raw))
        yield Member(cluster, gateway, links)


def record(hub: Cluster) -> Record:
    """Where the service is, as its status says."""
    status = json.loads(hub.kubectl("get", "infs", NAME, "-o", "json")).get("status") or {}
    clusters = (status.get("placement") or {}).get("clusters", ())
    return {
        each["cluster"]: (each["state"], each.get("readyReplicas", 0), each.get("revision", "")) for each in clusters
    }


def ready(hub: Cluster) -> bool:
    path = (
        'jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.observedGeneration} {.metadata.generation}'
    )
    told, seen, newest = (hub.kubectl("get", "infs", NAME, "-o", path) + "  ").split(" ")[:3]
    return told == "True" and seen == newest


def follow(hub: Cluster, what: str, done: Callable[[Record], bool]) -> None:
    """Print where the service is whenever that changes, until `done(record)`. Raises TimeoutError."""
    last, started = "", time.monotonic()
    while time.monotonic() - started < SOON:
        found = record(hub)
        now = ", ".join(f"{name} {state} {number} {hash_}" for name, (state, number, hash_) in found.items())
        if now != last:
            console.print(f"  {time.monotonic() - started:5.1f} s  {now}", markup=False)
            last = now
        if done(found):
            return
        time.sleep(0.2)
    show(hub, "get", "infs", NAME, "-o=jsonpath={.status.conditions}{.status.placement}")
    raise TimeoutError(f"{what}: not within {SOON:.0f} s; last {last}")


def total(found: Record, *, without: str = "") -> int:
    return sum(number for name, (_, number, _) in found.items() if name != without)


def play(hub: Cluster, members: dict[str, Member]) -> None:
    step("The hub's operator; the members it knows, and what finds a place there")
    with OperatorProcess(hub, args=PATIENCE) as operator:
        wait_until("the operator leads", operator.leads, 30)
        hub.kubectl("wait", "--for=condition=Ready", "inferenceclusters", "--all", "-n", NAMESPACE, "--timeout=60s")
        show(hub, "get", "inferenceclusters", "-n", NAMESPACE)
        offers = '-o=jsonpath={range .items[*]}{.metadata.name}{": "}{.status.offers[*].accelerator}{" free "}'
        show(hub, "get", "inferenceclusters", "-n", NAMESPACE, offers + '{.status.offers[*].free}{"\\n"}{end}')
        step("One service over two clusters at least")
        console.print(yaml.safe_dump(SERVICE, sort_keys=False).rstrip(), style="green", markup=False)
        show(hub, "apply", "-f", "-", input=json.dumps(SERVICE))
        follow(hub, "placed", lambda found: total(found) == 4 and ready(hub))
        inferops(hub, "status", NAME)
        serving = list(record(hub))
        lost = serving[-1]
        left = members[serving[0]]
        with Traffic(left.gateway, NAME) as traffic:
            step(f"{lost} is cut off: its API server and its gateway do not answer any more")
            members[lost].cut()
            follow(hub, "others take over", lambda found: total(found, without=lost) >= 4)
            console.print(f"clients of {serving[0]} got {dict(traffic.answers)}", markup=False)
            step(f"{lost} is back: what it serves is adopted, and the surplus drains")
            members[lost].mend()
            follow(
                hub,
                "drained",
                lambda found: total(found) == 4 and ready(hub) and found.get(lost, ("", 0, ""))[0] != "Lost",
            )
            show(hub, "get", "events", "--field-selector", f"involvedObject.name={NAME}", "--sort-by=.lastTimestamp",
                 "-o=custom-columns=REASON:.reason,MESSAGE:.message")  # fmt: skip
            step(f"A new version, wave by wave: {EU}, then {ONPREM}, then the rest, with 5 s to bake")
            before = {hash_ for _, _, hash_ in record(hub).values()}
            patch = {"spec": {"runtime": {"args": ["--max-num-seqs=64"]}}}
            show(hub, "patch", "infs", NAME, "--type=merge", "-p", json.dumps(patch))
            follow(hub, "rolled out", lambda found: ready(hub) and not before & {each[2] for each in found.values()})
            console.print(f"clients of {serving[0]} got {dict(traffic.answers)}", markup=False)
        step("Delete: it is gone everywhere")
        show(hub, "delete", "infs", NAME, "--timeout=60s")
        for each in members.values():
            wait_until("nothing left", partial(_rid, each.cluster), 60, 0.5)
        console.print("\n[bold green]done[/]")


def _rid(cluster: Cluster) -> bool:
    return not cluster.kubectl("get", "infs,pods", "-o", "name").strip()


def main() -> int:
    started = time.monotonic()
    try:
        step("Four real control planes: a hub and three members, each with its own operator and gateway")
        binaries = find_binaries()
        enter()
        with ExitStack() as stack:
            hub, onprem, eu, us = (
                stack.enter_context(Cluster(name, index, binaries=binaries))
                for index, name in enumerate(("hub", ONPREM, EU, US))
            )
            install(hub)
            members = {
                ONPREM: member(hub, onprem, "1x4xnvidia-h100-80gb", "home", {"nvidia-h100-80gb": 1.5}),
                EU: member(hub, eu, "1x4xnvidia-h200", "eu-west-1", {"nvidia-h200": 3.5}),
                US: member(hub, us, "1x4xnvidia-l4:spot,1x4xnvidia-a100-80gb:spot", "us-east-1",
                           {"nvidia-l4": 0.4, "nvidia-a100-80gb": 2.2}),
            }  # fmt: skip
            play(hub, {name: stack.enter_context(each) for name, each in members.items()})
    except (BenchError, TimeoutError, RuntimeError) as error:
        console.print(f"\n[bold red]{error}[/]", markup=True)
        return 1
    console.print(f"in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
