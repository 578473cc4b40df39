"""The product installed on a bench cluster: CRDs and RBAC as users install them, its processes as children of ours.

Each logs in as its own ServiceAccount, so a permission that is missing shows here first. Used by the demo, the
benchmarks and the cluster tests.
"""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import yaml

from controlplane import ApiError, Cluster

ROOT = Path(__file__).resolve().parent.parent
NAMESPACE = "inferops-system"
ACCOUNT = "inferops-operator"
INSTALLED = ("namespace.yaml", "rbac.yaml")
GATEWAY = "inferops-gateway"  # its ServiceAccount and its Service
GATEWAY_KINDS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Service")
GATEWAY_ADDRESSES = 16  # the last ones of the nodes' range, which nodes get from its start
GATEWAY_PORT, METRICS_PORT = 8080, 9090
NOBODY = 9  # a port that nobody listens on


def install(cluster: Cluster, root: Path = ROOT, *, crds: bool = True) -> None:
    """Apply CRDs, namespace and RBAC of the tree at `root`, and wait until the API serves the new kinds."""
    if crds:
        cluster.kubectl("apply", "--server-side", "-k", str(root / "crds"))
    files = [f"--filename={root / 'manifests' / 'install' / name}" for name in INSTALLED]
    cluster.kubectl("apply", "--server-side", *files)
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")


def install_gateway(cluster: Cluster, root: Path = ROOT) -> None:
    """Apply the gateways' rights and their Service, without a selector: they run as processes, not as pods."""
    path = root / "manifests" / "install" / "gateway.yaml"
    chosen = [each for each in yaml.safe_load_all(path.read_text()) if each["kind"] in GATEWAY_KINDS]
    for each in chosen:
        each.get("spec", {}).pop("selector", None)
    cluster.kubectl(
        "apply", "--server-side", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": chosen})
    )


def begin_namespace(cluster: Cluster, name: str) -> None:
    """Create a namespace, and wait until pods can be created in it: until its ServiceAccount is there."""
    cluster.post("/api/v1/namespaces", {"metadata": {"name": name}})
    accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
    wait_until(f"the ServiceAccount of {name}", lambda: bool(json.loads(cluster.get(accounts))["items"]), 30)


