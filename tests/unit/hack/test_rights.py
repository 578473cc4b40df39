"""What is granted and never used is found, and what is used without being granted; the tables of both are no excuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import rights
from rights import GATEWAY, HUB, OPERATOR, UNSEEN, Right, compare, granted, granted_by, used

PODS = Right(OPERATOR, "list", "", "pods")
SERVICES = Right(OPERATOR, "patch", "", "services")
MANIFESTS = rights.ROOT / "manifests"


def event(right: Right, code: int = 200, decision: str = "allow") -> str:
    resource, _, sub = right.resource.partition("/")
    told: dict[str, Any] = {
        "user": {"username": right.account},
        "verb": right.verb,
        "objectRef": {"resource": resource, "subresource": sub, "apiGroup": right.group, "name": right.name},
        "responseStatus": {"code": code},
        "annotations": {"authorization.k8s.io/decision": decision},
    }
    return json.dumps(told) + "\n"


def test_what_is_used_is_read_from_the_log() -> None:
    status = Right(OPERATOR, "patch", "serving.inferops.dev", "inferenceservices/status", "llama")
    assert used([event(status), event(PODS), event(SERVICES)[:40]]) == {status, PODS}
    assert used([event(PODS, 403, "forbid"), event(PODS._replace(account="kubernetes-admin"))]) == set()
    assert used([event(Right(OPERATOR, "get", "", ""))]) == set(), "paths such as /version are everybody's"


def test_an_apply_of_what_was_not_there_needs_two_rights() -> None:
    assert used([event(SERVICES, 201)]) == {SERVICES, SERVICES._replace(verb="create")}


def test_a_rule_is_one_right_for_each_verb_resource_group_and_name() -> None:
    rule = {"apiGroups": [""], "resources": ["a", "b"], "verbs": ["get", "list"], "resourceNames": ["x"]}
    role = {"kind": "Role", "rules": [rule]}
    found = granted([role, {"kind": "RoleBinding"}], OPERATOR)
    assert found == {Right(OPERATOR, verb, "", what, "x") for verb in ("get", "list") for what in ("a", "b")}


def test_what_is_given_and_never_used_is_found_and_the_other_way_round() -> None:
    found = compare({PODS, SERVICES}, {PODS}, ())
    assert (found.unused, found.beyond, found.stale) == ((SERVICES,), (), ())
    [said] = found
    assert said == "inferops-operator: patch services: given and never used; take it out of the manifest"
    assert list(compare({PODS}, {PODS, SERVICES}, ())) == [
        "inferops-operator: patch services: used, and given by no manifest"
    ]


def test_a_right_to_one_object_is_not_used_by_another() -> None:
    one = Right(OPERATOR, "get", "", "namespaces", "kube-system")
    other = one._replace(name="default")
    assert not list(compare({one}, {one}, ()))
    found = compare({one}, {other}, ())
    assert found.unused == (one,) and found.beyond == (other._replace(name=""),)


def test_what_is_excused_must_be_given() -> None:
    assert not list(compare({PODS, SERVICES}, {PODS}, [SERVICES]))
    assert not list(compare({PODS, SERVICES}, {PODS, SERVICES}, [SERVICES]))
    assert compare({PODS}, {PODS}, [SERVICES]).stale == (SERVICES,)


def test_the_excused_ones_are_given_each_with_its_reason() -> None:
    assert {*UNSEEN} <= granted_by() and all(UNSEEN.values())


def test_a_run_of_some_modules_does_not_judge_what_nothing_used(tmp_path: Path) -> None:
    (tmp_path / "hub.log").write_text(event(PODS))
    (tmp_path / "member.log").write_text(event(Right(HUB, "delete", "", "nodes")))
    assert rights.judge(tmp_path, whole=False) == ["inferops-hub: delete nodes: used, and given by no manifest"]
    assert len(rights.judge(tmp_path, whole=True)) > 50


@pytest.mark.parametrize("file", [path.relative_to(MANIFESTS) for path in sorted(MANIFESTS.rglob("*.yaml"))], ids=str)
def test_no_role_gives_too_much(file: Path) -> None:
    """CVE-2025-10725: an account of a platform that could make itself the cluster's admin."""
    for each in yaml.safe_load_all((MANIFESTS / file).read_text()):
        if each["kind"] not in rights.ROLES:
            continue
        assert all("nonResourceURLs" not in rule for rule in each["rules"])
        for right in granted([each], OPERATOR):
            assert "*" not in right, "a wildcard also gives what comes later"
            assert right.verb not in ("impersonate", "bind", "escalate", "approve", "sign")
            assert right.group not in (
                "rbac.authorization.k8s.io",
                "admissionregistration.k8s.io",
                "certificates.k8s.io",
            )
            assert right.resource.partition("/")[2] in ("", "status", "scale", "finalizers"), "exec, token, proxy …"
            assert right.resource not in ("serviceaccounts", "customresourcedefinitions")
            if right.resource == "secrets":  # `list` and `watch` show what is in them
                assert right.verb == "get"
            if right.resource in ("pods", "nodes"):  # a pod may take any ServiceAccount and any Secret of its namespace
                assert right.verb in ("list", "watch")


def test_secrets_are_never_read_in_all_namespaces() -> None:
    bound = set()
    for path in MANIFESTS.rglob("*.yaml"):
        objects = list(yaml.safe_load_all(path.read_text()))
        bound |= {each["roleRef"]["name"] for each in objects if each["kind"] == "ClusterRoleBinding"}
    assert bound
    roles = [each for path in MANIFESTS.rglob("*.yaml") for each in yaml.safe_load_all(path.read_text())]
    for each in roles:
        if each["kind"] == "ClusterRole" and each["metadata"]["name"] in bound:
            assert not [right for right in granted([each], GATEWAY) if right.resource == "secrets"]
