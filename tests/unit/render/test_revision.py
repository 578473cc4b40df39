"""What is rendered for a revision, as rules over everything that can be rendered."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given

from inferops import catalogue
from inferops.api.accelerator import AcceleratorSpec
from inferops.core.scheduling import SPOT_LABELS
from inferops.render import labels
from inferops.render.quantity import canonical
from inferops.render.record import KINDS, Record
from inferops.render.revision import render_revision, with_replicas
from inferops.runtimes import ENGINES
from unit.render.building import MODELS, UID, engine_of, pod_of, records, rendered, revision, service
from unit.render.podsecurity import assert_restricted


@given(records())
def test_every_pod_is_restricted(record: Record) -> None:
    assert_restricted(pod_of(record))
    assert pod_of(record)["automountServiceAccountToken"] is False
    assert pod_of(record)["enableServiceLinks"] is False


@given(records())
def test_every_object_is_json_and_named_labelled_and_owned(record: Record) -> None:
    assert json.loads(json.dumps(record.objects)) == record.objects
    assert set(record.objects) == {*KINDS, "deployment"}
    for object_ in record.objects.values():
        meta = object_["metadata"]
        assert meta["name"] == f"chat-{record.spec.hash}"
        assert meta["namespace"] == "team-a"
        assert meta["labels"] == labels.labels("chat", record.spec.hash)
        assert [owner["uid"] for owner in meta["ownerReferences"]] == [UID]
        assert "annotations" not in meta


@given(records())
def test_selectors_find_the_pods_and_these_alone(record: Record) -> None:
    selector = {"inferops.dev/service": "chat", "inferops.dev/revision": record.spec.hash}
    deployment = record.objects["deployment"]["spec"]
    assert deployment["selector"] == {"matchLabels": selector}
    assert selector.items() <= deployment["template"]["metadata"]["labels"].items()
    assert record.objects["service"]["spec"]["selector"] == selector
    assert record.objects["pdb"]["spec"]["selector"] == {"matchLabels": selector}


@given(records())
def test_every_quantity_is_canonical(record: Record) -> None:
    container = engine_of(record)
    shm = next(volume["emptyDir"] for volume in pod_of(record)["volumes"] if volume["name"] == "shm")
    quantities = [*container["resources"]["requests"].values(), *container["resources"]["limits"].values()]
    for quantity in [*quantities, shm["sizeLimit"]]:
        assert canonical(quantity) == quantity
    assert shm["medium"] == "Memory"


@given(records())
def test_gpus_have_request_and_limit_alike(record: Record) -> None:
    resources = engine_of(record)["resources"]
    gpus = {name: amount for name, amount in resources["limits"].items() if "/" in name}
    assert list(gpus.values()) == [str(record.spec.accelerator.count)]
    assert resources["limits"].items() <= resources["requests"].items()
    assert "cpu" not in resources["limits"]


@given(records())
def test_a_pod_has_time_to_go_in_peace(record: Record) -> None:
    pod, container = pod_of(record), engine_of(record)
    sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    flags = dict(arg.partition("=")[::2] for arg in container["args"])
    flag = ENGINES[record.spec.runtime.name].drain_flag
    drain = int(flags[flag]) if flag else 0  # the others are told no time, and have what is left
    assert pod["terminationGracePeriodSeconds"] > sleep + drain


@given(records())
def test_names_and_mounts_are_unique_and_fit_together(record: Record) -> None:
    pod, container = pod_of(record), engine_of(record)
    volumes = [volume["name"] for volume in pod["volumes"]]
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    env = [entry["name"] for entry in container["env"]]
    secrets = [secret["name"] for secret in pod.get("imagePullSecrets", [])]
    ports = {port["name"] for port in container["ports"]}
    assert all(entry.get("value", "some") for entry in container["env"])  # the API server drops an empty one
    for names in (volumes, mounts, env, secrets):
        assert len(set(names)) == len(names)
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    assert {port["targetPort"] for port in record.objects["service"]["spec"]["ports"]} <= ports


def test_rendering_is_deterministic_and_leaves_its_input_alone() -> None:
    of = service(MODELS["s3 with keys"], {"args": ["--max-num-seqs=8"], "env": [{"name": "A", "value": "1"}]})
    before = of.model_copy(deep=True)
    assert json.dumps(rendered(of).objects) == json.dumps(rendered(of).objects)
    assert of == before


def test_no_object_shares_a_part_with_another() -> None:
    record = rendered(service(MODELS["gs with a key"]))
    untouched = copy.deepcopy(dict(record.objects))
    record.objects["deployment"]["metadata"]["labels"]["x"] = "y"
    record.objects["deployment"]["spec"]["selector"]["matchLabels"]["x"] = "y"
    assert record.objects["service"] == untouched["service"]
    assert record.objects["pdb"] == untouched["pdb"]
    assert rendered(service(MODELS["gs with a key"])).objects == untouched


def test_replicas_are_the_callers() -> None:
    deployment = rendered(service()).objects["deployment"]
    assert "replicas" not in deployment["spec"]
    assert with_replicas(deployment, 3)["spec"]["replicas"] == 3
    assert "replicas" not in deployment["spec"]


def test_no_owner_without_a_uid() -> None:
    of = service()
    orphan = of.model_copy(update={"metadata": of.metadata.model_copy(update={"uid": ""})})
    runtime, accelerator = catalogue.runtimes()["vllm"], catalogue.accelerators()["nvidia-h100-80gb"]
    with pytest.raises(ValueError, match=r"metadata\.uid: chat has none"):
        render_revision(orphan, revision(of), runtime, accelerator, ENGINES["vllm"])


def test_resources_are_the_runtimes_times_the_gpus_or_the_users() -> None:
    four = {"type": "nvidia-h100-80gb", "count": 4}
    asked = engine_of(rendered(service(choice=four)))["resources"]
    assert asked["requests"] == {"cpu": "16", "nvidia.com/gpu": "4", "memory": "128Gi"}
    users = engine_of(rendered(service(runtime={"resources": {"memory": "1536Mi"}}, choice=four)))["resources"]
    assert users["requests"] == {"cpu": "16", "nvidia.com/gpu": "4", "memory": "1536Mi"}
    assert users["limits"] == {"nvidia.com/gpu": "4", "memory": "1536Mi"}


ONE_LABEL = {"nodeLabels": [{"key": "nvidia.com/gpu.product", "values": ["NVIDIA-L4"]}]}
TWO_LABELS = {
    "nodeLabels": [
        {"key": "nvidia.com/gpu.product", "values": ["NVIDIA-L4", "NVIDIA-L4-1"]},
        {"key": "cloud.google.com/gke-accelerator", "values": ["nvidia-l4"]},
    ]
}
FIGURES = {"memoryGiB": 24, "bandwidthGBps": 300, "tflops": {"bf16": 121}}


def node_fits(pod: dict[str, Any], node: dict[str, str]) -> bool:
    """Whether a node with these labels may hold the pod: the scheduler's rules for what we use of them."""
    selector = pod.get("nodeSelector", {})
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    matches = {
        "In": lambda e: node.get(e["key"]) in e["values"],
        "NotIn": lambda e: node.get(e["key"]) not in e["values"],
        "DoesNotExist": lambda e: e["key"] not in node,
    }
    fits = any(all(matches[e["operator"]](e) for e in term["matchExpressions"]) for term in terms)
    return selector.items() <= node.items() and fits


