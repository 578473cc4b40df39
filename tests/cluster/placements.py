"""A hub and three members, all real control planes, each with its own operator: services are placed, lines fail.

Between the hub and each member stand a line, which fails as TCP does, and behind it a proxy, which fails as HTTP does.
Silences are shorter than usual, so that a loss is seen in seconds; virtual time has the usual ones.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from os import kill
from pathlib import Path
from threading import Thread
from typing import Any

from cluster.faultproxy import FaultProxy
from cluster.reading import reader
from cluster.services import Json, condition, gpu_nodes, manifest
from controlplane import ApiError, Binaries, Cluster
from harness import NAMESPACE, ROOT, OperatorProcess, begin_namespace, install, wait_until
from inferops.api import API_VERSION
from inferops.controller.operator import LEASE_NAME
from inferops.controller.views import SERVICE_LABEL
from inferops.kube.kinds import INFERENCE_CLUSTER, INFERENCE_SERVICE, LEASE
from link import Link

HUB_ACCOUNT = "inferops-hub"
CHAT = "chat"
SUSPECT, LOST, STABLE = 6.0, 15.0, 6.0
EVERY = SUSPECT / 3
PATIENCE = (
    f"--member-suspect-after={SUSPECT:.0f}s",
    f"--member-lost-after={LOST:.0f}s",
    f"--member-stable-after={STABLE:.0f}s",
)
SOON = 40.0
OFTEN = 0.2
GPU = "nvidia-h100-80gb"
PRICES = {"east": 1.0, "north": 2.0, "west": 3.0}
NODES, GPUS = 3, 8
PROBED = "/api/v1/namespaces/kube-system"
RESTARTED = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")  # after etcd

Record = dict[str, tuple[str, int]]


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def gateway() -> Iterator[int]:
    """Stands for the gateways of all members: the port at which somebody answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@dataclass
class Member:
    """A member, and what the hub reaches it by."""

    cluster: Cluster
    proxy: FaultProxy
    line: Link  # to its API server, through `proxy`
    door: Link  # to its gateways

    def cut(self) -> None:
        """Whatever is sent there is never heard of again."""
        self.line.cut()
        self.door.cut()

    def refuse(self) -> None:
        """Every connection is reset."""
        self.line.refuse()
        self.door.refuse()

    def mend(self) -> None:
        self.line.mend()
        self.door.mend()

    def child(self, name: str) -> Json:
        """The InferenceService of that name there; empty: there is none."""
        return _get(self.cluster, "infs", CHAT, name)

    def uids(self, name: str) -> set[str]:
        """Of the pods of that service, without those that end."""
        found = reader(self.cluster).list("pods", CHAT, f"{SERVICE_LABEL}={name}")
        return {each["metadata"]["uid"] for each in found if "deletionTimestamp" not in each["metadata"]}

    def stands_by(self, name: str) -> bool:
        """Whether it has no replica of it, and its gateways would pass requests on to others."""
        spec = self.child(name).get("spec") or {}
        return not self.uids(name) and spec["scaling"]["replicas"] == 0 and bool(spec["traffic"]["spillover"])

    def spillover(self, name: str) -> set[str]:
        """The clusters whose gateways its own pass requests on to."""
        traffic = (self.child(name).get("spec") or {}).get("traffic") or {}
        return {each["name"] for each in traffic.get("spillover", ())}

    def probes(self) -> int:
        """How often it answered, of late as ever."""
        return sum(each.path == PROBED and each.status == 200 for each in tuple(self.proxy.journal))

    def edit(self, name: str, spec: Json) -> None:
        """As somebody does who has nothing to do with the hub."""
        path = INFERENCE_SERVICE.path(CHAT, name)
        meta = {"name": name, "namespace": CHAT}
        raw = {"apiVersion": API_VERSION, "kind": INFERENCE_SERVICE.kind, "metadata": meta, "spec": spec}
        self.cluster.apply(path, raw)


