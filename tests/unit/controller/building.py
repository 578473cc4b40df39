"""Raw objects as the API server returns them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferops.api import API_VERSION
from inferops.kube.kinds import INFERENCE_CLUSTER, INFERENCE_SERVICE, NODE, POD, Kind
from inferops.render import labels

NAMESPACE = "chat"
UID = "uid-llama"


def raw(kind: Kind, name: str, version: int = 1, *, namespace: str = NAMESPACE, **parts: Any) -> dict[str, Any]:
    """An object of any kind. `metadata` is added to its name, namespace, uid and version."""
    more = parts.pop("metadata", {})
    meta = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version), **more}
    if kind.namespaced:
        meta["namespace"] = namespace
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, **parts}


def ours(revision: str = "", service: str = "llama", uid: str = UID) -> dict[str, Any]:
    """The metadata of a child of a service."""
    owner = {"apiVersion": API_VERSION, "kind": "InferenceService", "name": service, "uid": uid, "controller": True}
    return {"labels": labels.labels(service, revision), "ownerReferences": [owner]}


def child(kind: Kind, name: str, version: int = 1, *, service: str = "llama", revision: str = "", **parts: Any) -> Any:
    """A child of a service, by its labels and its owner."""
    meta = {**ours(revision, service, f"uid-{service}"), **parts.pop("metadata", {})}
    return raw(kind, name, version, metadata=meta, **parts)


# A new revision takes over once it is ready, and nothing is left of the one before.
AT_ONCE = {"steps": [], "retainPrevious": "0s"}
SPEC = {"model": {"uri": "hf://Qwen/Qwen3-8B"}, "accelerators": [{"type": "nvidia-l4"}], "rollout": AT_ONCE}


def service(name: str = "llama", version: int = 1, *, ready: str = "", generation: int = 1, **spec: Any) -> Any:
    """An InferenceService; `ready` is the status of its condition Ready on this generation."""
    condition = {
        "type": "Ready",
        "status": ready,
        "observedGeneration": generation,
        "reason": "Ready",
        "lastTransitionTime": "2025-11-03T12:00:00Z",
    }
    status = {"conditions": [condition]} if ready else {}
    return raw(
        INFERENCE_SERVICE, name, version, metadata={"generation": generation}, spec={**SPEC, **spec}, status=status
    )


def cluster(name: str = "east", version: int = 1, **parts: Any) -> Any:
    return raw(INFERENCE_CLUSTER, name, version, metadata={"generation": 1}, spec={"access": {"hub": True}}, **parts)


def node(name: str = "node-1", version: int = 1, *, gpus: int = 8, product: str = "NVIDIA-L4", **spec: Any) -> Any:
    return raw(
        NODE,
        name,
        version,
        metadata={"labels": {"nvidia.com/gpu.product": product}},
        spec=spec,
        status={
            "allocatable": {"cpu": "63500m", "memory": "500Gi", "nvidia.com/gpu": str(gpus)},
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
        },
    )


def pod(
    name: str,
    version: int = 1,
    *,
    revision: str = "",
    node: str = "",
    status: Mapping[str, Any] | None = None,
    **more: Any,
) -> Any:
    meta = {"labels": labels.labels("llama", revision), **more.pop("metadata", {})}
    spec = {"nodeName": node} if node else {}
    return raw(POD, name, version, metadata=meta, spec=spec, status=dict(status or {}), **more)