@pytest.mark.parametrize("accelerator", [ONE_LABEL, TWO_LABELS], ids=["one label", "two labels"])
@pytest.mark.parametrize("spot", [False, True])
def test_nodes(accelerator: dict[str, Any], spot: bool) -> None:
    spec = AcceleratorSpec.model_validate({**accelerator, **FIGURES})
    of = service(choice={"type": "nvidia-l4", "spot": spot})
    pod = pod_of(rendered(of, accelerator=spec))
    assert ("nodeSelector" in pod) == (accelerator is ONE_LABEL)
    l4 = {"nvidia.com/gpu.product": "NVIDIA-L4"}
    assert node_fits(pod, l4) is not spot
    for key, value in SPOT_LABELS:
        assert node_fits(pod, {**l4, key: value}) is spot
        assert not node_fits(pod, {key: value})
    tolerated = {toleration["key"] for toleration in pod["tolerations"]}
    assert "nvidia.com/gpu" in tolerated
    assert ({key for key, _ in SPOT_LABELS} <= tolerated) is spot


def test_tolerations_stand_as_the_api_server_stores_them() -> None:
    admins = [{"key": "a"}, {"key": "b", "operator": "Equal", "value": ""}, {"key": "c", "effect": "NoExecute"}]
    spec = AcceleratorSpec.model_validate({**ONE_LABEL, **FIGURES, "tolerations": admins})
    assert pod_of(rendered(service(), accelerator=spec))["tolerations"] == [
        {"key": "a", "operator": "Exists"},
        {"key": "b", "operator": "Equal"},
        {"key": "c", "operator": "Exists", "effect": "NoExecute"},
    ]
    none = AcceleratorSpec.model_validate({**ONE_LABEL, **FIGURES, "tolerations": []})
    assert "tolerations" not in pod_of(rendered(service(), accelerator=none))