class Fleet:
    """The hub and its members."""

    def __init__(self, hub: Cluster, members: dict[str, Member]) -> None:
        self.hub, self.members = hub, members
        self._specs: dict[str, Json] = {}
        self._operators = 0
        self.operator: OperatorProcess | None = None

    @property
    def each(self) -> tuple[Member, ...]:
        return tuple(self.members.values())

    # What people do

    def begin(self) -> None:
        """Start the hub's operator. Returns when it leads."""
        self._operators += 1
        self.operator = OperatorProcess(self.hub, f"operator-{self._operators}", args=PATIENCE)
        self.operator.wait_ready()
        wait_until("the operator leads", self.operator.leads, 30)

    def end(self) -> None:
        """Kill the hub's operator, in mid-sentence. Its lease is as if it had run out: how long that takes is not our
        matter."""
        if self.operator is not None:
            self.operator.kill()
            self.operator = None
            self.hub.delete(LEASE.path(NAMESPACE, LEASE_NAME))

    def register(self, name: str, **spec: Any) -> None:
        member = self.members[name]
        told = {
            "access": {"kubeconfigSecret": {"name": name, "key": "kubeconfig"}, "allow": ["InsecureTLS"]},
            "region": name,
            "prices": [{"accelerator": GPU, "usdPerHour": PRICES[name]}],
            "gateway": {"url": member.door.url},
            **spec,
        }
        meta = {"name": name, "namespace": NAMESPACE, "labels": {"name": name}}
        raw = {"apiVersion": API_VERSION, "kind": INFERENCE_CLUSTER.kind, "metadata": meta, "spec": told}
        self.hub.apply(INFERENCE_CLUSTER.path(NAMESPACE, name), raw)

    def login(self, name: str) -> None:
        """Put the member's kubeconfig into the hub."""
        member = self.members[name]
        direct = member.cluster.kubeconfig_for(NAMESPACE, HUB_ACCOUNT)
        through = member.proxy.kubeconfig(direct, f"through-{name}")
        text = through.read_text().replace(member.proxy.url, member.line.url)
        meta = {"name": name, "namespace": NAMESPACE}
        raw = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"kubeconfig": text}}
        self.hub.apply(f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}", raw)

    def ask(self, name: str, **spec: Any) -> None:
        """Apply a service; of one that was asked for before only `spec` changes."""
        raw = manifest(name)
        before = self._specs.get(name, {**raw["spec"], "placement": {"clusters": {}}})
        self._specs[name] = {**before, **spec}
        raw = {**raw, "metadata": {"name": name, "namespace": CHAT}, "spec": self._specs[name]}
        self.hub.apply(INFERENCE_SERVICE.path(CHAT, name), raw)

    def delete(self, name: str) -> None:
        del self._specs[name]
        self.hub.delete(INFERENCE_SERVICE.path(CHAT, name))

    # What to look at

    def service(self, name: str) -> Json:
        """As the hub has it; empty: not at all."""
        return _get(self.hub, "infs", CHAT, name)

    def placement(self, name: str) -> Json:
        found: Json = (self.service(name).get("status") or {}).get("placement") or {}
        return found

    def record(self, name: str) -> Record:
        """State and replicas of the clusters that have any, or are to."""
        clusters = self.placement(name).get("clusters", ())
        found = {each["cluster"]: (each["state"], each.get("replicas", 0)) for each in clusters}
        return {cluster: told for cluster, told in found.items() if told[0] != "Standby"}

    def why_not(self, name: str) -> dict[str, str]:
        return {each["cluster"]: each["reason"] for each in self.placement(name).get("notChosen", ())}

    def says(self, name: str, kind: str = "Ready") -> Json:
        """A condition of a service, of its newest generation; empty: none yet."""
        raw = self.service(name)
        found = condition(raw, kind)
        return found if found.get("observedGeneration") == raw.get("metadata", {}).get("generation") else {}

    def ready(self, *names: str) -> bool:
        return all(self.says(name).get("status") == "True" for name in names)

    def replicas(self, name: str) -> dict[str, int]:
        """Pods by cluster."""
        return {cluster: number for cluster, each in self.members.items() if (number := len(each.uids(name)))}

    def versions(self, name: str) -> dict[str, str]:
        """The model's revision that each cluster was told to have."""
        children = {cluster: each.child(name) for cluster, each in self.members.items()}
        return {cluster: raw["spec"]["model"].get("revision", "") for cluster, raw in children.items() if raw}

    def reason(self, cluster: str, kind: str = "ControlPlaneHealthy") -> str:
        """Why an InferenceCluster's condition is as it is."""
        raw = _get(self.hub, "inferenceclusters", NAMESPACE, cluster)
        return str(condition(raw, kind).get("reason", ""))

    def free(self, cluster: str) -> int:
        """GPUs that are free as its InferenceCluster tells."""
        status = _get(self.hub, "inferenceclusters", NAMESPACE, cluster).get("status") or {}
        return sum(each["free"] for each in status.get("offers", ()))

    def written(self) -> tuple[dict[str, str], dict[str, Any], dict[str, int]]:
        """What changes whenever something is written: the services' versions in the hub, what the clusters' conditions
        say, which is all of them but what is free there now, and writes by member."""
        hub = reader(self.hub)
        services = hub.list("infs", CHAT, "")
        clusters = hub.list("inferenceclusters", NAMESPACE, "")
        return (
            {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in services},
            {each["metadata"]["name"]: each["status"]["conditions"] for each in clusters},
            {name: len(each.proxy.writes()) for name, each in self.members.items()},
        )

    # Waiting

    def until(self, what: str, name: str, record: Record, timeout: float = SOON) -> None:
        """Until that is on record of a service, and so are its pods."""
        pods = {cluster: number for cluster, (_, number) in record.items()}
        self.wait(what, lambda: self.record(name) == record and self.replicas(name) == pods, timeout, of=name)

    def wait(self, what: str, true: Any, timeout: float = SOON, *, of: str = "") -> float:
        try:
            return wait_until(what, true, timeout, OFTEN)
        except TimeoutError as error:
            status = json.dumps(self.service(of).get("status"), indent=1) if of else ""
            told = self.operator.tail() if self.operator is not None else "no operator runs"
            raise TimeoutError(f"{error}\n{status}\n{told}") from error

    def quiet(self, seconds: float = 3.0) -> None:
        """Until nothing has been written for so long."""
        last, since = self.written(), time.monotonic()

        def still() -> bool:
            nonlocal last, since
            now = self.written()
            if now != last:
                last, since = now, time.monotonic()
            return time.monotonic() - since >= seconds

        self.wait("nothing more is written", still)

    # The hub's memory

    def back_up(self) -> Path:
        """A copy of the hub's etcd as of now."""
        pid, folder = self.hub.pids()["etcd"], self.hub.workdir / "etcd"
        copy = folder.with_name("etcd-copy")
        kill(pid, signal.SIGSTOP)  # as it would be found after its node died
        try:
            shutil.copytree(folder, copy)
        finally:
            kill(pid, signal.SIGCONT)
        return copy

    def restore(self, copy: Path) -> None:
        """Start the hub's control plane anew with what it was. Its operator must not run."""
        for name in (*reversed(RESTARTED), "etcd"):
            self.hub.stop_component(name, kill=True)
        folder = self.hub.workdir / "etcd"
        shutil.rmtree(folder)
        copy.rename(folder)
        for name in ("etcd", *RESTARTED):
            self.hub.start_component(name, wait=name not in RESTARTED[1:])


