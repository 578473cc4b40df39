"""Accelerators by ResourceClaim: the template, the pod that claims from it, and what a record may hold of it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from inferops import catalogue
from inferops.api.accelerator import AcceleratorSpec, DeviceSpec
from inferops.core.scheduling import SPOT_LABELS
from inferops.render.claims import expression
from inferops.render.record import Record, read_record, render_record
from inferops.render.revision import render_revision
from inferops.runtimes import ENGINES
from unit.render.building import revision, service
from unit.render.podsecurity import assert_restricted

DEVICE = {"className": "gpus", "driver": "gpu.example.com",
          "attributes": [{"name": "productName", "values": ["Example H100", "Example H100 NVL"]}]}  # fmt: skip


def claiming(claimed: bool = True, **choice: Any) -> Record:
    h100 = catalogue.accelerators()["nvidia-h100-80gb"]
    spec = AcceleratorSpec.model_validate({**h100.dump(), "device": DEVICE})
    of = service(choice={"type": "nvidia-h100-80gb", **choice})
    runtime = catalogue.runtimes()["vllm"]
    return render_revision(of, revision(of), runtime, spec, ENGINES["vllm"], claimed=claimed)


def pods(record: Record) -> list[dict[str, Any]]:
    spec = record.workload["spec"]
    group = spec.get("leaderWorkerTemplate", {})
    templates = [spec["template"]] if "template" in spec else [group["leaderTemplate"], group["workerTemplate"]]
    return [template["spec"] for template in templates]


@pytest.mark.parametrize(("choice", "each"), [({"count": 4}, 4), ({"count": 16, "nodes": 2}, 8)])
def test_every_pod_claims_its_share(choice: dict[str, Any], each: int) -> None:
    record = claiming(**choice)
    template = record.objects["claims"]
    assert (template["apiVersion"], template["kind"]) == ("resource.k8s.io/v1", "ResourceClaimTemplate")
    [request] = template["spec"]["spec"]["devices"]["requests"]
    assert (request["exactly"]["deviceClassName"], request["exactly"]["count"]) == ("gpus", each)
    for pod in pods(record):
        assert_restricted(pod)
        [claim] = pod["resourceClaims"]
        assert claim["resourceClaimTemplateName"] == template["metadata"]["name"]
        resources = pod["containers"][0]["resources"]
        assert resources["claims"] == [{"name": claim["name"]}]
        assert not [name for name in (*resources["limits"], *resources["requests"]) if "/" in name]
        assert "nodeSelector" not in pod, "the devices tell the nodes"


def test_where_devices_are_no_extended_resource_there_is_no_claim_and_the_other_way_round() -> None:
    record = claiming(claimed=False)
    [pod] = pods(record)
    assert "claims" not in record.objects and "resourceClaims" not in pod
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize("spot", [True, False])
def test_claims_are_no_way_around_spot(spot: bool) -> None:
    [pod] = pods(claiming(spot=spot))
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    told = [(each["key"], each["values"], each["operator"]) for term in terms for each in term["matchExpressions"]]
    assert told == [(key, [value], "In" if spot else "NotIn") for key, value in SPOT_LABELS]
    assert len(terms) == (len(SPOT_LABELS) if spot else 1)


def test_the_expression_names_driver_and_attributes() -> None:
    assert expression(DeviceSpec.model_validate(DEVICE)) == (
        'device.driver == "gpu.example.com" && "productName" in device.attributes["gpu.example.com"] && '
        'device.attributes["gpu.example.com"]["productName"] in ["Example H100", "Example H100 NVL"]'
    )


def test_what_is_read_is_what_was_recorded() -> None:
    record = claiming()
    written = json.loads(json.dumps(render_record(service(), record.spec.hash, 7, record)))
    assert read_record(written["data"], written["metadata"]["name"], written["metadata"]["namespace"]) == record


def _request(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data["objects"]["claims"]["spec"]["spec"]["devices"]["requests"][0]
    return found


HOSTILE: dict[str, Any] = {
    "adminAccess": lambda data: _request(data)["exactly"].update(adminAccess=True),
    "firstAvailable": lambda data: _request(data).update(firstAvailable=[{"name": "x", "deviceClassName": "admin"}]),
    "resourceClaims": lambda data: data["objects"]["deployment"]["spec"]["template"]["spec"].update(
        resourceClaims=[{"name": "accelerators", "resourceClaimName": "of-somebody"}]
    ),
    "ConfigMap": lambda data: data["objects"]["claims"].update(kind="ConfigMap"),
    "spec": lambda data: data["objects"]["claims"].pop("spec"),
}


@pytest.mark.parametrize("told", HOSTILE)
def test_a_hostile_record_is_refused(told: str) -> None:
    record = claiming()
    data = copy.deepcopy(render_record(service(), record.spec.hash, 1, record)["data"])
    HOSTILE[told](data)
    with pytest.raises(ValueError, match=told):
        read_record(data)
