"""Raw resources of users -> what is kept of them: compact JSON, and what is asked of all of them again and again."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inferops.api.rollout import ACTION
from inferops.api.rolloutstatus import AT_REST
from inferops.core.clusters.naming import HUB, PARENT_NAME

FINALIZER = "inferops.dev/clusters"  # keeps a service until what it has in member clusters is gone
KEPT = {ACTION: 128, PARENT_NAME: 63}  # annotations, and how many characters of them say something

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parent:
    """A resource of a user, as compact JSON."""

    uid: str
    settled: bool  # Ready on its newest generation: nothing but its own children can change that
    managed: bool  # it depends on which gateways there are, and on what they tell
    asleep: bool  # scaling has it at zero replicas until somebody asks
    rolling: bool  # a rollout is under way
    placed: bool  # it is, or is to be, in member clusters
    content: bytes


def parent_view(raw: Raw) -> Parent:
    """What matters of an InferenceService or InferenceCluster."""
    meta = raw["metadata"]
    kept = ("name", "namespace", "uid", "generation", "creationTimestamp", "deletionTimestamp")
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    settled = any(
        condition.get("type") == "Ready"
        and condition.get("status") == "True"
        and condition.get("observedGeneration") == meta.get("generation")
        for condition in status.get("conditions") or ()
    )
    scaling = spec.get("scaling") or {}
    wakes = scaling.get("minReplicas") == 0 and scaling.get("replicas") is None
    cluster = "access" in spec
    metadata = {name: meta[name] for name in kept if name in meta} | _asked(meta) | _marks(meta, cluster)
    content = {"metadata": metadata, "spec": spec, "status": status}
    text = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    part = HUB in (meta.get("labels") or {}) and not cluster
    chosen = (spec.get("placement") or {}).get("clusters") is not None and not part
    phase = (status.get("rollout") or {}).get("phase")
    rolling = phase not in (None, "", *AT_REST)
    traffic = spec.get("traffic") or {}
    managed = wakes or rolling or chosen or bool(traffic.get("access") or traffic.get("spillover"))
    asleep = wakes and status.get("desiredReplicas") == 0
    placed = chosen or bool((status.get("placement") or {}).get("clusters"))
    return Parent(str(meta.get("uid", "")), settled, managed, asleep, rolling, placed, zlib.compress(text, 1))


def _marks(meta: Raw, cluster: bool) -> dict[str, Any]:
    """Labels of a cluster, by which services choose; of a service, whether it is kept until members are rid of it, and
    whether a hub wrote it."""
    labels = meta.get("labels") or {}
    if cluster:
        return {"labels": labels} if labels else {}
    kept = {"finalizers": [FINALIZER]} if FINALIZER in (meta.get("finalizers") or ()) else {}
    return kept | ({"labels": {HUB: labels[HUB]}} if HUB in labels else {})


def _asked(meta: Raw) -> dict[str, Any]:
    """The annotations that say something here, alone: others may be large, and change without meaning anything."""
    found = meta.get("annotations") or {}
    kept = {name: told for name, most in KEPT.items() if (told := str(found.get(name) or "")[:most])}
    return {"annotations": kept} if kept else {}