def _get(cluster: Cluster, kind: str, namespace: str, name: str) -> Json:
    try:
        return reader(cluster).get(kind, namespace, name)
    except ApiError as error:
        if error.status != 404:
            raise
        return {}


def _prepare(cluster: Cluster) -> OperatorProcess:
    """What the member's people do. Returns its operator, which begins."""
    install(cluster)
    cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "manifests" / "member" / "rbac.yaml"))
    begin_namespace(cluster, CHAT)
    return OperatorProcess(cluster)


@contextmanager
def fleet_of(hub: Cluster, binaries: Binaries) -> Iterator[Fleet]:
    """The hub with three members that it knows, and its operator, which leads. What a member needs is made while the
    next control plane starts."""
    with ExitStack() as stack, ThreadPoolExecutor() as beside:
        preparing = {}
        for index, name in enumerate(PRICES, 1):
            cluster = stack.enter_context(Cluster(name, index, audit=name == "east", binaries=binaries))
            preparing[name] = cluster, beside.submit(_prepare, cluster)
        install(hub)
        hub.post("/api/v1/namespaces", {"metadata": {"name": CHAT}})
        members, port = {}, stack.enter_context(gateway())
        for name, (cluster, prepared) in preparing.items():
            operator = prepared.result()
            stack.callback(operator.stop)
            stack.enter_context(gpu_nodes(cluster, f"{NODES}x{GPUS}x{GPU}", f"{name}-"))
            proxy = stack.enter_context(FaultProxy(cluster.server, cluster.ca))
            line = stack.enter_context(Link("127.0.0.1", int(proxy.url.rpartition(":")[2])))
            door = stack.enter_context(Link("127.0.0.1", port))
            members[name] = Member(cluster, proxy, line, door)
        fleet = Fleet(hub, members)
        for name in members:
            fleet.login(name)
            fleet.register(name)
        stack.callback(lambda: fleet.operator and fleet.operator.stop())
        fleet.begin()
        for _, prepared in preparing.values():
            prepared.result().wait_ready()
        fleet.wait("all are known", lambda: all(fleet.reason(each, "Ready") == "Ready" for each in members))
        yield fleet
