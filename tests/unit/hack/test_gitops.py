"""The samples for Argo CD and Flux: what they apply in which order, and what their health checks say of our statuses.

Lua and CEL are the real ones: `make binaries` builds them. What Argo CD's check says of each status is in
test_statuscheck.py.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import statuscheck
from fieldtools import find
from harness import ROOT
from unit.hack.statuses import SOUND, Json

FOLDER = ROOT / "manifests" / "gitops"
OURS = "resource.customizations.health.serving.inferops.dev_"


def documents(name: str) -> list[Json]:
    return [each for each in yaml.safe_load_all(FOLDER.joinpath(name).read_text()) if each]


def named(name: str, kind: str) -> dict[str, Json]:
    return {each["metadata"]["name"]: each for each in documents(name) if each["kind"] == kind}


def customizations() -> dict[str, str]:
    [config] = documents("argocd/argocd-cm.yaml")
    found: dict[str, str] = config["data"]
    return found


@pytest.mark.parametrize("kind", ["InferenceService", "InferenceCluster"])
def test_argo_cd_is_given_the_check_that_is_tested(kind: str):
    assert customizations()[OURS + kind] == statuscheck.HEALTH.read_text()


@pytest.mark.parametrize(
    ("health", "verdict"),
    [(None, "Progressing"), ("Healthy", "Healthy"), ("Degraded", "Degraded"), ("Suspended", "Suspended")],
)
def test_applications_are_as_healthy_as_what_they_hold(tmp_path: Path, health: str | None, verdict: str):
    script = tmp_path / "health.lua"
    script.write_text(customizations()["resource.customizations.health.argoproj.io_Application"])
    application = {"kind": "Application", "status": {} if health is None else {"health": {"status": health}}}
    command, text = [find("lua"), script], json.dumps(application)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(done.stdout)["status"] == verdict


def test_argo_cd_applies_one_wave_after_the_other_and_keeps_crds():
    applications = named("argocd/applications.yaml", "Application")
    waves = {
        name: int(each["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])
        for name, each in applications.items()
    }
    assert sorted(waves, key=lambda name: waves[name]) == ["inferops-crds", "inferops", "inference-platform", "chat"]
    assert len(set(waves.values())) == len(waves)
    crds = applications["inferops-crds"]
    assert not crds["spec"]["syncPolicy"]["automated"]["prune"] and "finalizers" not in crds["metadata"]
    assert applications["inferops"]["spec"]["source"]["helm"]["valuesObject"] == {"crds": {"enabled": False}}


def test_nothing_is_ignored_and_everything_is_applied_by_the_server():
    for each in named("argocd/applications.yaml", "Application").values():
        assert "ignoreDifferences" not in each["spec"]
        assert "ServerSideApply=true" in each["spec"]["syncPolicy"]["syncOptions"]


def test_every_application_may_do_in_its_project_what_it_does():
    projects = named("argocd/projects.yaml", "AppProject")
    for name, each in named("argocd/applications.yaml", "Application").items():
        project, spec = projects[each["spec"]["project"]]["spec"], each["spec"]
        repositories = [allowed.removesuffix("*") for allowed in project["sourceRepos"]]
        assert any(spec["source"]["repoURL"].startswith(allowed) for allowed in repositories), name
        namespace = spec["destination"].get("namespace")
        assert namespace in {None, *(to["namespace"] for to in project["destinations"])}, name
    platform = {one["kind"] for one in projects["inference-platform"]["spec"]["clusterResourceWhitelist"]}
    scopes = [yaml.safe_load(path.read_text()) for path in ROOT.joinpath("crds").glob("*.yaml")]
    ours = {one["spec"]["names"]["kind"] for one in scopes if one.get("spec", {}).get("scope") == "Cluster"}
    assert ours <= platform


def test_flux_applies_one_after_the_other():
    kustomizations = named("flux/cluster.yaml", "Kustomization")
    assert {
        name: [on["name"] for on in each["spec"].get("dependsOn", [])] for name, each in kustomizations.items()
    } == {
        "inferops": [],
        "inference-platform": ["inferops"],
        "chat": ["inference-platform"],
    }
    sources = named("flux/cluster.yaml", "GitRepository")
    for each in kustomizations.values():
        assert each["spec"]["wait"] and each["spec"]["sourceRef"]["name"] in sources
    [release] = named("flux/inferops/release.yaml", "HelmRelease").values()
    assert release["spec"]["values"] == {"crds": {"enabled": True, "keep": True}}


def flux_says(objects: list[Json]) -> list[str]:
    """What Flux makes of objects by the sample's expressions, asked in its order: the first that holds counts."""
    [check] = named("flux/cluster.yaml", "Kustomization")["chat"]["spec"]["healthCheckExprs"]
    assert (check["apiVersion"], check["kind"]) == ("serving.inferops.dev/v1alpha1", "InferenceService")
    asked = {"InProgress": check["inProgress"], "Failed": check["failed"], "Current": check["current"]}
    lines = "".join(json.dumps(each) + "\n" for each in objects)
    command: list[Any] = [find("cel"), *asked.values()]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True, timeout=30)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    found = [zip(asked, answer, strict=True) for answer in answers]
    return [next((status for status, holds in each if holds is True), "InProgress") for each in found]


def test_flux_goes_on_once_requests_are_answered_and_fails_what_is_stuck():
    said = dict(zip(SOUND, flux_says([judged for judged, _, _ in SOUND.values()]), strict=True))
    assert said == {
        "as it was created": "InProgress",
        "rolling out": "Current",  # requests are answered, by the version before
        "loading at first": "InProgress",
        "ready": "Current",
        "scaled to zero": "Current",
        "rolled back, and serving": "Failed",
        "ready in an older generation": "InProgress",
        "stuck in an older generation": "InProgress",
        "paused": "Current",
        "paused in an older generation": "InProgress",
        "at a gate that a person opens": "Current",
        "at a gate that was opened": "Current",
        "at a gate that a Job opens": "Current",
        "being deleted": "Current",  # Flux sees that by itself, before it asks
    }


def test_flux_asks_nothing_that_a_status_without_conditions_could_not_answer():
    untouched: Json = {"metadata": {"name": "x", "generation": 1}, "status": {"observedGeneration": 0}}
    assert flux_says([untouched]) == ["InProgress"]
