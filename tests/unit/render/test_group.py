"""Replicas that span nodes: the LeaderWorkerSet, what its leader and workers are told, and where they go."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from inferops import catalogue
from inferops.api.accelerator import AcceleratorSpec
from inferops.api.base import Toleration
from inferops.render.record import KINDS, Record, read_record, render_record, tolerations_of
from inferops.render.revision import render_revision
from inferops.render.stable import render_stable
from inferops.runtimes import ENGINES
from inferops.runtimes.arguments import flags_of
from unit.render.building import MODELS, rendered, revision, service
from unit.render.podsecurity import assert_restricted

PAIR = {"type": "nvidia-h100-80gb", "count": 16, "nodes": 2}
INDEX, ADDRESS = "$(LWS_WORKER_INDEX)", "$(LWS_LEADER_ADDRESS)"


def pair(runtime: Any = None, model: Any = MODELS["hf"], **choice: Any) -> Record:
    return rendered(service(model, runtime, {**PAIR, **choice}))


def template(record: Record, role: str) -> dict[str, Any]:
    found: dict[str, Any] = record.workload["spec"]["leaderWorkerTemplate"][f"{role}Template"]
    return found


def engine(record: Record, role: str) -> dict[str, Any]:
    found: dict[str, Any] = template(record, role)["spec"]["containers"][0]
    return found


def test_a_replica_on_two_nodes_is_a_group_of_two() -> None:
    record = pair()
    assert set(record.objects) == {*KINDS, "lws"}
    lws = record.workload
    assert (lws["apiVersion"], lws["kind"]) == ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet")
    assert "replicas" not in lws["spec"]
    group = lws["spec"]["leaderWorkerTemplate"]
    assert (group["size"], group["restartPolicy"]) == (2, "RecreateGroupOnPodRestart")
    rolling = lws["spec"]["rolloutStrategy"]["rollingUpdateConfiguration"]
    assert (rolling["maxSurge"], rolling["maxUnavailable"]) == (0, 1), "no surge where all GPUs may be in use"
    for role in ("leader", "worker"):
        assert_restricted(template(record, role)["spec"])
        assert engine(record, role)["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert engine(record, "leader")["resources"] == engine(record, "worker")["resources"]


def test_all_pods_of_a_group_tolerate_what_the_service_names() -> None:
    further = Toleration(key="reserved", effect="NoSchedule")
    asked = service(choice=PAIR)
    record = rendered(asked.model_copy(update={"spec": asked.spec.model_copy(update={"tolerations": [further]})}))
    for role in ("leader", "worker"):
        told = template(record, role)["spec"]["tolerations"][-1]
        assert told == {"key": "reserved", "operator": "Exists", "effect": "NoSchedule"}
    assert further in tolerations_of(record) and further not in tolerations_of(pair())


def test_only_leaders_get_requests_and_all_pods_count_against_the_budget() -> None:
    record = pair()
    leader, worker = (template(record, role)["metadata"]["labels"] for role in ("leader", "worker"))
    own = record.objects["service"]["spec"]["selector"]
    stable = render_stable(service(choice=PAIR), record.spec.hash, record)["spec"]["selector"]
    assert own == stable and own["inferops.dev/revision"] == record.spec.hash
    assert own.items() <= leader.items() and not own.items() <= worker.items()
    budget = record.objects["pdb"]["spec"]["selector"]["matchLabels"]
    assert budget.items() <= leader.items() and budget.items() <= worker.items()


def test_its_name_is_left_to_the_revisions_service() -> None:
    """The set would want it for a Service of its own, by which workers find a leader that is not ready."""
    record = pair()
    assert record.workload["metadata"]["name"] == record.objects["service"]["metadata"]["name"]
    assert record.workload["spec"]["networkConfig"] == {"subdomainPolicy": "UniquePerReplica"}


def test_a_worker_serves_nothing() -> None:
    leader, worker = (engine(pair(), role) for role in ("leader", "worker"))
    served = {"ports", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle"}
    assert served <= leader.keys() and not served & worker.keys()
    assert pair().workload["spec"]["startupPolicy"] == "LeaderCreated", "a leader alone is never ready"


@pytest.mark.parametrize(
    ("args", "count", "nodes", "tensor", "pipeline"),
    [([], 16, 2, 8, 2), ([], 12, 3, 4, 3), (["--pipeline-parallel-size=1"], 16, 2, 16, 1),
     (["--pipeline-parallel-size", "4"], 16, 2, 4, 4)],
)  # fmt: skip
def test_what_vllm_is_told_of_its_nodes(args: list[str], count: int, nodes: int, tensor: int, pipeline: int) -> None:
    record = pair({"args": args}, count=count, nodes=nodes)
    for role in ("leader", "worker"):
        words = engine(record, role)["args"]
        last = {flag.name: flag.values for flag in flags_of(words[1:])}
        assert last["--tensor-parallel-size"] == (str(tensor),)
        assert last["--pipeline-parallel-size"] == (str(pipeline),)
        assert last["--nnodes"] == (str(nodes),)
        assert (last["--node-rank"], last["--master-addr"]) == ((INDEX,), (ADDRESS,))
        assert ("--headless" in last) == (role == "worker")
    assert "--nnodes" not in " ".join(engine_of_one())


@pytest.mark.parametrize(("args", "tensor", "pipeline"), [([], 8, 2), (["--pp-size=1"], 16, 1)])
def test_what_sglang_is_told_of_its_nodes(args: list[str], tensor: int, pipeline: int) -> None:
    record = pair({"name": "sglang", "args": args})
    assert engine(record, "leader")["args"] == engine(record, "worker")["args"]
    last = {flag.name: flag.values for flag in flags_of(engine(record, "worker")["args"])}
    assert (last["--tp-size"], last["--pp-size"]) == ((str(tensor),), (str(pipeline),))
    assert (last["--nnodes"], last["--node-rank"]) == (("2",), (INDEX,))
    assert last["--dist-init-addr"] == (f"{ADDRESS}:20000",)


def engine_of_one() -> list[str]:
    args: list[str] = rendered(service()).workload["spec"]["template"]["spec"]["containers"][0]["args"]
    return args


def test_a_users_dollar_signs_stay_what_they_are_beside_our_variables() -> None:
    words = engine(pair({"args": ["--chat-template-content-format=$(HF_TOKEN)"]}), "worker")["args"]
    assert "--chat-template-content-format=$$(HF_TOKEN)" in words
    assert [word for word in words if "$(" in word.replace("$$", "")] == [
        f"--node-rank={INDEX}",
        f"--master-addr={ADDRESS}",
    ]


def test_a_groups_pods_keep_together_and_groups_keep_apart() -> None:
    record = pair()
    leader, worker = (template(record, role)["spec"] for role in ("leader", "worker"))
    for pod in (leader, worker):
        [wish] = pod["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        assert wish["podAffinityTerm"]["matchLabelKeys"] == ["leaderworkerset.sigs.k8s.io/group-key"]
        assert wish["podAffinityTerm"]["topologyKey"] == "topology.kubernetes.io/zone"
    assert leader["affinity"]["nodeAffinity"] == worker["affinity"]["nodeAffinity"]
    assert "topologySpreadConstraints" not in worker
    for wish in leader["topologySpreadConstraints"]:
        assert wish["whenUnsatisfiable"] == "ScheduleAnyway"
        assert wish["labelSelector"]["matchLabels"]["inferops.dev/role"] == "leader"


@pytest.mark.parametrize(
    ("zoned", "keys"),
    [(True, ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]), (False, ["kubernetes.io/hostname"])],
)
def test_replicas_spread_over_nodes_and_over_zones_where_nodes_tell_theirs(zoned: bool, keys: list[str]) -> None:
    of = service()
    runtime, accelerator = catalogue.runtimes()["vllm"], catalogue.accelerators()["nvidia-h100-80gb"]
    record = render_revision(of, revision(of), runtime, accelerator, ENGINES["vllm"], zoned)
    wishes = record.workload["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [wish["topologyKey"] for wish in wishes] == keys
    assert {wish["whenUnsatisfiable"] for wish in wishes} == {"ScheduleAnyway"}


def test_the_runtime_class_is_the_accelerators() -> None:
    l4 = catalogue.accelerators()["nvidia-l4"]
    ours = AcceleratorSpec.model_validate({**l4.dump(), "runtimeClassName": "nvidia"})
    for choice in ({"type": "nvidia-l4"}, {"type": "nvidia-l4", "count": 2, "nodes": 2}):
        for spec, name in ((ours, "nvidia"), (l4, None)):
            workload = rendered(service(choice=choice), accelerator=spec).workload["spec"]
            group = workload.get("leaderWorkerTemplate", {})
            templates = [workload["template"]] if "template" in workload else [
                group["leaderTemplate"], group["workerTemplate"]]  # fmt: skip
            assert {found["spec"].get("runtimeClassName") for found in templates} == {name}


def test_engines_that_keep_to_one_node_say_so() -> None:
    of = service(MODELS["pvc folder"], {"name": "triton"}, PAIR)
    runtime, accelerator = catalogue.runtimes()["triton"], catalogue.accelerators()["nvidia-h100-80gb"]
    found = ENGINES["triton"].obstacle(revision(of), runtime, accelerator)
    assert found is not None and found.reason == "MultiNodeNotSupported"
    for part in ("spec.accelerators", "16x nvidia-h100-80gb on 2 nodes", "set nodes to 1", "spec.runtime.name"):
        assert part in found.message


def test_what_is_read_is_what_was_recorded() -> None:
    record = pair()
    written = json.loads(json.dumps(render_record(service(choice=PAIR), record.spec.hash, 7, record)))
    assert read_record(written["data"], written["metadata"]["name"], written["metadata"]["namespace"]) == record


HOSTILE: dict[str, Any] = {
    "hostNetwork": lambda data: _worker(data).update(hostNetwork=True),
    "privileged": lambda data: _worker(data)["containers"][0]["securityContext"].update(privileged=True),
    "volumeClaimTemplates": lambda data: data["objects"]["lws"]["spec"]["leaderWorkerTemplate"].update(
        volumeClaimTemplates=[{"spec": {}}]
    ),
    "StatefulSet": lambda data: data["objects"]["lws"].update(kind="StatefulSet"),
    "there is 2": lambda data: data["objects"].update(deployment={}),
    "there is 0": lambda data: data["objects"].pop("lws"),
    "workerTemplate": lambda data: data["objects"]["lws"]["spec"]["leaderWorkerTemplate"].pop("workerTemplate"),
}


def _worker(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data["objects"]["lws"]["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]
    return found


@pytest.mark.parametrize("told", HOSTILE)
def test_a_hostile_record_is_refused(told: str) -> None:
    record = pair()
    data = copy.deepcopy(render_record(service(choice=PAIR), record.spec.hash, 1, record)["data"])
    HOSTILE[told](data)
    with pytest.raises(ValueError, match=told):
        read_record(data)
