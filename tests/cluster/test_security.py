"""Attacks that others of this kind fell to, against the real API server and operator, each named by what it prevents.

docs/security.md lists the advisories with the tests of each, these and older ones. Everything happens beside a service
that nobody attacks, on one operator, whose log is read at the end.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.fuzzing import Tried, priority_classes, templates
from cluster.hostile import SHELL
from cluster.services import OPERATOR, condition, gpu_nodes, is_ready, manifest
from controlplane import ApiError, Cluster
from harness import NAMESPACE, OperatorProcess, begin_namespace, install, wait_until
from inferops.api import API_VERSION
from inferops.kube.kinds import (
    ACCELERATOR,
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    INFERENCE_CLUSTER,
    INFERENCE_SERVICE,
    NODE,
    POD,
    RECORD,
    SECRET,
    SERVING_RUNTIME,
    Kind,
)
from inferops.render.gatejob import render_gate_job
from inferops.render.restricted import violations
from unit.render.building import rendered, sampled_accelerators, sampled_runtimes, samples
from unit.render.building import service as service_to_render
from unit.render.test_claims import claiming
from unit.render.test_gatejob import TOLD, wanted

Json = dict[str, Any]
ATTACKED, OTHERS = "attacked", "somebody-elses"
CANARY = "c4nary-s3cret-nobody-may-tell"  # in every Secret
SOON = 30.0
USUAL = 15.0  # seconds from the creation of a service to Ready on such nodes, with a lot of patience


class Attacked:
    """A namespace under Pod Security `restricted`, and the operator."""

    def __init__(self, cluster: Cluster, operator: OperatorProcess) -> None:
        self.cluster, self.operator = cluster, operator

    def post(self, kind: Kind, raw: Json, namespace: str = ATTACKED) -> Json:
        """Create it as the API server takes it, without kubectl's looking at it before. Raises ApiError."""
        return self.cluster.post(kind.path(namespace), {"apiVersion": kind.api_version, "kind": kind.kind, **raw})

    def get(self, kind: Kind, name: str = "", namespace: str = ATTACKED) -> Json:
        found: Json = json.loads(self.cluster.get(kind.path(namespace, name)))
        return found

    def serve(self, name: str, spec: Json | None = None, **meta: Any) -> None:
        made = manifest(name)
        self.post(INFERENCE_SERVICE, {"metadata": {"name": name, **meta}, "spec": {**made["spec"], **(spec or {})}})

    def told(self, name: str, kind: Kind = INFERENCE_SERVICE, namespace: str = ATTACKED, what: str = "Stalled") -> str:
        """Wait until it is said to be stalled, and return what Ready says."""

        def so() -> bool:
            return condition(self.get(kind, name, namespace), what).get("status") == "True"

        wait_until(f"{name} {what}", so, SOON, 0.2)
        ready = condition(self.get(kind, name, namespace), "Ready")
        return f"{ready['reason']}: {ready['message']}"

    def serves(self, name: str) -> float:
        """Wait until it is Ready; the seconds that took."""
        return wait_until(f"{name} Ready", lambda: is_ready(self.get(INFERENCE_SERVICE, name)), SOON, 0.2)

    def sound(self) -> None:
        """The operator runs, has come upon nothing that it does not know, and serves the next one in usual time."""
        assert self.operator.process.poll() is None, self.operator.tail()
        assert 'result="bug"' not in self.operator.get("/metrics")[1], self.operator.tail()
        name = f"healthy-{time.monotonic_ns()}"[:50]
        self.serve(name)
        assert self.serves(name) < USUAL
        self.cluster.delete(INFERENCE_SERVICE.path(ATTACKED, name))