def free_port() -> int:
    """A port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environ(root: Path = ROOT) -> dict[str, str]:
    """The environment of child processes that import the product or the bench, of the tree at `root`."""
    path = os.pathsep.join(filter(None, [str(root / "operator"), str(root / "hack"), os.environ.get("PYTHONPATH")]))
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    # Compiling anew at every start, tests with their assertions above all, is seconds of processor time a process.
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _start(command: list[str], output: IO[bytes], env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """A process in a session of its own: an interrupt in the terminal is for us, and we stop it in order."""
    whole = {**environ(), **(env or {})}
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=whole, start_new_session=True)


@contextmanager
def gpu_nodes(cluster: Cluster, nodes: str, *options: str, timeout: float = 30) -> Iterator[subprocess.Popen[bytes]]:
    """Simulated GPU nodes as `python -m nodeagent` makes them, in a process of their own; gone at the end.

    Raises TimeoutError with the end of the agent's log when they do not come.
    """
    log = Path(cluster.workdir) / f"nodeagent-{free_port()}.log"
    command = [sys.executable, "-m", "nodeagent", "--kubeconfig", str(cluster.kubeconfig), "--nodes", nodes, *options]
    with log.open("wb") as output:
        agent = _start(command, output)
    try:
        wait_until(f"GPU nodes (see {log})", lambda: "nodes:" in log.read_text(errors="replace"), timeout)
        yield agent
    except TimeoutError as error:
        raise TimeoutError(f"{error}\n{log.read_text(errors='replace')[-2000:]}") from error
    finally:
        agent.terminate()
        agent.wait(30)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until(what: str, true: Callable[[], bool], timeout: float, every: float = 0.05) -> float:
    """Wait until `true()`; returns the seconds that took. Raises TimeoutError that names `what`."""
    started = time.monotonic()
    while not true():
        if time.monotonic() - started > timeout:
            raise TimeoutError(f"{what}: not within {timeout:.0f} s")
        time.sleep(every)
    return time.monotonic() - started


class Child:
    """A process of the product, with its log and its own HTTP server. As a context manager it is stopped at the end."""

    def __init__(
        self, cluster: Cluster, name: str, base: str, command: list[str], root: Path = ROOT, **env: str
    ) -> None:
        """`base`: the URL of its health and metrics. `root`: the tree that it is run from."""
        self.name, self.base = name, base
        self.log = Path(cluster.workdir) / f"{name}-{free_port()}.log"
        with self.log.open("wb") as log:
            self.process = _start([sys.executable, "-m", "inferops", *command], log, {**environ(root), **env})

    def __enter__(self) -> Self:
        self.wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of its health and metrics server; status 0 where it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.base}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_ready(self, timeout: float = 30) -> None:
        """Until its caches are primed. Raises RuntimeError with the end of its log where it ends instead."""

        def ready() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended:\n{self.tail()}")
            return self.get("/readyz")[0] == 200

        wait_until(f"{self.name} ready", ready, timeout)

    def rss(self) -> int:
        """Resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return cpu_seconds(self.process.pid)

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill(self) -> None:
        """SIGKILL, as a node that dies."""
        self.process.kill()
        self.process.wait(10)

    def terminate(self) -> None:
        """SIGTERM, without waiting for the end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def stop(self, timeout: float = 15) -> int:
        """SIGTERM, and wait. Returns the exit code; a process that hangs is killed and counts as -9."""
        self.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        return self.process.returncode


class OperatorProcess(Child):
    """One replica of the operator."""

    def __init__(
        self,
        cluster: Cluster,
        name: str = "operator",
        kubeconfig: Path | None = None,
        args: tuple[str, ...] = (),
        root: Path = ROOT,
    ) -> None:
        port = free_port()
        kubeconfig = kubeconfig or cluster.kubeconfig_for(NAMESPACE, ACCOUNT)
        command = ["run", "--kubeconfig", str(kubeconfig), "--lease-namespace", NAMESPACE, "--hub", "off"]
        command += ["--address", "127.0.0.1", "--port", str(port), *args]
        super().__init__(cluster, name, f"http://127.0.0.1:{port}", command, root)

    def leads(self) -> bool:
        """Whether this replica holds the lease."""
        return "inferops_leader 1.0" in self.get("/metrics")[1]


class GatewayProcess(Child):
    """One gateway on an address of the cluster's, in the EndpointSlices of the Service inferops-gateway while ready.

    That is what kubelet and the endpoints' controller do for a pod: `install_gateway` comes first. A process that was
    killed stays listed as ready, as the pods of a node that died do for a while.
    """

    def __init__(self, cluster: Cluster, number: int, args: tuple[str, ...] = (), root: Path = ROOT) -> None:
        """`number` from 0 on tells the gateways of a cluster apart, and gives each its address."""
        self.address = str(ipaddress.ip_network(cluster.node_cidr)[-GATEWAY_ADDRESSES + number])
        self.url = f"http://{self.address}:{GATEWAY_PORT}"
        self._cluster = cluster
        self._slice = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices/{GATEWAY}-{number}"
        command = ["gateway", "--kubeconfig", str(cluster.kubeconfig_for(NAMESPACE, GATEWAY))]
        command += ["--address", self.address, "--port", str(GATEWAY_PORT), "--metrics-port", str(METRICS_PORT), *args]
        name = f"{GATEWAY}-{number}"
        base = f"http://{self.address}:{METRICS_PORT}"
        super().__init__(cluster, name, base, command, root, POD_NAME=name, POD_NAMESPACE=NAMESPACE)

    def wait_ready(self, timeout: float = 30) -> None:
        super().wait_ready(timeout)
        self._list(ready=True)

    def terminate(self) -> None:
        super().terminate()
        self._list(ready=False)

    def stop(self, timeout: float = 15) -> int:
        code = super().stop(timeout)
        try:
            self._cluster.delete(self._slice)
        except ApiError as error:
            if error.status != 404:  # there is none where it never was ready
                raise
        return code

    def tell(self, *, metrics: bool) -> None:
        """Whether its metrics are where the Service says. Requests get on either way."""
        self._list(ready=True, metrics=METRICS_PORT if metrics else NOBODY)

    def _list(self, *, ready: bool, metrics: int = METRICS_PORT) -> None:
        """Say in the Service's EndpointSlices that it is ready, or on its way out."""
        endpoint = {
            "addresses": [self.address],
            "conditions": {"ready": ready, "serving": ready, "terminating": not ready},
            "targetRef": {"kind": "Pod", "name": self.name, "namespace": NAMESPACE},
        }
        made = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": self.name,
                "namespace": NAMESPACE,
                "labels": {
                    "kubernetes.io/service-name": GATEWAY,
                    "endpointslice.kubernetes.io/managed-by": "bench.inferops.dev",
                },
            },
            "addressType": "IPv4",
            "endpoints": [endpoint],
            "ports": [{"name": "http", "port": GATEWAY_PORT}, {"name": "metrics", "port": metrics}],
        }
        self._cluster.apply(self._slice, made)
