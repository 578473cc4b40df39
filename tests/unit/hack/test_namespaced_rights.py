"""Rights in some namespaces are those in all of them, given more narrowly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from harness import ROOT

MANIFESTS = ROOT / "manifests"
# Listed and watched in the whole cluster, with the names of those that no namespace has.
WHOLE = {"servingruntimes", "accelerators", "nodes", "resourceslices"}


def objects(*files: str) -> list[dict[str, Any]]:
    found = [each for name in files for each in yaml.safe_load_all((MANIFESTS / name).read_text())]
    return [each for each in found if each["kind"] in ("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding")]


def rights(roles: Iterable[dict[str, Any]]) -> dict[tuple[str, str], set[str]]:
    """Verbs by group and resource."""
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for role in roles:
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    found[group, resource] |= set(rule["verbs"])
    return dict(found)


def of(part: str, *files: str) -> list[dict[str, Any]]:
    """The roles of the operator or of the gateway, but for those of API keys, which are the same in both ways."""
    named = [each for each in objects(*files) if each["metadata"]["name"].startswith(f"inferops-{part}")]
    return [each for each in named if "rules" in each and not each["metadata"]["name"].endswith("-keys")]


@pytest.mark.parametrize("part", ["operator", "gateway"])
def test_they_are_the_same_taken_together(part: str) -> None:
    everywhere = rights(of(part, "install/rbac.yaml", "install/gateway.yaml"))
    some = rights(of(part, "namespaced/rbac.yaml"))
    # Of all namespaces where an InferenceCluster is this cluster; there is no narrower way to know what is free.
    some.pop(("resource.k8s.io", "resourceclaims"), None)
    everywhere.pop(("resource.k8s.io", "resourceclaims"), None)
    assert some == everywhere


def test_what_is_bound_in_the_whole_cluster_only_reads_what_no_namespace_has() -> None:
    found = objects("namespaced/rbac.yaml")
    bound = {each["roleRef"]["name"] for each in found if each["kind"] == "ClusterRoleBinding"}
    given = rights(each for each in found if each["metadata"]["name"] in bound and each["kind"] == "ClusterRole")
    assert {resource for _, resource in given} == WHOLE | {"namespaces"}
    assert given.pop(("", "namespaces")) == {"get"} and all(verbs == {"list", "watch"} for verbs in given.values())
