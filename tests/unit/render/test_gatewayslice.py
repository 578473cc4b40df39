"""The slice that leads to the gateways, and the Service that leads nowhere else meanwhile."""

from __future__ import annotations

import json

from hypothesis import given

from inferops.render.gatewayslice import MOST, render_gateway_slice, slice_name
from inferops.render.record import Record
from inferops.render.stable import render_stable
from unit.render.building import UID, records, service


def test_it_lists_the_gateways_behind_the_service_of_its_name() -> None:
    slice_ = render_gateway_slice(service(), ["10.0.0.1:8080", "10.0.0.2:8080"])
    assert json.loads(json.dumps(slice_)) == slice_
    meta = slice_["metadata"]
    assert (meta["name"], meta["namespace"]) == (slice_name("chat"), "team-a")
    assert meta["labels"]["kubernetes.io/service-name"] == "chat"
    assert meta["labels"]["endpointslice.kubernetes.io/managed-by"] == "inferops"
    assert [owner["uid"] for owner in meta["ownerReferences"]] == [UID]
    assert slice_["addressType"] == "IPv4"
    assert [each["addresses"] for each in slice_["endpoints"]] == [["10.0.0.1"], ["10.0.0.2"]]
    assert all(each["conditions"] == {"ready": True} for each in slice_["endpoints"])
    assert slice_["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]


def test_one_slice_has_one_port_and_no_more_endpoints_than_the_api_allows() -> None:
    slice_ = render_gateway_slice(service(), ["10.0.0.1:8080", "10.0.0.2:9999", "10.0.0.3:8080"])
    assert [each["addresses"] for each in slice_["endpoints"]] == [["10.0.0.1"], ["10.0.0.3"]]
    many = [f"10.0.{number // 250}.{number % 250}:8080" for number in range(MOST + 10)]
    assert len(render_gateway_slice(service(), many)["endpoints"]) == MOST


@given(records())
def test_through_the_gateway_its_service_selects_no_pod_and_is_otherwise_the_same(record: Record) -> None:
    direct, through = (render_stable(service(), record.spec.hash, record, gateway=gateway) for gateway in (False, True))
    pods = record.objects["deployment"]["spec"]["template"]["metadata"]["labels"]
    assert direct["spec"]["selector"].items() <= pods.items()
    added = through["spec"]["selector"].items() - direct["spec"]["selector"].items()
    assert added and not added & pods.items()
    assert {**through, "spec": {**through["spec"], "selector": direct["spec"]["selector"]}} == direct
