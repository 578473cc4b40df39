"""The command lines of the components: what is served where, with which keys, and which limits are raised.

As in a released cluster: RBAC and node authorization, the default admission plugins and NodeRestriction, service
account credentials for every controller, verified TLS. Unlike one: no leader election, no fsync, and queues and
rates wide enough for a thousand deployments on one machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from controlplane import addresses as at
from controlplane.addresses import Addresses
from controlplane.binaries import Binaries
from controlplane.certificates import Authority, Pair, make_authority, make_key
from controlplane.kubeconfig import certificate_user, write_kubeconfig

CLIENT_RATE = ("--kube-api-qps=1000", "--kube-api-burst=2000")
ANY_USER_MAY_READ_HEALTH = "/healthz,/readyz,/livez"
WRITING = ["create", "update", "patch", "delete", "deletecollection"]
OURS = "serving.inferops.dev"
# What the product does, and what is done to its resources; little of what Kubernetes does by itself, which is most.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "omitManagedFields": True,
    "rules": [
        # With the resource as it then is, whole: what a status says can be judged afterwards.
        {"level": "RequestResponse", "verbs": WRITING, "resources": [{"group": OURS, "resources": ["*/status"]}]},
        {"level": "Request", "verbs": WRITING, "resources": [{"group": OURS}]},
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "Metadata", "users": ["kubernetes-admin"], "verbs": WRITING},
    ],
}


@dataclass(frozen=True, slots=True)
class Layout:
    """The files and addresses of one cluster."""

    folder: Path
    addresses: Addresses
    authority: Authority
    serving: Pair  # of every component that serves TLS
    to_kubelets: Pair  # what the API server shows when it asks for logs
    front_proxy_ca: Path
    front_proxy: Pair  # what it shows to aggregated API servers
    admin: Pair
    token_key: Path  # signs service account tokens
    kubeconfigs: dict[str, Path]  # of admin and the components that are clients
    audit_log: Path | None

    @property
    def ca(self) -> Path:
        return self.authority.pair.certificate


def lay_out(folder: Path, name: str, addresses: Addresses, *, audit_log: Path | None) -> Layout:
    """Write the keys, certificates, kubeconfigs and the audit policy of a cluster into `folder`."""
    authority, front = make_authority(folder, "ca"), make_authority(folder, "front-proxy-ca")
    hosts = ["localhost", "127.0.0.1", str(addresses.host), str(addresses.service_host)]
    hosts += ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    clients = {
        "admin": authority.client("admin", "kubernetes-admin", ["system:masters"]),
        "kube-controller-manager": authority.client("kube-controller-manager", "system:kube-controller-manager"),
        "kube-scheduler": authority.client("kube-scheduler", "system:kube-scheduler"),
    }
    kubeconfigs = {
        client: write_kubeconfig(
            folder / f"{client}.kubeconfig", name, addresses.server, authority.pair.certificate, certificate_user(pair)
        )
        for client, pair in clients.items()
    }
    folder.joinpath("audit-policy.json").write_text(json.dumps(AUDIT_POLICY))
    return Layout(
        folder=folder,
        addresses=addresses,
        authority=authority,
        serving=authority.serving("serving", hosts),
        to_kubelets=authority.client("to-kubelets", "kube-apiserver-kubelet-client", ["system:masters"]),
        front_proxy_ca=front.pair.certificate,
        front_proxy=front.client("front-proxy", "front-proxy-client"),
        admin=clients["admin"],
        token_key=make_key(folder / "service-accounts.key"),
        kubeconfigs=kubeconfigs,
        audit_log=audit_log,
    )


def command_of(component: str, binaries: Binaries, layout: Layout) -> list[str]:
    """The whole command line of a component."""
    return [str(binaries.path(component)), *_FLAGS[component](layout)]


def _etcd(layout: Layout) -> list[str]:
    clients, peers = layout.addresses.etcd, f"http://{layout.addresses.host}:{at.ETCD_PEER_PORT}"
    return [
        "--name=etcd",
        f"--data-dir={layout.folder / 'etcd'}",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=etcd={peers}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver(layout: Layout) -> list[str]:
    here = layout.addresses
    audit = [
        f"--audit-policy-file={layout.folder / 'audit-policy.json'}",
        f"--audit-log-path={layout.audit_log}",
        "--audit-log-mode=blocking",  # straight into the file: nothing is lost with an API server that is killed
        "--audit-log-maxsize=10000",  # MB: never rotated
    ]
    return [
        f"--etcd-servers={here.etcd}",
        f"--bind-address={here.host}",
        f"--advertise-address={here.host}",
        f"--secure-port={at.APISERVER_PORT}",
        f"--service-cluster-ip-range={here.services}",
        f"--cert-dir={layout.folder}",
        *_tls(layout),
        f"--client-ca-file={layout.ca}",
        f"--kubelet-client-certificate={layout.to_kubelets.certificate}",
        f"--kubelet-client-key={layout.to_kubelets.key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={layout.front_proxy_ca}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={layout.front_proxy.certificate}",
        f"--proxy-client-key-file={layout.front_proxy.key}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={layout.token_key}",
        f"--service-account-signing-key-file={layout.token_key}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        # reach webhooks at their pods: there is no kube-proxy behind service addresses
        "--enable-aggregator-routing=true",
        "--max-requests-inflight=1600",
        "--max-mutating-requests-inflight=800",
        *(audit if layout.audit_log else []),
    ]


def _controller_manager(layout: Layout) -> list[str]:
    return [
        *_client(layout, "kube-controller-manager", at.CONTROLLER_MANAGER_PORT),
        "--use-service-account-credentials",
        f"--service-account-private-key-file={layout.token_key}",
        f"--root-ca-file={layout.ca}",
        f"--cluster-signing-cert-file={layout.ca}",
        f"--cluster-signing-key-file={layout.authority.pair.key}",
        f"--flex-volume-plugin-dir={layout.folder / 'volume-plugins'}",  # else it makes one under /usr
    ]


def _scheduler(layout: Layout) -> list[str]:
    return _client(layout, "kube-scheduler", at.SCHEDULER_PORT)


def _client(layout: Layout, name: str, port: int) -> list[str]:
    """What the controller manager and the scheduler have in common."""
    kubeconfig = layout.kubeconfigs[name]
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--authorization-always-allow-paths={ANY_USER_MAY_READ_HEALTH}",
        f"--bind-address={layout.addresses.host}",
        f"--secure-port={port}",
        *_tls(layout),
        "--leader-elect=false",
        *CLIENT_RATE,
    ]


def _tls(layout: Layout) -> list[str]:
    return [f"--tls-cert-file={layout.serving.certificate}", f"--tls-private-key-file={layout.serving.key}"]


_FLAGS = {
    "etcd": _etcd,
    "kube-apiserver": _apiserver,
    "kube-controller-manager": _controller_manager,
    "kube-scheduler": _scheduler,
}
