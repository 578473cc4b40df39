"""A hub and two members, all real, each with its own operator: a service is placed, taken over, drained and deleted.

Silences are shorter than usual, so that a loss is seen in seconds; virtual time has the usual ones.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cluster.conftest import Binaries
from cluster.faultproxy import Fault, FaultProxy
from cluster.services import denied, gpu_nodes, manifest
from controlplane import Cluster
from harness import NAMESPACE, ROOT, OperatorProcess, install, wait_until

HUB_ACCOUNT = "inferops-hub"
CHAT = "chat"
SUSPECT, LOST, STABLE = 6, 15, 6
PATIENCE = (
    f"--member-suspect-after={SUSPECT}s",
    f"--member-lost-after={LOST}s",
    f"--member-stable-after={STABLE}s",
)
SOON = 30.0


class Gateway(ThreadingHTTPServer):
    """Stands for a member's gateways: answers, until it is shut."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Stage:
    """The hub and its members."""

    def __init__(self, hub: Cluster, members: dict[str, Cluster], stack: ExitStack) -> None:
        self.hub, self.members = hub, members
        self.gateways = {name: Gateway() for name in members}
        for name, cluster in members.items():
            install(cluster)
            cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "manifests" / "member" / "rbac.yaml"))
            cluster.kubectl("create", "namespace", CHAT)
            stack.enter_context(gpu_nodes(cluster, "2x4xnvidia-h100-80gb", f"{name}-"))
            stack.enter_context(OperatorProcess(cluster))
        install(hub)
        hub.kubectl("create", "namespace", CHAT)
        self.proxies = {
            name: stack.enter_context(FaultProxy(cluster.server, cluster.ca)) for name, cluster in members.items()
        }
        for name, price in zip(members, (1.0, 3.0, 3.0), strict=False):
            self.register(name, price)
        self.operator = stack.enter_context(OperatorProcess(hub, args=PATIENCE))
        wait_until("the operator leads", self.operator.leads, 30)

    def register(self, name: str, price: float, **spec: Any) -> None:
        direct = self.members[name].kubeconfig_for(NAMESPACE, HUB_ACCOUNT)
        through = self.proxies[name].kubeconfig(direct, f"through-{name}")
        made = self.hub.kubectl(
            "create", "secret", "generic", name, "-n", NAMESPACE, f"--from-file=kubeconfig={through}",
            "--dry-run=client", "-o", "json",
        )  # fmt: skip
        self.hub.kubectl("apply", "-f", "-", input=made)
        access = {"kubeconfigSecret": {"name": name, "key": "kubeconfig"}, "allow": ["InsecureTLS"]}
        told = {
            "access": access,
            "region": name,
            "prices": [{"accelerator": "nvidia-h100-80gb", "usdPerHour": price}],
            "gateway": {"url": self.gateways[name].url},
            **spec,
        }
        meta = {"name": name, "namespace": NAMESPACE}
        raw = {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceCluster", "metadata": meta,
               "spec": told}  # fmt: skip
        self.hub.kubectl("apply", "-f", "-", input=json.dumps(raw))

    def ask(self, **spec: Any) -> None:
        raw = manifest("llama")
        raw["spec"].update({"placement": {"clusters": {}}, **spec})
        self.hub.kubectl("apply", "-n", CHAT, "-f", "-", input=json.dumps(raw))

    def status(self) -> dict[str, Any]:
        raw = json.loads(
            self.hub.kubectl("get", "infs", "llama", "-n", CHAT, "-o", "json", "--ignore-not-found") or "{}"
        )
        found: dict[str, Any] = raw.get("status") or {}
        return found

    def record(self) -> dict[str, tuple[str, int]]:
        """State and replicas of the clusters that have any, or are to."""
        clusters = (self.status().get("placement") or {}).get("clusters", ())
        found = {each["cluster"]: (each["state"], each.get("replicas", 0)) for each in clusters}
        return {name: told for name, told in found.items() if told[0] != "Standby"}

    def ready(self) -> bool:
        conditions = self.status().get("conditions") or ()
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def pods(self, name: str) -> int:
        raw = json.loads(self.members[name].kubectl("get", "pods", "-n", CHAT, "-o", "json"))
        return sum("deletionTimestamp" not in each["metadata"] for each in raw["items"])

    def child(self, name: str) -> dict[str, Any]:
        told = self.members[name].kubectl("get", "infs", "llama", "-n", CHAT, "-o", "json", "--ignore-not-found")
        found: dict[str, Any] = json.loads(told or "{}")
        return found

    def stands_by(self, name: str) -> bool:
        """Whether it has no replica, and its gateways would pass requests on to the other."""
        spec = self.child(name).get("spec") or {}
        return self.pods(name) == 0 and spec["scaling"]["replicas"] == 0 and bool(spec["traffic"]["spillover"])

    def until(self, what: str, record: dict[str, tuple[str, int]], timeout: float = SOON) -> None:
        try:
            wait_until(what, lambda: self.record() == record, timeout, 0.3)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {json.dumps(self.status(), indent=1)}\n{self.operator.tail()}") from error


