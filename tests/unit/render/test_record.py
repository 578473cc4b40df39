"""A record restores what was rendered, and nothing that somebody else put there."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.render.record import Record, read_record, render_record
from inferops.render.stable import render_stable
from unit.render.building import MODELS, UID, records, rendered, service

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(records())
def test_what_is_read_is_what_was_recorded(record: Record) -> None:
    written = json.loads(json.dumps(render_record(service(), record.spec.hash, 7, record)))
    assert written["revision"] == 7
    assert read_record(written["data"], written["metadata"]["name"], written["metadata"]["namespace"]) == record


def test_a_record_is_an_owned_controller_revision_and_no_part_of_the_objects() -> None:
    record = rendered(service())
    written = render_record(service(), record.spec.hash, 1, record)
    assert (written["apiVersion"], written["kind"]) == ("apps/v1", "ControllerRevision")
    assert written["metadata"]["name"] == f"chat-{record.spec.hash}"
    assert written["metadata"]["ownerReferences"][0]["uid"] == UID
    written["data"]["objects"]["deployment"]["spec"].clear()
    assert record.objects["deployment"]["spec"]


Change = Callable[[dict[str, Any]], object]


def pod(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data["objects"]["deployment"]["spec"]["template"]["spec"]
    return found


def container_context(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = pod(data)["containers"][0]["securityContext"]
    return found


HOSTILE: list[tuple[str, Change]] = [
    ("hostNetwork", lambda data: pod(data).update(hostNetwork=True)),
    ("hostPath", lambda data: pod(data)["volumes"].append({"name": "root", "hostPath": {"path": "/"}})),
    ("serviceAccountName", lambda data: pod(data).update(serviceAccountName="admin")),
    ("privileged", lambda data: container_context(data).update(privileged=True)),
    ("allowPrivilegeEscalation", lambda data: container_context(data).pop("allowPrivilegeEscalation")),
    ("capabilities", lambda data: container_context(data).update(capabilities={"add": ["SYS_ADMIN"]})),
    ("runAsNonRoot", lambda data: container_context(data).update(runAsUser=0)),
    ("seccompProfile", lambda data: pod(data)["securityContext"].pop("seccompProfile")),
    ("sysctls", lambda data: pod(data)["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}])),
    ("hostPort", lambda data: pod(data)["containers"][0]["ports"][0].update(hostPort=80)),
    ("initContainers", lambda data: pod(data).update(initContainers=[{"name": "first", "image": "other"}])),
    ("kube-system", lambda data: data["objects"]["deployment"]["metadata"].update(namespace="kube-system")),
    ("another", lambda data: data["objects"]["service"]["metadata"].update(name="another")),
    ("ClusterRoleBinding", lambda data: data["objects"]["pdb"].update(kind="ClusterRoleBinding")),
    ("objects", lambda data: data.pop("objects")),
    ("spec", lambda data: data.pop("spec")),
    ("uri", lambda data: data["spec"]["model"].update(uri="file:///etc/passwd")),
]


@pytest.mark.parametrize(("told", "change"), HOSTILE, ids=[told for told, _ in HOSTILE])
def test_a_hostile_record_is_refused(told: str, change: Change) -> None:
    record = rendered(service())
    written = render_record(service(), record.spec.hash, 1, record)
    data = copy.deepcopy(written["data"])
    change(data)
    with pytest.raises(ValueError, match=told):
        read_record(data, written["metadata"]["name"], written["metadata"]["namespace"])


@given(JSON, st.sampled_from(["spec", "image", "objects"]))
def test_a_mangled_record_is_refused_and_breaks_nothing(junk: Any, key: str) -> None:
    record = rendered(service())
    data = {**render_record(service(), record.spec.hash, 1, record)["data"], key: junk}
    try:
        read_record(data)
    except ValueError:
        return
    assert key == "image"  # any text will do for it


@given(JSON)
def test_a_mangled_pod_is_refused(junk: Any) -> None:
    record = rendered(service())
    data = render_record(service(), record.spec.hash, 1, record)["data"]
    data["objects"]["deployment"]["spec"]["template"]["spec"]["containers"][0] = junk
    with pytest.raises(ValueError, match="data"):
        read_record(data)


def test_the_stable_service_follows_the_revision() -> None:
    of = service()
    http = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}
    vllm = rendered(of)
    stable = render_stable(of, "0123456789", vllm)
    assert stable["metadata"]["name"] == "chat"
    assert stable["spec"]["selector"] == {"inferops.dev/service": "chat", "inferops.dev/revision": "0123456789"}
    assert stable["spec"]["ports"] == [http]
    triton = rendered(service(MODELS["pvc"], {"name": "triton"}))
    ports = render_stable(of, triton.spec.hash, triton)["spec"]["ports"]
    assert ports == [http, {"name": "grpc", "port": 8001, "protocol": "TCP", "targetPort": "grpc"}]


def test_a_revisions_own_service_takes_no_address_and_has_the_containers_ports() -> None:
    own = rendered(service(MODELS["pvc"], {"name": "triton"})).objects["service"]["spec"]
    assert own["clusterIP"] == "None"
    assert {port["name"]: port["port"] for port in own["ports"]} == {"http": 8000, "grpc": 8001}
