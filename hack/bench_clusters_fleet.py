"""What the benchmark of clusters is played with: members of mixed accelerators and prices, and services to place."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from inferops.catalogue import accelerators
from inferops.kube.owned import Object

API = "serving.inferops.dev/v1alpha1"
NAMESPACE = "bench"
GPUS_A_NODE = 8
TYPES = (("nvidia-h100-80gb", False), ("nvidia-l4", False), ("nvidia-a100-80gb", True), ("nvidia-h200", False))
# Of each service one of these, in turn: on what its replicas run, best first.
CHOICES = ((0,), (1, 0), (2, 0), (3, 0), (1, 2, 3, 0))
ROOM = 3.5  # accelerators for each service, of the members that live
PORTS = 20000  # the first of those on loopback, all of which are ours in a namespace of our own
Death = Literal["", "silent", "gone"]


@dataclass(frozen=True)
class Nodes:
    """So many nodes of one kind."""

    accelerator: str
    spot: bool
    count: int


@dataclass(frozen=True)
class MemberSpec:
    """One member. One that is dead accepts and never answers (`silent`), or listens nowhere (`gone`)."""

    name: str
    port: int
    nodes: list[Nodes]
    dead: Death = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Fleet:
    """All members, and the port at which they are steered: GET /counts, POST /silence/NAME and /answer/NAME."""

    control: int
    members: list[MemberSpec]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Fleet:
        raw = json.loads(path.read_text())
        made = [
            MemberSpec(each["name"], each["port"], [Nodes(**nodes) for nodes in each["nodes"]], each["dead"])
            for each in raw["members"]
        ]
        return cls(raw["control"], made)


def fleet(members: int, services: int, dead: int) -> Fleet:
    """Members with two kinds of nodes each, of which the first few are dead: silent and gone in turn."""
    nodes = -(-int(services * ROOM) // (2 * GPUS_A_NODE * (members - dead))) + 1
    made = []
    for number in range(members):
        kinds = [TYPES[number % 4], TYPES[(number + 1) % 4]]
        death: Death = "" if number >= dead else "gone" if number % 2 else "silent"
        there = [Nodes(name, spot, nodes) for name, spot in kinds]
        made.append(MemberSpec(f"member-{number:02}", PORTS + 1 + number, there, death))
    return Fleet(PORTS, made)


def cluster(member: MemberSpec, namespace: str, number: int, members: int) -> Object:
    """The InferenceCluster of a member. Prices are up to a fifth above or below the usual ones."""
    factor = 0.8 + 0.4 * (number * 7 % members) / members
    prices = []
    for nodes in member.nodes:
        price = accelerators()[nodes.accelerator].price
        assert price is not None
        usd = round(price.usd_per_hour * factor, 3)
        prices.append({"accelerator": nodes.accelerator, "usdPerHour": usd, "spotUsdPerHour": round(usd * 0.4, 3)})
    return {
        "apiVersion": API,
        "kind": "InferenceCluster",
        "metadata": {"name": member.name, "namespace": namespace},
        "spec": {
            "access": {"kubeconfigSecret": {"name": member.name, "key": "kubeconfig"}, "allow": ["InsecureTLS"]},
            "region": f"region-{number % 5}",
            "prices": prices,
            "gateway": {"url": member.url},
        },
    }


def kubeconfig(member: MemberSpec) -> str:
    user = {"name": "it", "user": {"token": "one"}}
    told = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": member.url}}],
        "users": [user],
    }
    return json.dumps(told)


def service(number: int, members: int) -> Object:
    """One to four replicas. Of ten services one scales by load, one is in two clusters, one survives a loss."""
    replicas = 1 + number // 10 % 4
    placement: Object = {"clusters": {}}
    scaling: Object = {"replicas": replicas}
    if number % 10 == 7:
        scaling = {"minReplicas": 1, "maxReplicas": 4}
    if members > 1 and number % 10 == 3:
        placement["minClusters"], scaling = 2, {"replicas": max(replicas, 2)}
    if members > 1 and number % 10 == 5:
        placement["surviveClusterLoss"] = True
    chosen = [TYPES[each] for each in CHOICES[number % len(CHOICES)]]
    return {
        "apiVersion": API,
        "kind": "InferenceService",
        "metadata": {"name": f"model-{number:04}", "namespace": NAMESPACE},
        "spec": {
            "model": {"uri": "hf://Qwen/Qwen3-8B"},
            "accelerators": [{"type": name, "count": 1, **({"spot": True} if spot else {})} for name, spot in chosen],
            "scaling": scaling,
            "placement": placement,
        },
    }
