"""The bench keeps its promises: a real Kubernetes, shut off from the machine, that leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controlplane import BenchError, Binaries, Cluster
from controlplane.workdir import sweep

HACK = Path(__file__).parents[2] / "hack"
PATIENCE = 30.0  # seconds until something that must come has failed to

POD = {"containers": [{"name": "main", "image": "registry.example/pause"}]}


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE:.0f} s"
        time.sleep(0.05)


def apply(cluster: Cluster, namespace: str, kind: str, name: str, spec: object, **metadata: object) -> str:
    api = "apps/v1" if kind == "Deployment" else "v1"
    body = {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec,
    }
    return cluster.kubectl("apply", "-f", "-", input=json.dumps(body))


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_it_is_a_recent_kubernetes(cluster: Cluster):
    version = json.loads(cluster.kubectl("version", "-o", "json"))
    assert int(version["serverVersion"]["minor"]) >= 35
    assert version["serverVersion"]["gitVersion"] == version["clientVersion"]["gitVersion"]


def test_rbac_denies_an_unprivileged_service_account(cluster: Cluster, namespace: str):
    theirs = cluster.kubeconfig_for(namespace, "default")
    assert f"system:serviceaccount:{namespace}:default" in cluster.kubectl("auth", "whoami", kubeconfig=theirs)
    with pytest.raises(BenchError, match="cannot list resource"):
        cluster.kubectl("get", "pods", "-n", namespace, kubeconfig=theirs)
    viewer = f"--serviceaccount={namespace}:default"
    cluster.kubectl("create", "rolebinding", "viewer", "--clusterrole=view", viewer, "-n", namespace)
    asked = ("auth", "can-i", "list", "pods", "-n", namespace)
    eventually(lambda: cluster.kubectl(*asked, kubeconfig=theirs, check=False) == "yes\n", "the right to list pods")


def test_a_node_may_touch_no_other_node(cluster: Cluster):
    theirs = cluster.kubeconfig_for_user("system:node:one", ["system:nodes"])
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"}}
    cluster.kubectl("create", "-f", "-", input=json.dumps(node), kubeconfig=theirs)
    try:
        with pytest.raises(BenchError, match="not allowed to modify node"):
            other = json.dumps({**node, "metadata": {"name": "two"}})
            cluster.kubectl("create", "-f", "-", input=other, kubeconfig=theirs)
    finally:
        cluster.kubectl("delete", "node", "one")


def test_pod_security_refuses_a_privileged_pod(cluster: Cluster, namespace: str):
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    privileged = {"containers": [{**POD["containers"][0], "securityContext": {"privileged": True}}]}
    with pytest.raises(BenchError, match='violates PodSecurity "restricted:latest": privileged'):
        apply(cluster, namespace, "Pod", "privileged", privileged)


def test_a_deployment_gets_its_pods_which_wait_for_nodes(cluster: Cluster, namespace: str):
    labels = {"app": "waiting"}
    template = {"metadata": {"labels": labels}, "spec": POD}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
    apply(cluster, namespace, "Deployment", "waiting", spec)
    reasons = "jsonpath={.items[*].status.conditions[?(@.type=='PodScheduled')].reason}"
    eventually(
        lambda: cluster.kubectl("get", "pods", "-n", namespace, "-o", reasons).split() == ["Unschedulable"] * 3,
        "three pods that the scheduler has seen",
    )


def test_a_second_cluster_stands_beside_the_first(cluster: Cluster, member: Cluster, namespace: str):
    assert member.server != cluster.server
    assert not member.addresses.cluster.overlaps(cluster.addresses.cluster)
    assert f"namespace/{namespace}" in cluster.kubectl("get", "namespaces", "-o", "name")
    assert f"namespace/{namespace}" not in member.kubectl("get", "namespaces", "-o", "name")
    with pytest.raises(BenchError, match="certificate signed by unknown authority"):
        cluster.kubectl("get", "namespaces", "--server", member.server)


def test_one_index_holds_one_cluster(cluster: Cluster, binaries: Binaries):
    with pytest.raises(BenchError, match="index: a cluster 0 runs already"):
        Cluster("again", cluster.index, binaries=binaries).start()


@pytest.mark.parametrize("address", ["192.0.2.1", "198.51.100.7", "10.96.0.1"])
def test_nothing_inside_reaches_outside(cluster: Cluster, address: str):
    with socket.socket() as outward:
        outward.settimeout(PATIENCE)
        with pytest.raises(OSError) as refused:
            outward.connect((address, 443))
    assert refused.value.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)


@contextmanager
def served(address: str, folder: Path) -> Iterator[None]:
    """An HTTP server of the files in `folder` on port 8080 of an address."""
    command = [sys.executable, "-m", "http.server", "8080", "--bind", address, "--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            yield
        finally:
            server.kill()


def test_pods_are_reached_at_their_addresses(cluster: Cluster, namespace: str, tmp_path: Path):
    address = str(cluster.addresses.pods[7])
    tmp_path.joinpath("answer").write_text("from the pod")
    apply(
        cluster, namespace, "Service", "web", {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    )
    apply(cluster, namespace, "Pod", "web", {**POD, "nodeName": "nobody"}, labels={"app": "web"})
    running = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    status = {"status": {**running, "conditions": [{"type": "Ready", "status": "True"}]}}
    cluster.kubectl("patch", "pod", "web", "-n", namespace, "--subresource=status", "-p", json.dumps(status))
    base = f"/api/v1/namespaces/{namespace}"
    with served(address, tmp_path):
        for path in (f"{base}/pods/web:8080/proxy/answer", f"{base}/services/web:80/proxy/answer"):
            eventually(
                lambda path=path: cluster.kubectl("get", "--raw", path, check=False) == "from the pod",
                f"an answer through {path}",
            )
    cluster.kubectl("delete", "pod", "web", "-n", namespace, "--grace-period=0", "--force")


def test_writes_are_counted_by_resource_and_by_user(cluster: Cluster, namespace: str):
    before = cluster.write_counts()
    cluster.kubectl("create", "configmap", "counted", "-n", namespace)
    cluster.kubectl("create", "configmap", "not-counted", "-n", namespace, "--dry-run=server")
    # each namespace also gets kube-root-ca.crt, by another user
    assert (cluster.write_counts() - before)["configmaps", "POST"] in (1, 2)
    (written,) = [event for event in cluster.audit_events() if event.namespace == namespace and event.name == "counted"]
    assert (written.user, written.verb, written.code) == ("kubernetes-admin", "create", 201)
    # Nothing else is logged but what the product does, as little of what happens in a cluster is of interest.
    assert not [event.user for event in cluster.audit_events() if event.user.startswith("system:kube-")]


def test_the_api_server_comes_back_with_what_it_had(start_cluster: Callable[..., Cluster]):
    cluster = start_cluster("restarted")
    cluster.kubectl("create", "namespace", "kept")
    before = cluster.pids()
    cluster.stop_component("kube-controller-manager")
    cluster.stop_component("kube-apiserver", kill=True)
    assert "refused" in cluster.kubectl("get", "namespaces", check=False)
    cluster.start_component("kube-apiserver")
    cluster.start_component("kube-controller-manager")
    assert "namespace/kept" in cluster.kubectl("get", "namespaces", "-o", "name")
    after = cluster.pids()
    assert {name for name in before if before[name] != after[name]} == {"kube-apiserver", "kube-controller-manager"}


def test_a_component_that_ends_at_start_shows_its_log(inside: None, binaries: Binaries, tmp_path: Path):
    for name in ("etcd", "kube-controller-manager", "kube-scheduler", "kubectl"):
        tmp_path.joinpath(name).symlink_to(binaries.path(name))
    broken = tmp_path / "kube-apiserver"
    broken.write_text("#!/bin/sh\necho 'the flag is unknown'\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(BenchError, match="kube-apiserver ended with status 3:\nthe flag is unknown"):
        Cluster("broken", 3, binaries=Binaries(tmp_path)).start()
    with Cluster("mended", 3, binaries=binaries) as mended:  # the failed start has given everything back
        assert len(mended.pids()) == 4


CHILD = """
import json, sys, time
from pathlib import Path
from controlplane import Binaries, Cluster, enter
enter()
cluster = Cluster("orphan", binaries=Binaries(Path(sys.argv[1])))
cluster.start()
print(json.dumps({"pids": cluster.pids(), "workdir": str(cluster.workdir)}), flush=True)
time.sleep(600)
"""


def test_killing_the_process_leaves_no_component_behind(binaries: Binaries):
    command = [sys.executable, "-c", CHILD, str(binaries.folder)]
    environment = {**os.environ, "PYTHONPATH": str(HACK)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())
        pids, workdir = told["pids"], Path(told["workdir"])
        assert len(pids) == 4 and all(map(alive, pids.values()))
        child.send_signal(signal.SIGKILL)
    eventually(lambda: not any(map(alive, pids.values())), "the end of the components")
    assert workdir in sweep(workdir.parent)
    assert not workdir.exists()


FORBIDDEN = """
from pathlib import Path
from controlplane import namespace
namespace.enter()
for kind in ("user", "net"):
    Path(f"/proc/sys/user/max_{kind}_namespaces").write_text("0")
