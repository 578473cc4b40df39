"""The CRDs on a real API server with no operator about: what it accepts, refuses, fills in and shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cluster.bad_resources import BAD, Bad
from cluster.good_resources import CLUSTER, FULL, GOOD, MINIMAL, RUNTIME, SERVICE_KIND, resource
from controlplane import BenchError, Cluster
from harness import wait_until
from inferops.api import GROUP
from inferops.api.resources import KINDS, InferenceService
from inferops.convert.documents import convert
from unit.convert.resources import kserve, kubeai, llm, runtime

ROOT = Path(__file__).resolve().parents[2]
CRDS = ROOT / "crds"
MODELS = {kind.name: kind.model for kind in KINDS}
NAMES = [f"crd/{kind.plural}.{GROUP}" for kind in KINDS]


@pytest.fixture(scope="module")
def crds(cluster: Cluster) -> None:
    files = [f"--filename={CRDS / kind.plural}.yaml" for kind in KINDS]
    cluster.kubectl("apply", "--server-side", "--force-conflicts", *files)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *NAMES)


def documents(resources: list[dict[str, Any]]) -> str:
    """Several resources as one input. A List would be checked by kubectl itself, before the API server sees it."""
    return "\n---\n".join(json.dumps(each) for each in resources)


def stored(cluster: Cluster, namespace: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    found = cluster.kubectl("get", wanted["kind"], wanted["metadata"]["name"], "-n", namespace, "-o", "json")
    parsed: dict[str, Any] = json.loads(found)
    return parsed


def converted() -> Iterator[dict[str, Any]]:
    """What convert makes of the resources that people have, and of some at random."""
    for path in sorted((ROOT / "tests" / "unit" / "convert" / "given").glob("*.yaml")):
        yield from (each.output for each in convert(path.read_text()) if each.output and not each.passed)
    for kind in (kserve, runtime, llm, kubeai):
        for seed in range(30):
            yield from (each.output for each in convert(json.dumps(kind(Random(seed)))) if each.output)


def test_the_api_server_takes_what_convert_makes(cluster: Cluster, crds: None) -> None:
    made = [{**each, "metadata": {**each["metadata"], "namespace": "default"}} for each in converted()]
    made = [{**each, "metadata": {**each["metadata"], "name": f"made-{n}"}} for n, each in enumerate(made)]
    said = cluster.kubectl("create", "--dry-run=server", "-f", "-", input=documents(made))
    assert said.count("created (server dry run)") == len(made) > 20


def set_status(cluster: Cluster, namespace: str, status: dict[str, Any]) -> None:
    patch = ["--subresource=status", "--type=merge", "-p", json.dumps({"status": status})]
    cluster.kubectl("patch", "infs/minimal", "-n", namespace, *patch)


def condition(kind: str, reason: str) -> dict[str, Any]:
    return {"type": kind, "status": "False", "reason": reason, "lastTransitionTime": "2025-11-03T09:00:00Z"}


def test_the_api_server_finds_nothing_wrong_with_the_definitions(cluster: Cluster, crds: None) -> None:
    for name in NAMES:
        definition = json.loads(cluster.kubectl("get", name, "-o", "json"))
        conditions = {each["type"]: each["status"] for each in definition["status"]["conditions"]}
        assert conditions["NamesAccepted"] == conditions["Established"] == "True"
        assert conditions.get("NonStructuralSchema", "False") == "False"


@pytest.fixture(scope="module")
def accepted(cluster: Cluster, crds: None) -> Iterator[dict[str, dict[str, Any]]]:
    """Every good resource as the API server stored it, by kind and name."""
    namespace = "accepted"
    cluster.kubectl("create", "namespace", namespace)
    cluster.kubectl("create", "-n", namespace, "-f", "-", input=documents(list(GOOD)))
    yield {each["kind"] + each["metadata"]["name"]: stored(cluster, namespace, each) for each in GOOD}
    cluster.kubectl("delete", "-n", namespace, "-f", "-", input=documents(list(GOOD)))
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good["metadata"]["name"])
def test_good_resources_are_stored_with_pydantic_s_defaults(
    accepted: dict[str, dict[str, Any]], good: dict[str, Any]
) -> None:
    model = MODELS[good["kind"]]
    ours, theirs = model.model_validate(good).dump(), accepted[good["kind"] + good["metadata"]["name"]]
    if good["metadata"]["name"] == "cpu-as-a-number":
        assert theirs["spec"]["runtime"]["resources"].pop("cpu") == 8
        assert ours["spec"]["runtime"]["resources"].pop("cpu") == "8"
    assert theirs["spec"] == ours["spec"]
    assert theirs.get("status") == ours.get("status")


def test_a_resource_that_nobody_has_looked_at_counts_as_in_progress(accepted: dict[str, dict[str, Any]]) -> None:
    """kstatus takes an object without an observed generation and without conditions for done."""
    fresh = accepted["InferenceServiceminimal"]
    assert fresh["status"]["observedGeneration"] < fresh["metadata"]["generation"]


@pytest.fixture(scope="module")
def refusals(cluster: Cluster, crds: None) -> str:
    """What the API server says to all bad resources, none of which it may create."""
    said = cluster.kubectl("create", "-f", "-", input=documents([bad.resource for bad in BAD]), check=False)
    assert not re.search(r" created$", said, re.MULTILINE)
    return said


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.case)
def test_bad_resources_are_refused_with_field_and_remedy(refusals: str, bad: Bad) -> None:
    name = re.escape(bad.resource["metadata"]["name"])
    (refusal,) = re.findall(rf'{bad.kind}.{GROUP} "{name}" is invalid: (.*)', refusals)
    assert bad.field in refusal
    assert bad.remedy in refusal


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (MINIMAL.replace("uri:", "url:"), "spec.model.url"),
        (MINIMAL + "  replicas: 2\n", "spec.replicas"),
        (FULL.replace("count: 4", "gpus: 4"), "spec.accelerators[0].gpus"),
        (RUNTIME.replace("drain:", "draining:"), "spec.draining"),
    ],
    ids=lambda text: text if text.startswith("spec.") else "",
)
def test_unknown_fields_are_refused(cluster: Cluster, crds: None, namespace: str, text: str, field: str) -> None:
    with pytest.raises(BenchError, match=re.escape(f'unknown field "{field}"')):
        cluster.kubectl("create", "-n", namespace, "-f", "-", input=text)


def test_a_status_is_held_to_its_schema(cluster: Cluster, crds: None, namespace: str) -> None:
    cluster.kubectl("create", "-n", namespace, "-f", "-", input=MINIMAL)
    with pytest.raises(BenchError, match=r"status.conditions\[0\].reason.*CamelCase"):
        set_status(cluster, namespace, {"conditions": [condition("Ready", "out of GPUs")]})
    set_status(cluster, namespace, {"conditions": [condition("Ready", "CrashLoop")]})


def test_two_managers_set_env_variables_side_by_side(cluster: Cluster, crds: None, namespace: str) -> None:
    for name in ("ALPHA", "BETA"):
        service = resource(SERVICE_KIND, "shared", {"spec.runtime.env": [{"name": name, "value": "1"}]})
        apply = ["apply", "--server-side", f"--field-manager={name.lower()}", "-n", namespace, "-f", "-"]
        cluster.kubectl(*apply, input=json.dumps(service))
    found = InferenceService.model_validate(stored(cluster, namespace, service))
    assert [each.name for each in found.spec.runtime.env] == ["ALPHA", "BETA"]


def test_scale_writes_the_replicas_and_reads_the_pods(cluster: Cluster, crds: None, namespace: str) -> None:
    cluster.kubectl("create", "-n", namespace, "-f", "-", input=MINIMAL)
    cluster.kubectl("scale", "infs/minimal", "-n", namespace, "--replicas=3")
    assert cluster.kubectl("get", "infs/minimal", "-n", namespace, "-o", "jsonpath={.spec.scaling.replicas}") == "3"
    set_status(cluster, namespace, {"replicas": 2, "selector": "inferops.dev/service=minimal"})
    path = f"/apis/{GROUP}/v1alpha1/namespaces/{namespace}/inferenceservices/minimal/scale"
    scale = json.loads(cluster.kubectl("get", "--raw", path))
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (3, 2)
    assert scale["status"]["selector"] == "inferops.dev/service=minimal"


def test_explain_shows_the_descriptions(cluster: Cluster, crds: None) -> None:
    def published() -> bool:  # the API server publishes a new kind's schema a moment after it serves the kind
        return "KIND:" in cluster.kubectl("explain", "infs.spec.model", check=False)

    wait_until("the schema published", published, 30)
    explained = " ".join(cluster.kubectl("explain", "infs.spec.model").split())
    assert "The model to serve." in explained
    assert "Where the model is: hf://ORG/MODEL" in explained
    assert "uri <string> -required-" in explained
    every = cluster.kubectl("explain", "infs.spec", "--recursive")
    assert "queueTimeout" in every


def test_columns(cluster: Cluster, crds: None, namespace: str) -> None:
    cluster.kubectl("create", "-n", namespace, "-f", "-", input=MINIMAL + "---" + CLUSTER)
    status = {
        "conditions": [condition("Ready", "CrashLoop"), {**condition("Available", "Fine"), "status": "True"}],
        "readyReplicas": 2,
        "stableRevision": "0123456789",
        "url": "http://minimal.example",
        "revisions": [{"name": "minimal-1", "hash": "abc", "role": "Canary", "weight": 25}],
        "rollout": {"phase": "Observing"},
    }
    set_status(cluster, namespace, status)
    head, row = cluster.kubectl("get", "infs", "-n", namespace, "-o", "wide").splitlines()
    assert dict(zip(head.split()[:-1], row.split()[:-1], strict=True)) == {
        "NAME": "minimal",
        "READY": "False",
        "AVAILABLE": "True",
        "REASON": "CrashLoop",
        "REPLICAS": "2",
        "REVISION": "0123456789",
        "ROLLOUT": "Observing",
        "CANARY": "25",
        "MODEL": "hf://Qwen/Qwen3-8B",
        "URL": "http://minimal.example",
    }
    ours = cluster.kubectl("get", "inferops", "-n", namespace, "-o", "name")
    assert {f"inferencecluster.{GROUP}/eu-1", f"inferenceservice.{GROUP}/minimal"} <= set(ours.splitlines())
    assert f"inferenceservice.{GROUP}/minimal" in cluster.kubectl("get", "all", "-n", namespace, "-o", "name").split()


def test_applying_the_definitions_again_changes_nothing(cluster: Cluster, crds: None) -> None:
    versions = ["get", *NAMES, "-o", "jsonpath={.items[*].metadata.resourceVersion}"]
    before = cluster.kubectl(*versions)
    for kind in KINDS:
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS / f"{kind.plural}.yaml"))
    assert cluster.kubectl(*versions) == before
