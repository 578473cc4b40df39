"""LoRA adapters: where each one lies in the pod, and what has to be mounted for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from inferops.api.inferenceservice import ModelSpec
from inferops.runtimes.sources import MODEL_PATH, Source

ADAPTERS_PATH = "/mnt/adapters"
SOURCES = ("hf", "pvc", "oci")  # engines fetch from the hub by themselves; of buckets they load models alone
MOST_IN_A_BATCH = 8  # each takes room on the GPU for the largest rank, used or not


def words(model: ModelSpec) -> list[str]:
    """The adapters as `name=place`, as vLLM and SGLang take them."""
    return [f"{adapter.name}={_place(index, adapter.uri, model)}" for index, adapter in enumerate(model.adapters)]


def in_a_batch(model: ModelSpec) -> int:
    """How many of the adapters one batch may hold."""
    return min(len(model.adapters), MOST_IN_A_BATCH)


def mounted(model: ModelSpec, source: Source) -> Source:
    """`source` with the volumes of the adapters. A claim is mounted once, however many lie on it."""
    found: dict[str, dict[str, Any]] = {}
    for index, adapter in enumerate(model.adapters):
        scheme, _, rest = adapter.uri.partition("://")
        path = _mount(index, adapter.uri, model)
        if scheme == "pvc" and path != MODEL_PATH:
            found.setdefault(path, {"persistentVolumeClaim": {"claimName": _claim(adapter.uri), "readOnly": True}})
        elif scheme == "oci":
            found[path] = {"image": {"reference": rest, "pullPolicy": "IfNotPresent"}}
    names = {path: f"adapters-{number}" for number, path in enumerate(found)}
    return replace(
        source,
        volumes=(*source.volumes, *({"name": names[path], **volume} for path, volume in found.items())),
        mounts=(*source.mounts, *({"name": names[path], "mountPath": path, "readOnly": True} for path in found)),
    )


def _place(index: int, uri: str, model: ModelSpec) -> str:
    """What the engine is told to load: a repository of the hub, or a folder."""
    scheme, _, rest = uri.partition("://")
    if scheme == "hf":
        return rest
    folder = rest.rstrip("/").partition("/")[2] if scheme == "pvc" else ""
    return f"{_mount(index, uri, model)}/{folder}".rstrip("/")


def _mount(index: int, uri: str, model: ModelSpec) -> str:
    """Where the adapter's volume is mounted; the model's claim is there already."""
    if not uri.startswith("pvc://"):
        return f"{ADAPTERS_PATH}/{index}"
    if model.uri.startswith("pvc://") and _claim(model.uri) == _claim(uri):
        return MODEL_PATH
    return f"{ADAPTERS_PATH}/{_claim(uri)}"


def _claim(uri: str) -> str:
    return uri.removeprefix("pvc://").partition("/")[0]
