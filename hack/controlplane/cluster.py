"""A Kubernetes cluster without nodes: its control plane as child processes of this one."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controlplane.addresses import addresses_of
from controlplane.api import Api
from controlplane.binaries import Binaries, find_binaries
from controlplane.commands import Layout, lay_out
from controlplane.counts import AuditEvent, parse_audit_log, write_counts
from controlplane.environment import environment_for
from controlplane.errors import BenchError
from controlplane.kubeconfig import certificate_user, token_user, write_kubeconfig
from controlplane.namespace import require_local
from controlplane.plane import Plane
from controlplane.workdir import make_workdir

KUBECTL_DEADLINE = 120.0  # seconds
AT_ONCE = {"GOGC": "off"}  # kubectl has ended before collecting what it no longer needs would pay
AUDIT_LOGS = "CONTROLPLANE_AUDIT_LOGS"  # in the environment: the folder in which they are kept, of all clusters
YEAR = 365 * 24 * 3600  # seconds


class Cluster:
    """One cluster of the namespace that this process is in; up to four stand side by side, by their index.

    A context manager; or call `start` and `stop`. `name` goes into kubeconfigs and folder names. With `audit` there is
    an `audit_log`: of what ServiceAccounts other than Kubernetes' own ask, of what the admin writes, and of every write
    to a resource of the product's. `binaries` are found where left out.
    """

    def __init__(
        self, name: str = "hub", index: int = 0, *, audit: bool = False, binaries: Binaries | None = None
    ) -> None:
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name):
            raise BenchError(f"name: {name!r} must be lower-case letters, digits and hyphens, such as hub or member-1")
        self.name = name
        self.index = index
        self.addresses = addresses_of(index)
        self._audit = audit
        self._binaries = binaries
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start the components and wait until the cluster serves: about 4 s.

        Raises `BenchError`, and leaves nothing behind, when a component ends or is not ready within two minutes,
        when this process is not inside a namespace, and when the index is taken in it.
        """
        if self._running is not None:
            raise BenchError(f"the cluster {self.name} runs already")
        require_local(self.host)
        binaries = self._binaries or find_binaries()
        with ExitStack() as undo:
            undo.enter_context(_claim(self.index))
            workdir = make_workdir(self.name)
            undo.callback(workdir.remove)
            layout = lay_out(workdir.path, self.name, self.addresses, audit_log=self._audit_log(workdir.path))
            api = Api(layout.ca, layout.admin)
            undo.callback(api.close)
            plane = Plane(binaries, layout, api)
            undo.callback(plane.stop)
            plane.start()
            self._running = _Running(layout, binaries, api, plane, undo.pop_all())

    def stop(self) -> None:
        """Stop the components, the last started first, and remove all files. Again: does nothing."""
        if self._running is not None:
            running, self._running = self._running, None
            running.undo.close()

    @property
    def server(self) -> str:
        """The URL of the API server: https://10.244.0.1:6443."""
        return self.addresses.server

    @property
    def host(self) -> str:
        """The address of the control plane: 10.244.0.1."""
        return str(self.addresses.host)

    @property
    def pod_cidr(self) -> str:
        """Addresses for pods, each of which can be bound: 10.244.128.0/17."""
        return str(self.addresses.pods)

    @property
    def node_cidr(self) -> str:
        """Addresses for nodes, each of which can be bound: 10.244.64.0/18."""
        return str(self.addresses.nodes)

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig, with the certificates inside it."""
        return self._now.layout.kubeconfigs["admin"]

    @property
    def workdir(self) -> Path:
        """Where logs, keys and kubeconfigs are, until the cluster stops."""
        return self._now.layout.folder

    @property
    def ca(self) -> Path:
        """The certificate of the cluster's authority, a PEM file."""
        return self._now.layout.ca

    @property
    def environ(self) -> dict[str, str]:
        """The environment for child processes: this one's, with KUBECONFIG, kubectl on PATH, and no proxies."""
        return environment_for(self._now.binaries, self.workdir, [self.kubeconfig])

    def kubectl(
        self, *arguments: str, input: str | None = None, kubeconfig: Path | None = None, check: bool = True
    ) -> str:
        """What kubectl prints, as the admin or as the user of `kubeconfig`; `input` is its standard input.

        Raises `BenchError` with what it says when it fails; without `check`, returns that. What it says on
        standard error when all went well is dropped.
        """
        done = subprocess.run(
            ["kubectl", *arguments],
            executable=self._now.binaries.path("kubectl"),
            env={**environment_for(self._now.binaries, self.workdir, [kubeconfig or self.kubeconfig]), **AT_ONCE},
            input=input if input is not None else "",
            capture_output=True,
            text=True,
            timeout=KUBECTL_DEADLINE,
        )
        if done.returncode == 0:
            return done.stdout
        if check:
            raise BenchError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout + done.stderr

    def kubeconfig_for(self, namespace: str, serviceaccount: str) -> Path:
        """A kubeconfig with a token of that ServiceAccount, good for a year.

        Raises `ApiError` with status 404 when there is no such ServiceAccount.
        """
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{serviceaccount}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": YEAR}}
        token = self._now.api.post(self.server + path, body)["status"]["token"]
        file = self.workdir / f"{namespace}.{serviceaccount}.kubeconfig"
        return write_kubeconfig(file, self.name, self.server, self.ca, token_user(token), namespace=namespace)

    def kubeconfig_for_user(self, user: str, groups: Iterable[str] = ()) -> Path:
        """A kubeconfig with a client certificate: of system:node:NAME in system:nodes, say, or of any other user."""
        name = "user-" + re.sub(r"[^A-Za-z0-9._-]", "-", user)
        pair = self._now.layout.authority.client(name, user, groups)
        return write_kubeconfig(
            self.workdir / f"{name}.kubeconfig", self.name, self.server, self.ca, certificate_user(pair)
        )

    def get(self, path: str, accept: str = "*/*") -> str:
        """The API server's answer to the admin's GET of `path`. Raises `ApiError`, or OSError where it is away."""
        return self._now.api.get(f"{self.server}{path}", accept)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The object that the admin created under `path`. Raises `ApiError`, or OSError where the server is away."""
        return self._now.api.post(f"{self.server}{path}", body)

    def apply(self, path: str, body: dict[str, Any]) -> None:
        """Server-side apply the object at `path` as the admin, by force. Raises as `post` does."""
        self._now.api.apply(f"{self.server}{path}", body)

    def delete(self, path: str) -> None:
        """Delete an object as the admin. Raises `ApiError`, or OSError where the server is away."""
        self._now.api.delete(f"{self.server}{path}")

    def metrics(self) -> str:
        """The text of the API server's /metrics."""
        return self.get("/metrics")

    def write_counts(self) -> Counter[tuple[str, str]]:
        """`counts.write_counts` of the API server now; starts anew when the API server does."""
        return write_counts(self.metrics())

    def audit_events(self) -> list[AuditEvent]:
        """All requests in the audit log so far, oldest first. Raises `BenchError` as `audit_log` does."""
        with self.audit_log.open() as lines:
            return parse_audit_log(lines)

    @property
    def audit_log(self) -> Path:
        """Events of audit.k8s.io/v1, one as JSON a line, each written once its request was answered.

        Those of writes to a status hold the resource as it then was (`responseObject`, without managed fields), those
        of other writes to resources of the product's what was asked (`requestObject`), all others neither. It goes with
        the cluster, unless the environment names a folder for such logs in CONTROLPLANE_AUDIT_LOGS. Raises
        `BenchError` for a cluster that was made without `audit=True`.
        """
        log = self._now.layout.audit_log
        if log is None:
            raise BenchError(
                f"audit: the cluster {self.name} keeps no audit log; make it with Cluster(..., audit=True)"
            )
        return log

    def _audit_log(self, workdir: Path) -> Path | None:
        if folder := os.environ.get(AUDIT_LOGS):
            return Path(folder, f"{workdir.name}.log")  # of all clusters, and none has the name of another
        return workdir / "audit.log" if self._audit else None

    def start_component(self, name: str, *, wait: bool = True) -> None:
        """Start etcd, kube-apiserver, kube-controller-manager or kube-scheduler after `stop_component`.

        Call it from the main thread, whose end the component would not outlive; it waits until the component is
        ready, unless told not to.
        """
        self._now.plane.start_component(name, wait=wait)

    def stop_component(self, name: str, *, kill: bool = False) -> None:
        """Stop one component in good order, or with `kill` at once, as a crash would; the others go on."""
        self._now.plane.stop_component(name, kill=kill)

    def wait_ready(self, name: str) -> None:
        """Wait until a component that was started is ready. Can be called from any thread.

        Raises `BenchError` with the end of its log when it ends, or is not ready within two minutes.
        """
        self._now.plane.wait_ready(name)

    def pids(self) -> dict[str, int]:
        """The process ids of the components that run, by name."""
        return self._now.plane.pids()

    @property
    def _now(self) -> _Running:
        if self._running is None:
            raise BenchError(f"the cluster {self.name} does not run: use it inside `with`, or call start()")
        return self._running


@dataclass(frozen=True, slots=True)
class _Running:
    """What a cluster holds while it runs."""

    layout: Layout
    binaries: Binaries
    api: Api
    plane: Plane
    undo: ExitStack  # stops the components, removes the files and frees the index


def _claim(index: int) -> socket.socket:
    """Hold the index for this process: a name in the network namespace, gone with whoever holds it."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0controlplane-cluster-{index}")
    except OSError as error:
        claim.close()
        raise BenchError(f"index: a cluster {index} runs already in this namespace; take another index") from error
    return claim
