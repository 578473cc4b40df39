"""How the gateway is installed: with rights to read alone, restricted, reachable, and with time to finish streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from inferops.gateway.access.keyring import ACCOUNT, ROLE
from inferops.gateway.process import CUT, Options
from inferops.render.gatewayslice import GATEWAYS
from unit.render.podsecurity import assert_restricted

INSTALL = Path(__file__).parents[3] / "manifests" / "install"
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((INSTALL / "gateway.yaml").read_text()))
NAMESPACE = ACCOUNT.partition(":")[0]


def find(kind: str, name: str = GATEWAYS) -> dict[str, Any]:
    [found] = [each for each in OBJECTS if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


POD: dict[str, Any] = find("Deployment")["spec"]["template"]
CONTAINER: dict[str, Any] = POD["spec"]["containers"][0]


def test_it_is_installed_with_the_rest() -> None:
    assert "gateway.yaml" in yaml.safe_load((INSTALL / "kustomization.yaml").read_text())["resources"]
    assert all(each["metadata"].get("namespace") in (None, NAMESPACE) for each in OBJECTS)


def test_it_may_list_and_watch_and_nothing_else() -> None:
    rules = find("ClusterRole")["rules"]
    assert all(rule["verbs"] == ["list", "watch"] for rule in rules)
    allowed = {(group, name) for rule in rules for group in rule["apiGroups"] for name in rule["resources"]}
    assert allowed == {
        ("serving.inferops.dev", "inferenceservices"),
        ("serving.inferops.dev", "servingruntimes"),
        ("discovery.k8s.io", "endpointslices"),
    }


def test_secrets_are_read_only_where_an_admin_binds_it() -> None:
    assert find("ClusterRole", ROLE)["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    bindings = [each for each in OBJECTS if each["kind"] in ("ClusterRoleBinding", "RoleBinding")]
    assert [each["roleRef"]["name"] for each in bindings] == [GATEWAYS]
    [subject] = bindings[0]["subjects"]
    assert f"{subject['namespace']}:{subject['name']}" == ACCOUNT
    assert POD["spec"]["serviceAccountName"] == subject["name"]


def test_its_pods_are_restricted() -> None:
    assert_restricted(POD["spec"])
    assert CONTAINER["securityContext"]["readOnlyRootFilesystem"] is True
    assert CONTAINER["resources"]["limits"]["memory"]


def test_streams_have_time_to_finish() -> None:
    options = Options()
    assert POD["spec"]["terminationGracePeriodSeconds"] > options.drain_delay + options.drain_timeout + 2 * CUT


def test_the_ports_are_those_that_it_listens_on() -> None:
    options = Options()
    listens = {"http": options.port, "metrics": options.metrics_port}
    assert {port["name"]: port["containerPort"] for port in CONTAINER["ports"]} == listens
    service = find("Service")["spec"]
    assert {port["name"]: (port["port"], port["targetPort"]) for port in service["ports"]} == {
        "http": (80, "http"),
        "metrics": (options.metrics_port, "metrics"),
    }
    assert {CONTAINER[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} == {"metrics"}


def test_everything_selects_its_pods() -> None:
    labels = POD["metadata"]["labels"].items()
    selectors = (
        find("Service")["spec"]["selector"],
        find("Deployment")["spec"]["selector"]["matchLabels"],
        find("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        POD["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    )
    assert all(selector and selector.items() <= labels for selector in selectors)


def test_one_goes_at_a_time_and_is_replaced_before() -> None:
    assert find("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert find("Deployment")["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert find("Deployment")["spec"]["replicas"] == 2
