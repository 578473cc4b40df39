"""Server-side apply in small: which fields an object has, who owns them, and how they are merged (KEP-555).

A field is a path of steps as in FieldsV1: `f:name`, `k:{"name":"x"}` for an item of a list by its keys, `v:"x"` for
an item of a set. What the schema of a kind would say about its lists and maps stands in the tables.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Iterable, Iterator
from typing import Any

Path = tuple[str, ...]

LISTS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "ownerReferences": ("uid",),
    "conditions": ("type",),
    "revisions": ("hash",),
    "notActedOn": ("field",),
}
SETS = ("finalizers",)
ATOMIC = ("selector", "labelSelector", "nodeSelector", "data", "requiredDuringSchedulingIgnoredDuringExecution")
IDENTITY = (("f:apiVersion",), ("f:kind",), *(("f:metadata", f"f:{name}") for name in (
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")))  # fmt: skip


def clone(value: Any) -> Any:
    """A deep copy of JSON, faster than others."""
    return marshal.loads(marshal.dumps(value))


def keys_of(name: str, items: list[Any]) -> tuple[str, ...] | None:
    if name == "ports":
        return ("containerPort", "protocol") if any("containerPort" in item for item in items) else ("port", "protocol")
    return LISTS.get(name)


def key_step(item: Any, keys: Iterable[str]) -> str:
    return "k:" + json.dumps({key: item.get(key) for key in keys}, separators=(",", ":"))


def children(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The steps beneath a value; none where it is a leaf."""
    if name in ATOMIC or (name.startswith("k:") and '"uid"' in name):
        return
    if isinstance(value, dict):
        for key, part in value.items():
            yield f"f:{key}", part
    elif isinstance(value, list) and name in SETS:
        for item in value:
            yield f"v:{json.dumps(item)}", item
    elif isinstance(value, list) and (keys := keys_of(name, value)) is not None:
        for item in value:
            yield key_step(item, keys), item


def fields(value: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """All fields of an object and what is there: its leaves, and the items of its lists."""
    name = at[-1].removeprefix("f:") if at else ""
    if at in IDENTITY:
        return
    beneath = list(children(value, name))
    if (not beneath and at) or name.startswith("k:"):
        yield at, value
    for step, part in beneath:
        yield from fields(part, (*at, step))


def paths(value: Any) -> Iterator[Path]:
    return (path for path, _ in fields(value))


def get(value: Any, path: Path, name: str = "") -> Any:
    """The value of a field, or None."""
    if not path:
        return value
    found = dict(children(value, name)).get(path[0])
    return None if found is None else get(found, path[1:], path[0].removeprefix("f:"))


def changed(before: Any, after: Any) -> tuple[set[Path], set[Path]]:
    """The fields of `after` that are others than in `before`, and those of `before` that are gone. By one walk of
    each: `get` for every field takes most of the time of a test that writes much."""
    old, new = dict(fields(before)), dict(fields(after))
    others = {path for path, found in new.items() if found != (old[path] if path in old else get(before, path))}
    gone = {path for path in old if (new[path] if path in new else get(after, path)) is None}
    return others, gone


def merge(live: Any, wanted: Any, name: str = "") -> Any:
    """`live` with everything that `wanted` says."""
    there, new = dict(children(live, name)), dict(children(wanted, name))
    if wanted == {} and isinstance(live, dict) and name not in ATOMIC:
        return live
    if type(live) is not type(wanted) or not there or not new:
        return clone(wanted)
    merged = {
        step: merge(there[step], new[step], step.removeprefix("f:")) if step in there and step in new else part
        for step, part in clone({**new, **there}).items()
    }
    return _whole(live, {step: merged[step] for step in {**there, **new}})


def _whole(like: Any, parts: dict[str, Any]) -> Any:
    """The map or list that consists of these parts."""
    return (
        {step.removeprefix("f:"): part for step, part in parts.items()} if isinstance(like, dict) else [*parts.values()]
    )


def drop(value: Any, path: Path, name: str = "") -> Any:
    """`value` without a field."""
    steps = dict(children(value, name))
    if path[0] in steps and len(path) > 1:
        steps[path[0]] = drop(steps[path[0]], path[1:], path[0].removeprefix("f:"))
    else:
        steps.pop(path[0], None)
    return _whole(value, steps) if isinstance(value, dict | list) else value


def fields_v1(owned: Iterable[Path]) -> dict[str, Any]:
    """Fields as they stand in managedFields."""
    root: dict[str, Any] = {}
    for path in sorted(owned):
        part = root
        for step in path:
            part = part.setdefault(step, {})
        if path[-1].startswith("k:") and '"uid"' not in path[-1]:
            part["."] = {}
    return root
