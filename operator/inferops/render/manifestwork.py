"""The ManifestWorks by which Open Cluster Management (OCM) brings our objects to a cluster that we do not reach.

One work has one object. OCM's agent in that cluster applies it, reads back what the work's feedback rules name, and
tells it in the work's status: single values alone. A path without a value tells nothing, one with several the first of
them; or all as JSON, where the agent's feature gate RawFeedbackJsonString is on. An index beyond a list's end is an
error that people see. Source: work.open-cluster-management.io/v1, spec.manifestConfigs[].feedbackRules.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from inferops.api import API_VERSION, GROUP
from inferops.core.clusters.naming import HUB
from inferops.render.child import VERSION

WORK_API = "work.open-cluster-management.io/v1"
GIVEN = "inferops.dev/given"  # annotation of the object: digest of what it was given, by which the newest is known
RULES = "inferops.dev/rules"  # annotation of the work: digest of the rules that it was written with
MANAGER = "work-agent-inferops"  # OCM takes none that does not begin with work-agent
HERE = "here"  # the InferenceCluster by which a cluster's own inferops counts what it has
HERE_WORK = "inferops-here"
NAME = 100  # characters; OCM's agent names an object of its own by a hash and this name

Strategy = Literal["ServerSideApply", "ReadOnly"]

CONDITION = ("status", "reason", "message", "lastTransitionTime")
REJECTED = ("hash", "reason", "message", "time")  # of the newest revision that was rolled back
PAUSED = ("since", "reason", "message")
ROLLBACK = ("to", "ready", "seconds", "message")
SINGLE = (
    "phase", "since", "started", "strategy", "canary", "stable", "step", "steps", "weight", "skipped", "reason",
    "message", "previous",
)  # fmt: skip


def _paths() -> dict[str, str]:
    """JSONPaths by the names under which their values come back. A name is the value's own place."""
    rollout = "status.rollout"
    plain = [
        "metadata.uid",
        "metadata.generation",
        *(f"spec.scaling.{name}" for name in ("replicas", "minReplicas", "maxReplicas")),
        *(f"spec.accelerators[0].{name}" for name in ("type", "count", "nodes", "spot")),
        *(f"status.{name}" for name in ("observedGeneration", "desiredReplicas", "replicas", "readyReplicas")),
        *(f"status.{name}" for name in ("stableRevision", "latestRevision", "scaling.reason", "scaling.coldStart")),
        *(f"{rollout}.{name}" for name in SINGLE),
        *(f"{rollout}.paused.{name}" for name in PAUSED),
        *(f"{rollout}.rollback.{name}" for name in ROLLBACK),
    ]
    firsts = [*(f"{rollout}.rejected[0].{name}" for name in REJECTED), f"{rollout}.handled[0]"]
    return {
        **_marks(HUB, "labels"), **_marks(GIVEN, "annotations"), **_marks(VERSION, "annotations"),
        **{each: f".{each}" for each in plain}, **_conditions("Ready", "RolledOut", "Routed"),
        **{each: f".{each.replace('[0]', '[*]')}" for each in firsts},
    }  # fmt: skip


def _marks(key: str, where: str) -> dict[str, str]:
    escaped = key.replace(".", r"\.")
    return {key: f".metadata.{where}.{escaped}"}


def _conditions(*types: str) -> dict[str, str]:
    found = {}
    for each in types:
        for name in CONDITION:
            found[f"conditions.{each}.{name}"] = f'.status.conditions[?(@.type=="{each}")].{name}'
    return found


OF_A_SERVICE = _paths()
OF_A_CLUSTER = {
    **_marks(GIVEN, "annotations"),
    **{f"status.{name}": f".status.{name}" for name in ("clusterUID", "summary")},
    **_conditions("Ready"),
}


def work_name(namespace: str, name: str) -> str:
    """The name of the work that brings a service. Always the same, and another one for each."""
    told = hashlib.sha256(f"{namespace}/{name}".encode()).hexdigest()[:10]
    return f"{f'inferops-{namespace}-{name}'[: NAME - 11].rstrip('-.')}-{told}"


def render_work(cluster: str, hub: str, child: Mapping[str, Any], *, strategy: Strategy) -> dict[str, Any]:
    """The work that brings `child`, an InferenceService, to a managed cluster; `hub`: the UID by which ours are known.
    ReadOnly: it brings nothing, and tells what has the name there."""
    meta = child["metadata"]
    name = work_name(meta["namespace"], meta["name"])
    return _work(cluster, hub, name, child, "inferenceservices", OF_A_SERVICE, strategy)


def render_here(cluster: str, hub: str, namespace: str) -> dict[str, Any]:
    """The work that has the cluster's own inferops count what the cluster has, and tell it in one value; `namespace`:
    where that inferops looks for InferenceClusters."""
    meta = {"name": HERE, "namespace": namespace, "labels": {HUB: hub}}
    spec = {"access": {"hub": True}}
    here = {"apiVersion": API_VERSION, "kind": "InferenceCluster", "metadata": meta, "spec": spec}
    return _work(cluster, hub, HERE_WORK, here, "inferenceclusters", OF_A_CLUSTER, "ServerSideApply")


def given(manifest: Mapping[str, Any]) -> str:
    """The digest of an object as it is given to a cluster."""
    meta = manifest["metadata"]
    marks = {key: value for key, value in (meta.get("annotations") or {}).items() if key != GIVEN}
    return _digest([manifest.get("spec"), meta.get("labels"), marks])


def rules(strategy: str, kind: str) -> str:
    """The digest of all in a work but its object."""
    return _digest([strategy, MANAGER, OF_A_CLUSTER if kind == "InferenceCluster" else OF_A_SERVICE])


def _work(
    cluster: str,
    hub: str,
    name: str,
    manifest: Mapping[str, Any],
    plural: str,
    paths: Mapping[str, str],
    strategy: Strategy,
) -> dict[str, Any]:
    meta = manifest["metadata"]
    identity = {"group": GROUP, "resource": plural, "namespace": meta["namespace"], "name": meta["name"]}
    update: dict[str, Any] = {"type": strategy}
    if strategy == "ServerSideApply":
        update["serverSideApply"] = {"force": True, "fieldManager": MANAGER}
        marks = {**(meta.get("annotations") or {}), GIVEN: given(manifest)}
        kept = {key: value for key, value in meta.items() if key not in ("uid", "annotations")}
        manifest = {**manifest, "metadata": {**kept, "annotations": marks}}
    else:
        identified = {"namespace": meta["namespace"], "name": meta["name"]}
        manifest = {"apiVersion": API_VERSION, "kind": manifest["kind"], "metadata": identified}
    told = [{"name": each, "path": path} for each, path in paths.items()]
    return {
        "apiVersion": WORK_API,
        "kind": "ManifestWork",
        "metadata": {
            "name": name,
            "namespace": cluster,
            "labels": {HUB: hub},
            "annotations": {RULES: rules(strategy, manifest["kind"])},
        },
        "spec": {
            "workload": {"manifests": [manifest]},
            "deleteOption": {"propagationPolicy": "Foreground"},
            "manifestConfigs": [
                {
                    "resourceIdentifier": identity,
                    "updateStrategy": update,
                    "feedbackRules": [{"type": "JSONPaths", "jsonPaths": told}],
                }
            ],
        },
    }


def _digest(value: object) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=12).hexdigest()
