"""What values of the chart do: every one has its effect where it belongs, and a wrong one is refused by its name."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
import yaml

from helm import CHART, NAMESPACE, HelmFailed, Object, helm, key, of_kind, template
from inferops.api.resources import Accelerator, ServingRuntime
from inferops.cli.main import app
from unit.chart.combinations import DIGEST, MANY, OFFERED, POD, RUNTIME

Json = dict[str, Any]
WRONG: list[tuple[Json, str]] = [
    ({"operator": {"replica": 3}}, "/operator"),
    ({"operators": {}}, "operators"),
    ({"operator": {"replicas": "two"}}, "/operator/replicas"),
    ({"operator": {"workers": 0}}, "/operator/workers"),
    ({"operator": {"hub": "huggingface.co"}}, "/operator/hub"),
    ({"operator": {"gateway": "public"}}, "/operator/gateway"),
    ({"operator": {"prometheus": "prometheus:9090"}}, "/operator/prometheus"),
    ({"operator": {"webhookHosts": ["https://hooks.example.com/x"]}}, "/operator/webhookHosts/0"),
    ({"operator": {"members": {"lostAfter": "5 minutes"}}}, "/operator/members/lostAfter"),
    ({"operator": {"logLevel": "trace"}}, "/operator/logLevel"),
    ({"operator": {"extraArgs": ["log-level=debug"]}}, "/operator/extraArgs/0"),
    ({"operator": {"extraEnv": {"A": "b"}}}, "/operator/extraEnv"),
    ({"operator": {"resources": {"request": {"cpu": 1}}}}, "/operator/resources"),
    ({"operator": {"podLabels": {"team": "a b"}}}, "/operator/podLabels/team"),
    ({"operator": {"podAnnotations": {"x": 1}}}, "/operator/podAnnotations/x"),
    ({"operator": {"terminationGracePeriodSeconds": 0}}, "/operator/terminationGracePeriodSeconds"),
    ({"gateway": {"drain": {"delay": 5}}}, "/gateway/drain"),
    ({"gateway": {"drain": {"timeoutSeconds": 1.5}}}, "/gateway/drain/timeoutSeconds"),
    ({"gateway": {"accessLog": "some"}}, "/gateway/accessLog"),
    ({"gateway": {"public": {"type": "ClusterIP"}}}, "/gateway/public/type"),
    ({"gateway": {"public": {"port": 0}}}, "/gateway/public/port"),
    ({"gateway": {"podDisruptionBudget": {"maxUnavailable": "a few"}}}, "/gateway/podDisruptionBudget/maxUnavailable"),
    ({"gateway": {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 4}}}, "autoscaling.maxReplicas"),
    ({"image": {"tag": "a tag"}}, "/image/tag"),
    ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
    ({"image": {"repository": "registry.example.com/Inferops"}}, "/image/repository"),
    ({"imagePullSecrets": ["registry"]}, "/imagePullSecrets/0"),
    ({"watchNamespaces": "team-a"}, "/watchNamespaces"),
    ({"watchNamespaces": ["team-a", "team-a"]}, "/watchNamespaces"),
    ({"watchNamespaces": ["*"]}, "/watchNamespaces/0"),
    ({"networkPolicy": {"outsidePorts": ["https"]}}, "/networkPolicy/outsidePorts/0"),
    ({"networkPolicy": {"outsidePorts": []}}, "/networkPolicy/outsidePorts"),
    ({"monitoring": {"podMonitor": {"interval": "often"}}}, "/monitoring/podMonitor/interval"),
    ({"crds": {"keep": "yes"}}, "/crds/keep"),
    ({"runtimes": {"Ours": RUNTIME}}, "/runtimes"),
    ({"runtimes": {"ours": {}}}, "/runtimes/ours"),
    ({"runtimes": [RUNTIME]}, "/runtimes"),
    ({"ocm": {"hub": {"clusters": [1]}}}, "/ocm/hub/clusters/0"),
]


@pytest.fixture(scope="module", params=MANY)
def rendered(request: pytest.FixtureRequest) -> list[Object]:
    return template(MANY[request.param], *OFFERED)


@pytest.mark.parametrize("name", MANY)
def test_that_helm_lint_has_nothing_to_say(name: str) -> None:
    told = helm("lint", "--strict", str(CHART), values=MANY[name])
    assert "0 chart(s) failed" in told


@pytest.mark.parametrize(("values", "field"), WRONG, ids=[str(values) for values, _ in WRONG])
def test_that_a_wrong_value_is_refused_by_its_name(values: Json, field: str) -> None:
    with pytest.raises(HelmFailed) as refused:
        template(values)
    assert field in str(refused.value)


def test_that_no_object_is_there_twice_and_all_are_where_they_belong(rendered: list[Object]) -> None:
    assert len({key(each) for each in rendered}) == len(rendered)
    for each in rendered:
        bound = each["kind"] in ("Role", "RoleBinding")  # also in namespaces of others
        assert each["metadata"].get("namespace", NAMESPACE) == NAMESPACE or bound
        assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "inferops"


def test_that_bindings_bind_what_is_there(rendered: list[Object]) -> None:
    there = {key(each) for each in rendered}
    for each in rendered:
        if each["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            ref = each["roleRef"]
            namespace = each["metadata"]["namespace"] if ref["kind"] == "Role" else ""
            assert (ref["kind"], namespace, ref["name"]) in there
            (subject,) = each["subjects"]
            assert ("ServiceAccount", subject["namespace"], subject["name"]) in there


def test_that_every_pod_is_restricted_and_asks_for_memory(rendered: list[Object]) -> None:
    found = list(pods(rendered))
    assert found
    for spec in found:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert (context["allowPrivilegeEscalation"], context["capabilities"]) == (False, {"drop": ["ALL"]})
            assert context["readOnlyRootFilesystem"] is True
            assert container["resources"]["requests"]["memory"] and container["resources"]["limits"]["memory"]


def test_that_the_programs_understand_every_argument(rendered: list[Object]) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for spec in pods(rendered):
        for container in spec["containers"]:
            if container["command"][0] == "inferops":
                name = container["command"][1]
                commands[name].make_context(name, list(container.get("args", [])))


def test_that_policies_and_budgets_are_of_pods_that_are_there(rendered: list[Object]) -> None:
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in of_kind(rendered, "Deployment")]
    names = {each["app.kubernetes.io/name"] for each in labels}
    for each in rendered:
        selector = {"PodDisruptionBudget": "selector", "NetworkPolicy": "podSelector"}.get(each["kind"])
        if selector:
            assert each["spec"][selector]["matchLabels"]["app.kubernetes.io/name"] in names
    ports = {port["name"] for spec in pods(rendered) for each in spec["containers"] for port in each.get("ports", [])}
    for service in of_kind(rendered, "Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_that_names_are_texts_whatever_they_look_like() -> None:
    values = {
        "runtimes": {"y": RUNTIME},
        "watchNamespaces": ["1234", "on"],
        "operator": {"notify": {"secret": "1e3", "key": "2"}, "priorityClassName": "no", "podLabels": {"x": "1"}},
        "gateway": {"keys": {"namespaces": ["1234"]}, "serviceAccount": {"name": "0"}},
    }
    for each in template(values, *OFFERED, namespace="007"):
        metadata = each["metadata"]
        assert isinstance(metadata["name"], str) and isinstance(metadata.get("namespace", ""), str), each
        assert all(isinstance(label, str) for label in metadata["labels"].values())
        for subject in each.get("subjects", ()):
            assert isinstance(subject["name"], str) and subject["namespace"] == "007"
    (runtime,) = of_kind(template(values, *OFFERED), "ServingRuntime")
    assert runtime["metadata"]["name"] == "y"


def test_that_resources_of_the_values_are_whole() -> None:
    rendered = template(MANY["everything"], *OFFERED)
    for model in (ServingRuntime, Accelerator):
        (each,) = of_kind(rendered, model.__name__)
        assert model.model_validate({field: each[field] for field in ("metadata", "spec")}).metadata.name


def test_the_settings_of_pods() -> None:
    rendered = template(MANY["everything"], *OFFERED)
    for name in ("inferops-operator", "inferops-gateway"):
        (deployment,) = of_kind(rendered, "Deployment", name)
        made = deployment["spec"]["template"]
        spec, (container,) = made["spec"], made["spec"]["containers"]
        assert container["image"] == f"registry.example.com:5000/ml/inferops:1.2.3@{DIGEST}"
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
        for field in ("priorityClassName", "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints"):
            assert spec[field] == POD[field]
        assert spec["securityContext"]["runAsUser"] == 1000660000 and spec["securityContext"]["runAsNonRoot"] is True
        assert made["metadata"]["annotations"] == POD["podAnnotations"]
        assert made["metadata"]["labels"].items() >= {"team": "ml", "cost-center": "42"}.items()
        assert POD["extraEnv"][0] in container["env"] and POD["extraArgs"][0] in container["args"]
        assert POD["extraVolumes"][0] in spec["volumes"] and POD["extraVolumeMounts"][0] in container["volumeMounts"]
        assert container["livenessProbe"]["initialDelaySeconds"] == 7 and container["livenessProbe"]["httpGet"]
        assert container["readinessProbe"]["timeoutSeconds"] == 9
        (budget,) = of_kind(rendered, "PodDisruptionBudget", name)
        assert budget["spec"]["maxUnavailable"] == "25%"


def test_that_the_gateway_has_time_to_drain_and_is_scaled_by_one_of_two() -> None:
    (deployment,) = of_kind(template(MANY["everything"], *OFFERED), "Deployment", "inferops-gateway")
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 10 + 900 + 25
    assert "replicas" not in deployment["spec"]
    (scaler,) = of_kind(template(MANY["everything"], *OFFERED), "HorizontalPodAutoscaler")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (3, 30)


def test_that_policies_let_the_operator_read_whoever_else_may() -> None:
    narrowed = of_kind(template(MANY["everything"], *OFFERED), "NetworkPolicy")
    for each in narrowed:
        (rule,) = (rule for rule in each["spec"]["ingress"] if rule["ports"][0]["port"] == "metrics")
        names = [peer["podSelector"]["matchLabels"] for peer in rule["from"] if "podSelector" in peer]
        assert {"app.kubernetes.io/name": "inferops-operator"} in names
        assert {"app.kubernetes.io/name": "inferops-test"} in names
    for each in of_kind(template(), "NetworkPolicy"):
        assert all("from" not in rule for rule in each["spec"]["ingress"]), "the API server's proxy is no pod"
        assert {port["port"] for rule in each["spec"]["ingress"] for port in rule["ports"]} <= {"http", "metrics"}


def test_that_the_outside_gets_to_requests_alone() -> None:
    services = of_kind(template(MANY["everything"], *OFFERED), "Service")
    outside = [each for each in services if each["spec"].get("type", "ClusterIP") != "ClusterIP"]
    assert [[port["name"] for port in each["spec"]["ports"]] for each in outside] == [["http"]]


def test_that_named_namespaces_narrow_the_rights() -> None:
    rendered = template(MANY["two namespaces"] | {"rbac": {"capacity": False}})
    roles = {(role["metadata"]["namespace"], role["metadata"]["name"]) for role in of_kind(rendered, "Role")}
    assert roles >= {(each, "inferops-operator-services") for each in ("team-a", "team-b")}
    for role in of_kind(rendered, "ClusterRole"):
        if role["metadata"]["name"] in (f"inferops-operator-{NAMESPACE}", f"inferops-gateway-{NAMESPACE}"):
            assert not {"pods", "secrets", "services", "deployments", "inferenceservices"} & {
                resource for rule in role["rules"] for resource in rule["resources"]
            }
    arguments = [spec["containers"][0]["args"] for spec in pods(rendered) if "args" in spec["containers"][0]]
    watched = ["--watch-namespace=team-a", "--watch-namespace=team-b"]
    assert sum(all(each in found for each in watched) for found in arguments) == 2
    (monitor,) = of_kind(rendered, "PodMonitor")
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["team-a", "team-b"]}


def test_that_people_who_edit_do_not_decide_for_others() -> None:
    roles = {role["metadata"]["name"]: role for role in of_kind(template(), "ClusterRole")}
    for name, role in roles.items():
        aggregated = [label for label in role["metadata"]["labels"] if label.startswith("rbac.authorization.k8s.io/")]
        if not aggregated:
            continue
        written = {
            resource
            for rule in role["rules"]
            for resource in rule["resources"]
            if not {*rule["verbs"]} <= {"get", "list", "watch"}
        }
        assert written <= {"inferenceservices", "inferenceservices/scale"}, name
    assert not of_kind(template(), "ClusterRoleBinding", "inferops-admin")


def test_that_resources_of_new_kinds_come_after_these_the_first_time() -> None:
    values = {"runtimes": {"ours": RUNTIME}}
    (first,) = of_kind(template(values), "ServingRuntime")
    assert (
        first["metadata"]["annotations"].items()
        >= {
            "helm.sh/hook": "post-install,post-rollback",
            "meta.helm.sh/release-name": "inferops",  # by which an upgrade takes it over
            "meta.helm.sh/release-namespace": NAMESPACE,
        }.items()
    )
    for later in (template(values, *OFFERED), template(values, "--is-upgrade"), template(values | NO_CRDS)):
        (each,) = of_kind(later, "ServingRuntime")
        assert "annotations" not in each["metadata"] and each["spec"] == RUNTIME


NO_CRDS: Json = {"crds": {"enabled": False}}


def test_that_definitions_are_kept_unless_told_otherwise() -> None:
    kept = of_kind(template(), "CustomResourceDefinition")
    assert len(kept) == 4
    kept_by = {"helm.sh/resource-policy": "keep", "argocd.argoproj.io/sync-options": "Prune=false"}
    assert all(each["metadata"]["annotations"] == kept_by for each in kept)
    not_kept = of_kind(template({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert len(not_kept) == 4 and not any("annotations" in each["metadata"] for each in not_kept)
    assert not of_kind(template(NO_CRDS), "CustomResourceDefinition")


@pytest.mark.parametrize("name", MANY)
def test_that_the_notes_name_what_is_there(name: str) -> None:
    command = ("install", "inferops", str(CHART), "--namespace", NAMESPACE, "--dry-run=client", "--hide-secret")
    _, _, notes = helm(*command, values=MANY[name]).partition("NOTES:")
    assert "rollout status deployment/inferops-operator" in notes and "kind: InferenceService" in notes
    assert ("deployment/inferops-gateway" in notes) == MANY[name].get("gateway", {}).get("enabled", True)
    assert ("-n team-a wait" in notes) == ("watchNamespaces" in MANY[name])


def test_that_alerts_and_dashboards_are_those_of_the_files() -> None:
    rendered = template({"monitoring": copy.deepcopy(MANY["everything"]["monitoring"])})
    (rule,) = of_kind(rendered, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((CHART / "alerts.yaml").read_text()) and rule["spec"]["groups"]
    boards = of_kind(rendered, "ConfigMap")
    assert {name for each in boards for name in each["data"]} == {
        path.name for path in (CHART / "dashboards").glob("*.json")
    }
    for each in boards:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        (data,) = each["data"].values()
        assert data == (CHART / "dashboards" / next(iter(each["data"]))).read_text().strip()


def pods(rendered: list[Object]) -> Iterator[Json]:
    """The specs of all pods, of Deployments and by themselves."""
    for each in rendered:
        if each["kind"] == "Deployment":
            yield each["spec"]["template"]["spec"]
        elif each["kind"] == "Pod":
            yield each["spec"]