@pytest.fixture(scope="module")
def attacked(cluster: Cluster) -> Iterator[Attacked]:
    with gpu_nodes(cluster, "4x8xnvidia-h100-80gb", "attacked-"):
        install(cluster)
        for name in (ATTACKED, OTHERS):
            begin_namespace(cluster, name)
            meta = {"name": "token", "namespace": name}
            cluster.post(SECRET.path(name), {"metadata": meta, "stringData": {"HF_TOKEN": CANARY, "key": CANARY}})
        cluster.kubectl("label", "namespace", ATTACKED, "pod-security.kubernetes.io/enforce=restricted")
        with OperatorProcess(cluster, "attacked-operator") as operator:
            wait_until("the operator leads", operator.leads, 30)
            yield Attacked(cluster, operator)
        for name in (ATTACKED, OTHERS):
            cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_a_hostile_pod_template_reaches_no_pod(attacked: Attacked) -> None:
    """CVE-2025-32445: users gave a pod template that was taken over, privileged containers and host paths included."""
    pod = {
        "hostNetwork": True,
        "hostPID": True,
        "serviceAccountName": "admin",
        "automountServiceAccountToken": True,
        "nodeName": "attacked-0",
        "volumes": [{"name": "root", "hostPath": {"path": "/"}}],
        "containers": [{"name": "evil", "image": "evil:1", "securityContext": {"privileged": True}}],
        "initContainers": [{"name": "evil-too", "image": "evil:1", "securityContext": {"runAsUser": 0}}],
    }
    runtime = {
        **pod,
        "args": ["--max-num-seqs", "8"],
        "env": [{"name": "A", "value": SHELL}],
        "command": ["sh", "-c", "id"],
        "image": "evil:1",
        "podTemplate": pod,
        "securityContext": {"privileged": True},
        "volumeMounts": [{"name": "root", "mountPath": "/host"}],
    }
    attacked.serve("template", {"template": {"spec": pod}, "podTemplate": pod, "runtime": runtime, **pod})
    attacked.serves("template")
    stored = json.dumps(attacked.get(INFERENCE_SERVICE, "template")["spec"])
    assert "evil" not in stored and "hostPath" not in stored, "the API server drops what the schema does not have"
    [made] = [each for each in attacked.get(DEPLOYMENT)["items"] if each["metadata"]["name"].startswith("template-")]
    [spec] = [each["spec"] for each in templates(made)]
    assert violations(spec) == [] and spec["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in spec and "nodeName" not in spec and "initContainers" not in spec
    [container] = spec["containers"]
    assert "sh" not in container.get("command", ()) and "evil" not in container["image"]
    assert {"name": "A", "value": SHELL} in container["env"], "what a user says stays a word"


@pytest.mark.parametrize(
    "spelled", ["--trust-remote-code", "--trust_remote_code", "--trust-remote", "--chat-template=/etc/passwd"]
)
def test_what_is_merged_from_admin_and_user_is_checked_as_a_whole(attacked: Attacked, spelled: str) -> None:
    """CVE-2026-31892: what users overrode was merged in after the check. More: unit/runtimes/test_spellings."""
    name = f"merged-{sum(map(ord, spelled))}"
    attacked.serve(name, {"runtime": {"args": ["--max-num-seqs", "8", spelled]}})
    assert attacked.told(name).startswith("ArgumentNotAllowed: spec.runtime.args[2]")
    assert not [each for each in attacked.get(DEPLOYMENT)["items"] if each["metadata"]["name"].startswith(name)]


def test_what_several_managers_apply_is_checked_as_a_whole(attacked: Attacked) -> None:
    """CVE-2026-31892: each part alone is fine."""
    parts = {"one": {"model": {"uri": "pvc://models/llama"}}, "two": {"model": {"revision": "main"}}}
    attacked.serve("parts", parts["one"])
    with pytest.raises(ApiError, match="only an hf:// model has revisions"):
        raw = {"apiVersion": API_VERSION, "kind": INFERENCE_SERVICE.kind, "metadata": {"name": "parts"}}
        attacked.cluster.apply(INFERENCE_SERVICE.path(ATTACKED, "parts"), {**raw, "spec": parts["two"]})


PATHS: dict[str, Json] = {
    "out of a claim": {"model": {"uri": "pvc://models/../../etc"}},
    "out of a claim at its end": {"model": {"uri": "pvc://models/a/.."}},
    "out of a bucket": {"model": {"uri": "s3://models/../others/llama"}},
    "by an encoded dot": {"model": {"uri": "gs://models/%2e%2e/others"}},
    "out of an organisation": {"model": {"uri": "hf://org/../../other"}},
    "of the host": {"model": {"uri": "file:///etc/passwd"}},
    "of this machine's metadata": {"model": {"uri": "http://169.254.169.254/latest/meta-data"}},
    "out of an adapter's folder": {"model": {"uri": "hf://a/b", "adapters": [{"name": "x", "uri": "pvc://a/../b"}]}},
    "by an adapter's name": {"model": {"uri": "hf://a/b", "adapters": [{"name": "../x", "uri": "hf://a/b"}]}},
    "by a ConfigMap's key": {"model": {"uri": "hf://a/b", "config": {"name": "shapes", "key": "../token"}}},
    "by a Secret's name": {"model": {"uri": "hf://a/b", "credentialsSecret": "../kube-system/token"}},
    "by a Secret's key": {
        "model": {"uri": "hf://a/b"},
        "runtime": {"env": [{"name": "A", "valueFromSecret": {"name": "token", "key": "../key"}}]},
    },
    "by a revision": {"model": {"uri": "hf://a/b", "revision": "../../other/model"}},
}


@pytest.mark.parametrize("case", PATHS)
def test_no_path_leads_out_of_where_it_begins(attacked: Attacked, case: str) -> None:
    """CVE-2022-24877, CVE-2025-68476: `..` in a path of a resource read the files of others, and of the controller."""
    with pytest.raises(ApiError, match=r"spec\.") as refused:
        attacked.serve("path", PATHS[case])
    assert refused.value.status == 422


def kubeconfig(user: Json, **cluster: Any) -> str:
    named = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1", **cluster}}],
        "users": [{"name": "x", "user": user}],
    }
    return yaml.safe_dump(named)


EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
KUBECONFIGS = {
    "a command": lambda file: kubeconfig({"exec": {**EXEC, "command": "touch", "args": [str(file)]}}),
    "an auth-provider": lambda file: kubeconfig({"auth-provider": {"name": "gcp", "config": {"cmd-path": str(file)}}}),
    "a token's file": lambda file: kubeconfig({"tokenFile": "/proc/self/environ"}),
    "a certificate's file": lambda file: kubeconfig({"client-certificate": "/etc/passwd", "client-key": "/etc/shadow"}),
    "an authority's file": lambda file: kubeconfig({"token": CANARY}, **{"certificate-authority": "/etc/passwd"}),
    "no TLS": lambda file: kubeconfig({"token": CANARY}, server="http://169.254.169.254"),
    "another's name": lambda file: kubeconfig({"token": CANARY, "as": "system:admin"}),
    "no YAML": lambda file: f"!!python/object/apply:os.system ['touch {file}'] {CANARY}",
    "a bomb": lambda file: (
        "a: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{f'*{chr(97 + n)}, ' * 9}]\n" for n in range(9))
    ),
}


@pytest.mark.parametrize("case", KUBECONFIGS)
def test_no_kubeconfig_runs_a_command_or_reads_a_file(attacked: Attacked, tmp_path: Path, case: str) -> None:
    """CVE-2022-24817: a kubeconfig's `exec` ran in the controller's pod."""
    name, file = f"member-{list(KUBECONFIGS).index(case)}", tmp_path / "was-here"
    data = {"kubeconfig": b64encode(KUBECONFIGS[case](file).encode()).decode()}
    attacked.post(SECRET, {"metadata": {"name": name}, "data": data}, NAMESPACE)
    access = {"kubeconfigSecret": {"name": name, "key": "kubeconfig"}}
    attacked.post(INFERENCE_CLUSTER, {"metadata": {"name": name}, "spec": {"access": access}}, NAMESPACE)
    wait_until(f"{name} refused", lambda: _why(attacked, name) == "KubeconfigRefused", SOON, 0.2)
    said = condition(attacked.get(INFERENCE_CLUSTER, name, NAMESPACE), "Ready")["message"]
    assert not file.exists() and CANARY not in said and "root:" not in said
    attacked.cluster.delete(INFERENCE_CLUSTER.path(NAMESPACE, name))