def test_a_shared_or_partitioned_gpu_is_no_whole_one() -> None:
    spec = AcceleratorSpec.model_validate({**TWO_LABELS, **FIGURES})
    whole = pod_of(rendered(service(choice={"type": "nvidia-l4"}), accelerator=spec))
    for label in ({"cloud.google.com/gke-accelerator": "nvidia-l4"}, {"nvidia.com/gpu.product": "NVIDIA-L4"}):
        assert node_fits(whole, label)
        assert node_fits(whole, {**label, "nvidia.com/gpu.sharing-strategy": "none"})
        assert not node_fits(whole, {**label, "nvidia.com/gpu.sharing-strategy": "time-slicing"})
        assert not node_fits(whole, {**label, "cloud.google.com/gke-gpu-partition-size": "1g.10gb"})
        assert not node_fits(whole, {**label, "cloud.google.com/gke-gpu-sharing-strategy": "time-sharing"})
    assert not node_fits(whole, {"nvidia.com/gpu.product": "NVIDIA-L4-SHARED"})


def test_a_slice_may_be_shared_as_its_admin_says() -> None:
    spec = AcceleratorSpec.model_validate({**ONE_LABEL, **FIGURES, "slice": True})
    slice_ = pod_of(rendered(service(choice={"type": "nvidia-l4"}), accelerator=spec))
    assert node_fits(slice_, {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.sharing-strategy": "mps"})


def test_no_surge_where_gpus_may_be_all_in_use() -> None:
    deployment = rendered(service()).objects["deployment"]["spec"]
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    probe = engine_of(rendered(service()))["startupProbe"]
    assert deployment["progressDeadlineSeconds"] > probe["periodSeconds"] * probe["failureThreshold"]


@pytest.mark.parametrize(
    ("model", "volume", "names"),
    [
        ("hf with a token", None, {"HF_TOKEN"}),
        ("s3 with keys", None, {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"}),
        ("gs with a key", {"secret"}, {"GOOGLE_APPLICATION_CREDENTIALS"}),
        ("pvc folder", {"persistentVolumeClaim"}, set()),
        ("oci", {"image"}, set()),
    ],
)
def test_sources(model: str, volume: set[str] | None, names: set[str]) -> None:
    record = rendered(service(MODELS[model]))
    further = [each for each in pod_of(record)["volumes"] if each["name"] not in ("shm", "cache")]
    assert [set(each) - {"name"} for each in further] == ([volume] if volume else [])
    assert names <= {entry["name"] for entry in engine_of(record)["env"]}
    for mount in engine_of(record)["volumeMounts"][2:]:
        assert mount["readOnly"] is True


def test_a_login_for_a_model_image_is_a_pull_secret() -> None:
    assert pod_of(rendered(service(MODELS["oci with a login"])))["imagePullSecrets"] == [{"name": "login"}]


def test_arguments_reach_the_engine_as_they_are_written() -> None:
    container = engine_of(rendered(service(runtime={"args": ["--stop-word=$(HOME)$$"]})))
    assert "--stop-word=$$(HOME)$$$$" in container["args"]  # Kubernetes makes of $$ a $, and of $(HOME) the variable