namespace._entered = None
namespace.enter()
"""


def test_where_namespaces_are_forbidden_it_says_so_and_names_kind():
    done = subprocess.run(
        [sys.executable, "-c", FORBIDDEN],
        env={**os.environ, "PYTHONPATH": str(HACK)},
        capture_output=True,
        text=True,
    )
    assert "no namespace can be made here: No space left on device: sysctl user.max_user_namespaces" in done.stderr
    assert "use kind instead" in done.stderr


def test_people_get_a_cluster_a_shell_in_it_and_its_end(binaries: Binaries, tmp_path: Path):
    environment = {
        **os.environ,
        "PYTHONPATH": str(HACK),
        "XDG_CACHE_HOME": str(tmp_path),  # another person's, so to speak: theirs may run already
        "KUBEBUILDER_ASSETS": str(binaries.folder),
        "KUBECONFIG": "/nowhere",
    }

    def controlplane(*arguments: str) -> str:
        command = [sys.executable, "-m", "controlplane", *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    try:
        controlplane("up", "--clusters", "2")
        controlplane("kubectl", "--context", "member-1", "create", "namespace", "there")
        listed = ("kubectl", "get", "namespaces", "-o", "name")
        assert "namespace/there" not in controlplane(*listed)
        assert "namespace/there" in controlplane("shell", "--", *listed, "--context", "member-1")
        inside = controlplane("shell", "--", "readlink", "/proc/self/ns/net").strip()
        assert inside not in ("", os.readlink("/proc/self/ns/net"))
        folder = Path(controlplane("shell", "--", "printenv", "KUBECACHEDIR").strip()).parent
        assert folder.is_dir()
    finally:
        controlplane("down")
    assert not folder.exists()
    assert not tmp_path.joinpath("inferops/controlplane/run/holder.json").exists()