@pytest.fixture(scope="module")
def stage(cluster: Cluster, member: Cluster, binaries: Binaries) -> Iterator[Stage]:
    with ExitStack() as stack:
        third = stack.enter_context(Cluster("third", 2, binaries=binaries))
        yield Stage(cluster, {"east": member, "west": third}, stack)


def test_it_is_placed_where_it_is_cheapest(stage: Stage) -> None:
    stage.ask(scaling={"replicas": 2})
    stage.until("placed", {"east": ("Serving", 2)}, 60)
    wait_until("it is ready", stage.ready, SOON, 0.3)
    assert (stage.pods("east"), stage.pods("west")) == (2, 0)
    assert stage.status()["placement"]["notChosen"][0]["reason"] == "NotNeeded"
    assert not stage.child("west")


def test_then_nothing_is_written(stage: Stage) -> None:
    time.sleep(3)
    before = [sum(each.writes for each in proxy.journal) for proxy in stage.proxies.values()]
    version = json.loads(stage.hub.kubectl("get", "infs", "llama", "-n", CHAT, "-o", "json"))["metadata"]
    time.sleep(8)
    after = json.loads(stage.hub.kubectl("get", "infs", "llama", "-n", CHAT, "-o", "json"))["metadata"]
    assert [sum(each.writes for each in proxy.journal) for proxy in stage.proxies.values()] == before
    assert after["resourceVersion"] == version["resourceVersion"]


def test_what_is_too_much_for_one_goes_to_the_other(stage: Stage) -> None:
    stage.ask(scaling={"replicas": 10})
    stage.until("placed", {"east": ("Serving", 8), "west": ("Serving", 2)}, 60)
    assert (stage.pods("east"), stage.pods("west")) == (8, 2)
    stage.ask(scaling={"replicas": 2})
    stage.until("taken back", {"east": ("Serving", 2)}, 60)
    wait_until("nothing is left", lambda: stage.stands_by("west"), SOON, 0.3)


def test_a_lost_one_is_replaced_and_drained_once_it_is_back(stage: Stage) -> None:
    with stage.proxies["east"].fault(Fault(drop="before")):
        stage.proxies["east"].cut_watches()
        stage.gateways["east"].shutdown()
        stage.gateways["east"].server_close()
        wait_until("others take over", lambda: stage.pods("west") == 2, LOST + SUSPECT + SOON, 0.3)
        assert stage.record()["east"][0] == "Lost"
        assert stage.pods("east") == 2, "nobody can tell it anything"
    wait_until("one of them is enough", lambda: len(stage.record()) == 1, STABLE + 2 * SOON, 0.3)
    [(name, (_, replicas))] = stage.record().items()
    other = "west" if name == "east" else "east"
    wait_until("the surplus is gone", lambda: stage.stands_by(other), SOON, 0.3)
    assert (stage.pods(name), replicas) == (2, 2)


def test_the_operator_is_killed_and_a_deletion_waits_for_the_silent_one(stage: Stage) -> None:
    [name] = stage.record()
    with stage.proxies[name].fault(Fault(drop="before")):
        stage.proxies[name].cut_watches()
        stage.hub.kubectl("delete", "infs", "llama", "-n", CHAT, "--wait=false")
        wait_until(
            "it tells for whom it waits", lambda: name in json.dumps(stage.status().get("conditions")), SOON, 0.3
        )
        stage.operator.kill()
        with OperatorProcess(stage.hub, "second", args=PATIENCE) as second:
            wait_until("another leads", second.leads, 40)
            time.sleep(2)
            assert stage.child(name) and stage.status()
    with OperatorProcess(stage.hub, "third", args=PATIENCE):
        gone = ("east", "west")
        wait_until("it is gone", lambda: not stage.status() and not any(map(stage.child, gone)), 60, 0.3)


def test_nothing_is_denied(stage: Stage) -> None:
    assert not denied(stage.hub)
    assert not denied(stage.members["east"])
