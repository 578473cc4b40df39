"""Differences between two specs, field by field, and the patch that kubectl would send. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NOTHING: Any = object()
LONGEST = 60  # characters of a value


class Difference(NamedTuple):
    """One field that changes."""

    field: str
    before: Any  # NOTHING: it was not there
    after: Any

    def told(self) -> str:
        if self.before is NOTHING:
            return f"+ {self.field}: {value(self.after)}"
        if self.after is NOTHING:
            return f"- {self.field}: {value(self.before)}"
        return f"~ {self.field}: {value(self.before)} → {value(self.after)}"


def value(found: Any) -> str:
    """A value for people."""
    text = found if isinstance(found, str) else json.dumps(found, sort_keys=True)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def differences(before: Any, after: Any, field: str) -> Iterator[Difference]:
    """The fields of which the values differ, in the order of their names."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            name = f"{field}.{key}" if "." not in key and "/" not in key else f"{field}[{key}]"
            yield from differences(before.get(key, NOTHING), after.get(key, NOTHING), name)
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else NOTHING
            new = after[index] if index < len(after) else NOTHING
            yield from differences(old, new, f"{field}[{index}]")
    elif before is NOTHING or after is NOTHING or before != after:
        yield Difference(field, before, after)


def of_objects(live: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> list[Difference]:
    """Differences of spec, labels and annotations, as far as people set them."""
    found = list(differences((live or {}).get("spec", {}), wanted.get("spec", {}), "spec"))
    for part in ("labels", "annotations"):
        old, new = (_set_by_people(each, part) for each in (live or {}, wanted))
        found += differences(old, new, f"metadata.{part}")
    return found


def _set_by_people(raw: Mapping[str, Any], part: str) -> dict[str, Any]:
    found = (raw.get("metadata") or {}).get(part) or {}
    return {key: each for key, each in found.items() if key != LAST_APPLIED}


def applier(live: Mapping[str, Any]) -> str:
    """The manager that applied the spec by server-side apply; empty: nobody did."""
    for entry in live.get("metadata", {}).get("managedFields") or ():
        if (
            entry.get("operation") == "Apply"
            and "f:spec" in (entry.get("fieldsV1") or {})
            and not entry.get("subresource")
        ):
            return str(entry.get("manager") or "")
    return ""


def last_applied(live: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `kubectl apply` sent last; None where it never did."""
    text = (live.get("metadata", {}).get("annotations") or {}).get(LAST_APPLIED)
    try:
        found = json.loads(text) if text else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def merge_patch(original: Any, wanted: Any, live: Any) -> dict[str, Any]:
    """The JSON merge patch of `kubectl apply` without --server-side for kinds that it does not know: what is wanted and
    is not there, and null for what was applied before and is no more. Source: kubectl, jsonmergepatch."""
    patch: dict[str, Any] = {}
    for key, each in wanted.items():
        there = live.get(key, NOTHING)
        if isinstance(each, dict) and isinstance(there, dict):
            before = original.get(key) if isinstance(original.get(key), dict) else {}
            if inner := merge_patch(before, each, there):
                patch[key] = inner
        elif there is NOTHING or there != each:
            patch[key] = each
    for key in original:
        if key not in wanted and key in live:
            patch[key] = None
    return patch