def _why(attacked: Attacked, name: str) -> str:
    return str(condition(attacked.get(INFERENCE_CLUSTER, name, NAMESPACE), "Ready").get("reason"))


URLS = [
    "http://me:secret@judge.svc/",
    "http://judge.svc/?token=x",
    "file:///etc/passwd",
    "gopher://judge.svc",
    "//judge.svc",
    "http://[::1]/",
    "http://judge.svc\r\nX: y",
]


@pytest.mark.parametrize("url", URLS)
def test_no_address_of_a_webhook_is_more_than_an_address(attacked: Attacked, url: str) -> None:
    """GO-2024-2792: what users said went into queries unchecked. Whom they may reach: unit test_webhookhosts."""
    gate = {"name": "judge", "webhook": {"url": url}}
    with pytest.raises(ApiError, match=r"spec\.rollout\.gates") as refused:
        attacked.serve("webhook", {"rollout": {"gates": [gate]}})
    assert refused.value.status == 422


MAY_NOT = [
    *((verb, "", "secrets", OTHERS) for verb in ("get", "list", "watch", "create", "patch", "delete")),
    *((verb, "", "secrets", NAMESPACE) for verb in ("list", "watch", "create", "patch", "delete")),
    *((verb, "", "configmaps", OTHERS) for verb in ("list", "watch", "create", "patch", "delete")),
    *((verb, "", "pods", OTHERS) for verb in ("create", "patch", "update", "delete")),
    *(("create", "", f"pods/{each}", OTHERS) for each in ("exec", "attach", "portforward", "proxy", "eviction")),
    *((verb, "", "nodes", "") for verb in ("create", "patch", "update", "delete", "proxy")),
    *((verb, "", "namespaces", "") for verb in ("create", "patch", "delete", "list")),
    ("create", "", "serviceaccounts/token", OTHERS),
    ("create", "", "serviceaccounts", OTHERS),
    *(("impersonate", "", each, "") for each in ("users", "groups", "serviceaccounts")),
    *((verb, "rbac.authorization.k8s.io", "clusterroles", "") for verb in ("create", "patch", "bind", "escalate")),
    *(("create", "rbac.authorization.k8s.io", each, OTHERS) for each in ("rolebindings", "roles")),
    *((verb, "apiextensions.k8s.io", "customresourcedefinitions", "") for verb in ("create", "patch", "delete")),
    *((verb, "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "") for verb in ("create", "patch")),
    ("approve", "certificates.k8s.io", "signers", ""),
    *((verb, "apps", each, OTHERS) for verb in ("create", "patch") for each in ("daemonsets", "statefulsets")),
    *((verb, "serving.inferops.dev", "servingruntimes", "") for verb in ("create", "patch", "delete")),
    *((verb, "serving.inferops.dev", "inferenceclusters", NAMESPACE) for verb in ("create", "patch", "delete")),
]  # fmt: skip


def test_the_operator_cannot_become_more_than_it_is(attacked: Attacked) -> None:
    """CVE-2025-10725: an account with too broad a role made itself the cluster's admin."""
    may = []
    for verb, group, resource, namespace in MAY_NOT:
        resource, _, sub = resource.partition("/")
        asked = {"verb": verb, "group": group, "resource": resource, "subresource": sub, "namespace": namespace}
        raw = {"spec": {"user": OPERATOR, "groups": ["system:authenticated"], "resourceAttributes": asked}}
        answer = attacked.cluster.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", raw)
        may += [(verb, group, resource, sub, namespace)] if answer["status"]["allowed"] else []
    assert not may


# As config.json of a model, from which sizes are reckoned.
CONFIGS = ("[" * 100_000, '{"hidden_size": 1e400, "num_hidden_layers": ' + "9" * 4000 + "}", "\x00{{.}}", "{}")
GARBAGE = "\u202e\x1b[2J{{" + SHELL + "💥" * 1000
NASTY: dict[str, tuple[Kind, Json]] = {
    **{
        f"action-{number}": (INFERENCE_SERVICE, {"metadata": {"annotations": {"inferops.dev/action": said}}})
        for number, said in enumerate((GARBAGE, "", "promote@", "retry@" + "a" * 200_000, "abort@0000000000/\n", "{}"))
    },
    "parent": (
        INFERENCE_SERVICE,
        {"metadata": {"labels": {"inferops.dev/hub": "me"}, "annotations": {"inferops.dev/parent-name": GARBAGE}}},
    ),
    "stolen-label": (INFERENCE_SERVICE, {"metadata": {"labels": {"inferops.dev/service": "healthy"}}}),
    "adapters": (
        INFERENCE_SERVICE,
        {
            "spec": {
                "model": {
                    "uri": "hf://a/b",
                    "adapters": [
                        {"name": f"{n}/../../x:{'y' * 100}", "uri": "hf://a/b", "rank": 512} for n in range(32)
                    ],
                }
            }
        },
    ),
    "huge": (
        INFERENCE_SERVICE,
        {
            "spec": {
                "load": {"concurrency": 1_000_000, "promptTokens": 16_777_216, "outputTokens": 16_777_216},
                "scaling": {"replicas": 2},
                "runtime": {"env": [{"name": f"V{n}", "value": "x" * 4096} for n in range(64)]},
                "rollout": {"warmUp": "9999d"},
            }
        },
    ),
    **{
        f"config-{number}": (
            INFERENCE_SERVICE,
            {"spec": {"model": {"uri": "hf://a/b", "config": {"name": f"config-{number}"}}, "accelerators": []}},
        )
        for number in range(len(CONFIGS))
    },
    "record": (
        RECORD,
        {
            "metadata": {"labels": {"inferops.dev/service": "healthy", "inferops.dev/revision": "x"}},
            "revision": 2**62,
            "data": {"spec": [], "objects": {"deployment": {"kind": "ClusterRole"}}},
        },
    ),
    "pod": (
        POD,
        {
            "metadata": {"labels": {"inferops.dev/service": "healthy", "inferops.dev/revision": "x"}},
            "spec": {"containers": [{"name": "x", "image": "x:1"}]},
        },
    ),
    "runtime": (SERVING_RUNTIME, {"spec": {"engine": "vllm", "args": ["--\x00", SHELL], "podLabels": {"a": "b"}}}),
    "accelerator": (
        ACCELERATOR,
        {
            "spec": {
                "nodeLabels": [{"key": "a", "values": ["b"]}],
                "memoryGiB": 1e300,
                "bandwidthGBps": 1e-300,
                "tflops": {"bf16": 1e300},
                "resourceName": "a.b/c",
            }
        },
    ),
    "node": (
        NODE,
        {
            "metadata": {"labels": {"nvidia.com/gpu.product": "x" * 63, "nvidia.com/gpu.count": "many"}},
            "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
            "status": {"allocatable": {"nvidia.com/gpu": "9223372036854775807", "memory": "1e30"}},
        },
    ),
}


def test_nothing_that_anybody_writes_stops_the_operator(attacked: Attacked) -> None:
    """CVE-2026-40886: one malformed annotation had the controller crash again and again, for all tenants.

    Also what is not ours by its labels, and what an admin, a node or the catalogue gets wrong.
    """
    for number, text in enumerate(CONFIGS):
        attacked.post(CONFIG_MAP, {"metadata": {"name": f"config-{number}"}, "data": {"config.json": text}}, OTHERS)
    admitted = 0
    for name, (kind, given) in NASTY.items():
        meta = {"name": f"nasty-{name}", **given.get("metadata", {})}
        spec = {**manifest(name)["spec"], **given.get("spec", {})} if kind is INFERENCE_SERVICE else given.get("spec")
        namespace = OTHERS if kind.namespaced else ""
        try:
            attacked.post(kind, {**given, "metadata": meta, **({"spec": spec} if spec else {})}, namespace)
            admitted += 1
        except ApiError as refused:
            assert refused.status == 422, refused
    assert admitted >= len(NASTY) - 3, "what is refused at once attacks nobody"
    attacked.sound()
    asked = [each for name, (kind, _) in NASTY.items() if kind is INFERENCE_SERVICE for each in [f"nasty-{name}"]]

    def told() -> bool:
        there = {each["metadata"]["name"]: each for each in attacked.get(INFERENCE_SERVICE, "", OTHERS)["items"]}
        return all(condition(there[name], "Ready") for name in asked if name in there)

    wait_until("each is told of", told, SOON, 0.2)
    for name in [f"nasty-config-{number}" for number in range(len(CONFIGS))]:
        assert "config.json" in attacked.told(name, namespace=OTHERS)
    for kind, name in [(kind, f"nasty-{name}") for name, (kind, _) in NASTY.items() if not kind.namespaced]:
        if attacked.cluster.kubectl("get", kind.plural, name, "--ignore-not-found", "-o", "name"):
            attacked.cluster.delete(kind.path("", name))


def test_every_pod_that_we_make_is_admitted_under_restricted(attacked: Attacked) -> None:
    """By the real admission: all samples on all their accelerators, groups of nodes, claimed devices, jobs of gates."""
    tried = Tried(attacked.cluster, ATTACKED)
    with priority_classes(attacked.cluster):
        for _, service in samples():
            runtime = sampled_runtimes()[service.spec.runtime.name]
            for choice, each in enumerate(service.spec.accelerators):
                record = rendered(service, runtime, sampled_accelerators()[each.type], choice)
                for template in templates(record.workload):
                    tried.pod(template)
        for record in (claiming(), claiming(count=16, nodes=2)):
            for template in templates(record.workload):
                tried.pod(template)
        tried.pod(render_gate_job(service_to_render(), wanted({"image": "eval:1"}), TOLD)["spec"]["template"])
    assert tried.counts["pods"] > 20
    assert not tried.refused_children and not tried.counts["made for a class that is not there"]


def test_no_secret_is_told_in_a_status_an_event_or_the_log(attacked: Attacked) -> None:
    """CVE-2023-40029: the controller's cluster secrets were shown in an annotation. After all that was tried above."""
    credentials = {"model": {"uri": "hf://a/b", "credentialsSecret": "token"}}
    env = [{"name": "KEY", "valueFromSecret": {"name": "token", "key": "key"}}]
    attacked.serve("secretive", {**credentials, "runtime": {"env": env}})
    attacked.serves("secretive")
    said = [attacked.operator.log.read_text(errors="replace"), attacked.operator.get("/metrics")[1]]
    for kind in (INFERENCE_SERVICE, INFERENCE_CLUSTER, EVENT, RECORD, DEPLOYMENT, POD):
        said += [attacked.cluster.get(kind.path())]
    assert "secretive" in "".join(said)
    assert not [each for each in said if CANARY in each or b64encode(CANARY.encode()).decode()[:-4] in each]


def test_the_operator_stood_it_all(attacked: Attacked) -> None:
    attacked.sound()
    events = attacked.cluster.audit_events()
    assert not {(each.verb, each.resource) for each in events if each.user == OPERATOR and not each.allowed}
