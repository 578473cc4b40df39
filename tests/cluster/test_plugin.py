"""`kubectl inferops …` on a real Kubernetes, by kubectl itself: what people see of services, and do to them."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.services import AT_ONCE, Say
from controlplane import Cluster
from controlplane.binaries import Binaries
from harness import (
    GatewayProcess,
    OperatorProcess,
    begin_namespace,
    environ,
    gpu_nodes,
    install,
    install_gateway,
    wait_until,
)

NAMESPACE = "people"
MODEL = {"uri": "hf://Qwen/Qwen3-8B", "maxModelLen": 8192}  # an L4 holds no longer context
SCRIPT = f"#!{sys.executable}\nimport sys\nfrom inferops.cli.main import kubectl\nsys.exit(kubectl())\n"
LIMITED = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: viewer, namespace: people}
rules:
- {apiGroups: [serving.inferops.dev], resources: [inferenceservices], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewer, namespace: people}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: viewer}
subjects: [{kind: ServiceAccount, name: default, namespace: people}]
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


class Person:
    """Somebody with kubectl and our plugin on their PATH, whose context names the namespace."""

    def __init__(self, cluster: Cluster, binaries: Binaries, folder: Path) -> None:
        script = folder / "kubectl-inferops"
        script.write_text(SCRIPT)
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        self.kubectl = binaries.path("kubectl")
        self.config = self._kubeconfig(cluster.kubeconfig, folder / "mine")
        self.path = os.pathsep.join([str(folder), os.environ.get("PATH", "")])
        self.folder = folder

    @staticmethod
    def _kubeconfig(source: Path, target: Path) -> Path:
        content = yaml.safe_load(source.read_text())
        for each in content["contexts"]:
            each["context"]["namespace"] = NAMESPACE
        target.write_text(yaml.safe_dump(content))
        return target

    def does(self, *args: str, config: Path | None = None, input: str = "") -> Done:
        """Run `kubectl …`. It is looked up on the PATH as kubectl does."""
        env = {**environ(), "PATH": self.path, "KUBECONFIG": str(config or self.config)}
        command = ["kubectl", *args]
        done = subprocess.run(
            command, executable=self.kubectl, env=env, input=input, capture_output=True, text=True, timeout=60
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def inferops(self, *args: str, config: Path | None = None) -> Done:
        return self.does("inferops", *args, config=config)

    def apply(self, resource: dict[str, Any]) -> None:
        done = self.does("apply", "-f", "-", input=json.dumps(resource))
        assert done.code == 0, done.said

    def file(self, name: str, *resources: dict[str, Any]) -> str:
        path = self.folder / name
        path.write_text(yaml.safe_dump_all(resources))
        return str(path)


def resource(name: str, **spec: Any) -> dict[str, Any]:
    whole = {
        "model": MODEL,
        "accelerators": [{"type": "nvidia-l4"}],
        "rollout": AT_ONCE,
        **spec,
    }
    head = {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceService"}
    return {**head, "metadata": {"name": name}, "spec": whole}


SERVES = {"scaling": {"maxReplicas": 3}}


@pytest.fixture(scope="module")
def person(cluster: Cluster, binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """With one service that serves, and one that finds no node."""
    with ExitStack() as stack:
        pace = ("--load-seconds", "2", "--time-scale", "20")
        stack.enter_context(gpu_nodes(cluster, "1x4xnvidia-l4", "--name-prefix", "people-", *pace))
        install(cluster)
        install_gateway(cluster)
        operator = stack.enter_context(OperatorProcess(cluster))
        stack.enter_context(GatewayProcess(cluster, 0))
        begin_namespace(cluster, NAMESPACE)
        somebody = Person(cluster, binaries, tmp_path_factory.mktemp("bin"))
        wait_until("the operator leads", operator.leads, 30)
        somebody.apply(resource("serves", **SERVES))
        somebody.apply(resource("waits", accelerators=[{"type": "nvidia-l4", "count": 8}]))
        done = somebody.does("wait", "--for=condition=Ready", "infs/serves", "--timeout=45s")
        assert done.code == 0, done.said + somebody.inferops("why", "serves").said
        waits = ("wait", "--for=jsonpath={.status.conditions[?(@.type=='Scheduled')].status}=False", "infs/waits")
        assert somebody.does(*waits, "--timeout=20s").code == 0
        yield somebody
        cluster.delete(f"/api/v1/namespaces/{NAMESPACE}")


def test_what_people_see(person: Person, say: Say) -> None:
    commands: dict[str, tuple[str, ...]] = {
        "list": ("list",),
        "fine": ("why", "serves"),
        "pending": ("why", "waits"),
        "status": ("status", "waits"),
        "cost": ("cost", "--over", "0", "-o", "json"),
        "top": ("top", "--once", "--interval", "0.5", "-o", "json"),
        "logs": ("logs", "serves", "--tail", "3"),
        "version": ("version", "-o", "json"),
        "nobody": ("why", "nobody"),
    }
    with ThreadPoolExecutor(3) as pool:
        running = {name: pool.submit(person.inferops, *command) for name, command in commands.items()}
    done = {name: each.result() for name, each in running.items()}
    for name, each in done.items():
        say(
            f"{' '.join(commands[name])}: {each.code}\n{each.said}"
            if os.environ.get("SHOWN")
            else f"{name} {each.code}"
        )
    serves, waits = (line.split() for line in done["list"].out.splitlines()[1:])
    assert (serves[0], serves[1], serves[4]) == ("serves", "True", "1/1") and (waits[0], waits[4]) == ("waits", "0/1")
    assert done["fine"].code == 0 and "nothing is wrong: 1 of 1 replicas" in done["fine"].out
    told = done["pending"]
    assert told.code == 1 and told.out.startswith(
        "people/waits: 1 of 1 replicas finds no node: each needs 8x nvidia-l4, and the largest node has 4\n"
    ), told.said
    assert "nvidia-l4: 3 of 4 free on 1 nodes" in told.out and "in use by people/serves (1)" in told.out
    assert "`kubectl inferops size hf://Qwen/Qwen3-8B`" in told.out
    assert done["status"].code == 1 and "8x nvidia.com/gpu (nvidia-l4)" in done["status"].out
    [row] = json.loads(done["cost"].out)["rows"]
    assert (row["key"], row["usdPerHour"]) == ("people/serves", 0.78), "what waits for a node costs nothing"
    told_by = {each["name"]: each for each in json.loads(done["top"].out)["services"]}
    assert told_by["serves"]["kvCacheUsage"] == 0 and told_by["serves"]["source"], done["top"].said
    assert done["logs"].code == 0 and len(done["logs"].out.splitlines()) == 3, done["logs"].said
    assert all("/0] " in line for line in done["logs"].out.splitlines())
    versions = json.loads(done["version"].out)
    assert set(versions["crds"].values()) == {"v1alpha1"} and versions["client"]
    assert done["nobody"].code == 2 and "there is no InferenceService nobody in namespace people" in done["nobody"].err


def test_what_a_change_would_lead_to(person: Person, say: Say) -> None:
    same = person.file("same.yaml", resource("serves", **SERVES))
    other = {**SERVES, "model": {"uri": "hf://Qwen/Qwen3-8B", "maxModelLen": 4096}, "rollout": {"strategy": "surge"}}
    news = person.file("news.yaml", resource("serves", **other), resource("more"))
    bad = person.file("bad.yaml", resource("serves", scaling={"minReplicas": 5, "maxReplicas": 3}))
    with ThreadPoolExecutor(3) as pool:
        none, some, refused = pool.map(lambda file: person.inferops("diff", "-f", file), (same, news, bad))
    assert (none.code, none.out) == (0, "InferenceService people/serves: unchanged\n"), none.said
    say(some.out)
    assert some.code == 1 and "~ spec.model.maxModelLen: 8192 → 4096" in some.out, some.said
    assert "a new one" in some.out and "rollout: surge, as a canary: 5%, 25%, 50%, then all" in some.out
    assert "GPUs: 1 more of nvidia-l4 during the rollout: 3 of 4 are free, enough for all 1 replicas" in some.out
    assert "cost: 0.78 USD/h, as before, up to 1.56 during the rollout" in some.out
    assert "InferenceService people/more: new" in some.out
    assert refused.code == 2 and "must be at least scaling.minReplicas" in refused.out, refused.said
    person.apply(resource("serves", **other))
    promised = re.search(r"revision \w+ → (\w+): a new one", some.out)
    assert promised is not None, some.out
    latest = ("wait", f"--for=jsonpath={{.status.latestRevision}}={promised[1]}", "infs/serves", "--timeout=30s")
    assert person.does(*latest).code == 0, "the revision is the one that was told beforehand"


def test_scaling_by_hand_and_back(person: Person) -> None:
    many = person.inferops("scale", "serves", "--replicas", "9")
    assert many.code == 2 and "9 replicas by hand would be above the maximum, 3: add --max 9" in many.err
    two = person.inferops("scale", "serves", "--replicas", "2")
    assert two.code == 0 and two.out.startswith("scaled: 2 replicas in place of 1"), two.said
    spec = json.loads(person.does("get", "infs", "serves", "-o", "json").out)
    assert spec["spec"]["scaling"]["replicas"] == 2
    auto = person.inferops("scale", "serves", "--auto", "--max", "4")
    assert auto.code == 0 and "spec.scaling.maxReplicas was applied by kubectl" in auto.err, auto.said
    after = json.loads(person.does("get", "infs", "serves", "-o", "json").out)["spec"]["scaling"]
    assert (after.get("replicas"), after["maxReplicas"]) == (None, 4)


def test_with_few_rights_the_rest_is_told(person: Person, cluster: Cluster) -> None:
    person.does("apply", "-f", "-", input=LIMITED)
    limited = cluster.kubeconfig_for(NAMESPACE, "default")
    done = person.inferops("why", "waits", "-n", NAMESPACE, config=limited)
    assert done.code == 1 and "finds no node: each needs 8x nvidia-l4" in done.out, done.said
    assert "not seen" in done.out and "you may not list nodes" in done.out and "pods are not shown" in done.out
    refused = person.inferops("scale", "serves", "-n", NAMESPACE, "--replicas", "1", config=limited)
    assert refused.code == 2 and "you may not" in refused.err
