"""The chart with its default values, and its parts by themselves, say what the plain manifests say."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from controlplane import find_binaries
from helm import CHART, NAMESPACE, Object, key, objects, of_kind, template

MANIFESTS = CHART.parent.parent / "manifests"
# What Helm's objects have beside: who manages them, and of which version they are.
HELM_LABELS = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
}
KEPT = {"helm.sh/resource-policy", "argocd.argoproj.io/sync-options"}
TEST = ("Pod", NAMESPACE, "inferops-test")  # of `helm test`

Rule = tuple[str, str, str, str]


def plain(each: Object) -> Object:
    """An object without what only Helm's have. The order of rules does not matter, nor how they are put together."""
    metadata = dict(each["metadata"])
    metadata["labels"] = {name: value for name, value in metadata["labels"].items() if name not in HELM_LABELS}
    annotations = {name: value for name, value in metadata.pop("annotations", {}).items() if name not in KEPT}
    found = {**each, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}
    return {**found, "rules": granted(each)} if "rules" in each else found


def granted(role: Object) -> set[Rule]:
    """What a role grants: group, resource, name and verb of each right."""
    return {
        (group, resource, name, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def by_key(rendered: list[Object]) -> dict[tuple[str, str, str], Any]:
    found = {key(each): plain(each) for each in rendered}
    assert len(found) == len(rendered), "an object is there twice"
    return found


def file(path: str) -> list[Object]:
    return objects((MANIFESTS / path).read_text())


def test_that_the_chart_and_kustomize_say_the_same() -> None:
    kubectl = find_binaries().path("kubectl")
    command = ["kubectl", "kustomize", "--load-restrictor=LoadRestrictionsNone", str(MANIFESTS / "install")]
    done = subprocess.run(command, executable=kubectl, capture_output=True, text=True, timeout=60, check=True)
    kustomized, charted = by_key(objects(done.stdout)), by_key(template())
    del kustomized["Namespace", "", NAMESPACE]  # which helm is told to create, or finds
    del charted[TEST]
    assert charted.keys() == kustomized.keys()
    for name, each in kustomized.items():
        assert charted[name] == each, name


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"member": {"enabled": True}}, "member/rbac.yaml"),
        ({"ocm": {"agent": True}}, "member/ocm.yaml"),
        ({"ocm": {"hub": {"enabled": True}}}, "install/ocm.yaml"),
    ],
)
def test_that_options_say_the_same_as_their_files(values: dict[str, Any], path: str) -> None:
    charted, usual = by_key(template(values)), by_key(template())
    added = {name: each for name, each in charted.items() if name not in usual}
    plainly = by_key([each for each in file(path) if each["kind"] != "Namespace"])
    assert added == plainly


def test_that_namespaced_rights_are_those_of_the_manifest() -> None:
    charted = template({"watchNamespaces": ["team-a"], "rbac": {"capacity": True}})
    manifest = file("namespaced/rbac.yaml")

    def rights(rendered: list[Object], kind: str, name: str) -> set[Rule]:
        (found,) = of_kind(rendered, kind, name)
        return granted(found)

    # Its own namespace may be none that is served, and has the Events of InferenceClusters.
    events = {("", "events", "", "create"), ("", "events", "", "patch")}
    for kind, name, theirs_kind, theirs, more in (
        ("ClusterRole", f"inferops-operator-{NAMESPACE}", "ClusterRole", "inferops-operator-namespaced", set()),
        ("Role", "inferops-operator-services", "ClusterRole", "inferops-operator-namespace", set()),
        ("Role", "inferops-operator", "Role", "inferops-operator", events),
        (
            "ClusterRole",
            f"inferops-operator-capacity-{NAMESPACE}",
            "ClusterRole",
            "inferops-operator-capacity",
            set[Rule](),
        ),
        ("ClusterRole", f"inferops-gateway-{NAMESPACE}", "ClusterRole", "inferops-gateway-namespaced", set()),
        ("Role", "inferops-gateway-services", "ClusterRole", "inferops-gateway-namespace", set()),
        ("Role", "inferops-gateway", "Role", "inferops-gateway", set()),
    ):
        assert rights(charted, kind, name) - more == rights(manifest, theirs_kind, theirs) - more, name


def test_that_both_scopes_grant_the_same_in_parts() -> None:
    whole = {each["metadata"]["name"]: granted(each) for each in template() if each["kind"] == "ClusterRole"}
    scoped = template({"watchNamespaces": ["team-a"], "rbac": {"capacity": True}})
    parts = {each["metadata"]["name"]: granted(each) for each in scoped if each["kind"] in ("ClusterRole", "Role")}
    for part in ("operator", "gateway"):
        names = (f"inferops-{part}-{NAMESPACE}", f"inferops-{part}-services", f"inferops-{part}-capacity-{NAMESPACE}")
        split = set[Rule]().union(*(parts.get(name, set()) for name in names))
        # These are asked of the operator's own namespace alone, once not all namespaces are its own.
        home = {
            rule for rule in whole[f"inferops-{part}"] if rule[1].startswith(("inferenceclusters", "clusterprofiles"))
        }
        assert split == whole[f"inferops-{part}"] - home, part
